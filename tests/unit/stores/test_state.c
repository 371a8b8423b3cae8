// SPDX-License-Identifier: Apache-2.0
// A state folder comes up the same after a clean end, a kill, a lost view, a trim; and what was put
// together wrongly is refused. Events are made as the tick makes them: stamped, halved, sealed.
#include "support.h"
#include "ticks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/fold/fold.h"
#include "broker/query/query.h"
#include "broker/stores/base.h"
#include "broker/stores/state.h"
#include "broker/stores/store.h"
#include "broker/stores/verify.h"

static struct broker *new_broker(const char *dir) {
    struct broker *broker = calloc(1, sizeof(*broker));
    assert_non_null(broker);
    broker->configuration.state = strdup(support_path(dir, "state"));
    broker->configuration.log_map_bytes = 1 << 28;
    broker->configuration.view_map_bytes = 1 << 28;
    return broker;
}

static void free_broker(struct broker *broker, bool clean) {
    state_close(broker, clean);
    free(broker->configuration.state);
    free(broker);
}

static struct broker *start(const char *dir) {
    struct broker *broker = new_broker(dir);
    assert_int_equal(state_open(broker), 0);
    assert_int_equal(broker->visible, log_next(broker->log) - 1);
    return broker;
}

static void expect_refused(const char *dir, int reason) {
    struct broker *broker = new_broker(dir);
    assert_int_equal(state_open(broker), reason);
    free_broker(broker, false);
}

static void ticks(struct broker *broker, int n) {
    for (int i = 0; i < n; i++) {
        ticks_one(broker, 1 + (size_t)i % 7);
    }
}

static void hash(struct view *view, char ret[65]) {
    ticks_hash(view, ret);
}

static void take_point(struct broker *broker) {
    ticks_point(broker);
}

static void restart_and_expect(const char *dir, const char *expected) {
    char found[65];
    struct broker *broker = start(dir);
    hash(broker->view, found);
    assert_string_equal(found, expected);
    free_broker(broker, false);
}

static void remove_folder(const char *dir, const char *name) {
    assert_int_equal(store_remove_folder(support_path(dir, name)), 0);
}

static void test_a_kill_loses_nothing(void **state) {
    struct broker *broker = start(*state);
    char expected[65];
    ticks(broker, 10);
    take_point(broker);
    ticks(broker, 30);
    hash(broker->view, expected);
    free_broker(broker, false);
    restart_and_expect(*state, expected);
    restart_and_expect(*state, expected);
}

// The fewest events since its restore point that a copy pays for.
static uint64_t copy_pays_at(struct broker *broker) {
    uint64_t since = 0;
    while (!state_copy_pays(broker, view_restorable(broker->view) + since)) {
        assert_true(++since < 10000);
    }
    return since;
}

static void test_a_copy_pays_where_more_was_rewritten_than_is_in_use(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 5);
    take_point(broker);
    uint64_t small = copy_pays_at(broker);
    ticks(broker, 300);
    take_point(broker);
    uint64_t large = copy_pays_at(broker), restorable = view_restorable(broker->view);
    assert_true(small > 1 && large > small);
    assert_true(state_copy_pays(broker, restorable + 10 * large));
    assert_false(state_copy_pays(broker, restorable - 1)); // the point holds what is not shown yet
    broker->configuration.disk_reserve_bytes = INT64_MAX / 2; // no room for one
    assert_false(state_copy_pays(broker, restorable + 10 * large));
    free_broker(broker, false);
}

static void test_a_start_goes_on_from_a_copy(void **state) {
    struct broker *broker = start(*state);
    char expected[65];
    ticks(broker, 20);
    assert_int_equal(view_take_copy(broker->view), 0);
    ticks(broker, 30);
    hash(broker->view, expected);
    free_broker(broker, false);
    assert_int_equal(truncate(support_path(*state, "state/view/data.mdb"), 0), 0);
    restart_and_expect(*state, expected);
    restart_and_expect(*state, expected);
    broker = start(*state);
    ticks(broker, 5);
    take_point(broker); // a steady one behind it
    ticks(broker, 5);
    hash(broker->view, expected);
    free_broker(broker, false);
    restart_and_expect(*state, expected);
}

static void test_a_copy_that_does_not_fit_is_no_point(void **state) {
    struct broker *broker = start(*state);
    char expected[65];
    ticks(broker, 20);
    hash(broker->view, expected);
    assert_int_equal(view_take_copy(broker->view), 0);
    free_broker(broker, false);
    assert_int_equal(truncate(support_path(*state, "state/view/restore-point"), 8192), 0);
    restart_and_expect(*state, expected); // built anew

    broker = start(*state);
    struct view_identity older = {.fold_version = FOLD_VERSION - 1};
    memcpy(older.incarnation, log_incarnation(broker->log), INCARNATION_BYTES);
    assert_int_equal(view_write_identity(broker->view, &older), 0);
    assert_int_equal(view_take_copy(broker->view), 0);
    free_broker(broker, false);
    restart_and_expect(*state, expected);
}

static void test_a_log_older_than_a_copy_is_refused(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 10);
    free_broker(broker, true);
    size_t size = 0;
    uint8_t *old = support_read(support_path(*state, "state/log/data.mdb"), &size);
    broker = start(*state);
    ticks(broker, 10);
    assert_int_equal(view_take_copy(broker->view), 0);
    free_broker(broker, false);
    remove_folder(*state, "state/log");
    assert_int_equal(mkdir(support_path(*state, "state/log"), 0700), 0);
    support_write(support_path(*state, "state/log/data.mdb"), old, size);
    free(old);
    expect_refused(*state, -ESTALE);
    expect_refused(*state, -ESTALE);
}

static void test_a_clean_end_leaves_nothing_to_fold(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 10);
    uint64_t last = log_next(broker->log) - 1;
    free_broker(broker, true);
    struct view_identity identity = {.fold_version = FOLD_VERSION};
    const char *why = NULL;
    uint64_t applied = 0;
    broker = start(*state);
    memcpy(identity.incarnation, log_incarnation(broker->log), INCARNATION_BYTES);
    free_broker(broker, false);
    assert_int_equal(view_restore(support_path(*state, "state/view"), &identity, &applied, &why),
                     0);
    assert_int_equal(applied, last);
}

static void test_a_view_without_a_fit_restore_point_is_rebuilt(void **state) {
    struct broker *broker = start(*state);
    char expected[65];
    ticks(broker, 30);
    take_point(broker);
    hash(broker->view, expected);
    free_broker(broker, false);

    assert_int_equal(unlink(support_path(*state, "state/view/restore-point")), 0);
    restart_and_expect(*state, expected);
    remove_folder(*state, "state/view");
    restart_and_expect(*state, expected);
    assert_int_equal(unlink(support_path(*state, "state/view/data.mdb")), 0);
    restart_and_expect(*state, expected);
    support_write(support_path(*state, "state/view/restore-point"), "damaged", 7);
    restart_and_expect(*state, expected);
}

static void test_a_view_of_another_fold_version_is_rebuilt(void **state) {
    struct broker *broker = start(*state);
    char expected[65];
    struct view_txn *txn = NULL;
    ticks(broker, 30);
    hash(broker->view, expected);
    struct view_identity older = {.fold_version = FOLD_VERSION - 1};
    memcpy(older.incarnation, log_incarnation(broker->log), INCARNATION_BYTES);
    assert_int_equal(view_begin(broker->view, true, &txn), 0);
    assert_int_equal(view_set_identity(txn, &older), 0);
    assert_int_equal(view_put(txn, VIEW_NAMES, "what the older fold wrote", 25, "x", 1), 0);
    assert_int_equal(view_commit(txn), 0);
    take_point(broker);
    free_broker(broker, false);
    restart_and_expect(*state, expected);
}

static void test_the_marker_of_an_operator_is_obeyed_once(void **state) {
    struct broker *broker = start(*state);
    char expected[65];
    struct view_txn *txn = NULL;
    ticks(broker, 30);
    hash(broker->view, expected);
    assert_int_equal(view_begin(broker->view, true, &txn), 0);
    assert_int_equal(view_put(txn, VIEW_ITEMS, "stray", 5, "x", 1), 0);
    assert_int_equal(view_commit(txn), 0);
    free_broker(broker, true);
    support_write(support_path(*state, "state/" VIEW_REBUILD_MARKER), "", 0);
    restart_and_expect(*state, expected);
    assert_int_not_equal(access(support_path(*state, "state/" VIEW_REBUILD_MARKER), F_OK), 0);
}

static void trim(struct broker *broker, uint64_t floor) {
    assert_true(ticks_trim(broker, floor) > 0);
}

static void test_a_rebuild_goes_from_the_base(void **state) {
    struct broker *broker = start(*state);
    char expected[65];
    ticks(broker, 40);
    trim(broker, 60);
    ticks(broker, 5);
    hash(broker->view, expected);
    free_broker(broker, false);
    remove_folder(*state, "state/view");
    restart_and_expect(*state, expected);
    remove_folder(*state, "state/base");
    expect_refused(*state, -ENODATA);
}

// Folders beside each other under another name are a state; its log is another one, its view the
// same but for that.
static void test_a_backup_is_a_state_of_its_own(void **state) {
    struct broker *broker = start(*state);
    uint8_t before[INCARNATION_BYTES];
    ticks(broker, 40);
    trim(broker, 60);
    uint64_t next = log_next(broker->log);
    memcpy(before, log_incarnation(broker->log), sizeof(before));
    assert_int_equal(mkdir(support_path(*state, "backup"), 0700), 0);
    assert_int_equal(log_copy(broker->log, support_path(*state, "backup/log")), 0);
    assert_int_equal(keys_copy(broker->keys, support_path(*state, "backup/keys")), 0);
    assert_int_equal(view_copy(broker->base, support_path(*state, "backup/base")), 0);
    free_broker(broker, true);
    assert_int_equal(rename(support_path(*state, "state"), support_path(*state, "away")), 0);
    assert_int_equal(rename(support_path(*state, "backup"), support_path(*state, "state")), 0);
    for (int life = 0; life < 2; life++) {
        broker = start(*state);
        assert_int_equal(log_next(broker->log), next);
        assert_memory_not_equal(before, log_incarnation(broker->log), sizeof(before));
        assert_memory_equal(before, log_incarnation_before(broker->log), sizeof(before));
        assert_int_equal(ticks_first_wrong(broker), 0);
        ticks(broker, 3);
        next = log_next(broker->log);
        free_broker(broker, life == 0);
    }
}

static void test_a_log_that_was_rolled_back_is_refused(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 10);
    free_broker(broker, true);
    size_t size = 0;
    uint8_t *old = support_read(support_path(*state, "state/log/data.mdb"), &size);
    broker = start(*state);
    ticks(broker, 10);
    free_broker(broker, true);
    support_write(support_path(*state, "state/log/data.mdb"), old, size);
    free(old);
    expect_refused(*state, -ESTALE);
    expect_refused(*state, -ESTALE);
}

static void test_an_older_log_is_accepted_when_told(void **state) {
    struct broker *broker = start(*state);
    char rebuilt[65], live[65];
    ticks(broker, 10);
    uint64_t next = log_next(broker->log);
    uint8_t before[INCARNATION_BYTES];
    memcpy(before, log_incarnation(broker->log), sizeof(before));
    free_broker(broker, true);
    size_t size = 0;
    uint8_t *old = support_read(support_path(*state, "state/log/data.mdb"), &size);
    broker = start(*state);
    ticks(broker, 10);
    free_broker(broker, true);
    support_write(support_path(*state, "state/log/data.mdb"), old, size);
    free(old);
    expect_refused(*state, -ESTALE);
    broker = new_broker(*state);
    broker->configuration.accept_older_log = true;
    assert_int_equal(state_open(broker), 0);
    assert_int_equal(log_next(broker->log), next);
    assert_int_equal(log_parting(broker->log), next);
    assert_memory_equal(before, log_incarnation_before(broker->log), sizeof(before));
    assert_memory_not_equal(before, log_incarnation(broker->log), sizeof(before));
    ticks(broker, 5);
    hash(broker->view, live);
    free_broker(broker, false);
    restart_and_expect(*state, live); // without being told again
    remove_folder(*state, "state/view");
    broker = start(*state);
    hash(broker->view, rebuilt);
    assert_string_equal(live, rebuilt);
    free_broker(broker, false);
}

// The copy of a log goes on by itself; what its original's view holds beyond the parting is not
// its own, however far the copy has come.
static void test_a_copied_log_under_the_view_of_its_original_is_refused(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 10);
    assert_int_equal(log_copy(broker->log, support_path(*state, "copy")), 0);
    ticks(broker, 10);
    free_broker(broker, true);
    remove_folder(*state, "state/log");
    assert_int_equal(rename(support_path(*state, "copy"), support_path(*state, "state/log")), 0);
    expect_refused(*state, -ESTALE);
    expect_refused(*state, -ESTALE);
    broker = new_broker(*state);
    broker->configuration.accept_older_log = true;
    assert_int_equal(state_open(broker), 0);
    assert_int_equal(ticks_first_wrong(broker), 0);
    free_broker(broker, true);
}

static void test_a_log_behind_the_base_is_refused(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 10);
    free_broker(broker, true);
    size_t size = 0;
    uint8_t *old = support_read(support_path(*state, "state/log/data.mdb"), &size);
    broker = start(*state);
    ticks(broker, 40);
    trim(broker, log_next(broker->log) - 2);
    free_broker(broker, true);
    support_write(support_path(*state, "state/log/data.mdb"), old, size);
    free(old);
    remove_folder(*state, "state/view");
    expect_refused(*state, -ESTALE);
}

static void test_another_logs_stores_are_refused(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 5);
    free_broker(broker, true);
    remove_folder(*state, "state/log");
    broker = new_broker(*state);
    assert_int_equal(state_open(broker), -EXDEV);
    free_broker(broker, false);
}

static void test_missing_keys_are_refused(void **state) {
    struct broker *broker = start(*state);
    ticks(broker, 5);
    free_broker(broker, true);
    remove_folder(*state, "state/keys");
    expect_refused(*state, -ENOENT);
}

static void test_a_second_broker_is_refused(void **state) {
    struct broker *broker = start(*state);
    expect_refused(*state, -EBUSY);
    free_broker(broker, true);
    free_broker(start(*state), true);
}

static void test_a_damaged_block_is_not_folded(void **state) {
    struct broker *broker = start(*state);
    ticks_one(broker, TICKS_EVENTS_MAX); // large: its block lies in pages of its own
    ticks_one(broker, 1);
    free_broker(broker, true);
    size_t size = 0;
    const char *path = support_path(*state, "state/log/data.mdb");
    uint8_t *file = support_read(path, &size);
    uint8_t *at = memmem(file, size, "call.received", 14);
    assert_non_null(at);
    *at ^= 1;
    support_write(path, file, size);
    free(file);
    free_broker(start(*state), false); // the view had it already
    remove_folder(*state, "state/view");
    expect_refused(*state, -EBADMSG);
}

static void
test_a_destroyed_key_folds_what_is_open_and_the_erasure_makes_views_equal(void **state) {
    struct broker *broker = start(*state);
    char before[65], after[65];
    ticks(broker, 20);
    hash(broker->view, before);
    assert_int_equal(keys_destroy(broker->keys, 4, 1), 0);
    free_broker(broker, true);
    remove_folder(*state, "state/view");
    broker = start(*state);
    hash(broker->view, after);
    assert_string_not_equal(before, after); // its key is gone
    struct view_txn *read = NULL;
    assert_int_equal(view_begin(broker->view, false, &read), 0);
    assert_int_equal(view_applied(read), log_next(broker->log) - 1);
    view_abort(read);
    ticks_erase(broker, 4);
    ticks(broker, 5);
    hash(broker->view, before);
    free_broker(broker, false);
    restart_and_expect(*state, before);
    remove_folder(*state, "state/view");
    restart_and_expect(*state, before);
}

// Runs in a process forked before any store was opened: LMDB bears no fork.
static pid_t fork_verify(const char *dir, int ends[2]) {
    int go[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(go[1]);
        if (read(go[0], &byte, 1) != 1) {
            _exit(99);
        }
        setenv("TZ", "Pacific/Chatham", 1);
        FILE *out = fdopen(ends[1], "w");
        int status = verify_run(support_path(dir, "state"), out);
        fclose(out);
        _exit(status);
    }
    close(go[0]);
    close(ends[1]);
    ends[1] = go[1]; // a byte written here lets it run
    return child;
}

static int finish_verify(pid_t child, int ends[2], char *text, size_t size) {
    int status = 0;
    size_t used = 0;
    ssize_t n = 0;
    assert_int_equal(write(ends[1], "g", 1), 1);
    while (used + 1 < size && (n = read(ends[0], text + used, size - used - 1)) > 0) {
        used += (size_t)n;
    }
    text[used] = '\0';
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_verify_says_equal_beside_a_running_broker(void **state) {
    char text[4096], name[64];
    int ends[2];
    pid_t child = fork_verify(*state, ends);
    struct broker *broker = start(*state);
    ticks(broker, 60);
    trim(broker, 100);
    ticks(broker, 10);
    assert_int_equal(finish_verify(child, ends, text, sizeof(text)), 0);
    assert_non_null(strstr(text, "\"equal\": true"));
    assert_non_null(strstr(text, "{\"phase\": \"rebuild\""));
    snprintf(name, sizeof(name), "state/" VERIFY_SCRATCH "%d", (int)child);
    assert_int_not_equal(access(support_path(*state, name), F_OK), 0);
    free_broker(broker, true);
}

static void test_verify_says_not_equal_where_a_byte_differs(void **state) {
    char text[4096];
    int ends[2];
    pid_t child = fork_verify(*state, ends);
    struct broker *broker = start(*state);
    struct view_txn *txn = NULL;
    ticks(broker, 20);
    assert_int_equal(view_begin(broker->view, true, &txn), 0);
    assert_int_equal(view_put(txn, VIEW_ITEMS, "stray", 5, "x", 1), 0);
    assert_int_equal(view_commit(txn), 0);
    assert_int_equal(finish_verify(child, ends, text, sizeof(text)), 1);
    assert_non_null(strstr(text, "\"equal\": false"));
    free_broker(broker, true);
}

static void await_text(int descriptor, const char *expected) {
    char text[4096];
    size_t n = 0;
    while (memmem(text, n, expected, strlen(expected)) == NULL) {
        assert_true(n < sizeof(text));
        ssize_t got = read(descriptor, text + n, sizeof(text) - n);
        assert_true(got > 0);
        n += (size_t)got;
    }
}

// The key goes before verify has begun, or while it is at it; the event that says so comes later.
static void test_verify_bears_an_erasure_that_is_under_way(void **state) {
    for (int at_once = 0; at_once < 2; at_once++) {
        char text[4096];
        int ends[2], status = 0;
        pid_t child = fork_verify(*state, ends);
        struct broker *broker = start(*state);
        uint64_t customer = at_once == 1 ? 3 : 4;
        ticks(broker, 60);
        if (at_once == 1) {
            assert_int_equal(keys_destroy(broker->keys, customer, 1), 0);
        }
        assert_int_equal(write(ends[1], "!", 1), 1); // it runs
        await_text(ends[0], at_once == 1 ? "hash the live" : "rebuild");
        if (at_once == 0) {
            assert_int_equal(keys_destroy(broker->keys, customer, 1), 0);
        }
        ticks_erase(broker, customer);
        FILE *rest = fdopen(ends[0], "r");
        size_t n = fread(text, 1, sizeof(text) - 1, rest);
        text[n] = '\0';
        fclose(rest);
        close(ends[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_non_null(strstr(text, "\"equal\": true"));
        free_broker(broker, true);
    }
}

static void test_verify_without_a_broker_says_so(void **state) {
    char text[4096];
    int ends[2];
    pid_t child = fork_verify(*state, ends);
    free_broker(start(*state), true);
    assert_int_equal(finish_verify(child, ends, text, sizeof(text)), 3);
    assert_non_null(strstr(text, "\"error\""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, support_setup, support_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_kill_loses_nothing),
        TEST(test_a_copy_pays_where_more_was_rewritten_than_is_in_use),
        TEST(test_a_start_goes_on_from_a_copy),
        TEST(test_a_copy_that_does_not_fit_is_no_point),
        TEST(test_a_log_older_than_a_copy_is_refused),
        TEST(test_a_clean_end_leaves_nothing_to_fold),
        TEST(test_a_view_without_a_fit_restore_point_is_rebuilt),
        TEST(test_a_view_of_another_fold_version_is_rebuilt),
        TEST(test_the_marker_of_an_operator_is_obeyed_once),
        TEST(test_a_rebuild_goes_from_the_base),
        TEST(test_a_backup_is_a_state_of_its_own),
        TEST(test_a_log_that_was_rolled_back_is_refused),
        TEST(test_an_older_log_is_accepted_when_told),
        TEST(test_a_copied_log_under_the_view_of_its_original_is_refused),
        TEST(test_a_log_behind_the_base_is_refused),
        TEST(test_another_logs_stores_are_refused),
        TEST(test_missing_keys_are_refused),
        TEST(test_a_second_broker_is_refused),
        TEST(test_a_damaged_block_is_not_folded),
        TEST(test_a_destroyed_key_folds_what_is_open_and_the_erasure_makes_views_equal),
        TEST(test_verify_says_equal_beside_a_running_broker),
        TEST(test_verify_says_not_equal_where_a_byte_differs),
        TEST(test_verify_bears_an_erasure_that_is_under_way),
        TEST(test_verify_without_a_broker_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
