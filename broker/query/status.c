// SPDX-License-Identifier: Apache-2.0
// The verb status: one object with what an operator looks at first. The subscriptions come from the
// delivery thread before this runs; everything else is read here.
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/query/registry.h"
#include "broker/query/verbs_all.h"
#include "broker/query/verbs_read.h"
#include "broker/tick/quarantine.h"
#include "schemas/base/clock.h"

static json_int_t customers(struct call *call) {
    static const char key[] = "customers";
    struct view_txn *txn;
    if (view_begin(call_broker(call)->view, false, &txn) != 0) {
        return -1;
    }
    const void *value;
    size_t size;
    uint64_t number = 0;
    if (view_get(txn, VIEW_META, key, sizeof(key) - 1, &value, &size) == 0 &&
        size == sizeof(number)) {
        memcpy(&number, value, sizeof(number));
    }
    call_as_of(call, view_applied(txn));
    view_abort(txn);
    return (json_int_t)be64toh(number);
}

static json_int_t memory_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0, resident = 0;
    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &pages, &resident) != 2) {
            resident = 0;
        }
        fclose(file);
    }
    return (json_int_t)resident * sysconf(_SC_PAGESIZE);
}

static json_int_t disk_free_bytes(const char *state) {
    struct statvfs disk;
    return statvfs(state, &disk) == 0 ? (json_int_t)(disk.f_bavail * disk.f_frsize) : -1;
}

static json_t *counters_json(struct broker_counters *counters) {
    const struct {
        const char *name;
        atomic_uint_fast64_t *number;
    } rows[] = {
        {"events", &counters->events},
        {"duplicates", &counters->duplicates},
        {"refused", &counters->refused},
        {"quarantined", &counters->quarantined},
        {"nobody", &counters->nobody},
        {"redacted", &counters->redacted},
        {"ticks", &counters->ticks},
        {"bad_frames", &counters->bad_frames},
        {"delivered", &counters->delivered},
        {"retried", &counters->retried},
        {"parked", &counters->parked},
        {"lost", &counters->lost},
        {"handshakes_failed", &counters->handshakes_failed},
    };
    json_t *json = json_object();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_object_set_new(json, rows[i].name,
                            json_integer((json_int_t)atomic_load(rows[i].number)));
    }
    return json;
}

int verb_status(struct call *call) {
    struct broker *broker = call_broker(call);
    int64_t now_us = clock_now_us();
    json_t *subscriptions = json_incref(json_object_get(call_answer_borrow(call), "subscriptions"));
    json_t *log = NULL;
    int r = verb_log_info(call);
    if (r != 0) {
        json_decref(subscriptions);
        return r;
    }
    log = json_incref(call_answer_borrow(call));
    json_int_t n_customers = customers(call);
    return call_answer(
        call,
        json_pack("{s:s, s:s, s:I, s:s, s:o, s:I, s:o, s:I, s:I, s:I, s:I, s:o, s:o?, s:o?, s:o*}",
                  "state", "serving", "version", TOUCHBUS_VERSION, "pid", (json_int_t)getpid(),
                  "state_folder", broker->configuration.state, "started",
                  read_time_json(broker->started_us), "uptime_s",
                  (json_int_t)((now_us - broker->started_us) / CLOCK_US_PER_S), "log", log,
                  "customers", n_customers, "quarantined", (json_int_t)quarantine_count(broker),
                  "memory_bytes", memory_bytes(), "disk_free_bytes",
                  disk_free_bytes(broker->configuration.state), "counters",
                  counters_json(&broker->counters), "subscriptions", subscriptions, "connectors",
                  registry_list(call_reads(call)->registry, now_us), "access",
                  access_status(broker->access)));
}
