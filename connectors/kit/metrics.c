// SPDX-License-Identifier: Apache-2.0
// How the connector is: counters in atomics, shown as Prometheus text, as one JSON object, and to
// the broker every few seconds by a thread of its own, since a query may wait for its answer.
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "connectors/kit/private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

static const struct {
    const char *name;
    bool gauge;
    const char *help;
} rows[N_METRICS] = {
    [METRIC_PUBLISHED] = {"published_total", false, "Events the broker has acked."},
    [METRIC_DUPLICATES] = {"duplicates_total", false, "Of these, events it had before."},
    [METRIC_REFUSED] = {"refused_total", false, "Events refused for good."},
    [METRIC_SPOOLED] = {"spooled_total", false, "Events put on disk while the broker was away."},
    [METRIC_QUARANTINED] = {"quarantined_total", false, "Items put aside, here or by the broker."},
    [METRIC_BUSY] = {"busy_total", false, "Events sent back because a queue or disk was full."},
    [METRIC_DELIVERED] = {"delivered_total", false, "Events the sink has taken."},
    [METRIC_RETRIED] = {"retried_total", false, "Events the sink asked to have again later."},
    [METRIC_REJECTED] = {"rejected_total", false, "Events the sink has refused."},
    [METRIC_COLLECT_FAILURES] = {"collect_failures_total", false, "Failed rounds of collecting."},
    [METRIC_IN_FLIGHT] = {"in_flight", true, "Events given to the publisher and not acked."},
    [METRIC_SPOOL_RECORDS] = {"spool_records", true, "Events that wait on disk."},
    [METRIC_SPOOL_BYTES] = {"spool_bytes", true, "Bytes of the spool on disk."},
    [METRIC_CONNECTED] = {"connected", true, "1 while the broker answers."},
    [METRIC_ERASURES_OPEN] = {"erasures_open", true, "Erasures not yet carried out here."},
    [METRIC_QUARANTINE_UNCHECKED] = {"quarantine_unchecked", true,
                                     "Rows put aside that name nobody who could be asked about."},
};

static const char *const state_names[N_STATES] = {
    [STATE_STARTING] = "starting", [STATE_UP] = "up",
    [STATE_AWAY] = "broker-away",  [STATE_REFUSED] = "refused",
    [STATE_OUTAGE] = "sink-away",  [STATE_STOPPING] = "stopping",
};

const char *state_name(enum kit_state state) {
    return state_names[state];
}

static unsigned long long value_of(const struct kit *kit, enum metric metric) {
    return atomic_load_explicit(&kit->metrics.values[metric], memory_order_relaxed);
}

static size_t n_own(const struct kit *kit) {
    size_t n = 0;
    while (kit->connector->counters != NULL && n < KIT_COUNTERS_MAX &&
           kit->connector->counters[n] != NULL) {
        n++;
    }
    return n;
}

static const char *kind_of(const struct kit *kit) {
    bool sink = kit->connector->deliver != NULL;
    return kit->is_source && sink ? "both" : kit->is_source ? "source" : "sink";
}

void kit_count(struct kit *kit, size_t index, uint64_t n) {
    if (index < KIT_COUNTERS_MAX) {
        atomic_fetch_add_explicit(&kit->metrics.own[index], n, memory_order_relaxed);
    }
}

char *kit_metrics(struct kit *kit) {
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < N_METRICS; i++) {
        fprintf(file,
                "# HELP touchbus_connector_%s %s\n# TYPE touchbus_connector_%s %s\n"
                "touchbus_connector_%s{name=\"%s\"} %llu\n",
                rows[i].name, rows[i].help, rows[i].name, rows[i].gauge ? "gauge" : "counter",
                rows[i].name, kit_name(kit), value_of(kit, (enum metric)i));
    }
    for (size_t i = 0; i < n_own(kit); i++) {
        const char *name = kit->connector->counters[i];
        fprintf(file, "# TYPE touchbus_%s_%s counter\ntouchbus_%s_%s{name=\"%s\"} %llu\n",
                kit->connector->name, name, kit->connector->name, name, kit_name(kit),
                (unsigned long long)atomic_load(&kit->metrics.own[i]));
    }
    if (fclose(file) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static json_t *counters_of(const struct kit *kit) {
    json_t *counters = json_object();
    for (size_t i = 0; i < N_METRICS; i++) {
        json_object_set_new(counters, rows[i].name,
                            json_integer((json_int_t)value_of(kit, (enum metric)i)));
    }
    for (size_t i = 0; i < n_own(kit); i++) {
        json_object_set_new(counters, kit->connector->counters[i],
                            json_integer((json_int_t)atomic_load(&kit->metrics.own[i])));
    }
    return counters;
}

char *kit_health(struct kit *kit) {
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:o?}", "name", kit_name(kit), "connector",
                  kit->connector->name, "kind", kind_of(kit), "state",
                  state_names[atomic_load(&kit->metrics.state)], "counters", counters_of(kit));
    struct kit_refusal refusal;
    if (json != NULL && refusal_get(kit, &refusal)) {
        json_object_set_new(json, "refusal",
                            json_pack("{s:s, s:s, s:s}", "reason", refusal.reason, "detail",
                                      refusal.detail, "hint", refusal.hint));
    }
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

bool kit_connected(const struct kit *kit) {
    return value_of(kit, METRIC_CONNECTED) != 0;
}

// ---- the report thread

struct report {
    struct kit *kit;
    touchbus_client *client;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

static bool sleep_until_due(struct report *report) {
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += REPORT_MS / 1000;
    pthread_mutex_lock(&report->lock);
    while (!report->stop &&
           pthread_cond_timedwait(&report->wake, &report->lock, &due) != ETIMEDOUT) {
    }
    bool stop = report->stop;
    pthread_mutex_unlock(&report->lock);
    return !stop;
}

// The answer may carry an operator's wish: reload works as it does by signal.
static void take_wishes(const touchbus_answer *answer) {
    json_t *json = json_loads(touchbus_answer_json(answer), 0, NULL);
    if (json_is_true(json_object_get(json, "reload"))) {
        kill(getpid(), SIGHUP);
    }
    json_decref(json);
}

static void tell(struct report *report) {
    struct kit *kit = report->kit;
    const touchbus_argument arguments[] = {
        {"name", kit_name(kit)},
        {"kind", kind_of(kit)},
        {"state", state_names[atomic_load(&kit->metrics.state)]},
        {"instance", kit->folder.producer},
    };
    json_t *counters = counters_of(kit);
    _cleanup_free_ char *body = json_dumps(counters, JSON_COMPACT);
    json_decref(counters);
    touchbus_answer *answer = NULL;
    if (touchbus_client_reload_keys(report->client) != 0) { // where the files were changed
        logging_debug("report=old-keys");
    }
    if (touchbus_client_query(report->client, "connector.report", arguments,
                              sizeof(arguments) / sizeof(arguments[0]), body, 0, REPORT_ANSWER_MS,
                              NULL, NULL, &answer) != 0) {
        return; // the state says that it is away
    }
    if (touchbus_answer_code(answer) == 0) {
        take_wishes(answer);
    } else {
        logging_debug("report=refused reason=%s", touchbus_answer_reason(answer));
    }
    touchbus_answer_free(answer);
}

static void *report_run(void *user) {
    struct report *report = user;
    do {
        tell(report);
    } while (sleep_until_due(report));
    tell(report); // that it stops
    return NULL;
}

int report_start(struct kit *kit, struct report **ret) {
    struct report *report = calloc(1, sizeof(*report));
    if (report == NULL) {
        return -ENOMEM;
    }
    report->kit = kit;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&report->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&report->lock, NULL);
    const struct kit_conf *conf = kit->settings.kit;
    const touchbus_client_options options = {
        .broker = conf->broker, .key = conf->key, .broker_key = conf->broker_key};
    int r = touchbus_client_new(&options, &report->client);
    if (r == 0) {
        r = -pthread_create(&report->thread, NULL, report_run, report);
    }
    if (r != 0) {
        touchbus_client_free(report->client);
        free(report);
        return r;
    }
    *ret = report;
    return 0;
}

struct report *report_stop(struct report *report) {
    if (report == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&report->lock);
    report->stop = true;
    pthread_cond_signal(&report->wake);
    pthread_mutex_unlock(&report->lock);
    pthread_join(report->thread, NULL);
    touchbus_client_free(report->client);
    pthread_cond_destroy(&report->wake);
    pthread_mutex_destroy(&report->lock);
    free(report);
    return NULL;
}
