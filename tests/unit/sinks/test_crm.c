// SPDX-License-Identifier: Apache-2.0
// The rules of the customer file: once each, late lanes, poison, repeats, another log.
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "connectors/crm/store.h"
#include "tests/unit/scratch.h"

static const uint8_t log_a[STORE_INCARNATION_BYTES] = {0xaa}, log_b[] = {0xbb, [15] = 1};

struct fixture {
    char folder[SCRATCH_PATH_BYTES], path[96];
    struct store *store;
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

static struct store_event event_of(uint64_t sequence, uint64_t customer, const char *type,
                                   const char *data) {
    return (struct store_event){.sequence = sequence,
                                .customer = customer,
                                .lane = customer,
                                .id = "e",
                                .source = "/test",
                                .type = type,
                                .channel = "web",
                                .direction = "in",
                                .time = "2026-03-01T10:00:00Z",
                                .received = "2026-03-01T10:00:01Z",
                                .time_us = 1000000,
                                .received_us = 2000000,
                                .data = data};
}

// A whole batch in log_a; every outcome must be the one expected.
static void apply(struct store *store, const struct store_event *events, size_t n_events,
                  enum store_outcome expected) {
    char why[STORE_WHY_BYTES];
    assert_int_equal(store_begin(store, log_a, why), 0);
    for (size_t i = 0; i < n_events; i++) {
        assert_int_equal(store_apply(store, &events[i], why), expected);
    }
    assert_int_equal(store_commit(store, why), 0);
}

static void apply_one(struct store *store, struct store_event event, enum store_outcome expected) {
    apply(store, &event, 1, expected);
}

// The first column of the first row, through a connection of its own.
static const char *ask(const struct fixture *fixture, const char *query) {
    static char answer[256];
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, query, -1, &statement, NULL), SQLITE_OK);
    int code = sqlite3_step(statement);
    const unsigned char *text = code == SQLITE_ROW ? sqlite3_column_text(statement, 0) : NULL;
    snprintf(answer, sizeof(answer), "%s", text != NULL ? (const char *)text : "");
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return answer;
}

static void tell(const struct fixture *fixture, const char *script) {
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(fixture->path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, script, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static const char placed[] = "{\"order_id\":\"o-1\",\"currency\":\"EUR\",\"lines\":[{\"sku\":\"A\","
                             "\"quantity\":2,\"price\":\"19.90\"}]}";

static void test_event_is_there_once_however_often_it_comes(void **state) {
    struct fixture *fixture = *state;
    struct store_event event = event_of(5, 1, "page.viewed", "{\"url\":\"/\"}");
    apply_one(fixture->store, event, STORE_APPLIED);
    apply_one(fixture->store, event, STORE_REPEAT);
    fixture->store = store_close(fixture->store);
    assert_int_equal(store_open(fixture->path, &fixture->store), 0);
    apply_one(fixture->store, event, STORE_REPEAT);
    assert_string_equal(ask(fixture, "SELECT count(*) FROM interactions"), "1");
    assert_string_equal(ask(fixture, "SELECT interactions FROM customers"), "1");
}

static void test_what_the_broker_counted_is_summed_by_day(void **state) {
    struct fixture *fixture = *state;
    struct store_event event = event_of(5, 1, "call.ended", "{}");
    event.scores = "[{\"hour\":\"2026-03-01T10:00:00Z\",\"channel\":\"phone\",\"tier\":\"guest\","
                   "\"contacts\":1,\"cost\":\"4.50\",\"handling_us\":60000000},"
                   "{\"hour\":\"2026-03-01T11:00:00Z\",\"channel\":\"phone\",\"tier\":\"guest\","
                   "\"revenue\":\"0.000001\",\"satisfaction\":\"0.50\",\"reasons\":[\"cap-day\"]}]";
    apply_one(fixture->store, event, STORE_APPLIED);
    apply_one(fixture->store, event, STORE_REPEAT);
    event.sequence = 6;
    event.redacted = true; // of somebody who was erased: the figures stay
    apply_one(fixture->store, event, STORE_APPLIED);
    assert_string_equal(ask(fixture,
                            "SELECT count(*) || ' ' || day || ' ' || sum(contacts) || ' ' || "
                            "sum(cost_micro) || ' ' || sum(revenue_micro) || ' ' || "
                            "sum(handling_number) || ' ' || sum(handling_us) || ' ' || "
                            "sum(ratings) || ' ' || sum(satisfaction_micro) || ' ' || "
                            "sum(suppressed) || ' ' || sum(waiting_number) FROM scorecard"),
                        "1 2026-03-01 2 9000000 2 2 120000000 2 1000000 2 0");
}

static void test_late_lane_is_not_taken_for_old(void **state) {
    struct fixture *fixture = *state;
    apply_one(fixture->store, event_of(100, 1, "page.viewed", "{}"), STORE_APPLIED);
    apply_one(fixture->store, event_of(7, 2, "page.viewed", "{}"), STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT count(*) FROM interactions"), "2");
}

static void test_lane_with_the_high_bit_has_a_fence_too(void **state) {
    struct fixture *fixture = *state;
    struct store_event event = event_of(9, 0, "page.viewed", "{}");
    event.lane = UINT64_C(0xffffffffffffffff);
    apply_one(fixture->store, event, STORE_APPLIED);
    apply_one(fixture->store, event, STORE_REPEAT);
    assert_string_equal(ask(fixture, "SELECT customer IS NULL FROM interactions"), "1");
}

static void test_nothing_of_an_uncommitted_batch_is_there(void **state) {
    struct fixture *fixture = *state;
    struct store_event event = event_of(5, 1, "order.placed", placed);
    char why[STORE_WHY_BYTES];
    assert_int_equal(store_begin(fixture->store, log_a, why), 0);
    assert_int_equal(store_apply(fixture->store, &event, why), STORE_APPLIED);
    fixture->store = store_close(fixture->store);
    assert_string_equal(ask(fixture, "SELECT count(*) FROM interactions"), "0");
    assert_int_equal(store_open(fixture->path, &fixture->store), 0);
    apply_one(fixture->store, event, STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT count(*) FROM orders"), "1");
}

static void test_poison_is_rejected_alone_and_fits_later(void **state) {
    struct fixture *fixture = *state;
    tell(fixture, "CREATE TRIGGER poison BEFORE INSERT ON interactions WHEN new.sequence = 6 "
                  "BEGIN SELECT RAISE(ABORT, 'secret'); END");
    struct store_event events[] = {event_of(5, 1, "page.viewed", "{}"),
                                   event_of(6, 2, "order.placed", placed),
                                   event_of(7, 3, "page.viewed", "{}")};
    char why[STORE_WHY_BYTES], ignored[STORE_WHY_BYTES];
    assert_int_equal(store_begin(fixture->store, log_a, why), 0);
    assert_int_equal(store_apply(fixture->store, &events[0], why), STORE_APPLIED);
    assert_int_equal(store_apply(fixture->store, &events[1], why), STORE_REJECTED);
    assert_int_equal(store_apply(fixture->store, &events[2], ignored), STORE_APPLIED);
    assert_int_equal(store_commit(fixture->store, ignored), 0);
    assert_null(strstr(why, "secret"));
    assert_string_equal(ask(fixture, "SELECT group_concat(sequence) FROM interactions"), "5,7");
    assert_string_equal(ask(fixture, "SELECT count(*) FROM fences WHERE lane = 2"), "0");
    tell(fixture, "DROP TRIGGER poison");
    apply_one(fixture->store, events[1], STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT total FROM orders"), "39.80");
}

static void test_data_that_is_not_what_its_type_promises_is_rejected(void **state) {
    struct fixture *fixture = *state;
    static const struct {
        const char *type, *data;
    } rows[] = {
        {"order.placed", "{\"order_id\":\"o\"}"},
        {"order.placed", NULL},
        {"order.changed", "[]"},
        {"quote.issued", "{\"quote_id\":\"q\"}"},
        {"customer.identified", "{\"traits\":7}"},
        {"consent.changed", "{}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        apply_one(fixture->store, event_of(i + 1, 1, rows[i].type, rows[i].data), STORE_REJECTED);
    }
    assert_string_equal(ask(fixture, "SELECT count(*) FROM interactions"), "0");
}

static void test_locked_file_is_away_and_loses_nothing(void **state) {
    struct fixture *fixture = *state;
    sqlite3 *other = NULL;
    char why[STORE_WHY_BYTES];
    assert_int_equal(sqlite3_open(fixture->path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_begin(fixture->store, log_a, why), STORE_AWAY);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    apply_one(fixture->store, event_of(5, 1, "page.viewed", "{}"), STORE_APPLIED);
}

// The kernel refuses to let a file grow, as a full disk does.
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk_is_away_not_poison(void **state) {
    struct fixture *fixture = *state;
    enum { BYTES = 1 << 20 };
    char why[STORE_WHY_BYTES], *big = malloc(BYTES);
    memset(big, ' ', BYTES);
    memcpy(big, "{}", 2);
    big[BYTES - 1] = '\0';
    struct store_event event = event_of(5, 1, "page.viewed", big);
    limit_files(BYTES / 2);
    assert_int_equal(store_begin(fixture->store, log_a, why), 0);
    enum store_outcome outcome = store_apply(fixture->store, &event, why);
    int committed = outcome == STORE_APPLIED ? store_commit(fixture->store, why) : STORE_AWAY;
    limit_files(RLIM_INFINITY);
    assert_int_equal(committed, STORE_AWAY);
    apply_one(fixture->store, event, STORE_APPLIED);
    free(big);
}

static void test_order_keeps_the_highest_revision(void **state) {
    struct fixture *fixture = *state;
    struct store_event events[] = {
        event_of(1, 1, "order.placed", placed),
        event_of(2, 1, "order.changed",
                 "{\"order_id\":\"o-1\",\"status\":\"shipped\",\"revision\":3}"),
        event_of(3, 1, "order.changed",
                 "{\"order_id\":\"o-1\",\"status\":\"packed\",\"revision\":2}"),
        event_of(4, 1, "supply.changed", "{\"order_id\":\"o-1\",\"eta\":\"2026-03-09T00:00:00Z\"}"),
    };
    apply(fixture->store, events, 4, STORE_APPLIED);
    static const char again[] = "{\"order_id\":\"o-1\",\"currency\":\"EUR\",\"lines\":[]}";
    apply_one(fixture->store, event_of(5, 1, "order.placed", again), STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT status || revision || total || eta FROM orders"),
                        "shipped339.802026-03-09T00:00:00Z");
    assert_string_equal(ask(fixture, "SELECT sku || quantity || amount FROM order_lines"),
                        "A239.80");
}

static void test_quote_is_open_until_closed(void **state) {
    struct fixture *fixture = *state;
    struct store_event events[] = {
        event_of(1, 1, "quote.issued",
                 "{\"quote_id\":\"q\",\"revision\":1,\"currency\":\"EUR\",\"valid_until\":"
                 "\"2026-04-01T00:00:00Z\",\"lines\":[{\"sku\":\"A\",\"quantity\":1,\"price\":"
                 "\"5.00\"},{\"sku\":\"B\",\"quantity\":1,\"price\":\"6.00\"}]}"),
        event_of(2, 1, "quote.closed", "{\"quote_id\":\"q\",\"outcome\":\"accepted\"}"),
    };
    apply(fixture->store, events, 1, STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT status || total FROM quotes"), "open11.00");
    apply(fixture->store, events + 1, 1, STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT status || outcome FROM quotes"), "closedaccepted");
    assert_string_equal(ask(fixture, "SELECT count(*) FROM quote_lines"), "2");
}

static void test_attribute_is_the_last_writers_by_rank_time_and_id(void **state) {
    struct fixture *fixture = *state;
    static const char data[][64] = {
        "{\"traits\":{\"name\":\"Ana\",\"age\":4,\"vip\":true,\"a\":[1]}}",
        "{\"traits\":{\"name\":\"Old\"}}", "{\"traits\":{\"name\":\"Ranked\"}}",
        "{\"traits\":{\"age\":null}}"};
    struct store_event events[4];
    for (size_t i = 0; i < 4; i++) {
        events[i] = event_of(i + 1, 1, "customer.identified", data[i]);
    }
    events[1].time_us -= 1;
    events[2].time_us -= 2;
    events[2].rank = 1;
    events[3].time_us += 1;
    apply(fixture->store, events, 2, STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT name FROM profiles"), "Ana");
    assert_string_equal(ask(fixture, "SELECT value FROM attributes WHERE name = 'a'"), "[1]");
    apply(fixture->store, events + 2, 2, STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT name FROM profiles"), "Ranked");
    assert_string_equal(ask(fixture, "SELECT value IS NULL FROM attributes WHERE name = 'age'"),
                        "1");
}

static void test_consent_goes_by_time_and_a_tie_to_the_refusal(void **state) {
    struct fixture *fixture = *state;
    static const char form[] = "{\"purpose\":\"marketing\",\"address\":\"a@b.example\",\"state\":"
                               "\"%s\",\"text_version\":\"1\"}";
    static const struct {
        const char *state;
        int64_t time_us;
        const char *expected;
    } rows[] = {{"granted", 10, "granted"},
                {"withdrawn", 10, "withdrawn"},
                {"granted", 10, "withdrawn"},
                {"granted", 9, "withdrawn"},
                {"granted", 11, "granted"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char data[256];
        snprintf(data, sizeof(data), form, rows[i].state);
        struct store_event event = event_of(i + 1, 1, "consent.changed", data);
        event.time_us = rows[i].time_us;
        apply_one(fixture->store, event, STORE_APPLIED);
        assert_string_equal(ask(fixture, "SELECT state FROM consents"), rows[i].expected);
    }
}

static void test_keys_are_kept_with_their_customer(void **state) {
    struct fixture *fixture = *state;
    struct store_event event = event_of(5, 1, "page.viewed", "{}");
    event.keys[0] = (struct store_key){"email", "ana@klant.example"};
    event.n_keys = 1;
    apply_one(fixture->store, event, STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT customer FROM keys WHERE kind = 'email' AND value = "
                                     "'ana@klant.example'"),
                        "1");
    assert_string_equal(ask(fixture, "SELECT email FROM profiles"), "ana@klant.example");
}

static struct store_event says(uint64_t sequence, uint64_t customer, const char *kind,
                               const char *from, const char *to) {
    static char data[4][128]; // of the last few
    static unsigned next;
    char *text = data[next++ % 4];
    snprintf(text, sizeof(data[0]),
             "{\"kind\":\"%s\",\"from\":[\"%s\"],\"to\":\"%s\",\"reason\":\"requested\"}", kind,
             from, to);
    return event_of(sequence, customer, "identity.changed", text);
}

static const char profile_of[] =
    "SELECT group_concat(customer || ' ' || coalesce(name, '') || ' ' || interactions || ' ' || "
    "orders, '; ') FROM (SELECT * FROM profiles ORDER BY customer)";

// Each leaf keeps its rows: a profile is read over all of them, and a split gives them back.
static void test_merged_customers_read_as_one_until_they_are_split(void **state) {
    struct fixture *fixture = *state;
    struct store_event said[] = {
        event_of(1, 1, "customer.identified", "{\"traits\":{\"name\":\"Ana\"}}"),
        event_of(2, 2, "customer.identified", "{\"traits\":{\"name\":\"Ana Visser\"}}"),
        event_of(3, 2, "order.placed", placed),
        event_of(4, 3, "page.viewed", "{}"),
        says(5, 2, "merged", "c3", "c2"),
        says(6, 1, "merged", "c2", "c1"),
    };
    said[1].time_us = 1500000;
    apply(fixture->store, said, 6, STORE_APPLIED);
    assert_string_equal(ask(fixture, profile_of), "1 Ana Visser 6 1");
    assert_string_equal(ask(fixture, "SELECT group_concat(customer) FROM leaves"), "1,1,1");
    apply_one(fixture->store, says(7, 1, "split", "c2", "c1"), STORE_APPLIED);
    assert_string_equal(ask(fixture, profile_of), "1 Ana 3 0; 2 Ana Visser 4 1");
    apply_one(fixture->store, says(8, 1, "refused", "c2", "c1"), STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT customer FROM merges WHERE leaf = 3"), "2");
}

// Lanes are taken side by side: a lane that was parked brings an older merge behind a newer one.
static void test_merges_that_come_out_of_order_end_the_same(void **state) {
    struct fixture *fixture = *state;
    for (uint64_t customer = 1; customer <= 3; customer++) {
        apply_one(fixture->store, event_of(customer, customer, "page.viewed", "{}"), STORE_APPLIED);
    }
    apply_one(fixture->store, says(6, 1, "merged", "c2", "c1"), STORE_APPLIED);
    apply_one(fixture->store, says(5, 2, "merged", "c3", "c2"), STORE_APPLIED);
    assert_string_equal(ask(fixture, profile_of), "1  5 0");
    apply_one(fixture->store, says(9, 1, "split", "c3", "c1"), STORE_APPLIED);
    struct store_event late = says(7, 3, "merged", "c3", "c2");
    late.lane = 9;
    apply_one(fixture->store, late, STORE_APPLIED);
    assert_string_equal(ask(fixture, "SELECT group_concat(customer) FROM leaves"), "1,1,3");
}

static void test_another_log_empties_the_file_and_leaves_a_copy(void **state) {
    struct fixture *fixture = *state;
    char why[STORE_WHY_BYTES];
    struct store_event event = event_of(5, 1, "page.viewed", "{}");
    apply_one(fixture->store, event, STORE_APPLIED);
    assert_int_equal(store_begin(fixture->store, log_b, why), 0);
    assert_int_equal(store_apply(fixture->store, &event, why), STORE_APPLIED);
    assert_int_equal(store_commit(fixture->store, why), 0);
    assert_string_equal(ask(fixture, "SELECT count(*) FROM interactions"), "1");
    assert_string_equal(ask(fixture, "SELECT incarnation FROM log"),
                        "bb000000000000000000000000000001");
    int n_copies = 0;
    DIR *folder = opendir(fixture->folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        n_copies += strncmp(entry->d_name, "crm.sqlite.aa00", 15) == 0;
    }
    closedir(folder);
    assert_int_equal(n_copies, 1);
}

static void test_file_is_its_owners_and_a_newer_one_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct stat status;
    struct store *second = NULL;
    assert_int_equal(stat(fixture->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    tell(fixture, "PRAGMA user_version = 99");
    assert_int_not_equal(store_open(fixture->path, &second), 0);
    assert_null(second);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_event_is_there_once_however_often_it_comes),
        TEST(test_what_the_broker_counted_is_summed_by_day),
        TEST(test_late_lane_is_not_taken_for_old),
        TEST(test_lane_with_the_high_bit_has_a_fence_too),
        TEST(test_nothing_of_an_uncommitted_batch_is_there),
        TEST(test_poison_is_rejected_alone_and_fits_later),
        TEST(test_data_that_is_not_what_its_type_promises_is_rejected),
        TEST(test_locked_file_is_away_and_loses_nothing),
        TEST(test_full_disk_is_away_not_poison),
        TEST(test_order_keeps_the_highest_revision),
        TEST(test_quote_is_open_until_closed),
        TEST(test_attribute_is_the_last_writers_by_rank_time_and_id),
        TEST(test_consent_goes_by_time_and_a_tie_to_the_refusal),
        TEST(test_keys_are_kept_with_their_customer),
        TEST(test_merged_customers_read_as_one_until_they_are_split),
        TEST(test_merges_that_come_out_of_order_end_the_same),
        TEST(test_another_log_empties_the_file_and_leaves_a_copy),
        TEST(test_file_is_its_owners_and_a_newer_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
