// SPDX-License-Identifier: Apache-2.0
// A producer's record keeps PRODUCER_RANGES_MAX ranges of numbers whose sequences follow each other
// too, the newest last; a further one pushes out the oldest. What is older is found by its id
// (dedup.h).
//
// Value in LOG_PRODUCERS, little endian: epoch u64, next u64, used_us i64, n_ranges u64, then first
// number, first sequence and length of each range, u64 each.
#include "broker/tick/producers.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

#define IDLE_US (INT64_C(7) * 86400 * 1000000) // a producer this long idle may be forgotten

enum { SLOTS = PRODUCERS_MAX * 2, HEAD_WORDS = 4, RANGE_WORDS = 3 };
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "the hash takes the low bits");

struct range {
    uint64_t number, sequence, n;
};

struct producer {
    char name[NAME_BYTES_MAX + 1];
    uint64_t epoch;
    uint64_t next;
    int64_t used_us;
    uint64_t n_ranges;
    struct range ranges[PRODUCER_RANGES_MAX];
    bool dirty;
};

struct producers {
    struct producer *rows[PRODUCERS_MAX];
    size_t n_rows;
    uint16_t slots[SLOTS]; // 1 + index into rows; 0: empty
    struct producer *dirty[PRODUCERS_MAX];
    size_t n_dirty;
    char gone[NAME_BYTES_MAX + 1]; // evicted, still to be deleted from the log; "": none
};

// FNV-1a. The table is bounded and rebuilt from names, nobody gains by colliding ones.
static size_t slot_of(const struct producers *producers, const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT64_C(1099511628211);
    }
    size_t i = (hash ^ (hash >> 32)) & (SLOTS - 1);
    while (producers->slots[i] != 0 &&
           strcmp(producers->rows[producers->slots[i] - 1]->name, name) != 0) {
        i = (i + 1) & (SLOTS - 1);
    }
    return i;
}

struct producer *producers_find(struct producers *producers, const char *name) {
    size_t slot = slot_of(producers, name);
    return producers->slots[slot] == 0 ? NULL : producers->rows[producers->slots[slot] - 1];
}

static void rehash(struct producers *producers) {
    memset(producers->slots, 0, sizeof(producers->slots));
    for (size_t i = 0; i < producers->n_rows; i++) {
        producers->slots[slot_of(producers, producers->rows[i]->name)] = (uint16_t)(i + 1);
    }
}

// Rare, and PRODUCERS_MAX is small: a plain search. At most one goes in a tick.
static bool evict(struct producers *producers, int64_t now_us) {
    size_t oldest = 0;
    for (size_t i = 1; i < producers->n_rows; i++) {
        if (producers->rows[i]->used_us < producers->rows[oldest]->used_us) {
            oldest = i;
        }
    }
    struct producer *producer = producers->rows[oldest];
    if (producer->dirty || producers->gone[0] != '\0' || producer->used_us > now_us - IDLE_US) {
        return false;
    }
    memcpy(producers->gone, producer->name, sizeof(producers->gone));
    free(producer);
    producers->rows[oldest] = producers->rows[--producers->n_rows];
    rehash(producers);
    return true;
}

struct producer *producers_get(struct producers *producers, const char *name, int64_t now_us) {
    struct producer *producer = producers_find(producers, name);
    if (producer != NULL) {
        return producer;
    }
    size_t size = strlen(name);
    assert(size <= NAME_BYTES_MAX);
    if (producers->n_rows == PRODUCERS_MAX && !evict(producers, now_us)) {
        return NULL;
    }
    producer = calloc(1, sizeof(*producer));
    if (producer == NULL) {
        return NULL;
    }
    memcpy(producer->name, name, size);
    producer->next = 1;
    producer->used_us = now_us;
    producers->rows[producers->n_rows++] = producer;
    producers->slots[slot_of(producers, name)] = (uint16_t)producers->n_rows;
    return producer;
}

bool producers_may_add(const struct producers *producers, const struct grant *grant,
                       int64_t now_us) {
    size_t n = 0;
    if (grant->local || producers->n_rows < PRODUCERS_OF_A_KEY_MAX || !GUARD(key_producers)) {
        return true;
    }
    for (size_t i = 0; i < producers->n_rows && n < PRODUCERS_OF_A_KEY_MAX; i++) {
        n += producers->rows[i]->used_us > now_us - IDLE_US &&
             grant_owns(grant, producers->rows[i]->name);
    }
    return n < PRODUCERS_OF_A_KEY_MAX;
}

uint64_t producer_expected(const struct producer *producer, uint64_t epoch) {
    return epoch > producer->epoch ? 1 : producer->next;
}

enum number_verdict producer_check(const struct producer *producer, uint64_t epoch,
                                   uint64_t number) {
    if (GUARD(fenced_epoch) && epoch < producer->epoch) {
        return NUMBER_FENCED;
    }
    uint64_t expected = producer_expected(producer, epoch);
    if (GUARD(number_gap) && number > expected) {
        return NUMBER_GAP;
    }
    return GUARD(number_old) && number < expected ? NUMBER_OLD : NUMBER_NEXT;
}

static void range_add(struct producer *producer, uint64_t number, uint64_t sequence) {
    if (producer->n_ranges > 0) {
        struct range *last = &producer->ranges[producer->n_ranges - 1];
        if (last->number + last->n == number && last->sequence + last->n == sequence) {
            last->n++;
            return;
        }
    }
    if (producer->n_ranges == PRODUCER_RANGES_MAX) {
        producer->n_ranges--;
        memmove(producer->ranges, producer->ranges + 1, producer->n_ranges * sizeof(struct range));
    }
    producer->ranges[producer->n_ranges++] = (struct range){number, sequence, 1};
}

void producer_take(struct producers *producers, struct producer *producer, uint64_t epoch,
                   uint64_t sequence, int64_t now_us) {
    assert(epoch >= producer->epoch);
    if (epoch > producer->epoch) {
        producer->epoch = epoch;
        producer->next = 1;
        producer->n_ranges = 0;
    }
    if (sequence != 0) {
        range_add(producer, producer->next, sequence);
    }
    producer->next++;
    producer->used_us = now_us;
    if (!producer->dirty) {
        producer->dirty = true;
        producers->dirty[producers->n_dirty++] = producer;
    }
}

uint64_t producer_sequence(const struct producer *producer, uint64_t number) {
    for (size_t i = producer->n_ranges; i > 0; i--) {
        const struct range *range = &producer->ranges[i - 1];
        if (number >= range->number && number - range->number < range->n) {
            return range->sequence + (number - range->number);
        }
    }
    return 0;
}

static int write_one(const struct producer *producer, struct log_txn *txn) {
    uint64_t words[HEAD_WORDS + RANGE_WORDS * PRODUCER_RANGES_MAX];
    size_t n = 0;
    words[n++] = htole64(producer->epoch);
    words[n++] = htole64(producer->next);
    words[n++] = htole64((uint64_t)producer->used_us);
    words[n++] = htole64(producer->n_ranges);
    for (size_t i = 0; i < producer->n_ranges; i++) {
        words[n++] = htole64(producer->ranges[i].number);
        words[n++] = htole64(producer->ranges[i].sequence);
        words[n++] = htole64(producer->ranges[i].n);
    }
    return log_put(txn, LOG_PRODUCERS, producer->name, strlen(producer->name), words,
                   n * sizeof(words[0]));
}

int producers_write(struct producers *producers, struct log_txn *txn) {
    if (producers->gone[0] != '\0') {
        int r = log_delete(txn, LOG_PRODUCERS, producers->gone, strlen(producers->gone));
        if (r < 0) {
            return r;
        }
        producers->gone[0] = '\0';
    }
    for (size_t i = 0; i < producers->n_dirty; i++) {
        int r = write_one(producers->dirty[i], txn);
        if (r < 0) {
            return r;
        }
        producers->dirty[i]->dirty = false;
    }
    producers->n_dirty = 0;
    return 0;
}

static int read_one(struct producer *producer, const void *value, size_t size) {
    uint64_t words[HEAD_WORDS + RANGE_WORDS * PRODUCER_RANGES_MAX];
    if (size < HEAD_WORDS * sizeof(words[0]) || size > sizeof(words)) {
        return -EBADMSG;
    }
    memcpy(words, value, size);
    producer->epoch = le64toh(words[0]);
    producer->next = le64toh(words[1]);
    producer->used_us = (int64_t)le64toh(words[2]);
    producer->n_ranges = le64toh(words[3]);
    if (producer->n_ranges > PRODUCER_RANGES_MAX ||
        size != (HEAD_WORDS + RANGE_WORDS * producer->n_ranges) * sizeof(words[0])) {
        return -EBADMSG;
    }
    for (size_t i = 0; i < producer->n_ranges; i++) {
        const uint64_t *at = words + HEAD_WORDS + RANGE_WORDS * i;
        producer->ranges[i] = (struct range){le64toh(at[0]), le64toh(at[1]), le64toh(at[2])};
    }
    return 0;
}

static int load_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    char name[NAME_BYTES_MAX + 1];
    if (key_size > NAME_BYTES_MAX) {
        return -EBADMSG;
    }
    memcpy(name, key, key_size);
    name[key_size] = '\0';
    struct producer *producer = producers_get(user, name, 0);
    return producer == NULL ? -ENOMEM : read_one(producer, value, size);
}

int producers_load(struct log_reader *reader, struct producers **ret) {
    struct producers *producers = calloc(1, sizeof(*producers));
    if (producers == NULL) {
        return -ENOMEM;
    }
    int r = log_reader_begin(reader);
    if (r == 0) {
        r = log_reader_scan(reader, LOG_PRODUCERS, NULL, 0, NULL, 0, load_row, producers);
        log_reader_end(reader);
    }
    if (r != 0) {
        producers_free(producers);
        return r < 0 ? r : -EBADMSG;
    }
    *ret = producers;
    return 0;
}

struct producers *producers_free(struct producers *producers) {
    if (producers == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < producers->n_rows; i++) {
        free(producers->rows[i]);
    }
    free(producers);
    return NULL;
}
