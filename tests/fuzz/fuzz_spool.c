// SPDX-License-Identifier: Apache-2.0
// A spool's segment that was written well and then damaged: up to seven bytes replaced, its end cut
// off. What is read afterwards is what was written, in order, and nothing before the first damage
// is missing. Input: number of replacements, each offset (2) and byte, bytes cut off the end (1),
// then what is written, in records that end at a zero byte.
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connectors/kit/spool.h"
#include "schemas/base/logging.h"
#include "tests/faults/folder.h"
#include "tests/fuzz/fuzz.h"

enum { RECORDS_MAX = 64, DAMAGE_MAX = 8, SPOOL_BYTES_MAX = 1 << 20, FIRST_RECORD = 16 };

struct record {
    const uint8_t *bytes;
    size_t size, end; // end: in the file
};

static char folder[64];

static void remove_folder(void) {
    folder_remove(folder);
}

static size_t write_records(const uint8_t *data, size_t size, struct record *records) {
    struct spool *spool = NULL;
    size_t n = 0, end = FIRST_RECORD;
    REQUIRE(spool_open(folder, SPOOL_BYTES_MAX, &spool) == 0);
    while (size > 0 && n < RECORDS_MAX) {
        const uint8_t *zero = memchr(data, 0, size);
        size_t length = zero == NULL ? size : (size_t)(zero - data);
        if (length > 0) {
            REQUIRE(spool_append(spool, data, length, NULL) == 0);
            end += 16 + length;
            records[n++] = (struct record){.bytes = data, .size = length, .end = end};
        }
        data += zero == NULL ? length : length + 1;
        size -= zero == NULL ? length : length + 1;
    }
    REQUIRE(spool_sync(spool) == 0);
    spool_close(spool);
    return n;
}

// The first byte of the segment that is not as it was written; SIZE_MAX: all are.
static size_t damage(const uint8_t *data, size_t n_replaced, size_t n_cut) {
    char path[128];
    struct stat status;
    size_t first = SIZE_MAX;
    snprintf(path, sizeof(path), "%s/spool-0000000000000001.seg", folder);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return first; // nothing was written
    }
    REQUIRE(fstat(fd, &status) == 0);
    for (size_t i = 0; i < n_replaced; i++) {
        size_t at = (data[3 * i] | (size_t)data[3 * i + 1] << 8) % (size_t)status.st_size;
        uint8_t before = 0;
        REQUIRE(pread(fd, &before, 1, (off_t)at) == 1);
        REQUIRE(pwrite(fd, &data[3 * i + 2], 1, (off_t)at) == 1);
        first = before != data[3 * i + 2] && at < first ? at : first;
    }
    size_t left = (size_t)status.st_size > n_cut ? (size_t)status.st_size - n_cut : 0;
    REQUIRE(n_cut == 0 || ftruncate(fd, (off_t)left) == 0);
    close(fd);
    return n_cut > 0 && left < first ? left : first;
}

static void read_records(const struct record *records, size_t n_records, size_t damaged) {
    struct spool *spool = NULL;
    REQUIRE(spool_open(folder, SPOOL_BYTES_MAX, &spool) == 0);
    uint64_t expected = 1, number = 0;
    const void *bytes = NULL;
    size_t size = 0;
    while (spool_next(spool, &bytes, &size, &number) == 0) {
        REQUIRE(number == expected && number <= n_records);
        const struct record *record = &records[number - 1];
        REQUIRE(size == record->size && memcmp(bytes, record->bytes, size) == 0);
        expected++;
    }
    REQUIRE(expected > n_records || records[expected - 1].end > damaged);
    spool_close(spool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (folder[0] == '\0') {
        logging_init("fuzz", LOGGING_ERROR);
        folder_make(folder, sizeof(folder));
        REQUIRE(atexit(remove_folder) == 0);
    }
    size_t n_replaced = size > 0 ? data[0] % DAMAGE_MAX : 0, head = 2 + 3 * n_replaced;
    if (size < head) {
        return 0;
    }
    struct record records[RECORDS_MAX];
    folder_remove(folder);
    REQUIRE(mkdir(folder, 0700) == 0);
    size_t n_records = write_records(data + head, size - head, records);
    size_t damaged = damage(data + 1, n_replaced, data[head - 1]);
    read_records(records, n_records, damaged);
    return 0;
}
