// SPDX-License-Identifier: Apache-2.0
// One record in memory: the changes of a commit behind each other, as they go to disk, and beside
// them which keys they touch.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "broker/bounds.h"
#include "broker/stores/journal_internal.h"

enum { CAPACITY_MIN = 64 << 10, SLOTS_MIN = 64 };

// The last kind of change of a key that hashes to that.
struct journal_seen {
    uint64_t hash;
    int kind; // 0: a free slot
};

int journal_record_new(struct journal_record **ret) {
    struct journal_record *record = calloc(1, sizeof(*record));
    void *bytes = NULL;
    if (record == NULL || posix_memalign(&bytes, JOURNAL_PAGE_BYTES, CAPACITY_MIN) != 0) {
        free(record);
        return -ENOMEM;
    }
    record->bytes = bytes;
    record->capacity = CAPACITY_MIN;
    record->size = sizeof(struct journal_head);
    *ret = record;
    return 0;
}

struct journal_record *journal_record_free(struct journal_record *record) {
    if (record != NULL) {
        free(record->bytes);
        free(record->seen);
        free(record);
    }
    return NULL;
}

void journal_record_clear(struct journal_record *record) {
    record->size = sizeof(struct journal_head);
    if (record->n_seen > 0) {
        memset(record->seen, 0, record->n_slots * sizeof(*record->seen));
        record->n_seen = 0;
    }
}

bool journal_record_is_empty(const struct journal_record *record) {
    return record->size == sizeof(struct journal_head);
}

// Room for `more` bytes and the last page's zeros.
static int reserve(struct journal_record *record, size_t more) {
    if (more > JOURNAL_RECORD_BYTES_MAX - record->size) {
        return -E2BIG;
    }
    size_t needed = journal_round(record->size + more), capacity = record->capacity;
    if (needed <= capacity) {
        return 0;
    }
    while (capacity < needed) {
        capacity *= 2;
    }
    void *bytes = NULL;
    if (posix_memalign(&bytes, JOURNAL_PAGE_BYTES, capacity) != 0) {
        return -ENOMEM;
    }
    memcpy(bytes, record->bytes, record->size);
    free(record->bytes);
    record->bytes = bytes;
    record->capacity = capacity;
    return 0;
}

static uint64_t hash_of(unsigned table, const void *key, size_t key_size) {
    return XXH3_64bits_withSeed(key, key_size, table);
}

static struct journal_seen *slot_of(struct journal_seen *seen, size_t n_slots, uint64_t hash) {
    size_t at = hash & (n_slots - 1);
    while (seen[at].kind != 0 && seen[at].hash != hash) {
        at = (at + 1) & (n_slots - 1);
    }
    return &seen[at];
}

// At most half of the slots are taken.
static int grow_seen(struct journal_record *record) {
    if (2 * record->n_seen < record->n_slots) {
        return 0;
    }
    size_t n_slots = record->n_slots == 0 ? SLOTS_MIN : 2 * record->n_slots;
    struct journal_seen *seen = calloc(n_slots, sizeof(*seen));
    if (seen == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < record->n_slots; i++) {
        if (record->seen[i].kind != 0) {
            *slot_of(seen, n_slots, record->seen[i].hash) = record->seen[i];
        }
    }
    free(record->seen);
    record->seen = seen;
    record->n_slots = n_slots;
    return 0;
}

static void put_bytes(struct journal_record *record, const void *bytes, size_t size) {
    memcpy(record->bytes + record->size, bytes, size);
    record->size += size;
}

int journal_record_room(struct journal_record *record, const struct journal_change *change,
                        void **ret) {
    struct journal_change_head head = {.kind = (uint8_t)change->kind,
                                       .table = (uint8_t)change->table,
                                       .key_size = (uint16_t)change->key_size,
                                       .size = (uint32_t)change->size};
    if (change->key_size > UINT16_MAX || change->size > JOURNAL_RECORD_BYTES_MAX) {
        return -E2BIG;
    }
    int r = reserve(record, sizeof(head) + change->key_size + change->size);
    r = r == 0 ? grow_seen(record) : r;
    if (r < 0) {
        return r;
    }
    put_bytes(record, &head, sizeof(head));
    put_bytes(record, change->key, change->key_size);
    *ret = record->bytes + record->size;
    record->size += change->size;
    uint64_t hash = hash_of(change->table, change->key, change->key_size);
    struct journal_seen *seen = slot_of(record->seen, record->n_slots, hash);
    record->n_seen += seen->kind == 0;
    *seen = (struct journal_seen){.hash = hash, .kind = change->kind};
    return 0;
}

int journal_record_add(struct journal_record *record, const struct journal_change *change) {
    void *room = NULL;
    int r = journal_record_room(record, change, &room);
    if (r == 0 && change->size > 0) { // without any there may be no pointer
        memcpy(room, change->value, change->size);
    }
    return r;
}

int journal_record_find(const struct journal_record *record, unsigned table, const void *key,
                        size_t key_size) {
    return record->n_seen == 0
               ? 0
               : slot_of(record->seen, record->n_slots, hash_of(table, key, key_size))->kind;
}

int journal_record_each(const struct journal_record *record, journal_each each, void *user) {
    return journal_changes(record->bytes + sizeof(struct journal_head),
                           record->size - sizeof(struct journal_head), each, user);
}

size_t journal_record_finish(const struct journal_record *record,
                             const uint8_t id[static JOURNAL_ID_BYTES], uint64_t number) {
    struct journal_head head = {.magic = JOURNAL_MAGIC, .number = number};
    size_t end = journal_round(record->size);
    memcpy(head.id, id, sizeof(head.id));
    head.size = record->size - sizeof(head);
    head.body_sum = XXH3_64bits(record->bytes + sizeof(head), head.size);
    head.head_sum = XXH3_64bits(&head, offsetof(struct journal_head, head_sum));
    memcpy(record->bytes, &head, sizeof(head));
    memset(record->bytes + record->size, 0, end - record->size);
    return end;
}
