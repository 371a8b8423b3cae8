// SPDX-License-Identifier: Apache-2.0
// The tables are linear-probed, never more than three quarters full, and a slot with sequence 0 is
// empty. The hash is keyed, so nobody outside can choose ids that collide.
#include "broker/tick/dedup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "schemas/base/logging.h"
#include "schemas/base/pages.h"

struct slot {
    uint64_t tag;
    uint64_t sequence; // 0: empty
};

struct table {
    struct slot *slots;
    uint64_t n_used;
};

struct dedup {
    struct table tables[2];
    unsigned young;   // index into tables
    uint64_t n_slots; // of each; a power of two
    uint64_t n_used_max;
};

// Slots of one table: the least power of two that half of events_max fills to three quarters.
static uint64_t slots_for(uint64_t events_max) {
    uint64_t half = events_max / 2 + events_max % 2;
    uint64_t n = 16;
    while (n / 4 * 3 < half) {
        n *= 2;
    }
    return n;
}

size_t dedup_bytes(uint64_t events_max) {
    return 2 * slots_for(events_max) * sizeof(struct slot);
}

// Zeroed pages that cost nothing until they are touched, and can be given back.
static struct slot *slots_new(uint64_t n) {
    void *pages = mmap(NULL, n * sizeof(struct slot), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        return NULL;
    }
    pages_advise_large(pages, n * sizeof(struct slot)); // ids are spread all over it
    return pages;
}

struct dedup *dedup_new(uint64_t events_max) {
    struct dedup *dedup = calloc(1, sizeof(*dedup));
    if (dedup == NULL) {
        return NULL;
    }
    dedup->n_slots = slots_for(events_max);
    dedup->n_used_max = events_max / 2 + events_max % 2;
    for (int i = 0; i < 2; i++) {
        dedup->tables[i].slots = slots_new(dedup->n_slots);
        if (dedup->tables[i].slots == NULL) {
            return dedup_free(dedup);
        }
    }
    return dedup;
}

struct dedup *dedup_free(struct dedup *dedup) {
    if (dedup == NULL) {
        return NULL;
    }
    for (int i = 0; i < 2; i++) {
        if (dedup->tables[i].slots != NULL) {
            munmap(dedup->tables[i].slots, dedup->n_slots * sizeof(struct slot));
        }
    }
    free(dedup);
    return NULL;
}

static void hash_split(const uint8_t *id_hash, uint64_t *ret_tag, uint64_t *ret_place) {
    memcpy(ret_tag, id_hash, sizeof(*ret_tag));
    memcpy(ret_place, id_hash + sizeof(*ret_tag), sizeof(*ret_place));
}

// The slot that holds tag, or the empty one where it belongs. There always is an empty one.
static struct slot *slot_of(const struct dedup *dedup, const struct table *table, uint64_t tag,
                            uint64_t place) {
    uint64_t i = place & (dedup->n_slots - 1);
    while (table->slots[i].sequence != 0 && table->slots[i].tag != tag) {
        i = (i + 1) & (dedup->n_slots - 1);
    }
    return &table->slots[i];
}

static void turn(struct dedup *dedup) {
    dedup->young = 1 - dedup->young;
    struct table *table = &dedup->tables[dedup->young];
    if (table->n_used > 0) {
        madvise(table->slots, dedup->n_slots * sizeof(struct slot), MADV_DONTNEED);
    }
    table->n_used = 0;
}

void dedup_add(struct dedup *dedup, const uint8_t id_hash[static BLOCK_ID_HASH_BYTES],
               uint64_t sequence) {
    assert(sequence != 0);
    if (dedup->tables[dedup->young].n_used == dedup->n_used_max) {
        turn(dedup);
    }
    struct table *table = &dedup->tables[dedup->young];
    uint64_t tag;
    uint64_t place;
    hash_split(id_hash, &tag, &place);
    struct slot *slot = slot_of(dedup, table, tag, place);
    table->n_used += slot->sequence == 0;
    *slot = (struct slot){tag, sequence};
}

void dedup_prefetch(const struct dedup *dedup, const uint8_t id_hash[static BLOCK_ID_HASH_BYTES]) {
    uint64_t tag;
    uint64_t place;
    hash_split(id_hash, &tag, &place);
    for (unsigned i = 0; i < 2; i++) {
        __builtin_prefetch(&dedup->tables[i].slots[place & (dedup->n_slots - 1)]);
    }
}

bool dedup_find(const struct dedup *dedup, const uint8_t id_hash[static BLOCK_ID_HASH_BYTES],
                uint64_t *ret_sequence) {
    uint64_t tag;
    uint64_t place;
    hash_split(id_hash, &tag, &place);
    for (unsigned i = 0; i < 2; i++) { // the young one first: it holds the later sequence
        const struct table *table = &dedup->tables[dedup->young ^ i];
        const struct slot *slot = table->n_used == 0 ? NULL : slot_of(dedup, table, tag, place);
        if (slot != NULL && slot->sequence != 0) {
            *ret_sequence = slot->sequence;
            return true;
        }
    }
    return false;
}

static int load_block(struct dedup *dedup, const struct block_head *block) {
    for (uint32_t i = 0; i < block->n_events; i++) {
        struct block_entry entry;
        int r = block_entry_get(block, i, &entry);
        if (r < 0) {
            return r;
        }
        dedup_add(dedup, entry.id_hash, entry.sequence);
    }
    return 0;
}

// The ids of a damaged block are not known any more. What else it means, others say.
static void say_damaged(const struct block_head *block) {
    logging_error("log=damaged first=%" PRIu64 " last=%" PRIu64
                  " what=\"ids: repeats of these events are not known\" "
                  "hint=\"restore from a backup\"",
                  block->first, block->first + block->n_events - 1);
}

int dedup_load(struct dedup *dedup, struct log_reader *reader, int64_t since_us) {
    uint64_t from;
    int r = log_reader_begin(reader);
    if (r < 0) {
        return r;
    }
    uint64_t next = log_reader_next(reader);
    uint64_t known_max = dedup->n_used_max * 2;
    r = log_reader_find_time(reader, since_us, &from);
    if (r == -EBADMSG) { // one that it looked into is damaged
        from = log_reader_first(reader);
        r = 0;
    }
    if (r == 0 && next > known_max && from < next - known_max) {
        from = next - known_max;
    }
    struct block_head block = {.first = 0};
    while (r == 0 && from < next) {
        r = log_reader_block(reader, from, &block);
        r = r == 0 ? load_block(dedup, &block) : r;
        if (r == -EBADMSG) {
            say_damaged(&block);
            r = 0;
        }
        from = block.first + block.n_events;
    }
    log_reader_end(reader);
    return r < 0 ? r : 0;
}

void dedup_hash_id(const uint8_t *secret, const Touchbus__Event *event,
                   uint8_t ret[static BLOCK_ID_HASH_BYTES]) {
    // source \0 id: neither may hold a NUL, and both are bounded by the envelope's limits.
    uint8_t text[1024];
    size_t n_source = strlen(event->source) + 1;
    size_t n_id = strlen(event->id);
    assert(n_source + n_id <= sizeof(text));
    memcpy(text, event->source, n_source);
    memcpy(text + n_source, event->id, n_id);
    _Static_assert(crypto_shorthash_siphashx24_BYTES == BLOCK_ID_HASH_BYTES, "");
    crypto_shorthash_siphashx24(ret, text, n_source + n_id, secret);
}

uint64_t dedup_hash_text(const uint8_t *secret, const char *text) {
    uint64_t hash;
    crypto_shorthash_siphash24((uint8_t *)&hash, (const uint8_t *)text, strlen(text), secret);
    return hash;
}

#define FIELD_BYTES ((size_t)8) // a field's length before its bytes

// Appends length and bytes, so that no two sequences of fields look alike. NULL in, NULL out.
static uint8_t *put(uint8_t *at, const void *bytes, size_t size) {
    uint64_t length = size;
    memcpy(at, &length, sizeof(length));
    if (size > 0) {
        memcpy(at + sizeof(length), bytes, size);
    }
    return at + sizeof(length) + size;
}

// Most texts of an event are empty.
static size_t length_of(const char *text) {
    return *text == '\0' ? 0 : strlen(text);
}

static uint8_t *put_text(uint8_t *at, const char *text) {
    return put(at, text, length_of(text));
}

// Room for the body as one run of bytes.
static size_t body_size(const Touchbus__Event *event) {
    size_t size = FIELD_BYTES * 14 + length_of(event->type) + length_of(event->dataschema) +
                  length_of(event->channel) + length_of(event->subject) + length_of(event->actor) +
                  length_of(event->case_id) + length_of(event->cost) +
                  length_of(event->datacontenttype) + event->data.len;
    for (size_t i = 0; i < event->n_identities; i++) {
        size += FIELD_BYTES * 4 + strlen(event->identities[i]->kind) +
                strlen(event->identities[i]->value);
    }
    for (size_t i = 0; i < event->n_extensions; i++) {
        const Touchbus__Extension *extension = event->extensions[i];
        size += FIELD_BYTES * 4 + strlen(extension->name);
        size += extension->value_case == TOUCHBUS__EXTENSION__VALUE_TEXT ? strlen(extension->text)
                                                                         : sizeof(int32_t);
    }
    return size;
}

static uint8_t *put_extension(uint8_t *at, const Touchbus__Extension *extension) {
    at = put_text(at, extension->name);
    if (extension->value_case == TOUCHBUS__EXTENSION__VALUE_TEXT) {
        return put_text(at, extension->text);
    }
    int32_t number = extension->value_case == TOUCHBUS__EXTENSION__VALUE_NUMBER
                         ? extension->number
                         : (int32_t)extension->flag;
    return put(at, &number, sizeof(number));
}

int dedup_hash_body(const uint8_t *secret, const Touchbus__Event *event, struct arena *arena,
                    uint64_t *ret) {
    size_t size = body_size(event);
    uint8_t *bytes = arena_alloc(arena, size);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    uint32_t direction = event->direction;
    uint8_t *at = put_text(bytes, event->type);
    at = put_text(at, event->dataschema);
    at = put_text(at, event->channel);
    at = put(at, &direction, sizeof(direction));
    at = put(at, &event->cause, sizeof(event->cause));
    at = put_text(at, event->subject);
    at = put_text(at, event->actor);
    at = put_text(at, event->case_id);
    at = put_text(at, event->cost);
    at = put_text(at, event->datacontenttype);
    at = put(at, event->data.data, event->data.len);
    for (size_t i = 0; i < event->n_identities; i++) {
        at = put_text(at, event->identities[i]->kind);
        at = put_text(at, event->identities[i]->value);
        at = put(at, &(uint8_t){(uint8_t)event->identities[i]->verified}, 1);
    }
    for (size_t i = 0; i < event->n_extensions; i++) {
        at = put_extension(at, event->extensions[i]);
    }
    assert(at <= bytes + size);
    crypto_shorthash_siphash24((uint8_t *)ret, bytes, (size_t)(at - bytes), secret);
    return 0;
}
