// SPDX-License-Identifier: Apache-2.0
// Batches, results, and the kit's judgement of poison and outage, over a subscriber that is a
// script (the linker puts ours in the client's place) and a clock that is an argument.
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "connectors/kit/private.h"
#include "schemas/base/clock.h"

enum { EVENTS_MAX = 1000 };

// ---- the subscriber: hands out events 1, 2, ... of the lanes it is told

static struct {
    uint64_t lanes[EVENTS_MAX]; // by sequence
    size_t n_events, n_given;
    size_t n_open;            // as far as the lanes of what is not settled allow; 0: all
    char settled[EVENTS_MAX]; // by sequence: d, r, x
    size_t n_settled, n_runs;
} script;

static uint64_t sequence_of(const touchbus_event *event) {
    return strtoull(touchbus_event_get(event, "id"), NULL, 10);
}

int __wrap_touchbus_subscriber_new(const touchbus_subscriber_options *options,
                                   touchbus_subscriber **ret);
touchbus_subscriber *__wrap_touchbus_subscriber_free(touchbus_subscriber *subscriber);
int __wrap_touchbus_subscriber_next(touchbus_subscriber *subscriber, int timeout_ms,
                                    touchbus_event **ret);
int __wrap_touchbus_subscriber_delivered(touchbus_subscriber *subscriber,
                                         const touchbus_event *event);
int __wrap_touchbus_subscriber_retry(touchbus_subscriber *subscriber, const touchbus_event *event,
                                     const char *detail);
int __wrap_touchbus_subscriber_reject(touchbus_subscriber *subscriber, const touchbus_event *event,
                                      const char *detail);
int __wrap_touchbus_subscriber_run(touchbus_subscriber *subscriber);
size_t __wrap_touchbus_subscriber_pending(const touchbus_subscriber *subscriber);
void __wrap_touchbus_subscriber_progress(const touchbus_subscriber *subscriber,
                                         touchbus_progress *ret);
uint64_t __wrap_touchbus_event_sequence(const touchbus_event *event);
uint64_t __wrap_touchbus_event_lane(const touchbus_event *event);

int __wrap_touchbus_subscriber_new(const touchbus_subscriber_options *options,
                                   touchbus_subscriber **ret) {
    assert_string_equal(options->name, "sink");
    assert_string_equal(options->types[0], "order.*");
    *ret = (touchbus_subscriber *)&script;
    return 0;
}

touchbus_subscriber *__wrap_touchbus_subscriber_free(touchbus_subscriber *subscriber) {
    (void)subscriber;
    return NULL;
}

int __wrap_touchbus_subscriber_next(touchbus_subscriber *subscriber, int timeout_ms,
                                    touchbus_event **ret) {
    char id[24];
    (void)subscriber;
    assert_int_equal(timeout_ms, 0);
    if (script.n_given == (script.n_open != 0 ? script.n_open : script.n_events)) {
        return 0;
    }
    snprintf(id, sizeof(id), "%zu", ++script.n_given);
    *ret = touchbus_event_new("order.placed", "/s", id);
    return 1;
}

static int settle(const touchbus_event *event, char how) {
    uint64_t sequence = sequence_of(event);
    assert_int_equal(script.settled[sequence], 0); // once each
    script.settled[sequence] = how;
    script.n_settled++;
    return 0;
}

int __wrap_touchbus_subscriber_delivered(touchbus_subscriber *subscriber,
                                         const touchbus_event *event) {
    (void)subscriber;
    return settle(event, 'd');
}

int __wrap_touchbus_subscriber_retry(touchbus_subscriber *subscriber, const touchbus_event *event,
                                     const char *detail) {
    (void)subscriber;
    (void)detail;
    return settle(event, 'r');
}

int __wrap_touchbus_subscriber_reject(touchbus_subscriber *subscriber, const touchbus_event *event,
                                      const char *detail) {
    (void)subscriber;
    assert_string_equal(detail, "never 7");
    return settle(event, 'x');
}

int __wrap_touchbus_subscriber_run(touchbus_subscriber *subscriber) {
    (void)subscriber;
    script.n_runs++;
    return 0;
}

size_t __wrap_touchbus_subscriber_pending(const touchbus_subscriber *subscriber) {
    (void)subscriber;
    return script.n_events - script.n_given;
}

void __wrap_touchbus_subscriber_progress(const touchbus_subscriber *subscriber,
                                         touchbus_progress *ret) {
    (void)subscriber;
    *ret = (touchbus_progress){0};
}

uint64_t __wrap_touchbus_event_sequence(const touchbus_event *event) {
    return sequence_of(event);
}

uint64_t __wrap_touchbus_event_lane(const touchbus_event *event) {
    return script.lanes[sequence_of(event)];
}

// ---- the sink

static struct {
    size_t n_calls, n_last;
    enum kit_outcome (*judge)(uint64_t sequence);
} sink;

static void sink_deliver(void *state, touchbus_event *const *events, size_t n_events,
                         struct kit_result *results) {
    (void)state;
    sink.n_calls++;
    sink.n_last = n_events;
    for (size_t i = 0; i < n_events; i++) {
        enum kit_outcome outcome = sink.judge(sequence_of(events[i]));
        if (outcome != KIT_RETRY) { // the preset
            kit_result(&results[i], outcome, "never %d", 7);
        }
    }
}

static const char *const types[] = {"order.*", NULL};
static const struct kit_connector connector = {
    .name = "sink", .types = types, .deliver = sink_deliver};
static struct kit_conf conf;
static struct kit kit;
static struct delivering *delivering;
static int64_t now_us;

static int setup(void **state) {
    (void)state;
    static char broker[] = "127.0.0.1:1", from[] = "beginning";
    memset(&script, 0, sizeof(script));
    memset(&sink, 0, sizeof(sink));
    conf = (struct kit_conf){.broker = broker, .from = from};
    kit = (struct kit){.connector = &connector, .settings = {.kit = &conf}};
    now_us = 1000;
    return delivering_new(&kit, &delivering);
}

static int teardown(void **state) {
    (void)state;
    delivering = delivering_free(delivering);
    return 0;
}

static void give(size_t n, uint64_t first_lane) {
    for (size_t i = 0; i < n; i++) {
        script.lanes[++script.n_events] = first_lane + i;
    }
}

static enum kit_outcome all_delivered(uint64_t sequence) {
    (void)sequence;
    return KIT_DELIVERED;
}
static enum kit_outcome all_retried(uint64_t sequence) {
    (void)sequence;
    return KIT_RETRY;
}
static enum kit_outcome only_third(uint64_t sequence) {
    return sequence == 3 ? KIT_DELIVERED : KIT_RETRY;
}
static enum kit_outcome second_rejected(uint64_t sequence) {
    return sequence == 2 ? KIT_REJECT : KIT_DELIVERED;
}

static void test_each_event_is_settled_as_its_slot_says(void **state) {
    (void)state;
    give(3, 1);
    sink.judge = second_rejected;
    assert_true(delivering_run(delivering, now_us) == INT64_MAX);
    assert_memory_equal(script.settled + 1, "dxd", 3);
}

static void test_batches_are_bounded_and_go_on_at_once(void **state) {
    (void)state;
    give(KIT_DELIVER_EVENTS_MAX + 10, 1);
    sink.judge = all_delivered;
    assert_true(delivering_run(delivering, now_us) == now_us);
    assert_int_equal(sink.n_last, KIT_DELIVER_EVENTS_MAX);
    assert_true(delivering_run(delivering, now_us) == INT64_MAX);
    assert_int_equal(script.n_settled, script.n_events);
}

// The socket says nothing of it: it is here.
static void test_what_waits_for_its_lane_is_asked_for_at_once(void **state) {
    (void)state;
    give(3, 1);
    script.n_open = 2;
    sink.judge = all_delivered;
    assert_true(delivering_run(delivering, now_us) == now_us);
    assert_int_equal(script.n_settled, 2);
    script.n_open = 0;
    assert_true(delivering_run(delivering, now_us) == INT64_MAX);
    assert_int_equal(script.n_settled, 3);
}

static void test_few_failing_lanes_are_poison(void **state) {
    (void)state;
    give(OUTAGE_LANES - 1, 1);
    sink.judge = all_retried;
    delivering_run(delivering, now_us);
    assert_int_equal(script.n_settled, OUTAGE_LANES - 1);
    assert_false(delivering_outage(delivering));
    // The same lanes again and again do not add up.
    for (int i = 0; i < 20; i++) {
        give(1, 1);
        delivering_run(delivering, now_us);
    }
    assert_false(delivering_outage(delivering));
    assert_int_equal(script.n_settled, OUTAGE_LANES - 1 + 20);
}

static void test_one_success_among_failures_is_no_outage(void **state) {
    (void)state;
    give(OUTAGE_LANES + 5, 1);
    sink.judge = only_third;
    delivering_run(delivering, now_us);
    assert_false(delivering_outage(delivering));
    assert_int_equal(script.settled[3], 'd');
    assert_int_equal(script.settled[4], 'r');
}

static void test_an_outage_holds_and_counts_no_attempt(void **state) {
    (void)state;
    give(OUTAGE_LANES, 1);
    sink.judge = all_retried;
    int64_t due_us = delivering_run(delivering, now_us);
    assert_true(delivering_outage(delivering));
    assert_int_equal(script.n_settled, 0);
    assert_true(due_us == now_us + OUTAGE_MS_MIN * CLOCK_US_PER_MS);
    assert_null(delivering_socket(delivering));

    // Nothing is asked of the sink before that, but the broker hears from us.
    size_t n_runs = script.n_runs;
    assert_true(delivering_run(delivering, due_us - 1) == due_us);
    assert_int_equal(sink.n_calls, 1);
    assert_true(script.n_runs > n_runs);

    // Still away: the pause doubles, up to its bound.
    for (int i = 0; i < 20; i++) {
        due_us = delivering_run(delivering, now_us = due_us);
    }
    assert_true(due_us - now_us == OUTAGE_MS_MAX * CLOCK_US_PER_MS);
    assert_int_equal(script.n_settled, 0);

    // Back: what was held is delivered, with what came since.
    give(1, 100);
    sink.judge = all_delivered;
    delivering_run(delivering, due_us);
    assert_false(delivering_outage(delivering));
    assert_int_equal(script.n_settled, OUTAGE_LANES + 1);
}

static void test_poison_held_by_chance_is_told_apart_by_the_next_success(void **state) {
    (void)state;
    give(OUTAGE_LANES, 1);
    sink.judge = all_retried;
    int64_t due_us = delivering_run(delivering, now_us);
    assert_true(delivering_outage(delivering));
    give(1, 100);
    sink.judge = second_rejected; // some answer comes: the sink is there
    delivering_run(delivering, due_us);
    assert_false(delivering_outage(delivering));
    assert_int_equal(script.settled[2], 'x');
}

static void test_detail_is_cut_to_fit(void **state) {
    (void)state;
    struct kit_result result;
    char large[2 * KIT_DETAIL_BYTES_MAX];
    memset(large, 'x', sizeof(large));
    kit_result(&result, KIT_REJECT, "%.*s", (int)sizeof(large), large);
    assert_int_equal(strlen(result.detail), KIT_DETAIL_BYTES_MAX - 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_each_event_is_settled_as_its_slot_says),
        TEST(test_batches_are_bounded_and_go_on_at_once),
        TEST(test_what_waits_for_its_lane_is_asked_for_at_once),
        TEST(test_few_failing_lanes_are_poison),
        TEST(test_one_success_among_failures_is_no_outage),
        TEST(test_an_outage_holds_and_counts_no_attempt),
        TEST(test_poison_held_by_chance_is_told_apart_by_the_next_success),
        TEST(test_detail_is_cut_to_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
