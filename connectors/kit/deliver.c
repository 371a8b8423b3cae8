// SPDX-License-Identifier: Apache-2.0
// Events on their way to the sink: batches of what the broker hands out, one result each. The
// broker counts attempts and parks lanes; the kit only tells poison from an outage: when events of
// many lanes fail one after another and none is delivered, it holds them and tries again by itself,
// so that no attempt is counted for a system that is away.
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/kit/private.h"
#include "schemas/base/clock.h"
#include "schemas/base/logging.h"

struct delivering {
    struct kit *kit;
    touchbus_subscriber *subscriber; // NULL while refused
    int64_t resubscribe_us;
    struct kit_refusal refusal; // reason "": it was not
    size_t n_batch_max;
    uint64_t lost_last; // what was told of already

    touchbus_event *batch[KIT_DELIVER_EVENTS_MAX]; // held over an outage, else empty between rounds
    struct kit_result results[KIT_DELIVER_EVENTS_MAX];
    size_t n_batch;

    uint64_t failing[OUTAGE_LANES]; // lanes that failed since the last delivery
    size_t n_failing;
    int64_t outage_ms, probe_us; // 0: no outage
};

void kit_result(struct kit_result *result, enum kit_outcome outcome, const char *format, ...) {
    va_list ap;
    result->outcome = outcome;
    va_start(ap, format);
    vsnprintf(result->detail, sizeof(result->detail), format, ap);
    va_end(ap);
}

// ---- subscribing

// What --type or the connector says, and erasures besides: a sink that is not told of them keeps
// what nobody may. NULL: all types.
static const char *const *choose_types(const struct kit *kit,
                                       const char *patterns[static FILTER_PATTERNS_MAX + 1]) {
    const struct option_list *given = &kit->settings.kit->types;
    const char *const *types = kit->connector->types;
    size_t n = 0;
    bool has_privacy = false;
    while (n < FILTER_PATTERNS_MAX &&
           (given->n_values > 0 ? n < given->n_values : types != NULL && types[n] != NULL)) {
        patterns[n] = given->n_values > 0 ? given->values[n] : types[n];
        has_privacy = has_privacy || strcmp(patterns[n], PRIVACY_TYPE) == 0;
        n++;
    }
    if (n > 0 && n < FILTER_PATTERNS_MAX && !has_privacy) {
        patterns[n++] = PRIVACY_TYPE;
    }
    patterns[n] = NULL;
    return n > 0 ? patterns : NULL;
}

static int subscribe(struct delivering *delivering) {
    const struct kit *kit = delivering->kit;
    const struct kit_conf *conf = kit->settings.kit;
    const char *patterns[FILTER_PATTERNS_MAX + 1];
    touchbus_subscriber_options options = {
        .broker = conf->broker,
        .key = conf->key,
        .broker_key = conf->broker_key,
        .name = kit_name(kit),
        .types = choose_types(kit, patterns),
        .one_a_lane = true, // a batch is of different lanes
        .credit = kit->connector->deliver_max != NULL ? (uint32_t)delivering->n_batch_max : 0,
        .start = strcmp(conf->from, "end") == 0 ? TOUCHBUS_START_END : TOUCHBUS_START_BEGINNING,
    };
    return touchbus_subscriber_new(&options, &delivering->subscriber);
}

// A refusal (the broker is full, the name is taken, the role does not allow it) is asked again,
// later: an operator may have changed it. refusal.c logs it, once.
static void refused(struct delivering *delivering, int64_t now_us) {
    const char *reason, *detail, *hint;
    touchbus_subscriber_refusal(delivering->subscriber, &reason, &detail, &hint);
    refusal_set(&delivering->refusal, reason, detail, hint);
    delivering->subscriber = touchbus_subscriber_free(delivering->subscriber);
    delivering->resubscribe_us = now_us + RESUBSCRIBE_MS * CLOCK_US_PER_MS;
}

static void watch_losses(struct delivering *delivering) {
    touchbus_progress progress;
    touchbus_subscriber_progress(delivering->subscriber, &progress);
    if (progress.lost_last > delivering->lost_last) {
        logging_warning("subscription=%s lost_first=%" PRIu64 " lost_last=%" PRIu64
                        " reason=retention",
                        kit_name(delivering->kit), progress.lost_first, progress.lost_last);
        delivering->lost_last = progress.lost_last;
    }
}

// ---- a batch

static void fill(struct delivering *delivering, int64_t now_us) {
    while (delivering->n_batch < delivering->n_batch_max) {
        touchbus_event *event;
        int r = touchbus_subscriber_next(delivering->subscriber, 0, &event);
        if (r == 1) {
            delivering->batch[delivering->n_batch++] = event;
            continue;
        }
        if (r == TOUCHBUS_REFUSED) {
            refused(delivering, now_us);
        } else if (r < 0) {
            logging_error("subscription=%s error=%s", kit_name(delivering->kit), strerror(-r));
        }
        return;
    }
}

static void note_failure(struct delivering *delivering, uint64_t lane) {
    for (size_t i = 0; i < delivering->n_failing; i++) {
        if (delivering->failing[i] == lane) {
            return;
        }
    }
    if (delivering->n_failing < OUTAGE_LANES) {
        delivering->failing[delivering->n_failing++] = lane;
    }
}

static bool says_away(const struct delivering *delivering) {
    size_t i = 0;
    while (i < delivering->n_batch && delivering->results[i].outcome != KIT_AWAY) {
        i++;
    }
    return i < delivering->n_batch;
}

// Whether what failed in this batch is the sink's own trouble: it says so, or nothing goes.
static bool is_outage(struct delivering *delivering) {
    if (says_away(delivering)) {
        return true;
    }
    for (size_t i = 0; i < delivering->n_batch; i++) {
        if (delivering->results[i].outcome != KIT_RETRY) {
            delivering->n_failing = 0;
            return false;
        }
    }
    for (size_t i = 0; i < delivering->n_batch; i++) {
        note_failure(delivering, touchbus_event_lane(delivering->batch[i]));
    }
    return delivering->n_failing == OUTAGE_LANES;
}

static void settle(struct delivering *delivering, size_t index) {
    static const enum metric metrics[] = {[KIT_RETRY] = METRIC_RETRIED,
                                          [KIT_DELIVERED] = METRIC_DELIVERED,
                                          [KIT_REJECT] = METRIC_REJECTED};
    touchbus_event *event = delivering->batch[index];
    struct kit_result *result = &delivering->results[index];
    metric_add(&delivering->kit->metrics, metrics[result->outcome], 1);
    if (result->outcome == KIT_DELIVERED) {
        touchbus_subscriber_delivered(delivering->subscriber, event);
        return;
    }
    bool reject = result->outcome == KIT_REJECT;
    logging_warning("sequence=%" PRIu64 " outcome=%s attempt=%" PRIu32 " detail=\"%s\"",
                    touchbus_event_sequence(event), reject ? "reject" : "retry",
                    touchbus_event_attempt(event), result->detail);
    (reject ? touchbus_subscriber_reject : touchbus_subscriber_retry)(delivering->subscriber, event,
                                                                      result->detail);
}

static void free_batch(struct delivering *delivering) {
    for (size_t i = 0; i < delivering->n_batch; i++) {
        touchbus_event_free(delivering->batch[i]);
    }
    delivering->n_batch = 0;
}

// What the first of them says that failed.
static const char *why_held(const struct delivering *delivering) {
    size_t i = 0;
    while (i + 1 < delivering->n_batch && delivering->results[i].outcome == KIT_DELIVERED) {
        i++;
    }
    return delivering->results[i].detail;
}

static void hold(struct delivering *delivering, int64_t now_us) {
    if (delivering->outage_ms == 0) {
        logging_warning("sink=away holding=%zu detail=\"%s\"", delivering->n_batch,
                        why_held(delivering));
        delivering->outage_ms = OUTAGE_MS_MIN;
    } else {
        int64_t doubled = 2 * delivering->outage_ms;
        delivering->outage_ms = doubled < OUTAGE_MS_MAX ? doubled : OUTAGE_MS_MAX;
    }
    delivering->probe_us = now_us + delivering->outage_ms * CLOCK_US_PER_MS;
}

static void deliver(struct delivering *delivering, int64_t now_us) {
    for (size_t i = 0; i < delivering->n_batch; i++) {
        delivering->results[i] = (struct kit_result){.outcome = KIT_RETRY};
    }
    delivering->kit->connector->deliver(delivering->kit->state, delivering->batch,
                                        delivering->n_batch, delivering->results);
    if (is_outage(delivering)) {
        hold(delivering, now_us);
        return;
    }
    if (delivering->outage_ms != 0) {
        logging_info("sink=back");
        delivering->outage_ms = 0;
    }
    for (size_t i = 0; i < delivering->n_batch; i++) {
        settle(delivering, i);
    }
    free_batch(delivering);
}

// ---- rounds

int64_t delivering_run(struct delivering *delivering, int64_t now_us) {
    if (delivering->subscriber == NULL) {
        if (now_us < delivering->resubscribe_us) {
            return delivering->resubscribe_us;
        }
        free_batch(delivering); // of the subscription that was
        delivering->outage_ms = 0;
        int r = subscribe(delivering);
        if (r != 0) {
            logging_error("subscription=%s error=%s", kit_name(delivering->kit), strerror(-r));
            delivering->resubscribe_us = now_us + RESUBSCRIBE_MS * CLOCK_US_PER_MS;
            return delivering->resubscribe_us;
        }
    }
    if (delivering->outage_ms != 0 && now_us < delivering->probe_us) {
        touchbus_subscriber_run(delivering->subscriber);
        return delivering->probe_us;
    }
    fill(delivering, now_us);
    if (delivering->subscriber != NULL && delivering->n_batch > 0) {
        deliver(delivering, now_us);
    }
    if (delivering->subscriber == NULL) {
        return delivering->resubscribe_us;
    }
    touchbus_subscriber_run(delivering->subscriber);
    watch_losses(delivering);
    if (delivering->outage_ms != 0) {
        return delivering->probe_us;
    }
    // What waited for its lane, or did not fit, is here and not told by the socket.
    return touchbus_subscriber_pending(delivering->subscriber) > 0 ? now_us : INT64_MAX;
}

// ---- life

int delivering_new(struct kit *kit, struct delivering **ret) {
    struct delivering *delivering = calloc(1, sizeof(*delivering));
    if (delivering == NULL) {
        return -ENOMEM;
    }
    delivering->kit = kit;
    delivering->n_batch_max = KIT_DELIVER_EVENTS_MAX;
    if (kit->connector->deliver_max != NULL) {
        size_t n_max = kit->connector->deliver_max(kit->settings.connector);
        assert(n_max > 0 && n_max <= KIT_DELIVER_EVENTS_MAX);
        delivering->n_batch_max = n_max;
    }
    int r = subscribe(delivering);
    if (r != 0) {
        delivering_free(delivering);
        return r;
    }
    *ret = delivering;
    return 0;
}

struct delivering *delivering_free(struct delivering *delivering) {
    if (delivering != NULL) {
        free_batch(delivering);
        touchbus_subscriber_free(delivering->subscriber);
        free(delivering);
    }
    return NULL;
}

void *delivering_socket(struct delivering *delivering) {
    // While everything is held nothing is taken, and a readable socket would only spin the loop.
    bool closed = delivering->subscriber == NULL || delivering->outage_ms != 0;
    return closed ? NULL : touchbus_subscriber_socket(delivering->subscriber);
}

bool delivering_connected(const struct delivering *delivering) {
    return delivering->subscriber != NULL && touchbus_subscriber_connected(delivering->subscriber);
}

bool delivering_refusal(const struct delivering *delivering, struct kit_refusal *ret) {
    const char *reason, *detail, *hint;
    if (delivering->refusal.reason[0] != '\0' && !delivering_connected(delivering)) {
        *ret = delivering->refusal;
        return true;
    }
    if (delivering->subscriber == NULL ||
        touchbus_subscriber_refusal(delivering->subscriber, &reason, &detail, &hint) == 0) {
        return false;
    }
    refusal_set(ret, reason, detail, hint);
    return true;
}

void delivering_reload_keys(struct delivering *delivering) {
    int r = delivering->subscriber == NULL
                ? 0
                : touchbus_subscriber_reload_keys(delivering->subscriber);
    if (r != 0) {
        logging_error("cannot=reload-keys error=%s", strerror(-r));
    }
}

void kit_beat(struct kit *kit) {
    if (kit->delivering != NULL && kit->delivering->subscriber != NULL) {
        touchbus_subscriber_run(kit->delivering->subscriber);
    }
}

bool delivering_outage(const struct delivering *delivering) {
    return delivering->outage_ms != 0;
}

const uint8_t *delivering_incarnation(const struct delivering *delivering) {
    static const uint8_t unknown[INCARNATION_BYTES];
    return delivering->subscriber == NULL ? unknown
                                          : touchbus_subscriber_incarnation(delivering->subscriber);
}
