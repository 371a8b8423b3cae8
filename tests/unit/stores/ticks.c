// SPDX-License-Identifier: Apache-2.0
// See ticks.h.
#include "ticks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/lookup.h"
#include "broker/stores/rebuild.h"
#include "schemas/base/arena.h"
#include "schemas/envelope.h"

enum { ARENA_BYTES = 1 << 22, ID_BYTES = 32 };

static const uint8_t run[BLOCK_RUN_BYTES] = {5, 5, 5};

static void must(int r, int expected, const char *what) {
    if (r != expected) {
        fprintf(stderr, "ticks: %s: %d\n", what, r);
        abort();
    }
}

// Halved and sealed; with a destroyed key nothing is left of the sealed half.
static void seal_event(struct keys_reader *keys, struct arena *arena, const Touchbus__Event *event,
                       struct block_record *ret) {
    const uint8_t *open = NULL, *plain = NULL;
    size_t open_size = 0, size = 0;
    must(envelope_pack_open(event, arena, &open, &open_size), 0, "pack");
    must(envelope_pack_sealed(event, arena, &plain, &size), 0, "pack");
    uint8_t *sealed = arena_alloc(arena, size + KEYS_SEAL_OVERHEAD);
    int r = keys_seal(keys, event->erases ? 0 : event->customer, run, event->sequence, plain, size,
                      sealed);
    must(r == 1 ? 0 : r, 0, "seal");
    *ret = (struct block_record){.customer = event->customer,
                                 .lane = event->customer,
                                 .received_us = event->received_us,
                                 .time_us = event->received_us,
                                 .flags = event->erases ? ENTRY_ERASES : 0,
                                 .type = event->type,
                                 .channel = event->channel,
                                 .open = open,
                                 .open_size = open_size,
                                 .sealed = sealed,
                                 .sealed_size = r == 0 ? size + KEYS_SEAL_OVERHEAD : 0};
}

static void make_event(struct keys_reader *keys, struct arena *arena, uint64_t sequence,
                       struct block_record *ret) {
    Touchbus__Event event;
    Touchbus__Identity key, *key_list[1] = {&key};
    touchbus__event__init(&event);
    touchbus__identity__init(&key);
    key.kind = arena_strdup(arena, "user_id");
    key.value = arena_printf(arena, "u-%" PRIu64, sequence % TICKS_CUSTOMERS);
    event.id = arena_printf(arena, "e-%" PRIu64, sequence);
    event.source = arena_strdup(arena, "test");
    event.type = arena_strdup(arena, sequence % 3 == 0 ? "page.viewed" : "call.received");
    event.channel = arena_strdup(arena, "web");
    event.subject = arena_printf(arena, "subject of %" PRIu64, sequence);
    event.sequence = sequence;
    event.received_us = (int64_t)sequence * 1000;
    event.customer = 1 + sequence % TICKS_CUSTOMERS;
    event.keys = key_list;
    event.n_keys = 1;
    uint8_t lookup[LOOKUP_KEY_BYTES] = {0};
    if (sequence <= TICKS_CUSTOMERS) { // new to its customer
        lookup_key(keys_reader_hash_secret(keys), key.kind, key.value, lookup);
        event.key_lookups = (ProtobufCBinaryData){.data = lookup, .len = sizeof(lookup)};
    }
    seal_event(keys, arena, &event, ret);
}

static void make_erasure(struct keys_reader *keys, struct arena *arena, uint64_t sequence,
                         uint64_t customer, struct block_record *ret) {
    Touchbus__Event event;
    touchbus__event__init(&event);
    event.id = arena_printf(arena, "e-%" PRIu64, sequence);
    event.source = arena_strdup(arena, "test");
    event.type = arena_strdup(arena, "privacy.changed");
    event.sequence = sequence;
    event.received_us = (int64_t)sequence * 1000;
    event.customer = customer;
    event.erases = true;
    seal_event(keys, arena, &event, ret);
}

// n events; one that erases a customer where one is given.
static void log_block(struct broker *broker, uint64_t first, size_t n, uint64_t erased) {
    struct block_record records[TICKS_EVENTS_MAX];
    struct keys_reader *keys = NULL;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct log_txn *txn = NULL;
    void *block = NULL;
    size_t size = 0;
    must(keys_ensure(broker->keys, TICKS_CUSTOMERS), 0, "keys");
    must(keys_reader_new(broker->keys, &keys), 0, "keys");
    must(keys_reader_begin(keys), 0, "keys");
    for (size_t i = 0; i < n; i++) {
        erased != 0 ? make_erasure(keys, arena, first + i, erased, &records[i])
                    : make_event(keys, arena, first + i, &records[i]);
    }
    keys_reader_free(keys);
    must(block_build(first, run, records, n, &block, &size), 0, "block");
    must(log_begin(broker->log, &txn), 0, "log");
    must(log_append(txn, first, block, size), 0, "append");
    must(log_commit(txn), 0, "commit");
    free(block);
    arena_free(arena);
}

static void fold(struct broker *broker, struct view *view, uint64_t last) {
    struct rebuild *rebuild = NULL;
    uint64_t applied = 0;
    int r = 1;
    must(rebuild_new(broker->log, broker->keys, view, &rebuild), 0, "rebuild");
    while (r == 1) {
        r = rebuild_step(rebuild, last, &applied);
    }
    must(r, 0, "fold");
    rebuild_free(rebuild);
}

static void tick(struct broker *broker, size_t n, uint64_t erased) {
    uint64_t first = log_next(broker->log);
    log_block(broker, first, n, erased);
    fold(broker, broker->view, first + n - 1);
    atomic_store(&broker->visible, first + n - 1);
}

void ticks_one(struct broker *broker, size_t n) {
    tick(broker, n, 0);
}

void ticks_erase(struct broker *broker, uint64_t customer) {
    tick(broker, 1, customer);
}

void ticks_point(struct broker *broker) {
    struct view_snapshot *snapshot = NULL;
    must(view_snapshot_begin(broker->view, &snapshot), 0, "snapshot");
    must(view_snapshot_finish(broker->view, snapshot), 0, "snapshot");
}

unsigned ticks_trim(struct broker *broker, uint64_t floor) {
    struct log_txn *txn = NULL;
    unsigned n = 0;
    fold(broker, broker->base, floor - 1);
    must(log_begin(broker->log, &txn), 0, "log");
    must(log_trim(txn, floor, 1000, &n), 0, "trim");
    must(log_commit(txn), 0, "commit");
    return n;
}

void ticks_hash(struct view *view, char ret[static 65]) {
    struct view_txn *txn = NULL;
    must(view_begin(view, false, &txn), 0, "view");
    must(view_hash(txn, ret), 0, "hash");
    view_abort(txn);
}

static bool is_right(struct keys_reader *keys, const struct block_head *block,
                     const struct block_entry *entry) {
    uint8_t plain[1024];
    char id[ID_BYTES];
    size_t size = entry->sealed_size - KEYS_SEAL_OVERHEAD;
    if (entry->sealed_size < KEYS_SEAL_OVERHEAD || size > sizeof(plain) ||
        keys_unseal(keys, entry->customer, block->run, entry->sequence, entry->sealed,
                    entry->sealed_size, plain) != 0) {
        return false;
    }
    int n = snprintf(id, sizeof(id), "e-%" PRIu64, entry->sequence);
    Touchbus__Event *event = touchbus__event__unpack(NULL, entry->open_size, entry->open);
    bool right =
        event != NULL && event->sequence == entry->sequence && n > 0 && strcmp(event->id, id) == 0;
    if (event != NULL) {
        touchbus__event__free_unpacked(event, NULL);
    }
    n = snprintf(id, sizeof(id), "subject of %" PRIu64, entry->sequence);
    return right && n > 0 && memmem(plain, size, id, (size_t)n) != NULL;
}

uint64_t ticks_first_wrong(struct broker *broker) {
    struct log_reader *log = NULL;
    struct keys_reader *keys = NULL;
    uint64_t at = log_first(broker->log), end = log_next(broker->log);
    must(log_reader_new(broker->log, &log), 0, "log");
    must(keys_reader_new(broker->keys, &keys), 0, "keys");
    must(log_reader_begin(log), 0, "log");
    must(keys_reader_begin(keys), 0, "keys");
    bool right = true;
    while (right && at < end) {
        struct block_head block = {.first = 0};
        right = log_reader_block(log, at, &block) == 0 && block.first == at;
        for (uint32_t i = 0; right && i < block.n_events; i++, at++) {
            struct block_entry entry;
            right = block_entry_get(&block, i, &entry) == 0 && is_right(keys, &block, &entry);
        }
    }
    keys_reader_free(keys);
    log_reader_free(log);
    return right ? 0 : at;
}
