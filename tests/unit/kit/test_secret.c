// SPDX-License-Identifier: Apache-2.0
// Passwords from files and the environment: what is taken, what is refused, and that no error text
// says any of it.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "connectors/kit/secret.h"

enum { PATH_BYTES = 512 };
#define VARIABLE "TOUCHBUS_TEST_PASSWORD"

static char folder[PATH_BYTES], path[PATH_BYTES + 16];
static struct kit_secret secret;
static char why[KIT_SECRET_WHY_BYTES];

static int setup(void **data) {
    (void)data;
    snprintf(folder, sizeof(folder), "%s/touchbus-secret-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/password", folder);
    return unsetenv(VARIABLE);
}

static int teardown(void **data) {
    (void)data;
    unlink(path);
    return rmdir(folder);
}

static int read_written(const char *bytes, size_t size, mode_t mode) {
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return kit_secret_read(path, VARIABLE, &secret, why);
}

static int read_text(const char *text, mode_t mode) {
    return read_written(text, strlen(text), mode);
}

static void test_the_line_end_is_cut_and_nothing_else(void **data) {
    (void)data;
    static const struct {
        const char *file, *text;
    } rows[] = {{"geheim", "geheim"},
                {"geheim\n", "geheim"},
                {"geheim\r\n", "geheim"},
                {" ge heim ", " ge heim "},
                {"p\xc3\xa4ss\n", "p\xc3\xa4ss"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text(rows[i].file, 0600), 0);
        assert_string_equal(secret.text, rows[i].text);
        assert_int_equal(secret.size, strlen(rows[i].text));
    }
}

static void test_a_file_that_others_get_at_is_refused(void **data) {
    (void)data;
    static const mode_t modes[] = {0604, 0602, 0620, 0666, 0644, 0660};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(read_text("geheim\n", modes[i]), -EPERM);
        assert_int_equal(secret.size, 0);
        assert_string_equal(secret.text, "");
        assert_non_null(strstr(why, path));
    }
    assert_int_equal(read_text("geheim\n", 0400), 0);
}

static void test_what_is_no_password_is_refused_without_showing_it(void **data) {
    (void)data;
    char large[KIT_SECRET_BYTES_MAX + 2];
    memset(large, 'x', sizeof(large));
    assert_int_equal(read_text("", 0600), -ENODATA);
    assert_int_equal(read_text("\n", 0600), -ENODATA);
    assert_int_equal(read_text("geheim\nzwei\n", 0600), -EBADMSG);
    assert_null(strstr(why, "geheim"));
    assert_int_equal(read_written("ge\0heim", 7, 0600), -EBADMSG);
    assert_int_equal(read_written(large, sizeof(large), 0600), -EFBIG);
    assert_int_equal(read_written(large, KIT_SECRET_BYTES_MAX, 0600), 0);
    assert_int_equal(kit_secret_read(folder, NULL, &secret, why), -EINVAL);
    unlink(path);
    assert_int_equal(kit_secret_read(path, NULL, &secret, why), -ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(kit_secret_read(path, NULL, &secret, why), -EINVAL); // and does not wait
}

static void test_a_key_is_its_bytes_and_as_private(void **data) {
    (void)data;
    char key[8] = "unset..", text[] = {'a', '\n', '\0', 'b', '\r', '\n', '\n', 'c', 'd'};
    assert_int_equal(read_written(text, 8, 0600), -EBADMSG); // no password
    assert_int_equal(kit_secret_read_key(path, key, sizeof(key), why), 0);
    assert_memory_equal(key, text, sizeof(key));
    for (size_t size = 7; size <= 9; size += 2) {
        (void)read_written(text, size, 0600);
        assert_int_equal(kit_secret_read_key(path, key, sizeof(key), why), -EBADMSG);
        assert_non_null(strstr(why, "is no key of 8 bytes"));
    }
    (void)read_written(text, 8, 0644);
    assert_int_equal(kit_secret_read_key(path, key, sizeof(key), why), -EPERM);
    unlink(path);
    assert_int_equal(kit_secret_read_key(path, key, sizeof(key), why), -ENOENT);
    assert_memory_equal(key, text, sizeof(key)); // it is left alone
}

static void test_the_variable_counts_where_no_file_is_named(void **data) {
    (void)data;
    assert_int_equal(kit_secret_read(NULL, NULL, &secret, why), KIT_NO_SECRET);
    assert_int_equal(kit_secret_read(NULL, VARIABLE, &secret, why), KIT_NO_SECRET);
    assert_int_equal(setenv(VARIABLE, "aus der Umgebung", 1), 0);
    assert_int_equal(kit_secret_read(NULL, VARIABLE, &secret, why), 0);
    assert_string_equal(secret.text, "aus der Umgebung");
    assert_int_equal(read_text("aus der Datei", 0600), 0);
    assert_string_equal(secret.text, "aus der Datei");
    assert_int_equal(setenv(VARIABLE, "zwei\nZeilen", 1), 0);
    assert_int_equal(kit_secret_read(NULL, VARIABLE, &secret, why), -EBADMSG);
    assert_null(strstr(why, "Zeilen"));
    assert_non_null(strstr(why, VARIABLE));
}

static void test_clearing_leaves_nothing(void **data) {
    (void)data;
    assert_int_equal(read_text("geheim", 0600), 0);
    kit_secret_clear(&secret);
    for (size_t i = 0; i < sizeof(secret.text); i++) {
        assert_int_equal(secret.text[i], 0);
    }
    assert_int_equal(secret.size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_line_end_is_cut_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_file_that_others_get_at_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_password_is_refused_without_showing_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_key_is_its_bytes_and_as_private, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_variable_counts_where_no_file_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_clearing_leaves_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
