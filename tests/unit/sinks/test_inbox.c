// SPDX-License-Identifier: Apache-2.0
// The rules of the inbox's folders: which files are taken, in which order, and where they go.
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

#include "connectors/kit/inbox.h"
#include "connectors/kit/inbox_folders.h"

enum { BYTES_MAX = 100, NAMES_MAX = 4 };

struct fixture {
    char root[64], inbox[96];
    struct inbox_folders folders;
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    snprintf(fixture->root, sizeof(fixture->root), "/tmp/touchbus-inbox-XXXXXX");
    assert_non_null(mkdtemp(fixture->root));
    snprintf(fixture->inbox, sizeof(fixture->inbox), "%s/inbox", fixture->root);
    assert_int_equal(inbox_folders_open(fixture->inbox, &fixture->folders), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    static const char *const names[] = {"inbox", "done", "failed"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", fixture->root, names[i]);
        DIR *folder = opendir(path);
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
            unlinkat(dirfd(folder), entry->d_name, 0);
            unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR);
        }
        closedir(folder);
        rmdir(path);
    }
    inbox_folders_close(&fixture->folders);
    rmdir(fixture->root);
    free(fixture);
    return 0;
}

static void drop(const struct fixture *fixture, const char *name, const char *text, bool is_old) {
    static const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    int fd = openat(fixture->folders.inbox_fd, name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    if (is_old) {
        assert_int_equal(futimens(fd, old), 0);
    }
    close(fd);
}

static bool taken(const void *user, const char *name) {
    return user != NULL && strcmp(user, name) == 0;
}

static bool is_there(int folder_fd, const char *name) {
    return faccessat(folder_fd, name, F_OK, 0) == 0;
}

static void test_scan_takes_files_in_the_order_of_their_names(void **state) {
    struct fixture *fixture = *state;
    static const char *const names[] = {"c", "a", "e", "b", "d"};
    char found[NAMES_MAX][INBOX_NAME_BYTES];
    for (size_t i = 0; i < 5; i++) {
        drop(fixture, names[i], "", true);
    }
    assert_int_equal(inbox_folders_scan(&fixture->folders, taken, NULL, found, NAMES_MAX), 4);
    assert_string_equal(found[0], "a");
    assert_string_equal(found[3], "d");
    assert_int_equal(inbox_folders_scan(&fixture->folders, taken, "a", found, NAMES_MAX), 4);
    assert_string_equal(found[0], "b");
    assert_string_equal(found[3], "e");
}

static void test_scan_leaves_unfinished_names_and_what_is_no_file(void **state) {
    struct fixture *fixture = *state;
    static const char *const names[] = {".a", "a.tmp", "a.part", "a.new", "good.json"};
    char found[NAMES_MAX][INBOX_NAME_BYTES];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        drop(fixture, names[i], "", true);
    }
    assert_int_equal(mkdirat(fixture->folders.inbox_fd, "folder", 0700), 0);
    assert_int_equal(symlinkat("/etc/passwd", fixture->folders.inbox_fd, "link"), 0);
    assert_int_equal(mkfifoat(fixture->folders.inbox_fd, "pipe", 0600), 0);
    assert_int_equal(inbox_folders_scan(&fixture->folders, taken, NULL, found, NAMES_MAX), 1);
    assert_string_equal(found[0], "good.json");
}

static void test_read_opens_no_links_and_no_pipes(void **state) {
    struct fixture *fixture = *state;
    struct inbox_content content;
    char why[INBOX_WHY_BYTES];
    assert_int_equal(symlinkat("/etc/passwd", fixture->folders.inbox_fd, "link"), 0);
    assert_int_equal(mkfifoat(fixture->folders.inbox_fd, "pipe", 0600), 0);
    assert_int_equal(inbox_folders_read(&fixture->folders, "link", BYTES_MAX, &content, why), 2);
    assert_int_equal(inbox_folders_read(&fixture->folders, "pipe", BYTES_MAX, &content, why), 2);
    assert_int_equal(inbox_folders_read(&fixture->folders, "gone", BYTES_MAX, &content, why), 2);
}

static void test_read_refuses_what_is_too_large_before_reading(void **state) {
    struct fixture *fixture = *state;
    struct inbox_content content;
    char why[INBOX_WHY_BYTES], text[BYTES_MAX + 2];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    drop(fixture, "large", text, true);
    assert_int_equal(inbox_folders_read(&fixture->folders, "large", BYTES_MAX, &content, why), 1);
    assert_string_equal(why, "it is over 100 bytes");
}

static void test_hash_follows_from_name_and_content(void **state) {
    struct fixture *fixture = *state;
    static const char *const names[] = {"a", "b", "a", "a"}, *const texts[] = {"1", "1", "2", "1"};
    char hashes[4][INBOX_HASH_BYTES], why[INBOX_WHY_BYTES];
    for (size_t i = 0; i < 4; i++) {
        struct inbox_content content;
        drop(fixture, names[i], texts[i], i % 2 == 0);
        assert_int_equal(inbox_folders_read(&fixture->folders, names[i], BYTES_MAX, &content, why),
                         0);
        assert_int_equal(content.is_young, i % 2 != 0);
        snprintf(hashes[i], sizeof(hashes[i]), "%s", content.hash);
        free(content.bytes);
    }
    assert_string_not_equal(hashes[0], hashes[1]);
    assert_string_not_equal(hashes[0], hashes[2]);
    assert_string_equal(hashes[0], hashes[3]);
}

static void test_done_overwrites_no_other_file(void **state) {
    struct fixture *fixture = *state;
    drop(fixture, "a", "1", true);
    assert_int_equal(inbox_folders_done(&fixture->folders, "a", "0011223344556677"), 0);
    drop(fixture, "a", "2", true);
    assert_int_equal(inbox_folders_done(&fixture->folders, "a", "8899aabbccddeeff"), 0);
    assert_true(is_there(fixture->folders.done_fd, "a"));
    assert_true(is_there(fixture->folders.done_fd, "a.ccddeeff"));
    assert_false(is_there(fixture->folders.inbox_fd, "a"));
}

static void test_failed_has_its_reason_beside_it(void **state) {
    struct fixture *fixture = *state;
    char text[32] = "";
    drop(fixture, "a", "1", true);
    assert_int_equal(inbox_folders_fail(&fixture->folders, "a", "00", "it is bad"), 0);
    assert_true(is_there(fixture->folders.failed_fd, "a"));
    int fd = openat(fixture->folders.failed_fd, "a.reason", O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 10);
    close(fd);
    assert_string_equal(text, "it is bad\n");
}

static size_t n_of(int folder_fd) {
    size_t n = 0;
    DIR *folder = fdopendir(openat(folder_fd, ".", O_RDONLY | O_DIRECTORY));
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    closedir(folder);
    return n;
}

static void test_erasing_takes_what_speaks_of_an_order_as_a_word(void **state) {
    struct fixture *fixture = *state;
    static const char *const texts[] = {"o-1", "x/2"};
    static const char *const files[][2] = {{"a.json", "{\"order_id\":\"o-1\"}"},
                                           {"b.xml", "<ID>x/2</ID>"},
                                           {"o-1.json", "{}"},
                                           {"c.json", "{\"order_id\":\"o-10\"}"},
                                           {"d.json", "{\"order_id\":\"foo-1\"}"},
                                           {"e.json", ""}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        drop(fixture, files[i][0], files[i][1], true);
        assert_int_equal(inbox_folders_done(&fixture->folders, files[i][0], "hash"), 0);
    }
    drop(fixture, "bad.json", "[{\"order_id\":\"o-1\"},", true);
    assert_int_equal(inbox_folders_fail(&fixture->folders, "bad.json", "hash", "cut"), 0);
    assert_int_equal(inbox_folders_erase(&fixture->folders, texts, 0), 0);
    assert_int_equal(n_of(fixture->folders.done_fd), 6);
    assert_int_equal(inbox_folders_erase(&fixture->folders, texts, 2), 0);
    assert_int_equal(n_of(fixture->folders.done_fd), 3);
    assert_int_equal(n_of(fixture->folders.failed_fd), 1); // the reason
}

static void test_erasing_an_order_that_is_a_number_spares_quantities(void **state) {
    struct fixture *fixture = *state;
    static const char *const texts[] = {"1"};
    static const char *const files[][2] = {{"a.json", "{\"order_id\":\"1\"}"},
                                           {"b.xml", "<ID>1</ID>"},
                                           {"c.json", "{\"order_id\":\"o-7\",\"quantity\":1}"},
                                           {"d.json", "{\"order_id\":\"1-7\", \"lines\":[1, 1]}"},
                                           {"e 1.json", "{}"}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        drop(fixture, files[i][0], files[i][1], true);
        assert_int_equal(inbox_folders_done(&fixture->folders, files[i][0], "hash"), 0);
    }
    assert_int_equal(inbox_folders_erase(&fixture->folders, texts, 1), 0);
    assert_int_equal(n_of(fixture->folders.done_fd), 3);
}

static void test_old_reports_leave_done(void **state) {
    struct fixture *fixture = *state;
    drop(fixture, "old.json", "{}", true);
    drop(fixture, "new.json", "{}", false);
    assert_int_equal(inbox_folders_done(&fixture->folders, "old.json", "hash"), 0);
    assert_int_equal(inbox_folders_done(&fixture->folders, "new.json", "hash"), 0);
    assert_int_equal(inbox_folders_expire(&fixture->folders, INT64_C(86400) * 1000000), 0);
    assert_int_equal(n_of(fixture->folders.done_fd), 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_scan_takes_files_in_the_order_of_their_names),
        TEST(test_scan_leaves_unfinished_names_and_what_is_no_file),
        TEST(test_read_opens_no_links_and_no_pipes),
        TEST(test_read_refuses_what_is_too_large_before_reading),
        TEST(test_hash_follows_from_name_and_content),
        TEST(test_done_overwrites_no_other_file),
        TEST(test_failed_has_its_reason_beside_it),
        TEST(test_erasing_takes_what_speaks_of_an_order_as_a_word),
        TEST(test_erasing_an_order_that_is_a_number_spares_quantities),
        TEST(test_old_reports_leave_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
