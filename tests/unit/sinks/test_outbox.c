// SPDX-License-Identifier: Apache-2.0
// The rules of the outbox folder and of what goes into it for suppliers.
#include <dirent.h>
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

#include "connectors/kit/outbox.h"
#include "connectors/scm/purchases.h"

struct fixture {
    char folder[64], documents[96], records[96];
    struct outbox *outbox;
    struct suppliers *suppliers;
    struct ubl_party buyer;
    struct purchases purchases;
};

static char row_a[] = "A-*, acme, Acme, 8712345000004", row_b[] = "B-*, bolt, Bolt & Co",
            row_a2[] = "A-9, never, Never";
static char *rows[] = {row_a, row_b, row_a2};
static const struct option_list table = {.values = rows, .n_values = 3};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char error[256];
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/touchbus-outbox-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->documents, sizeof(fixture->documents), "%s/outbox", fixture->folder);
    snprintf(fixture->records, sizeof(fixture->records), "%s/sent", fixture->folder);
    assert_int_equal(outbox_open(fixture->documents, fixture->records, &fixture->outbox), 0);
    assert_int_equal(
        suppliers_parse(&table, "main, Main", &fixture->suppliers, error, sizeof(error)), 0);
    fixture->buyer = (struct ubl_party){"us", "Us", NULL};
    fixture->purchases = (struct purchases){
        .outbox = fixture->outbox, .suppliers = fixture->suppliers, .buyer = &fixture->buyer};
    *state = fixture;
    return 0;
}

static void clear(const char *path) {
    DIR *folder = opendir(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    rmdir(path);
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    outbox_close(fixture->outbox);
    suppliers_free(fixture->suppliers);
    clear(fixture->documents);
    clear(fixture->records);
    rmdir(fixture->folder);
    free(fixture);
    return 0;
}

static bool has(const struct fixture *fixture, const char *name) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", fixture->documents, name);
    return access(path, F_OK) == 0;
}

static size_t count(const char *path) {
    size_t n = 0;
    DIR *folder = opendir(path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        n += entry->d_name[0] != '.' || entry->d_name[1] == '\0' || strlen(entry->d_name) > 2;
    }
    closedir(folder);
    return n - 1; // "."
}

// ---- names

static void test_name_cannot_leave_the_folder(void **state) {
    (void)state;
    char part[OUTBOX_PART_BYTES];
    assert_string_equal(outbox_escape("o-17_x", part), "o-17_x");
    assert_string_equal(outbox_escape("../../etc/passwd", part), "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd");
    assert_string_equal(outbox_escape(".", part), "%2E");
    assert_string_equal(outbox_escape("a%2Fb\n\xc3\xa9", part), "a%252Fb%0A%C3%A9");
}

static void test_long_names_stay_apart(void **state) {
    (void)state;
    char a[OUTBOX_PART_BYTES], b[OUTBOX_PART_BYTES], text[300];
    memset(text, '/', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    outbox_escape(text, a);
    text[sizeof(text) - 2] = 'x';
    outbox_escape(text, b);
    assert_true(strlen(a) < OUTBOX_PART_BYTES);
    assert_string_not_equal(a, b);
    assert_non_null(strchr(a, '~'));
}

// ---- documents and records

static void test_record_is_there_only_after_the_flush(void **state) {
    struct fixture *fixture = *state;
    void *bytes = NULL;
    size_t size = 0;
    assert_int_equal(outbox_put(fixture->outbox, "a.json", "1", 1), 0);
    assert_int_equal(outbox_remember(fixture->outbox, "a.json", NULL, "one", 3), 0);
    assert_true(has(fixture, "a.json"));
    assert_int_equal(count(fixture->records), 0);
    assert_int_equal(outbox_recall(fixture->outbox, "a.json", &bytes, &size), 0);
    assert_memory_equal(bytes, "one", 3);
    free(bytes);
    outbox_forget(fixture->outbox);
    assert_int_equal(outbox_recall(fixture->outbox, "a.json", &bytes, &size), 1);
    assert_int_equal(outbox_remember(fixture->outbox, "a.json", NULL, "two", 3), 0);
    assert_int_equal(outbox_flush(fixture->outbox), 0);
    assert_int_equal(outbox_recall(fixture->outbox, "a.json", &bytes, &size), 0);
    assert_memory_equal(bytes, "two", 3);
    free(bytes);
    assert_int_equal(count(fixture->documents), 1); // nothing left aside
}

static void test_folder_that_is_gone_is_an_error_not_a_loss(void **state) {
    struct fixture *fixture = *state;
    rmdir(fixture->documents);
    assert_true(outbox_put(fixture->outbox, "a.json", "1", 1) < 0);
    mkdir(fixture->documents, 0700);
}

// ---- what is no longer kept

static void remember(struct fixture *fixture, const char *name, const char *owner) {
    assert_int_equal(outbox_remember(fixture->outbox, name, owner, name, strlen(name)), 0);
    assert_int_equal(outbox_flush(fixture->outbox), 0);
}

static bool is_remembered(struct fixture *fixture, const char *name) {
    void *bytes = NULL;
    size_t size = 0;
    int r = outbox_recall(fixture->outbox, name, &bytes, &size);
    free(bytes);
    return r == 0;
}

static void take_note(void *user, const void *bytes, size_t size) {
    (void)bytes;
    *(size_t *)user += size;
}

static void test_an_owner_is_erased_with_documents_and_nobody_else(void **state) {
    struct fixture *fixture = *state;
    size_t told = 0;
    static const char *const documents[] = {"o-1.json", "o-1.acme.order.xml", ".o-1.json.new",
                                            "o-10.json", "o-2.json"};
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        assert_int_equal(outbox_put(fixture->outbox, documents[i], "x", 1), 0);
    }
    remember(fixture, "o-1.json", "c4");
    remember(fixture, "o-1.json", "c4"); // changed
    remember(fixture, "o-2.json", "c42");
    remember(fixture, "o-10.json", NULL);
    assert_int_equal(outbox_each(fixture->outbox, "c4", take_note, &told), 0);
    assert_int_equal(told, strlen("o-1.json"));
    assert_int_equal(outbox_erase(fixture->outbox, "c4"), 0);
    assert_false(is_remembered(fixture, "o-1.json"));
    assert_true(is_remembered(fixture, "o-2.json"));
    assert_true(is_remembered(fixture, "o-10.json"));
    assert_int_equal(count(fixture->documents), 2);
    assert_true(has(fixture, "o-2.json") && has(fixture, "o-10.json"));
    assert_int_equal(count(fixture->records), 3); // two records, a link
    assert_int_equal(outbox_erase(fixture->outbox, "c4"), 0);
    assert_int_equal(outbox_erase(fixture->outbox, "c42"), 0);
    assert_int_equal(count(fixture->records), 1);
}

static void test_an_owner_cannot_name_a_path(void **state) {
    struct fixture *fixture = *state;
    assert_true(outbox_remember(fixture->outbox, "a.json", "../c4", "x", 1) < 0);
    assert_true(outbox_remember(fixture->outbox, "a.json", "c4@c5", "x", 1) < 0);
}

static void test_old_records_are_forgotten_with_their_links(void **state) {
    struct fixture *fixture = *state;
    remember(fixture, "old.json", "c4");
    remember(fixture, "new.json", "c4");
    char path[512];
    snprintf(path, sizeof(path), "%s/old.json", fixture->records);
    const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    const int64_t day_us = INT64_C(86400) * 1000000;
    assert_int_equal(outbox_expire(fixture->outbox, day_us), 0);
    assert_int_equal(outbox_expire(fixture->outbox, day_us), 0);
    assert_false(is_remembered(fixture, "old.json"));
    assert_true(is_remembered(fixture, "new.json"));
    assert_int_equal(count(fixture->records), 2);
}

// ---- suppliers

static void test_first_supplier_that_fits_wins(void **state) {
    struct fixture *fixture = *state;
    assert_string_equal(suppliers_find(fixture->suppliers, "A-9")->id, "acme");
    assert_string_equal(suppliers_find(fixture->suppliers, "B-1")->name, "Bolt & Co");
    assert_string_equal(suppliers_find(fixture->suppliers, "C-1")->id, "main");
    assert_string_equal(suppliers_find(fixture->suppliers, "A-1")->gln, "8712345000004");
}

static void test_bad_supplier_rows_are_named(void **state) {
    (void)state;
    static char bad[][48] = {"A-*",
                             "A-*, acme",
                             "A-*, , Acme",
                             "A-*, acme, Acme, 8712345000005",
                             "A-*, acme, Acme, 871234500000x",
                             "A,b,c,8712345000004,e"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *one[] = {bad[i]}, error[256] = "";
        struct option_list list = {.values = one, .n_values = 1};
        struct suppliers *suppliers = NULL;
        assert_true(suppliers_parse(&list, NULL, &suppliers, error, sizeof(error)) < 0);
        assert_non_null(strstr(error, bad[i]));
        assert_null(suppliers);
    }
}

// ---- purchases

static struct order_event event_at(uint64_t sequence, const char *data) {
    static char text[1024];
    snprintf(text, sizeof(text), "%s", data);
    return (struct order_event){.facts = {.sequence = sequence,
                                          .incarnation = "00",
                                          .time = "2026-03-01T10:00:00Z",
                                          .customer = "c1"},
                                .data = text,
                                .data_size = strlen(text)};
}

static const char order[] = "{\"order_id\":\"o/1\",\"currency\":\"EUR\",\"lines\":["
                            "{\"sku\":\"A-1\",\"quantity\":1,\"price\":\"1.00\"},"
                            "{\"sku\":\"B-1\",\"quantity\":1,\"price\":\"2.00\"},"
                            "{\"sku\":\"A-2\",\"quantity\":1,\"price\":\"3.00\"}]}";
static const char off[] = "{\"order_id\":\"o/1\",\"status\":\"cancelled\",\"revision\":1}";

static void place(struct fixture *fixture, uint64_t sequence) {
    char why[ORDER_WHY_BYTES];
    struct order_event event = event_at(sequence, order);
    assert_int_equal(purchases_place(&fixture->purchases, &event, why), 0);
    assert_int_equal(outbox_flush(fixture->outbox), 0);
}

static void change(struct fixture *fixture, uint64_t sequence, const char *data) {
    char why[ORDER_WHY_BYTES];
    struct order_event event = event_at(sequence, data);
    assert_int_equal(purchases_change(&fixture->purchases, &event, why), 0);
    assert_int_equal(outbox_flush(fixture->outbox), 0);
}

static void test_order_is_one_document_a_supplier(void **state) {
    struct fixture *fixture = *state;
    place(fixture, 5);
    assert_true(has(fixture, "o%2F1.acme.order.xml"));
    assert_true(has(fixture, "o%2F1.bolt.order.xml"));
    assert_int_equal(count(fixture->documents), 2);
}

static void test_repeat_does_not_order_again_what_was_taken(void **state) {
    struct fixture *fixture = *state;
    place(fixture, 5);
    char path[512];
    snprintf(path, sizeof(path), "%s/o%%2F1.acme.order.xml", fixture->documents);
    assert_int_equal(unlink(path), 0);
    place(fixture, 5);
    place(fixture, 6);
    assert_false(has(fixture, "o%2F1.acme.order.xml"));
    assert_int_equal(fixture->purchases.n_documents, 2);
}

static void test_what_is_remembered_of_an_order_is_its_customers_and_holds_no_keys(void **state) {
    struct fixture *fixture = *state;
    struct order_event event =
        event_at(5, "{\"order_id\":\"o-1\",\"currency\":\"EUR\",\"ship_to\":\"canary\","
                    "\"lines\":[{\"sku\":\"A-1\",\"quantity\":1,\"price\":\"1.00\"}]}");
    char why[ORDER_WHY_BYTES];
    void *bytes = NULL;
    size_t size = 0;
    assert_int_equal(purchases_place(&fixture->purchases, &event, why), 0);
    assert_int_equal(outbox_flush(fixture->outbox), 0);
    assert_int_equal(outbox_recall(fixture->outbox, "o-1.json", &bytes, &size), 0);
    assert_null(memmem(bytes, size, "canary", 6));
    free(bytes);
    assert_true(has(fixture, "o-1.acme.order.xml"));
    assert_int_equal(outbox_erase(fixture->outbox, "c1"), 0);
    assert_int_equal(count(fixture->documents), 0);
    assert_int_equal(count(fixture->records), 0);
}

static void test_cancellation_goes_to_each_supplier_once(void **state) {
    struct fixture *fixture = *state;
    place(fixture, 5);
    change(fixture, 6, "{\"order_id\":\"o/1\",\"status\":\"packed\",\"revision\":1}");
    assert_int_equal(fixture->purchases.n_documents, 2);
    change(fixture, 7, off);
    change(fixture, 7, off);
    change(fixture, 8, off);
    assert_true(has(fixture, "o%2F1.acme.cancellation.xml"));
    assert_true(has(fixture, "o%2F1.bolt.cancellation.xml"));
    assert_int_equal(fixture->purchases.n_documents, 4);
}

static void test_change_of_an_unknown_order_tells_no_supplier(void **state) {
    struct fixture *fixture = *state;
    change(fixture, 5, off);
    assert_int_equal(fixture->purchases.n_unknown_orders, 1);
    assert_int_equal(count(fixture->documents), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_cannot_leave_the_folder),
        cmocka_unit_test(test_long_names_stay_apart),
        TEST(test_record_is_there_only_after_the_flush),
        TEST(test_folder_that_is_gone_is_an_error_not_a_loss),
        TEST(test_an_owner_is_erased_with_documents_and_nobody_else),
        TEST(test_an_owner_cannot_name_a_path),
        TEST(test_old_records_are_forgotten_with_their_links),
        TEST(test_first_supplier_that_fits_wins),
        cmocka_unit_test(test_bad_supplier_rows_are_named),
        TEST(test_order_is_one_document_a_supplier),
        TEST(test_repeat_does_not_order_again_what_was_taken),
        TEST(test_what_is_remembered_of_an_order_is_its_customers_and_holds_no_keys),
        TEST(test_cancellation_goes_to_each_supplier_once),
        TEST(test_change_of_an_unknown_order_tells_no_supplier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
