// SPDX-License-Identifier: Apache-2.0
// Events between their callers, the publisher and the spool: who is told what, and that nothing
// confirmed is lost. The publisher and the clock are scripts; the spool is a real one.
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/kit/publishing.h"
#include "schemas/base/clock.h"
#include "schemas/reasons.h"

enum { PATH_BYTES = 512, FLYING_MAX = 4096, SPOOL_AFTER_US = 1000000 };

// ---- the publisher: keeps what it is given until the test acks it

static struct {
    void *tags[FLYING_MAX];
    char ids[FLYING_MAX][32];
    size_t n, window;
    bool connected;
    void (*on_ack)(const touchbus_ack *ack, void *user);
    void *user;
    uint64_t sequence;
} script;
static int64_t now_us;

int __wrap_touchbus_publisher_new(const touchbus_publisher_options *options,
                                  touchbus_publisher **ret);
touchbus_publisher *__wrap_touchbus_publisher_free(touchbus_publisher *publisher);
int __wrap_touchbus_publisher_publish(touchbus_publisher *publisher, const touchbus_event *event,
                                      void *tag);
int __wrap_touchbus_publisher_run(touchbus_publisher *publisher, int timeout_ms);
bool __wrap_touchbus_publisher_connected(const touchbus_publisher *publisher);
int64_t __wrap_clock_monotonic_us(void);

int64_t __wrap_clock_monotonic_us(void) {
    return now_us;
}

int __wrap_touchbus_publisher_new(const touchbus_publisher_options *options,
                                  touchbus_publisher **ret) {
    script.on_ack = options->on_ack;
    script.user = options->user;
    *ret = (touchbus_publisher *)&script;
    return 0;
}

touchbus_publisher *__wrap_touchbus_publisher_free(touchbus_publisher *publisher) {
    (void)publisher;
    return NULL;
}

int __wrap_touchbus_publisher_publish(touchbus_publisher *publisher, const touchbus_event *event,
                                      void *tag) {
    (void)publisher;
    if (script.n == script.window) {
        return TOUCHBUS_FULL;
    }
    snprintf(script.ids[script.n], sizeof(script.ids[0]), "%s", touchbus_event_get(event, "id"));
    script.tags[script.n++] = tag;
    return 0;
}

int __wrap_touchbus_publisher_run(touchbus_publisher *publisher, int timeout_ms) {
    (void)publisher;
    assert_int_equal(timeout_ms, 0);
    return 0;
}

bool __wrap_touchbus_publisher_connected(const touchbus_publisher *publisher) {
    (void)publisher;
    return script.connected;
}

// The broker answers the oldest.
static void ack_code(uint32_t code) {
    assert_true(script.n > 0);
    touchbus_ack ack = {
        .tag = script.tags[0], .code = code, .reason = "", .detail = "", .hint = ""};
    ack.sequence = code == 0 ? ++script.sequence : 0;
    script.n--;
    memmove(&script.tags[0], &script.tags[1], script.n * sizeof(script.tags[0]));
    memmove(&script.ids[0], &script.ids[1], script.n * sizeof(script.ids[0]));
    script.on_ack(&ack, script.user);
}

static void ack(void) {
    ack_code(0);
}

// ---- the kit around it

static char state[PATH_BYTES];
static struct kit_conf conf;
static struct kit kit;
static struct {
    struct kit_ack acks[16];
    size_t n_calls, n_acks;
} told;

static void on_settled(void *data, void *item, const struct kit_ack *settled) {
    (void)data;
    assert_ptr_equal(item, &told);
    told.acks[told.n_acks++] = *settled;
}

static const struct kit_connector connector = {
    .name = "web", .spools = true, .settled = on_settled};

static int setup(void **data) {
    (void)data;
    snprintf(state, sizeof(state), "%s/touchbus-publish-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(state));
    memset(&script, 0, sizeof(script));
    memset(&told, 0, sizeof(told));
    script.window = FLYING_MAX;
    script.connected = true;
    now_us = 1000000;
    conf = (struct kit_conf){.spool_bytes = 64 << 20, .spool_after_us = SPOOL_AFTER_US};
    kit = (struct kit){.connector = &connector, .settings = {.kit = &conf}};
    kit.wake_fd = eventfd(0, EFD_NONBLOCK);
    assert_int_equal(folder_open(state, "web", &kit.folder), 0);
    assert_int_equal(quarantine_open(kit.folder.path, &kit.quarantine), 0);
    return publishing_new(&kit, &kit.publishing);
}

static int teardown(void **data) {
    (void)data;
    kit.publishing = publishing_free(kit.publishing);
    kit.quarantine = quarantine_close(kit.quarantine);
    close(kit.wake_fd);
    DIR *folder = opendir(kit.folder.path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    rmdir(kit.folder.path);
    folder_close(&kit.folder);
    return rmdir(state);
}

static void restart(void) {
    publishing_free(kit.publishing);
    script.n = 0;
    assert_int_equal(publishing_new(&kit, &kit.publishing), 0);
}

static void turn(void) {
    publishing_run(kit.publishing, now_us);
}

static void time_passes(void) {
    now_us += SPOOL_AFTER_US;
    turn();
}

static void done(void *user, const struct kit_ack *acks, size_t n_acks) {
    assert_ptr_equal(user, &told);
    told.n_calls++;
    for (size_t i = 0; i < n_acks; i++) {
        told.acks[told.n_acks++] = acks[i];
    }
}

static touchbus_event *event_of(const char *type, const char *id) {
    touchbus_event *event = touchbus_event_new(type, "/s", id);
    assert_non_null(event);
    return event;
}

static int submit_type(const char *type, const char *id) {
    touchbus_event *event = event_of(type, id);
    int r = kit_submit(&kit, &event, 1, 0, done, &told);
    if (r != 0) {
        touchbus_event_free(event);
    }
    turn();
    return r;
}

static void submit(const char *id) {
    assert_int_equal(submit_type("page.viewed", id), 0);
}

static void assert_flying(size_t index, const char *id) {
    assert_true(index < script.n);
    assert_string_equal(script.ids[index], id);
}

static uint64_t spooled(void) {
    return spool_records(kit.publishing->spool);
}

// ---- rules

static void test_an_answer_waits_for_every_ack(void **data) {
    (void)data;
    touchbus_event *events[] = {event_of("page.viewed", "a"), event_of("page.viewed", "b")};
    assert_int_equal(kit_submit(&kit, events, 2, 0, done, &told), 0);
    turn();
    ack();
    assert_int_equal(told.n_calls, 0);
    ack_code(REASON_DUPLICATE);
    assert_int_equal(told.n_calls, 1);
    assert_int_equal(told.acks[0].sequence, 1);
    assert_int_equal(told.acks[1].code, REASON_DUPLICATE);
    assert_true(publishing_idle(kit.publishing));
}

static void test_no_answer_in_time_is_spooled_and_published_once(void **data) {
    (void)data;
    submit("a");
    submit("b");
    assert_int_equal(told.n_calls, 0);
    time_passes();
    assert_int_equal(told.n_calls, 2);
    assert_true(told.acks[0].spooled && told.acks[1].spooled);
    assert_int_equal(spooled(), 2);
    assert_int_equal(script.n, 2); // the publisher has them: they are not read again
    ack();
    ack();
    assert_int_equal(spooled(), 0);
    assert_int_equal(told.n_calls, 2); // nobody is told twice
    turn();
    assert_int_equal(script.n, 0);
}

static void test_what_comes_later_goes_behind_the_spool(void **data) {
    (void)data;
    submit("a");
    time_passes();
    submit("b"); // at once: no waiting for a broker that is late already
    assert_int_equal(told.n_calls, 2);
    assert_true(told.acks[1].spooled);
    submit("c");
    turn();
    assert_flying(0, "a");
    assert_flying(1, "b");
    assert_flying(2, "c");
    for (int i = 0; i < 3; i++) {
        ack();
    }
    assert_int_equal(spooled(), 0);
    submit("d"); // the spool is empty: directly again
    assert_int_equal(told.n_calls, 3);
    ack();
    assert_int_equal(told.n_calls, 4);
    assert_false(told.acks[3].spooled);
}

static void test_the_spool_survives_a_restart(void **data) {
    (void)data;
    submit("a");
    time_passes();
    submit("b");
    restart();
    turn();
    assert_flying(0, "a");
    assert_flying(1, "b");
    ack();
    restart();
    turn();
    assert_flying(0, "b");
    ack();
    restart();
    turn();
    assert_int_equal(script.n, 0);
}

static void test_a_verdict_is_never_spooled(void **data) {
    (void)data;
    script.connected = false;
    assert_int_equal(submit_type("contact.requested", "v1"), 0);
    assert_int_equal(told.acks[0].code, REASON_UNAVAILABLE);
    assert_int_equal(script.n, 0); // not even asked
    script.connected = true;
    assert_int_equal(submit_type("contact.requested", "v2"), 0);
    time_passes();
    assert_int_equal(told.acks[1].code, REASON_UNAVAILABLE);
    assert_true(told.acks[1].retryable);
    assert_int_equal(spooled(), 0);
}

static void test_a_refusal_is_told_to_who_waits(void **data) {
    (void)data;
    submit("a");
    ack_code(REASON_CONFLICT);
    assert_int_equal(told.acks[0].code, REASON_CONFLICT);
    assert_int_equal(kit.metrics.values[METRIC_QUARANTINED], 0);
}

static void test_a_refusal_after_the_spool_is_quarantined(void **data) {
    (void)data;
    submit("a");
    time_passes();
    ack_code(REASON_CONFLICT);
    assert_int_equal(kit.metrics.values[METRIC_QUARANTINED], 1);
    assert_int_equal(spooled(), 0);
}

static void test_full_is_said_before_anything_is_taken(void **data) {
    (void)data;
    kit.publishing->n_events = SUBMIT_QUEUE_EVENTS_MAX;
    assert_int_equal(submit_type("page.viewed", "a"), KIT_FULL);
    kit.publishing->n_events = 0;
    conf.spool_bytes = 1 << 20;
    restart();
    assert_int_equal(submit_type("page.viewed", "b"), KIT_FULL); // not even one large event fits
    assert_int_equal(told.n_calls, 0);
}

static void test_window_of_the_publisher_is_respected(void **data) {
    (void)data;
    script.window = 2;
    submit("a");
    submit("b");
    submit("c");
    assert_int_equal(script.n, 2);
    ack();
    turn();
    assert_flying(1, "c");
    ack();
    ack();
    assert_int_equal(told.n_calls, 3);
}

static void test_an_event_too_large_is_refused_alone(void **data) {
    (void)data;
    enum { SIZE = 1100000 };
    char *json = malloc(SIZE + 16);
    assert_non_null(json);
    int n = snprintf(json, 16, "{\"x\":\"");
    memset(json + n, 'y', SIZE);
    memcpy(json + n + SIZE, "\"}", 3);
    touchbus_event *events[] = {event_of("page.viewed", "a"), event_of("page.viewed", "b")};
    int r = touchbus_event_set_data_json(events[0], json, (size_t)n + SIZE + 2);
    free(json);
    if (r != 0) { // the client says so already
        touchbus_event_free(events[0]);
        touchbus_event_free(events[1]);
        assert_int_equal(r, -E2BIG);
        return;
    }
    assert_int_equal(kit_submit(&kit, events, 2, 0, done, &told), 0);
    turn();
    ack();
    assert_int_equal(told.acks[0].code, REASON_TOO_LARGE);
    assert_int_equal(told.acks[1].code, REASON_OK);
}

static void test_finish_spools_what_waits(void **data) {
    (void)data;
    submit("a");
    script.window = 1;
    submit("b");
    assert_false(publishing_idle(kit.publishing));
    publishing_finish(kit.publishing);
    assert_int_equal(told.n_calls, 2);
    assert_true(told.acks[0].spooled && told.acks[1].spooled);
    assert_int_equal(submit_type("page.viewed", "c"), -ESHUTDOWN);
    script.window = FLYING_MAX;
    restart();
    turn();
    assert_flying(0, "a");
    assert_flying(1, "b");
}

static void test_events_of_the_loop_are_settled_by_the_spool_too(void **data) {
    (void)data;
    assert_int_equal(kit_publish(&kit, event_of("call.received", "a"), &told), 0);
    assert_int_equal(told.n_acks, 0);
    turn();
    time_passes();
    assert_int_equal(told.n_acks, 1);
    assert_true(told.acks[0].spooled);
    assert_int_equal(kit_publish(&kit, event_of("call.ended", "b"), &told), 0);
    assert_int_equal(told.n_acks, 1); // never from within the call
    turn();
    assert_true(told.acks[1].spooled);
    assert_flying(0, "a");
    assert_flying(1, "b");
    ack();
    ack();
    assert_int_equal(told.n_acks, 2);
}

static void test_a_flush_waits_until_what_was_spooled_is_with_the_broker(void **data) {
    (void)data;
    submit("one");
    time_passes();
    assert_true(told.acks[0].spooled);
    uint64_t flush = publishing_flush(kit.publishing);
    turn();
    assert_false(publishing_flushed(kit.publishing, flush));
    submit("two"); // behind it: not waited for
    ack();
    turn();
    assert_true(publishing_flushed(kit.publishing, flush));
    // Where there is nothing it is done at once.
    ack();
    flush = publishing_flush(kit.publishing);
    turn();
    assert_true(publishing_flushed(kit.publishing, flush));
}

static void test_names_are_made_once(void **data) {
    (void)data;
    touchbus_event *event = touchbus_event_new("page.viewed", NULL, NULL);
    assert_int_equal(kit_submit(&kit, &event, 1, 0, done, &told), 0);
    turn();
    char id[32];
    snprintf(id, sizeof(id), "%s", script.ids[0]);
    assert_true(strlen(id) > 8);
    time_passes();
    restart();
    turn();
    assert_flying(0, id); // the same event, whichever way it takes
    ack();
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_an_answer_waits_for_every_ack),
        TEST(test_no_answer_in_time_is_spooled_and_published_once),
        TEST(test_what_comes_later_goes_behind_the_spool),
        TEST(test_the_spool_survives_a_restart),
        TEST(test_a_verdict_is_never_spooled),
        TEST(test_a_refusal_is_told_to_who_waits),
        TEST(test_a_refusal_after_the_spool_is_quarantined),
        TEST(test_full_is_said_before_anything_is_taken),
        TEST(test_window_of_the_publisher_is_respected),
        TEST(test_an_event_too_large_is_refused_alone),
        TEST(test_finish_spools_what_waits),
        TEST(test_events_of_the_loop_are_settled_by_the_spool_too),
        TEST(test_a_flush_waits_until_what_was_spooled_is_with_the_broker),
        TEST(test_names_are_made_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
