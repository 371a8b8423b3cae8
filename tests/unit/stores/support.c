// SPDX-License-Identifier: Apache-2.0
// See support.h.
#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int support_setup(void **state) {
    char *dir = strdup("/tmp/touchbus-stores-XXXXXX");
    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    *state = dir;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

int support_teardown(void **state) {
    int r = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return r;
}

const char *support_path(const char *dir, const char *name) {
    static char paths[8][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 8];
    assert_true(snprintf(path, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES);
    return path;
}

uint8_t *support_read(const char *path, size_t *ret_size) {
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *ret_size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(*ret_size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *ret_size, file), *ret_size);
    fclose(file);
    return data;
}

void support_write(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void *support_block(uint64_t first, size_t n, size_t *ret_size) {
    static const char *const types[] = {"order.placed", "page.viewed", "call.received"};
    static const char *const channels[] = {"web", "", "phone"};
    static const uint8_t run[BLOCK_RUN_BYTES] = {1, 2, 3};
    struct block_record *records = calloc(n, sizeof(*records));
    uint8_t(*bytes)[300] = malloc(n * sizeof(*bytes));
    assert_non_null(records);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        uint64_t sequence = first + i;
        memset(bytes[i], (int)(sequence & 0xff), sizeof(bytes[i]));
        records[i] = (struct block_record){.body_hash = sequence,
                                           .customer = sequence % 7,
                                           .lane = sequence % 7,
                                           .received_us = (int64_t)sequence * 1000,
                                           .time_us = (int64_t)sequence * 999,
                                           .type = types[sequence % 3],
                                           .channel = channels[sequence % 3],
                                           .open = bytes[i],
                                           .open_size = 40 + sequence % 60,
                                           .sealed = bytes[i],
                                           .sealed_size = sequence % 200};
        memcpy(records[i].id_hash, &sequence, sizeof(sequence));
    }
    void *block = NULL;
    assert_int_equal(block_build(first, run, records, n, &block, ret_size), 0);
    free(bytes);
    free(records);
    return block;
}

uint64_t support_random(uint64_t *seed) { // xorshift64*
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545F4914F6CDD1D);
}
