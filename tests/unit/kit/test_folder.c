// SPDX-License-Identifier: Apache-2.0
// The instance's folder and its quarantine.
#include <dirent.h>
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

#include "connectors/kit/private.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"

enum { PATH_BYTES = 512 };

static char state[PATH_BYTES];

static int setup(void **data) {
    (void)data;
    snprintf(state, sizeof(state), "%s/touchbus-folder-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(state));
    return 0;
}

static int teardown(void **data) {
    (void)data;
    char path[PATH_BYTES + 8];
    snprintf(path, sizeof(path), "%s/web", state);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder != NULL) {
        closedir(folder);
    }
    rmdir(path);
    return rmdir(state);
}

static void test_second_instance_is_refused(void **data) {
    (void)data;
    struct folder first, second;
    assert_int_equal(folder_open(state, "web", &first), 0);
    assert_int_equal(folder_open(state, "web", &second), -EBUSY);
    folder_close(&first);
    assert_int_equal(folder_open(state, "web", &second), 0);
    folder_close(&second);
}

static void test_producer_stays_and_epoch_rises(void **data) {
    (void)data;
    struct folder folder;
    char producer[sizeof(folder.producer)];
    assert_int_equal(folder_open(state, "web", &folder), 0);
    snprintf(producer, sizeof(producer), "%s", folder.producer);
    uint64_t epoch = folder.epoch;
    char path[PATH_BYTES + 16];
    snprintf(path, sizeof(path), "%s/instance", folder.path);
    folder_close(&folder);
    assert_int_equal(folder_open(state, "web", &folder), 0);
    assert_string_equal(folder.producer, producer);
    assert_true(folder.epoch > epoch);
    folder_close(&folder);

    // A clock that went back does not take the epoch with it.
    unsigned id;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%8x", &id), 1);
    fclose(file);
    uint64_t future = (uint64_t)clock_now_us() + (uint64_t)1000 * CLOCK_US_PER_S;
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%08x %llu\n", id, (unsigned long long)future);
    fclose(file);
    assert_int_equal(folder_open(state, "web", &folder), 0);
    assert_string_equal(folder.producer, producer);
    assert_int_equal(folder.epoch, future + 1);
    folder_close(&folder);
}

static void test_damaged_instance_gets_a_new_name(void **data) {
    (void)data;
    struct folder folder;
    assert_int_equal(folder_open(state, "web", &folder), 0);
    char producer[sizeof(folder.producer)], path[PATH_BYTES + 16];
    snprintf(producer, sizeof(producer), "%s", folder.producer);
    snprintf(path, sizeof(path), "%s/instance", folder.path);
    folder_close(&folder);
    assert_int_equal(truncate(path, 4), 0);
    assert_int_equal(folder_open(state, "web", &folder), 0);
    assert_string_not_equal(folder.producer, producer);
    folder_close(&folder);
}

static void test_folder_is_its_owners_only(void **data) {
    (void)data;
    struct folder folder;
    struct stat status;
    assert_int_equal(folder_open(state, "web", &folder), 0);
    assert_int_equal(stat(folder.path, &status), 0);
    assert_int_equal(status.st_mode & 077, 0);
    folder_close(&folder);
}

static void test_quarantine_keeps_bytes_and_is_bounded(void **data) {
    (void)data;
    struct folder folder;
    struct quarantine *quarantine;
    assert_int_equal(folder_open(state, "web", &folder), 0);
    assert_int_equal(quarantine_open(folder.path, &quarantine), 0);
    struct kit_quarantined item = {
        .id = "m-1", .reason = "because", .item = "\xff\x00x", .item_size = 3};
    assert_int_equal(quarantine_add(quarantine, &item, 1), 0);
    char path[PATH_BYTES + 32], line[256];
    snprintf(path, sizeof(path), "%s/quarantine.jsonl", folder.path);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    assert_non_null(strstr(line, "\"id\":\"m-1\",\"reason\":\"because\",\"item\":\"/wB4\"}\n"));
    fclose(file);

    // All of a call or nothing.
    enum { LARGE = 30 << 20 };
    _cleanup_free_ char *large = calloc(1, LARGE);
    assert_non_null(large);
    struct kit_quarantined items[2] = {{"a", "r", large, LARGE}, {"b", "r", large, LARGE}};
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(quarantine_add(quarantine, items, 2), KIT_FULL);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(quarantine_add(quarantine, items, 1), 0);
    assert_int_equal(quarantine_add(quarantine, items, 1), KIT_FULL);
    quarantine_close(quarantine);
    folder_close(&folder);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_second_instance_is_refused),
        TEST(test_producer_stays_and_epoch_rises),
        TEST(test_damaged_instance_gets_a_new_name),
        TEST(test_folder_is_its_owners_only),
        TEST(test_quarantine_keeps_bytes_and_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
