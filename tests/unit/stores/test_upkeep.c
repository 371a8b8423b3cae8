// SPDX-License-Identifier: Apache-2.0
// Upkeep beside a real tick: restore points follow the work, retention folds into the base before
// it trims, and holds where it must. What subscriptions need is played by this file.
#include "support.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/delivery/delivery.h"
#include "broker/policy/holder.h"
#include "broker/stores/state.h"
#include "broker/stores/store.h"
#include "broker/stores/upkeep_internal.h"
#include "broker/tick/tick.h"
#include "schemas/base/arena.h"
#include "schemas/reasons.h"

enum { WAIT_MS = 20000, BATCH = 50 };

static atomic_uint_fast64_t needed = UINT64_MAX;

uint64_t delivery_floor(struct delivery *delivery) {
    (void)delivery;
    return atomic_load(&needed);
}

struct house {
    struct broker broker;
    struct tick *tick;
    struct upkeep *upkeep;
    pthread_t tick_thread, upkeep_thread;
};

// Three free ports in a row are asked for by the broker; one is enough for the tick.
static int64_t free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(descriptor, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)&address, &size), 0);
    close(descriptor);
    return ntohs(address.sin_port);
}

static void *run_tick(void *tick) {
    tick_run(tick);
    return NULL;
}

static void start(struct house *house, const char *dir, const struct configuration *base) {
    struct broker *broker = &house->broker;
    char *error = NULL;
    broker->configuration = *base;
    broker->configuration.state = strdup(support_path(dir, "state"));
    broker->configuration.bind = strdup("127.0.0.1");
    broker->configuration.port = free_port();
    broker->configuration.view_map_bytes = 1 << 28;
    if (broker->configuration.log_map_bytes == 0) {
        broker->configuration.log_map_bytes = 1 << 28;
    }
    broker->configuration.dedup_events = 1000;
    broker->configuration.dedup_age_us = INT64_C(3600) * 1000000;
    broker->zmq = zmq_ctx_new();
    broker->to_tick = mailbox_new();
    broker->to_upkeep = mailbox_new();
    broker->delivery = (struct delivery *)(void *)house; // never looked into
    struct policy *policy = NULL;
    assert_int_equal(catalogue_load(NULL, &broker->catalogue, &error), 0);
    assert_int_equal(policy_load(NULL, &policy, &error), 0);
    assert_int_equal(policy_holder_new(policy, &broker->policy), 0);
    assert_int_equal(state_open(broker), 0);
    assert_int_equal(tick_new(broker, &house->tick), 0);
    assert_int_equal(upkeep_new(broker, &house->upkeep), 0);
    assert_int_equal(pthread_create(&house->tick_thread, NULL, run_tick, house->tick), 0);
    assert_int_equal(pthread_create(&house->upkeep_thread, NULL, upkeep_run, house->upkeep), 0);
}

static void stop(struct house *house) {
    struct broker *broker = &house->broker;
    atomic_store(&broker->stop, true);
    mailbox_wake(broker->to_tick);
    mailbox_wake(broker->to_upkeep);
    pthread_join(house->tick_thread, NULL);
    while (pthread_tryjoin_np(house->upkeep_thread, NULL) != 0) {
        tick_drain(house->tick, 10);
    }
    tick_free(house->tick);
    upkeep_free(house->upkeep);
    state_close(broker, false);
    mailbox_free(broker->to_tick);
    mailbox_free(broker->to_upkeep);
    catalogue_free(broker->catalogue);
    policy_holder_free(broker->policy);
    zmq_ctx_term(broker->zmq);
    free(broker->configuration.state);
    free(broker->configuration.bind);
    memset(house, 0, sizeof(*house));
}

// ---- events, as an operator's job publishes them

struct batch {
    struct tick_job job;
    uint64_t first;
    int result;
    atomic_bool done;
};

static int write_batch(struct tick_job *job, struct tick *tick) {
    struct batch *batch = (struct batch *)job;
    for (uint64_t i = 0; i < BATCH; i++) {
        Touchbus__Event event;
        Touchbus__Identity identity, *identities[1] = {&identity};
        touchbus__event__init(&event);
        touchbus__identity__init(&identity);
        uint64_t sequence = 0;
        const char *detail = "";
        identity.kind = arena_strdup(tick_arena(tick), "user_id");
        identity.value = arena_printf(tick_arena(tick), "u-%" PRIu64, (batch->first + i) % 30);
        event.id = arena_printf(tick_arena(tick), "e-%" PRIu64, batch->first + i);
        event.source = arena_strdup(tick_arena(tick), "test");
        event.type = arena_strdup(tick_arena(tick), "test.happened");
        event.channel = arena_strdup(tick_arena(tick), "web");
        event.identities = identities;
        event.n_identities = 1;
        event.subject = arena_printf(tick_arena(tick), "%0200d", 7);
        int r = tick_publish(tick, &event, &sequence, &detail);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

static void batch_done(struct tick_job *job, int result) {
    struct batch *batch = (struct batch *)job;
    batch->result = result;
    atomic_store(&batch->done, true);
}

static bool wait_until(bool (*holds)(void *user), void *user) {
    const struct timespec pause = {.tv_nsec = 2000000};
    for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 2) {
        if (holds(user)) {
            return true;
        }
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool batch_is_done(void *user) {
    return atomic_load(&((struct batch *)user)->done);
}

static int publish_batch(struct house *house) {
    struct batch batch = {.first = atomic_load(&house->broker.visible) + 1};
    tick_job_init(&batch.job, write_batch, batch_done);
    assert_true(mailbox_post(house->broker.to_tick, &batch.job.job));
    assert_true(wait_until(batch_is_done, &batch));
    return batch.result;
}

// n batches, a tick each.
static void publish(struct house *house, int n) {
    for (int i = 0; i < n; i++) {
        assert_int_equal(publish_batch(house), 0);
    }
}

static void hash(struct view *view, char ret[65], uint64_t *ret_applied) {
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, false, &txn), 0);
    assert_int_equal(view_hash(txn, ret), 0);
    *ret_applied = view_applied(txn);
    view_abort(txn);
}

// A start without the view: what is built from base and log is what the live one was.
static void expect_rebuild_is_equal(struct house *house, const char *dir,
                                    const struct configuration *configuration) {
    char before[65], after[65];
    uint64_t applied = 0, again = 0;
    hash(house->broker.view, before, &applied);
    stop(house);
    assert_int_equal(store_remove_folder(support_path(dir, "state/view")), 0);
    start(house, dir, configuration);
    hash(house->broker.view, after, &again);
    if (applied == again) { // an events.lost may have come since
        assert_string_equal(before, after);
    }
    assert_true(again >= applied);
}

// One look at retention, through to its end.
struct look {
    struct job job;
    atomic_bool done;
};

static void run_look(struct job *job, void *context) {
    while (upkeep_retain(context)) {
    }
    atomic_store(&((struct look *)job)->done, true);
}

static bool look_is_done(void *user) {
    return atomic_load(&((struct look *)user)->done);
}

static void look(struct house *house) {
    struct look one = {.job.run = run_look};
    assert_true(mailbox_post(house->broker.to_upkeep, &one.job));
    assert_true(wait_until(look_is_done, &one));
}

// ---- rules

static const struct configuration often = {.restore_interval_us = 50000};

static bool is_restorable(void *user) {
    struct broker *broker = user;
    return view_restorable(broker->view) == atomic_load(&broker->visible);
}

static void test_restore_points_follow_the_work(void **state) {
    struct house house = {.tick = NULL};
    start(&house, *state, &often);
    publish(&house, 5);
    assert_true(wait_until(is_restorable, &house.broker));
    publish(&house, 5);
    assert_true(wait_until(is_restorable, &house.broker));
    assert_int_equal(view_restorable(house.broker.view), 500);
    stop(&house);
}

static bool is_nearly_restorable(void *user) {
    struct broker *broker = user;
    return atomic_load(&broker->visible) - view_restorable(broker->view) < 100;
}

static void test_many_events_make_a_restore_point_due(void **state) {
    const struct configuration rarely = {.restore_interval_us = INT64_C(3600) * 1000000,
                                         .restore_events = 100};
    struct house house = {.tick = NULL};
    start(&house, *state, &rarely);
    publish(&house, 5);
    assert_true(wait_until(is_nearly_restorable, &house.broker));
    uint64_t before = view_restorable(house.broker.view);
    publish(&house, 5);
    assert_true(wait_until(is_nearly_restorable, &house.broker));
    assert_true(view_restorable(house.broker.view) > before);
    stop(&house);
}

static bool is_copied(void *user) {
    struct stat status;
    return stat(user, &status) == 0 &&
           status.st_size > 8192; // a steady one is little more than a page
}

// Few bytes are in use, so few events are enough: the file's growth ends.
static void test_a_point_is_a_copy_where_that_pays(void **state) {
    const struct configuration rarely = {.restore_interval_us = INT64_C(3600) * 1000000,
                                         .restore_events = 1 << 30};
    struct house house = {.tick = NULL};
    char path[PATH_BYTES];
    start(&house, *state, &rarely);
    memcpy(path, support_path(*state, "state/view/restore-point"), PATH_BYTES);
    publish(&house, 10);
    assert_true(wait_until(is_copied, path));
    stop(&house);
}

static bool is_small(void *user) {
    struct broker *broker = user;
    return log_bytes(broker->log) <= (uint64_t)broker->configuration.retention_bytes;
}

static uint64_t base_applied(struct broker *broker) {
    char ignored[65];
    uint64_t applied = 0;
    hash(broker->base, ignored, &applied);
    return applied;
}

static void test_retention_folds_into_the_base_before_it_trims(void **state) {
    struct configuration configuration = often;
    configuration.retention_bytes = 300000;
    struct house house = {.tick = NULL};
    start(&house, *state, &configuration);
    publish(&house, 60);
    assert_true(wait_until(is_small, &house.broker));
    assert_true(log_first(house.broker.log) > 1);
    assert_true(base_applied(&house.broker) + 1 >= log_first(house.broker.log));
    expect_rebuild_is_equal(&house, *state, &configuration);
    stop(&house);
}

static void test_what_a_subscription_needs_stays(void **state) {
    struct configuration configuration = often;
    configuration.retention_bytes = 100000;
    struct house house = {.tick = NULL};
    atomic_store(&needed, 120);
    start(&house, *state, &configuration);
    publish(&house, 40);
    assert_true(wait_until(is_restorable, &house.broker));
    look(&house);
    assert_true(log_first(house.broker.log) <= 120);
    assert_int_equal(house.broker.counters.lost, 0);
    atomic_store(&needed, UINT64_MAX);
    assert_true(wait_until(is_small, &house.broker));
    stop(&house);
}

static bool only_the_last_block_is_left(void *user) {
    struct broker *broker = user;
    return log_first(broker->log) + BATCH == log_next(broker->log);
}

static void test_what_is_old_goes(void **state) {
    struct configuration configuration = often;
    configuration.retention_age_us = 100000;
    struct house house = {.tick = NULL};
    start(&house, *state, &configuration);
    publish(&house, 10);
    assert_true(wait_until(only_the_last_block_is_left, &house.broker));
    expect_rebuild_is_equal(&house, *state, &configuration);
    stop(&house);
}

static bool has_lost(void *user) {
    return atomic_load(&((struct broker *)user)->counters.lost) > 0;
}

static void test_past_its_cap_the_loss_is_an_event(void **state) {
    struct configuration configuration = often;
    configuration.retention_bytes = 100000;
    configuration.retention_subscription_bytes = 50000;
    struct house house = {.tick = NULL};
    atomic_store(&needed, 120);
    start(&house, *state, &configuration);
    publish(&house, 40);
    assert_true(wait_until(has_lost, &house.broker));
    atomic_store(&needed, UINT64_MAX);
    assert_true(wait_until(is_small, &house.broker));
    uint64_t last = atomic_load(&house.broker.visible);
    assert_true(last > 2000); // the events.lost
    expect_rebuild_is_equal(&house, *state, &configuration);
    stop(&house);
}

static void test_nothing_is_trimmed_while_it_is_held(void **state) {
    struct configuration configuration = often;
    configuration.retention_bytes = 100000;
    struct house house = {.tick = NULL};
    start(&house, *state, &configuration);
    atomic_store(&house.broker.trim_paused, true);
    publish(&house, 40);
    look(&house);
    assert_int_equal(log_first(house.broker.log), 1);
    atomic_store(&house.broker.trim_paused, false);
    assert_true(wait_until(is_small, &house.broker));
    stop(&house);
}

struct command {
    struct job job;
    uint64_t before, first;
    int result;
    atomic_bool done;
};

static void run_command(struct job *job, void *context) {
    struct command *command = (struct command *)job;
    const char *detail = "";
    command->result = upkeep_trim_before(context, command->before, &command->first, &detail);
    atomic_store(&command->done, true);
}

static bool command_is_done(void *user) {
    return atomic_load(&((struct command *)user)->done);
}

static int trim(struct house *house, uint64_t before, uint64_t *ret_first) {
    struct command command = {.job.run = run_command, .before = before};
    assert_true(mailbox_post(house->broker.to_upkeep, &command.job));
    assert_true(wait_until(command_is_done, &command));
    *ret_first = command.first;
    return command.result;
}

static void test_a_trim_by_command(void **state) {
    struct configuration configuration = {.restore_interval_us = INT64_C(3600) * 1000000};
    struct house house = {.tick = NULL};
    uint64_t first = 0;
    start(&house, *state, &configuration);
    publish(&house, 20); // blocks of 50: 1, 51, ... 951
    assert_int_equal(trim(&house, 100, &first), 0);
    assert_int_equal(first, 51);
    assert_int_equal(trim(&house, 5000, &first), REASON_BAD_CURSOR);
    atomic_store(&needed, 200);
    assert_int_equal(trim(&house, 300, &first), REASON_IN_USE);
    assert_int_equal(trim(&house, 200, &first), 0);
    assert_int_equal(first, 151);
    atomic_store(&needed, UINT64_MAX);
    atomic_store(&house.broker.trim_paused, true);
    assert_int_equal(trim(&house, 300, &first), REASON_BUSY);
    atomic_store(&house.broker.trim_paused, false);
    assert_int_equal(trim(&house, 1001, &first), 0);
    assert_int_equal(first, 951); // the last block stays
    expect_rebuild_is_equal(&house, *state, &configuration);
    stop(&house);
}

static bool is_not_low(void *user) {
    return !atomic_load(&((struct broker *)user)->disk_low);
}

// Busy while there still is room for what goes on anyway, and again ready when there is more.
static void test_a_full_map_is_busy_before_it_fails(void **state) {
    struct configuration configuration = often;
    configuration.log_map_bytes = 8 << 20;
    struct house house = {.tick = NULL};
    uint64_t first = 0;
    int r = 0;
    start(&house, *state, &configuration);
    for (int i = 0; i < 2000 && r == 0; i++) {
        r = publish_batch(&house);
    }
    assert_int_equal(r, REASON_BUSY);
    assert_true(wait_until(is_restorable, &house.broker));
    assert_int_equal(trim(&house, atomic_load(&house.broker.visible) - 500, &first), 0);
    assert_true(wait_until(is_not_low, &house.broker));
    publish(&house, 10);
    stop(&house);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_restore_points_follow_the_work),
        TEST(test_many_events_make_a_restore_point_due),
        TEST(test_a_point_is_a_copy_where_that_pays),
        TEST(test_retention_folds_into_the_base_before_it_trims),
        TEST(test_what_is_old_goes),
        TEST(test_what_a_subscription_needs_stays),
        TEST(test_past_its_cap_the_loss_is_an_event),
        TEST(test_nothing_is_trimmed_while_it_is_held),
        TEST(test_a_trim_by_command),
        TEST(test_a_full_map_is_busy_before_it_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
