// SPDX-License-Identifier: Apache-2.0
// What touchbus-email keeps in its folder: cursor, mails seen, bodies and whose they are, contacts.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/email/bodies.h"
#include "connectors/email/cursor.h"
#include "connectors/email/durable.h"
#include "connectors/email/record.h"
#include "connectors/email/seen.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char folder[512];
static int fd = -1;

static int remove_each(void *user, const char *name) {
    return unlinkat(*(int *)user, name, 0) != 0 ? -errno : 0;
}

static int setup(void **data) {
    (void)data;
    snprintf(folder, sizeof(folder), "%s/touchbus-email-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0;
}

static int teardown(void **data) {
    static const char *const folders[] = {"bodies", "owners", "contacts"};
    (void)data;
    for (size_t i = 0; i < 3; i++) {
        int sub = openat(fd, folders[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (sub >= 0) {
            durable_each(sub, remove_each, &sub);
            close(sub);
            unlinkat(fd, folders[i], AT_REMOVEDIR);
        }
    }
    durable_each(fd, remove_each, &fd);
    close(fd);
    return rmdir(folder);
}

static void test_a_cursor_counts_for_its_mailbox_alone(void **data) {
    (void)data;
    struct cursor cursor = {7, 42}, read;
    assert_int_equal(cursor_read(fd, "imaps://a/INBOX", &read), 0);
    assert_int_equal(read.uidvalidity, 0);
    assert_int_equal(cursor_write(fd, "imaps://a/INBOX", &cursor), 0);
    assert_int_equal(cursor_read(fd, "imaps://a/INBOX", &read), 0);
    assert_int_equal(read.uidvalidity, 7);
    assert_int_equal(read.uid, 42);
    assert_int_equal(cursor_read(fd, "imaps://b/INBOX", &read), 0);
    assert_int_equal(read.uid, 0);
}

static void test_a_broken_cursor_is_none(void **data) {
    (void)data;
    static const char *const broken[] = {"", "nonsense", "0 1", "0 99999999999 1\n", "0 1 2"};
    struct cursor read;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_int_equal(durable_write(fd, "cursor", broken[i], strlen(broken[i])), 0);
        assert_int_equal(cursor_read(fd, "imaps://a/INBOX", &read), 0);
        assert_int_equal(read.uid, 0);
    }
}

static void test_mails_are_known_after_a_restart_and_a_torn_key_is_cut(void **data) {
    (void)data;
    enum { MANY = 3000 };
    struct seen *seen = NULL;
    char id[65];
    assert_int_equal(seen_open(fd, &seen), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "%064x", (unsigned)i * 2654435U + 1U);
        memmove(id, id + 32, 32); // the digits that count
        assert_false(seen_has(seen, id));
        assert_int_equal(seen_add(seen, id), 0);
        assert_int_equal(seen_add(seen, id), 0);
    }
    assert_int_equal(seen_sync(seen), 0);
    seen_close(seen);
    int file = openat(fd, "seen", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(file, "torn", 4), 4);
    close(file);
    assert_int_equal(seen_open(fd, &seen), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(id, sizeof(id), "%064x", (unsigned)i * 2654435U + 1U);
        memmove(id, id + 32, 32);
        assert_true(seen_has(seen, id));
    }
    assert_false(seen_has(seen, HASH_A));
    assert_false(seen_has(seen, "no hex at all"));
    assert_int_equal(seen_add(seen, HASH_A), 0);
    seen_close(seen);
    assert_int_equal(seen_open(fd, &seen), 0);
    assert_true(seen_has(seen, HASH_A));
    seen_close(seen);
}

static bool is_kept(const char *hash) {
    char path[128];
    snprintf(path, sizeof(path), "bodies/%s", hash);
    return faccessat(fd, path, F_OK, 0) == 0;
}

static void test_a_body_goes_with_its_last_owner(void **data) {
    (void)data;
    struct bodies *bodies = NULL;
    assert_int_equal(bodies_open(fd, &bodies), 0);
    assert_int_equal(bodies_keep(bodies, HASH_A, "a", 1), 0);
    assert_int_equal(bodies_keep(bodies, HASH_A, "a", 1), 0);
    assert_int_equal(bodies_keep(bodies, HASH_B, "b", 1), 0);
    assert_int_equal(bodies_own(bodies, HASH_A, "c1"), 0);
    assert_int_equal(bodies_own(bodies, HASH_A, "c11"), 0);
    assert_int_equal(bodies_own(bodies, HASH_B, "c1"), 0);
    assert_int_equal(bodies_erase(bodies, "c1"), 0);
    assert_true(is_kept(HASH_A));
    assert_false(is_kept(HASH_B));
    assert_int_equal(bodies_erase(bodies, "c11"), 0);
    assert_false(is_kept(HASH_A));
    bodies_close(bodies);
}

static void test_what_is_no_hash_is_no_name(void **data) {
    (void)data;
    struct bodies *bodies = NULL;
    assert_int_equal(bodies_open(fd, &bodies), 0);
    assert_int_equal(bodies_keep(bodies, "../escaped", "x", 1), -EINVAL);
    assert_int_equal(bodies_own(bodies, "../cursor", "c1"), 0);
    assert_int_equal(bodies_own(bodies, HASH_A, "../c1"), 0);
    assert_int_equal(bodies_expire(bodies, INT64_MAX), 0);
    bodies_close(bodies);
}

static void test_contacts_are_remembered_and_go_with_their_owner(void **data) {
    (void)data;
    int records = records_open(fd);
    assert_true(records >= 0);
    json_t *record = json_pack("{s:s, s:s, s:s}", "contact_id", "../k-1", "owner", "c1", "state",
                               "handed"),
           *read = NULL;
    assert_int_equal(record_load(records, "../k-1", &read), 1);
    assert_int_equal(record_save(records, record), 0);
    assert_int_equal(record_load(records, "../k-1", &read), 0);
    assert_true(json_equal(record, read));
    json_decref(read);
    assert_int_equal(records_erase(records, "c2"), 0);
    assert_int_equal(record_load(records, "../k-1", &read), 0);
    json_decref(read);
    assert_int_equal(records_erase(records, "c1"), 0);
    assert_int_equal(record_load(records, "../k-1", &read), 1);
    json_decref(record);
    close(records);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_cursor_counts_for_its_mailbox_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_broken_cursor_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mails_are_known_after_a_restart_and_a_torn_key_is_cut,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_body_goes_with_its_last_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_hash_is_no_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contacts_are_remembered_and_go_with_their_owner, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
