// SPDX-License-Identifier: Apache-2.0
// The rules of an erasure in the customer file: nothing of the person in any byte of the folder,
// everybody else untouched, copies of other logs too, and never confirmed before it is so.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "connectors/crm/store.h"
#include "tests/unit/scratch.h"

#define CANARY "canary-7d1f"

static const uint8_t log_a[STORE_INCARNATION_BYTES] = {0xaa}, log_b[] = {0xbb, [15] = 1};

struct fixture {
    char folder[SCRATCH_PATH_BYTES], path[96];
    struct store *store;
    int asked, failing; // of the broker
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    scratch_make(fixture->folder);
    snprintf(fixture->path, sizeof(fixture->path), "%s/crm.sqlite", fixture->folder);
    assert_int_equal(store_open(fixture->path, &fixture->store), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    store_close(fixture->store);
    scratch_remove(fixture->folder);
    free(fixture);
    return 0;
}

// Whether any file of the folder holds the bytes.
static bool found(const struct fixture *fixture, const char *needle) {
    bool found = false;
    DIR *folder = opendir(fixture->folder);
    for (struct dirent *entry; !found && (entry = readdir(folder)) != NULL;) {
        struct stat status;
        int fd = openat(dirfd(folder), entry->d_name, O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &status), 0);
        char *bytes = calloc(1, (size_t)status.st_size + 1);
        ssize_t size = S_ISREG(status.st_mode) ? read(fd, bytes, (size_t)status.st_size) : 0;
        found = size > 0 && memmem(bytes, (size_t)size, needle, strlen(needle)) != NULL;
        free(bytes);
        close(fd);
    }
    closedir(folder);
    return found;
}

static struct store_event event_of(uint64_t sequence, uint64_t customer, const char *type,
                                   const char *data, const char *email) {
    return (struct store_event){.sequence = sequence,
                                .customer = customer,
                                .lane = customer,
                                .id = "e",
                                .source = "/test",
                                .type = type,
                                .channel = "web",
                                .time = "2026-03-01T10:00:00Z",
                                .received = "2026-03-01T10:00:01Z",
                                .time_us = 1000000,
                                .received_us = 2000000,
                                .data = data,
                                .keys = {{"email", email}},
                                .n_keys = email != NULL};
}

static struct store_event erasure_of(uint64_t sequence, uint64_t customer) {
    struct store_event event = event_of(sequence, customer, "privacy.changed", "{}", NULL);
    event.erases = true;
    return event;
}

static void apply(struct store *store, const uint8_t *incarnation, struct store_event event,
                  enum store_outcome expected) {
    char why[STORE_WHY_BYTES];
    assert_int_equal(store_begin(store, incarnation, why), 0);
    assert_int_equal(store_apply(store, &event, why), expected);
    assert_int_equal(store_commit(store, why), 0);
}

// What one person leaves: in every table, some of it overwritten since, so that old cells lie
// about.
static void live(struct fixture *fixture, const uint8_t *incarnation, uint64_t customer,
                 const char *name, uint64_t first) {
    char data[512], email[64];
    snprintf(email, sizeof(email), "%s@klant.example", name);
    static const char *const forms[][2] = {
        {"customer.identified", "{\"traits\":{\"name\":\"%s\",\"street\":\"%s-street\"}}"},
        {"customer.changed", "{\"fields\":{\"name\":\"%s-b\"}}"},
        {"order.placed", "{\"order_id\":\"%s-o\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\","
                         "\"name\":\"%s\",\"quantity\":1,\"price\":\"1.00\"}]}"},
        {"quote.issued", "{\"quote_id\":\"%s-q\",\"revision\":1,\"currency\":\"EUR\","
                         "\"lines\":[{\"sku\":\"%s\",\"quantity\":1,\"price\":\"1.00\"}]}"},
        {"consent.changed", "{\"purpose\":\"p\",\"address\":\"%s@x.example\",\"state\":\"given\"}"},
        {"note.taken", "{\"text\":\"%s called\"}"},
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(data, sizeof(data), forms[i][1], name, name);
#pragma GCC diagnostic pop
        apply(fixture->store, incarnation, event_of(first + i, customer, forms[i][0], data, email),
              STORE_APPLIED);
    }
}

static int tombstoned(void *user, const struct store_key *keys, size_t n_keys, bool *ret) {
    struct fixture *fixture = user;
    fixture->asked++;
    for (size_t i = 0; i < n_keys; i++) {
        ret[i] = strstr(keys[i].value, CANARY) != NULL;
    }
    return fixture->failing ? -ETIMEDOUT : 0;
}

static void beat(void *user) {
    (void)user;
}

static int sweep(struct fixture *fixture) {
    const struct store_sweep around = {.tombstoned = tombstoned, .beat = beat, .user = fixture};
    char why[STORE_WHY_BYTES];
    return store_sweep(fixture->store, &around, why);
}

static long count(const struct fixture *fixture, const char *query) {
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, query, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    long n = (long)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return n;
}

static void test_nothing_of_the_person_stays_in_any_byte(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t i = 0; i < 40; i++) { // pages around the person's rows split and merge
        char name[32];
        snprintf(name, sizeof(name), "other-%02d", (int)i);
        live(fixture, log_a, 100 + i, name, 1000 * (i + 1));
    }
    live(fixture, log_a, 7, CANARY, 10);
    assert_true(found(fixture, CANARY));
    apply(fixture->store, log_a, erasure_of(50000, 7), STORE_APPLIED);
    assert_int_equal(sweep(fixture), 0);
    assert_false(found(fixture, CANARY));
    assert_int_equal(count(fixture, "SELECT count(*) FROM customers"), 40);
    assert_int_equal(count(fixture, "SELECT count(*) FROM interactions"), 240);
    assert_int_equal(count(fixture, "SELECT count(*) FROM order_lines"), 40);
    assert_int_equal(count(fixture, "SELECT count(*) FROM erasures WHERE swept = 1"), 1);
    assert_true(found(fixture, "other-39"));
}

// Somebody else's program moved rows about, and left what they were in free space.
static void test_what_others_left_in_free_space_goes_too(void **state) {
    struct fixture *fixture = *state;
    live(fixture, log_a, 7, CANARY, 10);
    live(fixture, log_a, 8, "other", 20);
    sqlite3 *other = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other,
                                  "PRAGMA secure_delete = OFF; DELETE FROM interactions WHERE "
                                  "customer = 7; DELETE FROM attributes WHERE customer = 7; "
                                  "PRAGMA wal_checkpoint(TRUNCATE)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(other);
    apply(fixture->store, log_a, erasure_of(100, 7), STORE_APPLIED);
    assert_true(found(fixture, CANARY));
    assert_int_equal(sweep(fixture), 0);
    assert_false(found(fixture, CANARY));
}

static void test_what_comes_late_makes_nobody(void **state) {
    struct fixture *fixture = *state;
    live(fixture, log_a, 7, CANARY, 10);
    apply(fixture->store, log_a, erasure_of(100, 7), STORE_APPLIED);
    apply(fixture->store, log_a, event_of(12, 7, "note.taken", "{}", CANARY), STORE_REPEAT);
    // From the beginning again, or behind the erasure: with its customer's number or without,
    // empty.
    struct store_event late = event_of(101, 7, "order.placed", NULL, NULL);
    late.redacted = true;
    apply(fixture->store, log_a, late, STORE_APPLIED);
    late.sequence = 102;
    late.customer = 0;
    late.lane = UINT64_C(1) << 63;
    apply(fixture->store, log_a, late, STORE_APPLIED);
    apply(fixture->store, log_a, late, STORE_REPEAT);
    assert_int_equal(count(fixture, "SELECT count(*) FROM customers"), 0);
    assert_int_equal(count(fixture, "SELECT count(*) FROM interactions"), 0);
}

static void test_copies_of_other_logs_lose_the_person_by_key(void **state) {
    struct fixture *fixture = *state;
    live(fixture, log_a, 7, CANARY, 10);
    live(fixture, log_a, 9, "somebody", 20);
    live(fixture, log_b, 7, "another", 10); // the number is another person's there
    assert_true(found(fixture, CANARY));
    apply(fixture->store, log_b, erasure_of(100, 3), STORE_APPLIED);
    fixture->failing = 1;
    assert_int_equal(sweep(fixture), STORE_AWAY);
    assert_int_equal(count(fixture, "SELECT count(*) FROM erasures WHERE swept = 0"), 1);
    fixture->failing = 0;
    assert_int_equal(sweep(fixture), 0);
    assert_false(found(fixture, CANARY));
    assert_true(found(fixture, "somebody"));
    assert_true(found(fixture, "another"));
}

static void test_a_reader_in_the_way_keeps_the_erasure_open(void **state) {
    struct fixture *fixture = *state;
    live(fixture, log_a, 7, CANARY, 10);
    sqlite3 *reader = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &reader), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM interactions", NULL, NULL, NULL),
        SQLITE_OK);
    apply(fixture->store, log_a, erasure_of(100, 7), STORE_APPLIED);
    assert_int_equal(sweep(fixture), STORE_AWAY);
    sqlite3_close(reader);
    // It comes again: the fence says that the rows are gone, the table that the sweep is open.
    apply(fixture->store, log_a, erasure_of(100, 7), STORE_REPEAT);
    assert_int_equal(sweep(fixture), 0);
    assert_false(found(fixture, CANARY));
}

static void test_a_sweep_asks_nobody_where_nothing_is_open(void **state) {
    struct fixture *fixture = *state;
    live(fixture, log_a, 7, CANARY, 10);
    live(fixture, log_b, 8, "another", 10);
    assert_int_equal(sweep(fixture), 0);
    assert_int_equal(fixture->asked, 0);
    apply(fixture->store, log_b, erasure_of(100, 8), STORE_APPLIED);
    assert_int_equal(sweep(fixture), 0);
    assert_int_equal(sweep(fixture), 0);
    assert_int_equal(fixture->asked, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_of_the_person_stays_in_any_byte, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_others_left_in_free_space_goes_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_comes_late_makes_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies_of_other_logs_lose_the_person_by_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_in_the_way_keeps_the_erasure_open, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_sweep_asks_nobody_where_nothing_is_open, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
