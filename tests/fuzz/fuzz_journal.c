// SPDX-License-Identifier: Apache-2.0
// The log's journal of any content, also under checksums that fit: it is read within its bounds or
// refused, and a start that goes back by it writes nowhere but into the heads of the log's file.
// Input: a byte that says what the rest is: a file as it is, a record's changes, a point.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "broker/stores/journal_internal.h"
#include "broker/stores/log_journal.h"
#include "broker/stores/store.h"
#include "schemas/base/logging.h"
#include "tests/faults/folder.h"
#include "tests/fuzz/fuzz.h"

enum { DATA_BYTES = 4 * 4096, FILE_BYTES = 64 << 10, RAW = 0, RECORD = 1, POINT = 2, N_KINDS = 3 };

static char folder[64];
static const uint8_t id[JOURNAL_ID_BYTES] = "fuzzed journal!";

static void remove_folder(void) {
    folder_remove(folder);
}

static void write_file(const char *name, const void *bytes, size_t size) {
    char path[96];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    REQUIRE(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static void put_point(uint8_t *file, const uint8_t *bytes, size_t size) {
    struct journal_slot slot = {.magic = JOURNAL_MAGIC, .generation = 1, .size = size};
    memcpy(slot.id, id, sizeof(id));
    memcpy(file, &slot, sizeof(slot));
    memcpy(file + sizeof(slot), bytes, size);
    slot.sum = XXH3_64bits(file + sizeof(slot.sum), sizeof(slot) - sizeof(slot.sum) + size);
    memcpy(file, &slot.sum, sizeof(slot.sum));
}

static void put_record(uint8_t *file, const uint8_t *bytes, size_t size) {
    struct journal_head head = {.magic = JOURNAL_MAGIC, .number = 1, .size = size};
    memcpy(head.id, id, sizeof(id));
    head.body_sum = XXH3_64bits(bytes, size);
    head.head_sum = XXH3_64bits(&head, offsetof(struct journal_head, head_sum));
    memcpy(file + JOURNAL_SLOT_BYTES, &head, sizeof(head));
    memcpy(file + JOURNAL_SLOT_BYTES + sizeof(head), bytes, size);
}

static int look(void *user, const struct journal_change *change) {
    uint64_t *sum = user;
    *sum += XXH3_64bits(change->key, change->key_size) + XXH3_64bits(change->value, change->size);
    return 0;
}

static int done(void *user) {
    (void)user;
    return 0;
}

static void read_journal(void) {
    struct journal *journal = NULL;
    uint8_t point[JOURNAL_POINT_BYTES_MAX];
    size_t size = 0;
    uint64_t sum = 0;
    REQUIRE(journal_open(folder, id, false, &journal) == 0);
    int r = journal_read_point(journal, point, &size);
    REQUIRE(r == 0 || r == 1);
    r = journal_replay(journal, 0, look, done, &sum);
    REQUIRE(r == 0 || r == -EBADMSG);
    journal_close(journal);
}

static void go_back(void) {
    static uint8_t data[DATA_BYTES];
    char path[96];
    struct stat status;
    struct log_journal *journal = NULL;
    write_file("data.mdb", data, sizeof(data));
    REQUIRE(store_set_mark(folder, id) == 0);
    if (log_journal_restore(folder, &journal) == 0) {
        log_journal_drop(journal);
    }
    snprintf(path, sizeof(path), "%s/data.mdb", folder);
    REQUIRE(stat(path, &status) == 0 && status.st_size == DATA_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t file[FILE_BYTES];
    if (folder[0] == '\0') {
        logging_init("fuzz_journal", LOGGING_ERROR);
        folder_make(folder, sizeof(folder));
        REQUIRE(atexit(remove_folder) == 0);
    }
    if (size == 0) {
        return 0;
    }
    int kind = data[0] % N_KINDS;
    size_t room = kind == RAW      ? FILE_BYTES
                  : kind == RECORD ? FILE_BYTES - JOURNAL_SLOT_BYTES - sizeof(struct journal_head)
                                   : (size_t)JOURNAL_POINT_BYTES_MAX;
    size_t n = size - 1 < room ? size - 1 : room;
    memset(file, 0, sizeof(file));
    if (kind == RAW) {
        memcpy(file, data + 1, n);
    } else if (kind == RECORD) {
        put_record(file, data + 1, n);
    } else {
        put_point(file, data + 1, n);
    }
    write_file("journal-0", file, kind == RAW ? n : sizeof(file));
    write_file("journal-1", file, 0);
    read_journal();
    go_back();
    return 0;
}
