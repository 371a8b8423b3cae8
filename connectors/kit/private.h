// SPDX-License-Identifier: Apache-2.0
// What the kit's own files share: the instance, and who does what.
//
//   main.c      from options to exit status          settings.c  options, configuration, reload
//   folder.c    the state folder, its lock           loop.c      the one thread everything runs on
//   publish.c   events on their way to the broker    submit.c    the door for other threads
//   deliver.c   events on their way to the sink      metrics.c   counters, health, the report
//   spool*.c    what waits on disk                   quarantine*.c  what cannot become an event
//   privacy.c   persons who were erased
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connectors/kit/bounds.h"
#include "connectors/kit/kit.h"
#include "schemas/limits.h"

// ---- settings.c

struct kit_conf {
    char *broker, *key, *broker_key, *state, *name, *from, *log_level, *quarantine;
    struct option_list types;
    int64_t spool_bytes, spool_after_us;
    bool check; // judge the configuration and leave
};

struct settings {
    struct option_page page;
    struct option_row *rows; // the connector's, then the kit's, in one block
    void *block;             // struct kit_conf, then the connector's conf
    const struct kit_conf *kit;
    const void *connector;
    char *program;
    int argc;
    char **argv;
};

// 0, OPTIONS_DONE, -EINVAL after one line on stderr.
int settings_load(const struct kit_connector *connector, int argc, char **argv,
                  struct settings *ret);
// 0; -EINVAL after one line: everything as it was.
int settings_reload(const struct kit_connector *connector, struct settings *settings);
void settings_clear(struct settings *settings);

// ---- refusal.c

// What the broker refuses us with. Texts cut to fit.
struct kit_refusal {
    char reason[NAME_BYTES_MAX + 1];
    char detail[KIT_DETAIL_BYTES_MAX], hint[KIT_DETAIL_BYTES_MAX];
};
void refusal_set(struct kit_refusal *refusal, const char *reason, const char *detail,
                 const char *hint);
// Asks publisher and subscriber. What is new is logged, once, and shown in the health report until
// it is over. True: we are refused.
bool refusal_watch(struct kit *kit);
// The one in force; false: none. Thread-safe.
bool refusal_get(struct kit *kit, struct kit_refusal *ret);
// The key files were changed: publisher and subscriber connect with the new ones.
void refusal_reload_keys(struct kit *kit);

// ---- metrics.c

enum metric {
    METRIC_PUBLISHED,   // acked by the broker, duplicates and quarantined ones too
    METRIC_DUPLICATES,  // of these: it had them
    METRIC_REFUSED,     // for good
    METRIC_SPOOLED,     // put on disk
    METRIC_QUARANTINED, // put aside, here or by the broker
    METRIC_BUSY,        // sent back because a queue or the spool was full
    METRIC_DELIVERED,
    METRIC_RETRIED,
    METRIC_REJECTED,
    METRIC_COLLECT_FAILURES,
    METRIC_IN_FLIGHT, // gauges from here on
    METRIC_SPOOL_RECORDS,
    METRIC_SPOOL_BYTES,
    METRIC_CONNECTED,
    METRIC_ERASURES_OPEN,
    METRIC_QUARANTINE_UNCHECKED,
    N_METRICS,
};

enum kit_state {
    STATE_STARTING,
    STATE_UP,
    STATE_AWAY,
    STATE_REFUSED, // the broker is there, but not for this key or role
    STATE_OUTAGE,
    STATE_STOPPING,
    N_STATES
};

struct metrics {
    atomic_ullong values[N_METRICS];
    atomic_ullong own[KIT_COUNTERS_MAX];
    atomic_int state; // enum kit_state
};

static inline void metric_add(struct metrics *metrics, enum metric metric, uint64_t n) {
    atomic_fetch_add_explicit(&metrics->values[metric], n, memory_order_relaxed);
}
static inline void metric_set(struct metrics *metrics, enum metric metric, uint64_t value) {
    atomic_store_explicit(&metrics->values[metric], value, memory_order_relaxed);
}

const char *state_name(enum kit_state state);

struct report; // the thread that tells the broker how we are
int report_start(struct kit *kit, struct report **ret);
struct report *report_stop(struct report *report); // joins; takes NULL

// ---- quarantine.c, quarantine_purge.c, quarantine_command.c

struct quarantine;
int quarantine_open(const char *folder, struct quarantine **ret);
struct quarantine *quarantine_close(struct quarantine *quarantine);
int quarantine_add(struct quarantine *quarantine, const struct kit_quarantined *items,
                   size_t n_items);

// As kit_tombstoned.
typedef int quarantine_tombstoned(void *user, const struct kit_identity *identities,
                                  size_t n_identities, bool *ret);
// Removes the rows of persons who were erased: those from *from on, and moves it to behind what was
// looked at. The rest is written aside, synced and renamed. *ret_unchecked: rows that name nobody
// who could be asked about. 0; a negative errno, also of asking: nothing was changed.
int quarantine_purge(struct quarantine *quarantine, uint64_t *from, quarantine_tombstoned *ask,
                     void *user, uint64_t *ret_unchecked);
bool quarantine_command_known(const char *command);
// --quarantine: prints or removes. 0; a negative errno after one line on stderr.
int quarantine_command(const char *command, const char *state, const char *name);

// ---- privacy.c

struct privacy; // the thread that carries out erasures in spool and quarantine
int privacy_start(struct kit *kit, struct privacy **ret);
struct privacy *privacy_stop(struct privacy *privacy); // joins; takes NULL
void privacy_reload_keys(struct privacy *privacy);     // soon

// ---- folder.c

struct folder {
    char *path;
    int lock_fd;
    char producer[NAME_BYTES_MAX + 1]; // the instance's, stable as long as the folder
    uint64_t epoch;                    // higher at each opening
};
// Makes and locks it. -EBUSY: another instance has it; each failure after one logged line.
int folder_open(const char *state, const char *name, struct folder *ret);
void folder_close(struct folder *folder);

// ---- publish.c, submit.c

struct publishing;
int publishing_new(struct kit *kit, struct publishing **ret);
struct publishing *publishing_free(struct publishing *publishing);
void *publishing_socket(struct publishing *publishing);
// A round: takes submissions over, publishes, answers. Returns when it wants to be called again, in
// microseconds of the monotonic clock.
int64_t publishing_run(struct publishing *publishing, int64_t now_us);
// From another thread: asks that everything spooled by now goes to the broker and its files go. The
// number to wait for.
uint64_t publishing_flush(struct publishing *publishing);
// Whether that is done. Thread-safe.
bool publishing_flushed(struct publishing *publishing, uint64_t flush);
// Whether everything taken has been answered.
bool publishing_idle(struct publishing *publishing);
bool publishing_connected(const struct publishing *publishing);
// Why the broker does not take what we send; false: nothing is known.
bool publishing_refusal_now(const struct publishing *publishing, struct kit_refusal *ret);
void publishing_reload_keys(struct publishing *publishing);
// Another process publishes under this instance's name: end, keep what is unanswered.
bool publishing_fenced(const struct publishing *publishing);
// Spools what has no answer yet, if it may; then answers the rest as unavailable and refuses more.
void publishing_finish(struct publishing *publishing);

// ---- deliver.c

struct delivering;
int delivering_new(struct kit *kit, struct delivering **ret);
struct delivering *delivering_free(struct delivering *delivering);
void *delivering_socket(struct delivering *delivering);
int64_t delivering_run(struct delivering *delivering, int64_t now_us);
bool delivering_connected(const struct delivering *delivering);
bool delivering_outage(const struct delivering *delivering);
// Why the broker hands nothing out; false: nothing is known.
bool delivering_refusal(const struct delivering *delivering, struct kit_refusal *ret);
void delivering_reload_keys(struct delivering *delivering);
const uint8_t *delivering_incarnation(const struct delivering *delivering);

// ---- loop.c

// Runs until SIGTERM or SIGINT. 0.
int loop_run(struct kit *kit);

// Whether it may publish, spool and put aside, under one configuration or another; what it does
// under this one is kit->is_source.
static inline bool may_be_source(const struct kit_connector *connector) {
    return connector->collect != NULL || connector->spools;
}

// What erasures come as.
#define PRIVACY_TYPE "privacy.changed"

struct kit {
    const struct kit_connector *connector;
    struct settings settings;
    struct folder folder;
    struct metrics metrics;
    struct quarantine *quarantine;
    struct publishing *publishing; // NULL: it never publishes
    struct delivering *delivering; // NULL: no sink
    struct report *report;
    struct privacy *privacy; // NULL: nothing of persons stays here
    void *state;             // the connector's
    pthread_mutex_t refusal_lock;
    struct kit_refusal refusal; // reason "": none
    int signal_fd, wake_fd, watch_fd;
    bool is_source;
};
