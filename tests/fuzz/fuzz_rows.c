// SPDX-License-Identifier: Apache-2.0
// A row of the log's small tables that is not what the broker wrote (bit rot that LMDB did not
// see): the broker starts and answers, or refuses to start; it is never led astray by it. Input:
// table, length of the key, key, value.
#include <errno.h>
#include <string.h>

#include "broker/stores/log.h"
#include "schemas/base/logging.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "tests/faults/folder.h"
#include "tests/faults/house.h"
#include "tests/fuzz/fuzz.h"

enum { MAP_BYTES = 1 << 26, KEY_BYTES_MAX = 64 };

static char folder[64];

_Noreturn void __wrap_broker_fatal(const char *what, int error);
_Noreturn void __wrap_broker_fatal(const char *what, int error) {
    fprintf(stderr, "fatal: %s %d\n", what, error);
    abort();
}

static void remove_folder(void) {
    folder_remove(folder);
}

static void start_anew(void) {
    struct house *house = NULL;
    folder_remove(folder);
    REQUIRE(house_open(folder, NULL, NULL, &house) == 0);
    house_close(house, true);
}

// Puts the row; without a value takes it away again.
static void put_row(enum log_table table, const uint8_t *key, size_t key_size, const uint8_t *value,
                    size_t size) {
    char path[96];
    struct log *log = NULL;
    struct log_txn *txn = NULL;
    snprintf(path, sizeof(path), "%s/log", folder);
    REQUIRE(log_open(path, MAP_BYTES, false, &log) == 0 && log_begin(log, &txn) == 0);
    int r = value != NULL ? log_put(txn, table, key, key_size, value, size)
                          : log_delete(txn, table, key, key_size);
    REQUIRE(r >= 0 && log_commit(txn) == 0);
    log_close(log);
}

static void ask(struct house *house) {
    static const char *const verbs[] = {"subscription.ls", "parked.ls", "quarantine.ls", "status"};
    struct arena *arena = arena_new(1 << 16);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        Touchbus__Query query;
        const uint8_t *bytes;
        size_t size;
        touchbus__query__init(&query);
        query.version = WIRE_VERSION;
        query.verb = arena_strdup(arena, verbs[i]);
        REQUIRE(envelope_pack(&query.base, arena, &bytes, &size) == 0);
        REQUIRE(house_say(house, HOUSE_QUERY, "asker", bytes, size));
    }
    house_run(house);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum log_table tables[] = {LOG_PRODUCERS, LOG_SUBSCRIPTIONS, LOG_PARKED,
                                            LOG_QUARANTINE};
    if (folder[0] == '\0') {
        logging_init("fuzz", LOGGING_ERROR);
        folder_make(folder, sizeof(folder));
        REQUIRE(atexit(remove_folder) == 0);
        start_anew();
    }
    if (size < 3) {
        return 0;
    }
    size_t key_size = 1 + data[1] % KEY_BYTES_MAX;
    if (size < 2 + key_size) {
        return 0;
    }
    enum log_table table = tables[data[0] % 4];
    put_row(table, data + 2, key_size, data + 2 + key_size, size - 2 - key_size);
    struct house *house = NULL;
    int r = house_open(folder, NULL, NULL, &house);
    REQUIRE(r <= 0);
    if (r == 0) {
        ask(house);
        house_close(house, true);
    }
    put_row(table, data + 2, key_size, NULL, 0);
    return 0;
}
