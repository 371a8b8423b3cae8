// SPDX-License-Identifier: Apache-2.0
// Builds and reads blocks. Layout, little endian:
//   header   0 checksum u64 (XXH3-64 of everything behind it) | 8 magic u32 | 12 size u32 |
//            16 first u64 | 24 events u32 | 28 names u32 | 32 first received i64 |
//            40 last received i64 | 48 run [16] | 64 dictionary's offset u32 | 68 bytes' offset u32
//   entry    0 id hash [16] | 16 body hash u64 | 24 customer u64 | 32 lane u64 | 40 received i64 |
//            48 time i64 | 56 flags u32 | 60 type u16 | 62 channel u16 | 64 offset u32 |
//            68 open size u32 | 72 sealed size u32 (right behind the open bytes) | 76 zero u32
//   dictionary: an offset u32 a name, from the dictionary's start, then the names, terminated
// Nothing read is believed before its bounds are checked, checksum or not: a block may come from a
// backup, or from a disk that lies.
#include "broker/stores/block.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "broker/bounds.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/scheduling.h"

#define BLOCK_MAGIC UINT32_C(0x314b4254) // "TBK1"
enum {
    HEADER_BYTES = 72,
    ENTRY_BYTES = 80,
    CHECKSUM_BYTES = 8,
    NAME_INDEX_MAX = UINT16_MAX,
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are written as the machine's");
_Static_assert(BLOCK_BYTES_MAX < UINT32_MAX, "offsets are 32 bits wide");

#define GET(type, from, at)                                                                        \
    __extension__({                                                                                \
        type value_;                                                                               \
        memcpy(&value_, (from) + (at), sizeof(value_));                                            \
        value_;                                                                                    \
    })
#define PUT(type, to, at, value)                                                                   \
    do {                                                                                           \
        type value_ = (type)(value);                                                               \
        memcpy((to) + (at), &value_, sizeof(value_));                                              \
    } while (0)

// The names of a block being built: each once, in order of first use.
struct dictionary {
    const char **names;
    uint32_t *sizes; // terminator included
    uint32_t n;
    size_t bytes;    // of the texts
    uint32_t *slots; // index + 1, open addressing
    size_t n_slots;  // a power of two
};

struct block_draft {
    const struct block_record *records;
    size_t n;
    struct dictionary dictionary;
    uint32_t *names; // of each record: its type's and its channel's index
    size_t names_at, bytes_at, size;
};

struct block_draft *block_draft_free(struct block_draft *draft) {
    if (draft != NULL) {
        free(draft->dictionary.names);
        free(draft->dictionary.sizes);
        free(draft->dictionary.slots);
        free(draft->names);
        free(draft);
    }
    return NULL;
}

void cleanup_block_draft(struct block_draft **draft) {
    *draft = block_draft_free(*draft);
}

static int dictionary_init(struct dictionary *dictionary, size_t n_records) {
    size_t names_max = 2 * n_records;
    dictionary->n_slots = 64;
    while (dictionary->n_slots < 2 * names_max) {
        dictionary->n_slots *= 2;
    }
    dictionary->names = malloc(names_max * sizeof(*dictionary->names));
    dictionary->sizes = malloc(names_max * sizeof(*dictionary->sizes));
    dictionary->slots = calloc(dictionary->n_slots, sizeof(*dictionary->slots));
    return dictionary->names == NULL || dictionary->sizes == NULL || dictionary->slots == NULL
               ? -ENOMEM
               : 0;
}

static uint32_t dictionary_index(struct dictionary *dictionary, const char *name) {
    size_t size = strlen(name) + 1;
    for (size_t slot = XXH3_64bits(name, size);; slot++) {
        uint32_t *at = &dictionary->slots[slot & (dictionary->n_slots - 1)];
        if (*at == 0) {
            *at = dictionary->n + 1;
            dictionary->names[dictionary->n] = name;
            dictionary->sizes[dictionary->n] = (uint32_t)size;
            dictionary->bytes += size;
            return dictionary->n++;
        }
        if (dictionary->sizes[*at - 1] == size &&
            memcmp(dictionary->names[*at - 1], name, size) == 0) {
            return *at - 1;
        }
    }
}

static void put_names(const struct dictionary *dictionary, uint8_t *at) {
    size_t offset = dictionary->n * sizeof(uint32_t);
    for (uint32_t i = 0; i < dictionary->n; i++) {
        PUT(uint32_t, at, i * sizeof(uint32_t), offset);
        memcpy(at + offset, dictionary->names[i], dictionary->sizes[i]);
        offset += dictionary->sizes[i];
    }
}

static void put_entry(uint8_t *entry, const struct block_record *record, uint32_t type,
                      uint32_t channel, size_t offset) {
    memcpy(entry, record->id_hash, BLOCK_ID_HASH_BYTES);
    PUT(uint64_t, entry, 16, record->body_hash);
    PUT(uint64_t, entry, 24, record->customer);
    PUT(uint64_t, entry, 32, record->lane);
    PUT(int64_t, entry, 40, record->received_us);
    PUT(int64_t, entry, 48, record->time_us);
    PUT(uint32_t, entry, 56, record->flags);
    PUT(uint16_t, entry, 60, type);
    PUT(uint16_t, entry, 62, channel);
    PUT(uint32_t, entry, 64, offset);
    PUT(uint32_t, entry, 68, record->open_size);
    PUT(uint32_t, entry, 72, record->sealed_size);
    PUT(uint32_t, entry, 76, 0);
}

static void put_header(uint8_t *data, uint64_t first, const uint8_t *run,
                       const struct block_draft *draft) {
    PUT(uint32_t, data, 8, BLOCK_MAGIC);
    PUT(uint32_t, data, 12, draft->size);
    PUT(uint64_t, data, 16, first);
    PUT(uint32_t, data, 24, draft->n);
    PUT(uint32_t, data, 28, draft->dictionary.n);
    PUT(int64_t, data, 32, draft->records[0].received_us);
    PUT(int64_t, data, 40, draft->records[draft->n - 1].received_us);
    memcpy(data + 48, run, BLOCK_RUN_BYTES);
    PUT(uint32_t, data, 64, draft->names_at);
    PUT(uint32_t, data, 68, draft->bytes_at);
}

// An empty half has no bytes, and may have no pointer either.
static size_t put_bytes(uint8_t *to, const void *from, size_t size) {
    if (size > 0) {
        memcpy(to, from, size);
    }
    return size;
}

static int measure(struct block_draft *draft) {
    size_t bytes = 0;
    draft->names = calloc(2 * draft->n, sizeof(*draft->names));
    if (draft->names == NULL || dictionary_init(&draft->dictionary, draft->n) != 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < draft->n && bytes <= BLOCK_BYTES_MAX; i++) {
        const struct block_record *record = &draft->records[i];
        draft->names[2 * i] = dictionary_index(&draft->dictionary, record->type);
        draft->names[2 * i + 1] = dictionary_index(&draft->dictionary, record->channel);
        if (record->open_size > BLOCK_BYTES_MAX || record->sealed_size > BLOCK_BYTES_MAX) {
            return -E2BIG;
        }
        bytes += record->open_size + record->sealed_size;
    }
    draft->names_at = HEADER_BYTES + draft->n * ENTRY_BYTES;
    draft->bytes_at =
        draft->names_at + draft->dictionary.n * sizeof(uint32_t) + draft->dictionary.bytes;
    draft->size = draft->bytes_at + bytes;
    return draft->size > BLOCK_BYTES_MAX ? -E2BIG : 0;
}

int block_measure(const struct block_record *records, size_t n, struct block_draft **ret,
                  size_t *ret_size) {
    assert(n > 0);
    if (n > BLOCK_BYTES_MAX / ENTRY_BYTES || 2 * n > NAME_INDEX_MAX) {
        return -E2BIG;
    }
    struct block_draft *draft = calloc(1, sizeof(*draft));
    if (draft == NULL) {
        return -ENOMEM;
    }
    draft->records = records;
    draft->n = n;
    int r = measure(draft);
    if (r != 0) {
        block_draft_free(draft);
        return r;
    }
    *ret = draft;
    *ret_size = draft->size;
    return 0;
}

void block_write(const struct block_draft *draft, uint64_t first,
                 const uint8_t run[static BLOCK_RUN_BYTES], void *ret) {
    uint8_t *data = ret;
    size_t at = draft->bytes_at;
    put_header(data, first, run, draft);
    put_names(&draft->dictionary, data + draft->names_at);
    for (size_t i = 0; i < draft->n; i++) {
        const struct block_record *record = &draft->records[i];
        scheduling_yield_point();
        put_entry(data + HEADER_BYTES + i * ENTRY_BYTES, record, draft->names[2 * i],
                  draft->names[2 * i + 1], at);
        at += put_bytes(data + at, record->open, record->open_size);
        at += put_bytes(data + at, record->sealed, record->sealed_size);
    }
    assert(at == draft->size);
    PUT(uint64_t, data, 0, XXH3_64bits(data + CHECKSUM_BYTES, at - CHECKSUM_BYTES));
}

int block_build(uint64_t first, const uint8_t run[static BLOCK_RUN_BYTES],
                const struct block_record *records, size_t n, void **ret, size_t *ret_size) {
    _cleanup_(cleanup_block_draft) struct block_draft *draft = NULL;
    int r = block_measure(records, n, &draft, ret_size);
    void *data = r == 0 ? malloc(*ret_size) : NULL;
    if (data == NULL) {
        return r != 0 ? r : -ENOMEM;
    }
    block_write(draft, first, run, data);
    *ret = data;
    return 0;
}

static bool names_are_whole(const uint8_t *data, size_t names_at, size_t bytes_at,
                            uint32_t n_names) {
    size_t size = bytes_at - names_at;
    if (n_names > size / sizeof(uint32_t)) {
        return false;
    }
    // Every name ends inside where each starts inside and the last byte is a terminator.
    for (uint32_t i = 0; i < n_names; i++) {
        uint32_t offset = GET(uint32_t, data, names_at + i * sizeof(uint32_t));
        if (offset < n_names * sizeof(uint32_t) || offset >= size) {
            return false;
        }
    }
    return n_names == 0 || data[bytes_at - 1] == '\0';
}

int block_open(const void *bytes, size_t size, bool check_sum, struct block_head *ret) {
    const uint8_t *data = bytes;
    if (size < HEADER_BYTES || size > BLOCK_BYTES_MAX || GET(uint32_t, data, 8) != BLOCK_MAGIC ||
        GET(uint32_t, data, 12) != size) {
        return -EBADMSG;
    }
    if (GUARD(block_checksum) && check_sum &&
        GET(uint64_t, data, 0) != XXH3_64bits(data + CHECKSUM_BYTES, size - CHECKSUM_BYTES)) {
        return -EBADMSG;
    }
    struct block_head head = {
        .data = data,
        .size = size,
        .first = GET(uint64_t, data, 16),
        .n_events = GET(uint32_t, data, 24),
        .n_names = GET(uint32_t, data, 28),
        .received_first_us = GET(int64_t, data, 32),
        .received_last_us = GET(int64_t, data, 40),
        .run = data + 48,
    };
    uint32_t names_at = GET(uint32_t, data, 64), bytes_at = GET(uint32_t, data, 68);
    if (head.n_events == 0 || head.n_events > (size - HEADER_BYTES) / ENTRY_BYTES ||
        names_at != HEADER_BYTES + head.n_events * ENTRY_BYTES || bytes_at < names_at ||
        bytes_at > size || head.first == 0 ||
        (GUARD(sequence_range) && head.first > (uint64_t)INT64_MAX - head.n_events) ||
        head.n_names > NAME_INDEX_MAX || !names_are_whole(data, names_at, bytes_at, head.n_names)) {
        return -EBADMSG;
    }
    *ret = head;
    return 0;
}

int block_entry_get(const struct block_head *block, uint32_t index, struct block_entry *ret) {
    assert(index < block->n_events);
    const uint8_t *entry = block->data + HEADER_BYTES + (size_t)index * ENTRY_BYTES;
    size_t offset = GET(uint32_t, entry, 64), open_size = GET(uint32_t, entry, 68),
           sealed_size = GET(uint32_t, entry, 72);
    if (GUARD(block_entry_bounds) &&
        (offset < GET(uint32_t, block->data, 68) || offset > block->size ||
         open_size + sealed_size > block->size - offset)) {
        return -EBADMSG;
    }
    *ret = (struct block_entry){
        .sequence = block->first + index,
        .id_hash = entry,
        .body_hash = GET(uint64_t, entry, 16),
        .customer = GET(uint64_t, entry, 24),
        .lane = GET(uint64_t, entry, 32),
        .received_us = GET(int64_t, entry, 40),
        .time_us = GET(int64_t, entry, 48),
        .flags = GET(uint32_t, entry, 56),
        .type = GET(uint16_t, entry, 60),
        .channel = GET(uint16_t, entry, 62),
        .open = block->data + offset,
        .sealed = block->data + offset + open_size,
        .open_size = open_size,
        .sealed_size = sealed_size,
    };
    return 0;
}

uint64_t block_entry_key(const struct block_entry *entry) {
    return (entry->flags & ENTRY_ERASES) != 0 ? 0 : entry->customer;
}

const char *block_name(const struct block_head *block, uint16_t index) {
    if (index >= block->n_names) {
        return NULL;
    }
    size_t names_at = GET(uint32_t, block->data, 64);
    uint32_t offset = GET(uint32_t, block->data, names_at + index * sizeof(uint32_t));
    return (const char *)block->data + names_at + offset;
}
