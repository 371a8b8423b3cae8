// SPDX-License-Identifier: Apache-2.0
// The phases that take events out again: three named subscriptions that settle each, and a replay.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "tools/bench/phases.h"

enum {
    SUBSCRIBERS = 3,
    SUBSCRIBER_CREDIT = 8192,
    IDLE_STEP_US = 200,
    TAKE = 512, // events of one subscriber before the next has a turn
    IDLE_MS_MAX = 30000,
};

// Takes what is there. Returns how many, or a negative errno.
static int64_t take(touchbus_subscriber *subscriber, bool settles, int timeout_ms) {
    int64_t n = 0;
    while (n < TAKE) {
        touchbus_event *event;
        int r = touchbus_subscriber_next(subscriber, n == 0 ? timeout_ms : 0, &event);
        if (r == 0) {
            break;
        }
        if (r == TOUCHBUS_ENDED) {
            return n == 0 ? -ENODATA : n;
        }
        if (r != 1) {
            const char *reason = "", *detail = "";
            if (r == TOUCHBUS_REFUSED) {
                touchbus_subscriber_refusal(subscriber, &reason, &detail, NULL);
            }
            fprintf(stderr, "touchbus bench: a subscription failed: %s %s\n", reason, detail);
            return -EIO;
        }
        if (settles) {
            touchbus_subscriber_delivered(subscriber, event);
        }
        touchbus_event_free(event);
        n++;
    }
    return n;
}

struct group {
    touchbus_subscriber *subscribers[SUBSCRIBERS];
    char names[SUBSCRIBERS][48];
    uint64_t n_taken[SUBSCRIBERS];
};

static int open_group(struct group *group, const char *broker, unsigned round) {
    for (int i = 0; i < SUBSCRIBERS; i++) {
        snprintf(group->names[i], sizeof(group->names[i]), "bench-%ld-%u-%d", (long)getpid(), round,
                 i);
        touchbus_subscriber_options options = {.broker = broker,
                                               .name = group->names[i],
                                               .credit = SUBSCRIBER_CREDIT,
                                               .start = TOUCHBUS_START_BEGINNING};
        int r = touchbus_subscriber_new(&options, &group->subscribers[i]);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static void close_group(struct group *group, struct house *house) {
    for (int i = 0; i < SUBSCRIBERS; i++) {
        if (group->subscribers[i] != NULL) {
            touchbus_subscriber_free(group->subscribers[i]);
            house_remove_subscription(house, group->names[i]);
        }
    }
}

// A turn for each that has not had n events yet. Returns how many events came; a negative errno.
// They are counted: what waits for its lane comes behind later ones.
static int64_t take_in_turn(struct group *group, uint64_t n) {
    int64_t n_round = 0;
    for (int i = 0; i < SUBSCRIBERS; i++) {
        int64_t taken = group->n_taken[i] < n ? take(group->subscribers[i], true, 0) : 0;
        if (taken < 0) {
            return taken;
        }
        group->n_taken[i] += (uint64_t)taken;
        n_round += taken;
    }
    return n_round;
}

static bool all_have(const struct group *group, uint64_t n) {
    return group->n_taken[0] >= n && group->n_taken[1] >= n && group->n_taken[2] >= n;
}

// Three new subscriptions catch up with the log, settling every event.
static int deliver_once(struct bench *bench, unsigned round, uint64_t n_events, int64_t end_us,
                        uint64_t *n_total) {
    static_assert(SUBSCRIBERS == 3, "all_have counts them");
    struct group group = {0};
    int r = open_group(&group, bench->house.broker, round);
    int64_t heard_us = clock_monotonic_us();
    while (r == 0 && !all_have(&group, n_events) && clock_monotonic_us() < end_us) {
        int64_t n = take_in_turn(&group, n_events);
        if (n > 0) {
            *n_total += (uint64_t)n;
            heard_us = clock_monotonic_us();
        } else if (n < 0) {
            r = (int)n;
        } else if (clock_monotonic_us() - heard_us > IDLE_MS_MAX * CLOCK_US_PER_MS) {
            r = phase_complain("nothing is delivered");
        } else {
            usleep(IDLE_STEP_US);
        }
    }
    close_group(&group, &bench->house);
    return r;
}

// As often as the time allows. Counts what all three got together.
int phase_deliver(struct bench *bench) {
    int64_t first = house_number(&bench->house, "log.info", "first");
    int64_t next = house_number(&bench->house, "log.info", "next");
    int64_t from_us = clock_monotonic_us(), end_us = phase_end(bench);
    uint64_t n_total = 0;
    int r = next < 2 ? phase_complain("no log.info") : 0;
    for (unsigned round = 0; r == 0 && clock_monotonic_us() < end_us; round++) {
        r = deliver_once(bench, round, (uint64_t)(next - first), end_us, &n_total);
    }
    bench->deliver_per_s = phase_rate(n_total, from_us, clock_monotonic_us());
    return r;
}

// Reads from the beginning to `last`, or until the time is over.
static int replay_once(struct bench *bench, uint64_t last, int64_t end_us, uint64_t *n_total) {
    touchbus_subscriber_options options = {.broker = bench->house.broker,
                                           .start = TOUCHBUS_START_BEGINNING,
                                           .until_sequence = last,
                                           .credit = SUBSCRIBER_CREDIT};
    touchbus_subscriber *subscriber;
    int64_t n = 1;
    if (touchbus_subscriber_new(&options, &subscriber) != 0) {
        return -EINVAL;
    }
    while (n > 0 && clock_monotonic_us() < end_us) {
        n = take(subscriber, false, IDLE_MS_MAX);
        *n_total += n > 0 ? (uint64_t)n : 0;
    }
    touchbus_subscriber_free(subscriber);
    if (n == 0) {
        return phase_complain("nothing is replayed");
    }
    return n > 0 || n == -ENODATA ? 0 : (int)n;
}

// The log from the beginning, as often as the time allows.
int phase_replay(struct bench *bench) {
    int64_t next = house_number(&bench->house, "log.info", "next");
    int64_t from_us = clock_monotonic_us(), end_us = phase_end(bench);
    uint64_t n_total = 0;
    int r = next < 2 ? phase_complain("no log.info") : 0;
    while (r == 0 && clock_monotonic_us() < end_us) {
        r = replay_once(bench, (uint64_t)next - 1, end_us, &n_total);
    }
    bench->replay_per_s = phase_rate(n_total, from_us, clock_monotonic_us());
    return r;
}
