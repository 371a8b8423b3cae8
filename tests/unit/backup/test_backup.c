// SPDX-License-Identifier: Apache-2.0
// A backup is the stores as of the cut, whatever comes after it; every flipped bit in it is found;
// and what would make a wrong state of it is refused.
#include "../stores/support.h"
#include "../stores/ticks.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/backup/backup.h"
#include "broker/backup/cut.h"
#include "broker/backup/manifest.h"
#include "broker/stores/state.h"
#include "broker/stores/store.h"

enum { FLIPS = 24 };

static struct broker *new_broker(const char *state) {
    struct broker *broker = calloc(1, sizeof(*broker));
    assert_non_null(broker);
    broker->configuration.state = strdup(state);
    broker->configuration.log_map_bytes = 1 << 28;
    broker->configuration.view_map_bytes = 1 << 28;
    return broker;
}

static void stop(struct broker *broker) {
    state_close(broker, true);
    free(broker->configuration.state);
    free(broker);
}

static struct broker *start(const char *state) {
    struct broker *broker = new_broker(state);
    assert_int_equal(state_open(broker), 0);
    return broker;
}

static void ticks(struct broker *broker, int n) {
    for (int i = 0; i < n; i++) {
        ticks_one(broker, 1 + (size_t)i % 7);
    }
}

static int fill_keys(const char *part, void *user) {
    struct broker *broker = user;
    return cut_write_keys(broker->keys, part, &(struct cut_pace){.alone = true});
}

// What a verification or a restore printed, as text, and its status. A file: one that is forked
// prints, too.
static int verify(const char *dir, const char *keys, const char *scratch, char **ret) {
    FILE *out = tmpfile();
    assert_non_null(out);
    int status = backup_verify(dir, keys, scratch, out);
    fseek(out, 0, SEEK_END);
    long size = ftell(out);
    rewind(out);
    *ret = calloc(1, (size_t)size + 1);
    assert_int_equal(fread(*ret, 1, (size_t)size, out), size);
    fclose(out);
    return status;
}

static int restore(const struct restore_task *task, char **ret) {
    size_t size = 0;
    FILE *out = open_memstream(ret, &size);
    int status = backup_restore(task, out);
    fclose(out);
    return status;
}

static void expect_restore(const struct restore_task *task, int status, const char *text) {
    char *said = NULL;
    assert_int_equal(restore(task, &said), status);
    assert_non_null(strstr(said, text));
    free(said);
}

// A state with a trimmed log, its backup as of *ret_applied, its keys, and more events behind it.
static void make(const char *dir, char view_hash[static 65], uint64_t *ret_applied) {
    struct broker *broker = start(support_path(dir, "state"));
    struct cut *cut = NULL;
    ticks(broker, 40);
    assert_true(ticks_trim(broker, 60) > 0);
    ticks(broker, 20);
    ticks_hash(broker->view, view_hash);
    assert_int_equal(cut_take(broker, &cut), 0);
    *ret_applied = cut_applied(cut);
    assert_int_equal(*ret_applied, log_next(broker->log) - 1);
    ticks(broker, 30); // what the pins keep out
    const char *backup = support_path(dir, "backup");
    assert_int_equal(mkdir(backup, 0700), 0);
    assert_int_equal(cut_write(cut, backup, &(struct cut_pace){.alone = true}), 0);
    cut_free(cut);
    assert_int_equal(cut_folder(support_path(dir, "keys"), fill_keys, broker), 0);
    assert_int_equal(cut_folder(support_path(dir, "keys"), fill_keys, broker), -EEXIST);
    stop(broker);
}

static void test_a_restored_backup_is_the_state_as_of_the_cut(void **state) {
    char expected[65], found[65], *said = NULL;
    uint64_t applied = 0;
    make(*state, expected, &applied);
    const char *dir = support_path(*state, "backup"), *keys = support_path(*state, "keys");
    char *paths[] = {strdup(dir), strdup(keys), strdup(support_path(*state, "restored"))};
    assert_int_equal(verify(paths[0], paths[1], *state, &said), 0);
    assert_non_null(strstr(said, "\"view\":\"equal\""));
    free(said);
    struct restore_task task = {.from = paths[0], .keys = paths[1], .state = paths[2]};
    expect_restore(&task, 0, "\"customers_without_key\":0");
    struct view_txn *txn = NULL;
    struct broker *broker = start(paths[2]);
    assert_int_equal(log_next(broker->log), applied + 1);
    assert_int_equal(log_parting(broker->log), applied + 1);
    assert_int_equal(ticks_first_wrong(broker), 0);
    assert_int_equal(view_begin(broker->view, false, &txn), 0);
    assert_int_equal(view_applied(txn), applied);
    view_abort(txn);
    ticks(broker, 5);
    ticks_hash(broker->view, found);
    stop(broker);
    // The view that came along is the one that a rebuild makes, under the new incarnation, too.
    assert_int_equal(store_remove_folder(support_path(paths[2], "view")), 0);
    broker = start(paths[2]);
    ticks_hash(broker->view, expected);
    assert_string_equal(found, expected);
    stop(broker);
    for (size_t i = 0; i < 3; i++) {
        free(paths[i]);
    }
}

static void flip(const char *path, size_t at, uint8_t bit) {
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    fseek(file, (long)at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, (long)at, SEEK_SET);
    fputc(byte ^ bit, file);
    fclose(file);
}

static void test_every_flipped_bit_is_found(void **state) {
    static const char *const files[] = {"log/data.mdb",  "log/copied",         "base/data.mdb",
                                        "view/data.mdb", "view/restore-point", MANIFEST_NAME};
    char hash[65], *backup = strdup(support_path(*state, "backup"));
    uint64_t applied = 0, seed = 20261121;
    make(*state, hash, &applied);
    for (int i = 0; i < FLIPS; i++) {
        const char *name = files[i % 6], *path = support_path(backup, name);
        struct stat status;
        assert_int_equal(stat(path, &status), 0);
        size_t at = support_random(&seed) % (size_t)status.st_size;
        uint8_t bit = (uint8_t)(1U << support_random(&seed) % 8);
        char *said = NULL;
        flip(path, at, bit);
        json_t *manifest = NULL;
        const char *why = "";
        int r = manifest_read(backup, &manifest, &why);
        if (i < 6) { // one of each file all the way
            assert_int_equal(verify(backup, NULL, *state, &said), 1);
            assert_non_null(strstr(said, strcmp(name, MANIFEST_NAME) == 0 ? why : name));
            assert_non_null(strstr(said, "\"sound\":false"));
            free(said);
        }
        if (strcmp(name, MANIFEST_NAME) == 0) {
            assert_int_equal(r, 1);
        } else {
            struct restore_task task = {.from = backup,
                                        .keys = support_path(*state, "keys"),
                                        .state = support_path(*state, "damaged")};
            assert_int_equal(r, 0);
            expect_restore(&task, 1, "damaged");
            assert_int_not_equal(access(support_path(*state, "damaged"), F_OK), 0);
            assert_int_not_equal(access(support_path(*state, "damaged.part"), F_OK), 0);
        }
        json_decref(manifest);
        flip(path, at, bit);
    }
    char *said = NULL;
    assert_int_equal(verify(backup, NULL, *state, &said), 0);
    free(said);
    free(backup);
}

static void test_a_missing_or_added_file_is_found(void **state) {
    char hash[65], *said = NULL, *backup = strdup(support_path(*state, "backup"));
    uint64_t applied = 0;
    make(*state, hash, &applied);
    support_write(support_path(backup, "log/stray"), "x", 1);
    assert_int_equal(verify(backup, NULL, *state, &said), 1);
    assert_non_null(strstr(said, "not in the manifest"));
    free(said);
    assert_int_equal(unlink(support_path(backup, "log/stray")), 0);
    assert_int_equal(unlink(support_path(backup, "log/copied")), 0);
    assert_int_equal(verify(backup, NULL, *state, &said), 1);
    assert_non_null(strstr(said, "log/copied"));
    free(said);
    assert_int_equal(unlink(support_path(backup, MANIFEST_NAME)), 0);
    assert_int_equal(verify(backup, NULL, *state, &said), 1);
    assert_non_null(strstr(said, "there is no " MANIFEST_NAME));
    free(said);
    free(backup);
}

// The manifest of a log with more customers than there are keys, its checksum made anew.
static void add_customers(const char *backup, json_int_t n) {
    json_t *manifest = NULL;
    const char *why = "";
    assert_int_equal(manifest_read(backup, &manifest, &why), 0);
    json_object_set_new(manifest, "customers", json_integer(n));
    assert_int_equal(manifest_write(backup, manifest, NULL, NULL), 0);
    json_decref(manifest);
}

static void test_keys_that_are_older_than_the_log_are_refused(void **state) {
    char hash[65], *backup = strdup(support_path(*state, "backup"));
    uint64_t applied = 0;
    make(*state, hash, &applied);
    struct restore_task task = {.from = backup,
                                .keys = support_path(*state, "keys"),
                                .state = support_path(*state, "restored")};
    add_customers(backup, 2 * KEYS_AHEAD + 4); // one record more than there is, and a few
    expect_restore(&task, 1, "5 customers have none");
    assert_int_not_equal(access(task.state, F_OK), 0);
    task.force = true;
    expect_restore(&task, 0, "\"customers_without_key\":5");
    struct broker *broker = start(task.state); // its view is built anew
    assert_int_equal(ticks_first_wrong(broker), 0);
    assert_true(keys_is_destroyed(broker->keys, 2 * KEYS_AHEAD + 4));
    assert_false(keys_is_destroyed(broker->keys, 2 * KEYS_AHEAD - 1));
    stop(broker);
    free(backup);
}

static void test_keys_from_before_an_erasure_are_refused(void **state) {
    char hash[65], *said = NULL;
    uint64_t applied = 0;
    make(*state, hash, &applied);
    char *paths[] = {strdup(support_path(*state, "state")), strdup(support_path(*state, "keys")),
                     strdup(support_path(*state, "later")), strdup(support_path(*state, "now"))};
    struct broker *broker = start(paths[0]);
    struct cut *cut = NULL;
    assert_int_equal(keys_destroy(broker->keys, 3, 1), 0);
    assert_int_equal(mkdir(paths[2], 0700), 0);
    assert_int_equal(cut_take(broker, &cut), 0);
    assert_int_equal(cut_write(cut, paths[2], &(struct cut_pace){.alone = true}), 0);
    cut_free(cut);
    assert_int_equal(cut_folder(paths[3], fill_keys, broker), 0);
    stop(broker);
    struct restore_task task = {
        .from = paths[2], .keys = paths[1], .state = support_path(*state, "restored")};
    expect_restore(&task, 1, "older than the log");
    task.keys = paths[3];
    expect_restore(&task, 0, "\"customers_without_key\":0");
    // And the other way round: an older backup is sound, its view just says more than the keys.
    assert_int_equal(verify(support_path(*state, "backup"), paths[3], *state, &said), 0);
    assert_non_null(strstr(said, "destroyed since"));
    free(said);
    for (size_t i = 0; i < 4; i++) {
        free(paths[i]);
    }
}

static void test_a_flipped_bit_in_the_keys_is_found(void **state) {
    char hash[65], *said = NULL, *keys = strdup(support_path(*state, "keys"));
    char *backup = strdup(support_path(*state, "backup"));
    uint64_t applied = 0;
    make(*state, hash, &applied);
    struct restore_task task = {
        .from = backup, .keys = keys, .state = support_path(*state, "restored")};
    flip(support_path(keys, "data.mdb"), 3 * 4096 + 100, 4);
    expect_restore(&task, 1, "data.mdb: its checksum does not fit");
    assert_int_equal(verify(backup, keys, *state, &said), 1);
    assert_non_null(strstr(said, "data.mdb"));
    free(said);
    flip(support_path(keys, "data.mdb"), 3 * 4096 + 100, 4);
    expect_restore(&task, 0, "\"customers_without_key\":0");
    free(keys);
    free(backup);
}

static void test_keys_of_another_state_are_refused(void **state) {
    char hash[65], *backup = strdup(support_path(*state, "backup"));
    char *other = strdup(support_path(*state, "other"));
    uint64_t applied = 0;
    make(*state, hash, &applied);
    struct broker *broker = start(other);
    ticks(broker, 3);
    stop(broker);
    char keys[PATH_BYTES];
    snprintf(keys, sizeof(keys), "%s/keys", other);
    struct restore_task task = {
        .from = backup, .keys = keys, .state = support_path(*state, "restored")};
    expect_restore(&task, 1, "the keys of another state");
    free(backup);
    free(other);
}

static void test_a_state_is_replaced_only_when_told(void **state) {
    char hash[65], *backup = strdup(support_path(*state, "backup"));
    char *here = strdup(support_path(*state, "state")), keys[PATH_BYTES];
    uint64_t applied = 0;
    make(*state, hash, &applied);
    snprintf(keys, sizeof(keys), "%s/keys", here);
    struct restore_task task = {.from = backup, .keys = keys, .state = here};
    expect_restore(&task, 1, "is not empty");
    task.replace = true;
    struct broker *broker = start(here);
    expect_restore(&task, 1, "a broker runs on it");
    uint64_t next = log_next(broker->log);
    stop(broker);
    // A connector's folder that lies there as well stays: its spool is nobody else's.
    assert_int_equal(mkdir(support_path(here, "web"), 0700), 0);
    support_write(support_path(here, "web/spool-1.seg"), "spooled", 7);
    expect_restore(&task, 0, ".before-");
    assert_int_equal(access(support_path(here, "web/spool-1.seg"), F_OK), 0);
    broker = start(here);
    assert_true(log_next(broker->log) < next);
    assert_int_equal(ticks_first_wrong(broker), 0);
    stop(broker);
    free(backup);
    free(here);
}

int main(void) {
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, support_setup, support_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_restored_backup_is_the_state_as_of_the_cut),
        TEST(test_every_flipped_bit_is_found),
        TEST(test_a_missing_or_added_file_is_found),
        TEST(test_keys_that_are_older_than_the_log_are_refused),
        TEST(test_keys_from_before_an_erasure_are_refused),
        TEST(test_a_flipped_bit_in_the_keys_is_found),
        TEST(test_keys_of_another_state_are_refused),
        TEST(test_a_state_is_replaced_only_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
