// SPDX-License-Identifier: Apache-2.0
// Customers, decoded once and kept so while there is room: most events are about somebody who was
// heard of lately. What changed is written once a flush, in key order: neighbours share the
// B-tree's pages. When the room is used up everything is let go and read again as it is asked for.
// What is personal stays sealed as it is unless an event changes it.
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"
#include "schemas/base/pack.h"
#include "schemas/base/pages.h"

// Changed between two flushes at most; where an event might not fit, the list is flushed first.
enum { TOUCHED_MAX = 8192, SLOTS = CUSTOMERS_KEPT_MAX * 2 };
enum { RECORD_BYTES_MAX = 1 << 20 };
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "a mask picks the slot");

struct touched {
    uint64_t number;
    struct fold_customer *customer;
};

struct fold_customers {
    struct fold_customer *rows; // CUSTOMERS_KEPT_MAX
    size_t n, n_max;
    uint32_t *slots;                  // SLOTS, 1 + index into rows
    struct touched *touched, *sorted; // TOUCHED_MAX, and as many for sorting them
    size_t n_touched;
    bool drop;       // what is kept goes with the next flush
    uint8_t *packed; // RECORD_BYTES_MAX, for packing one record
};

struct fold_customers *fold_customers_new(void) {
    struct fold_customers *customers = calloc(1, sizeof(*customers));
    if (customers == NULL) {
        return NULL;
    }
    customers->rows = pages_new(CUSTOMERS_KEPT_MAX * sizeof(customers->rows[0]));
    customers->slots = pages_new(SLOTS * sizeof(customers->slots[0]));
    customers->packed = malloc(RECORD_BYTES_MAX);
    customers->touched = malloc(TOUCHED_MAX * sizeof(customers->touched[0]));
    customers->sorted = malloc(TOUCHED_MAX * sizeof(customers->sorted[0]));
    customers->n_max = CUSTOMERS_KEPT_MAX;
    bool whole = customers->rows != NULL && customers->slots != NULL && customers->packed != NULL &&
                 customers->touched != NULL && customers->sorted != NULL;
    return whole ? customers : fold_customers_free(customers);
}

struct fold_customers *fold_customers_free(struct fold_customers *customers) {
    if (customers != NULL) {
        free(customers->sorted);
        free(customers->touched);
        free(customers->packed);
        pages_free(customers->slots, SLOTS * sizeof(customers->slots[0]));
        pages_free(customers->rows, CUSTOMERS_KEPT_MAX * sizeof(customers->rows[0]));
        free(customers);
    }
    return NULL;
}

static size_t first_slot(uint64_t number) {
    return (number * UINT64_C(0x9E3779B97F4A7C15) >> 40) & (SLOTS - 1);
}

static size_t slot_of(const struct fold_customers *customers, uint64_t number) {
    size_t i = first_slot(number);
    while (customers->slots[i] != 0 && customers->rows[customers->slots[i] - 1].number != number) {
        i = (i + 1) & (SLOTS - 1);
    }
    return i;
}

static bool columns_agree(const View__Customer *record) {
    size_t n = record->n_counter_type;
    size_t m = record->n_recent_sequence_delta + record->n_recent_time_delta_us +
               record->n_recent_type + record->n_recent_channel;
    return n == record->n_counter_channel && n == record->n_counter_number &&
           n == record->n_counter_first_us && n == record->n_counter_last_us && m == 0 &&
           record->key_lookups.len % LOOKUP_KEY_BYTES == 0;
}

static bool days_agree(const View__Person *person) {
    for (size_t i = 0; i < person->n_interests; i++) {
        if (person->interests[i]->n_day != person->interests[i]->n_number) {
            return false;
        }
    }
    return true;
}

static uint16_t room_of(size_t n) {
    return n > UINT16_MAX ? UINT16_MAX : (uint16_t)n; // as it was read, it is full
}

// What the row has beside its last interactions, from `begin` to `end`.
static View__Customer *unpack_around(struct fold *fold, const uint8_t *row, size_t size,
                                     size_t begin, size_t end) {
    ProtobufCAllocator *allocator = arena_allocator(fold->arena);
    if (begin == end) {
        return view__customer__unpack(allocator, size, row);
    }
    struct arena_mark mark = arena_mark(fold->scratch);
    uint8_t *around = arena_alloc(fold->scratch, size);
    View__Customer *record = NULL;
    if (around != NULL) {
        memcpy(around, row, begin);
        memcpy(around + begin, row + end, size - end);
        record = view__customer__unpack(allocator, begin + size - end, around);
    }
    arena_rewind(fold->scratch, &mark);
    return record;
}

static int unpack(struct fold *fold, const uint8_t *row, size_t size, struct fold_customer *ret) {
    size_t begin, end;
    int r = fold_recent_load(fold->arena, row, size, &ret->recent, &begin, &end);
    if (r != 0) {
        return r;
    }
    View__Customer *record = unpack_around(fold, row, size, begin, end);
    if (record == NULL || !columns_agree(record)) {
        return -EBADMSG;
    }
    ret->record = record;
    ret->size = (uint32_t)size;
    ret->sealed = record->person.data; // where it is sealed again, too
    ret->sealed_room = (uint32_t)record->person.len;
    ret->room[ROOM_KEY_LOOKUPS] = room_of(record->key_lookups.len / LOOKUP_KEY_BYTES);
    ret->room[ROOM_COUNTERS] = room_of(record->n_counter_type);
    return 0;
}

static int load(struct fold *fold, struct view_txn *txn, uint64_t number,
                struct fold_customer *ret) {
    uint64_t key = htobe64(number);
    const void *value;
    size_t size;
    *ret = (struct fold_customer){.number = number};
    int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size);
    if (r < 0) {
        return r;
    }
    if (r == 1) {
        ret->record = arena_alloc(fold->arena, sizeof(*ret->record));
        if (ret->record == NULL) {
            return -ENOMEM;
        }
        fold_customer_empty(ret);
        return 0;
    }
    return unpack(fold, value, size, ret);
}

// Kept while there are fewer than n_max.
static int find(struct fold *fold, struct view_txn *txn, uint64_t number, size_t n_max,
                struct fold_customer **ret) {
    struct fold_customers *customers = fold->customers;
    size_t slot = slot_of(customers, number);
    if (customers->slots[slot] != 0) {
        *ret = &customers->rows[customers->slots[slot] - 1];
        return 0;
    }
    bool keeps = customers->n < n_max;
    // Else a change would be made to a copy: an event changes FOLD_TOUCHED_MAX at most.
    assert(keeps || n_max < customers->n_max);
    *ret = keeps ? &customers->rows[customers->n] : arena_alloc(fold->scratch, sizeof(**ret));
    int r = *ret == NULL ? -ENOMEM : load(fold, txn, number, *ret);
    if (r == 0 && keeps) {
        (*ret)->slot = (uint32_t)slot;
        customers->slots[slot] = (uint32_t)++customers->n;
    }
    return r;
}

void fold_prefetch_customer(const struct fold *fold, uint64_t customer, unsigned step) {
    const struct fold_customers *customers = fold->customers;
    size_t first = first_slot(customer);
    if (step == 0) {
        __builtin_prefetch(&customers->slots[first]);
        return;
    }
    // The first step looks at no row: it has not been fetched.
    uint32_t slot = customers->slots[step == 1 ? first : slot_of(customers, customer)];
    if (slot != 0) {
        fold_prefetch_kept(&customers->rows[slot - 1], step);
    }
}

int fold_customers_read(struct fold *fold, struct view_txn *txn, uint64_t number,
                        struct fold_customer **ret) {
    return find(fold, txn, number, fold->customers->n_max - FOLD_TOUCHED_MAX, ret);
}

int fold_customers_get(struct fold *fold, struct view_txn *txn, uint64_t number,
                       struct fold_customer **ret) {
    struct fold_customers *customers = fold->customers;
    int r = find(fold, txn, number, fold->customers->n_max, ret);
    if (r != 0 || (*ret)->touched) {
        return r;
    }
    if (customers->n_touched == TOUCHED_MAX) { // not within an event: fold_customers_reserve
        r = fold_customers_flush(fold, txn);
        if (r != 0) {
            return r;
        }
    }
    (*ret)->touched = true;
    fold->record_bytes += (*ret)->size;
    customers->touched[customers->n_touched++] = (struct touched){number, *ret};
    return 0;
}

int fold_customers_reserve(struct fold *fold, struct view_txn *txn) {
    struct fold_customers *customers = fold->customers;
    // Who is written in the middle of an event would be without the rest of it.
    if (GUARD(whole_events) && customers->n_touched + FOLD_TOUCHED_MAX > TOUCHED_MAX) {
        int r = fold_customers_flush(fold, txn);
        if (r != 0) {
            return r;
        }
    }
    if (!customers->drop &&
        customers->n + FOLD_TOUCHED_MAX <= customers->n_max - FOLD_TOUCHED_MAX &&
        arena_used(fold->arena) <= FOLD_KEPT_BYTES_MAX) {
        return 0;
    }
    int r = fold_customers_flush(fold, txn);
    if (r != 0) {
        return r;
    }
    for (size_t i = 0; i < customers->n; i++) {
        customers->slots[customers->rows[i].slot] = 0;
    }
    customers->n = 0;
    customers->drop = false;
    arena_reset(fold->arena);
    return 0;
}

void fold_customers_limit(struct fold *fold, size_t n) {
    fold->customers->n_max = n;
}

void fold_forget(struct fold *fold, uint64_t customer) {
    uint32_t slot = fold->customers->slots[slot_of(fold->customers, customer)];
    if (GUARD(destroyed_is_forgotten) && slot != 0) {
        fold->customers->rows[slot - 1].person = NULL;
        fold->customers->rows[slot - 1].person_changed = false;
    }
}

void fold_customers_drop(struct fold *fold) {
    fold->customers->drop = true;
}

int fold_person(struct fold_step *step, View__Person **ret) {
    struct fold_customer *touched = step->touched;
    struct arena *arena = step->fold->arena;
    if (touched->person == NULL) {
        ProtobufCBinaryData sealed = touched->record->person;
        uint64_t key = htobe64(touched->number);
        size_t size = 0;
        uint8_t *plain = arena_alloc(step->fold->scratch, sealed.len + 1);
        if (plain == NULL) {
            return -ENOMEM;
        }
        int r = view_unseal(step->txn, VIEW_CUSTOMERS, &key, sizeof(key), sealed.data, sealed.len,
                            plain, &size);
        if (r != 0) {
            return r;
        }
        View__Person *person = view__person__unpack(arena_allocator(arena), size, plain);
        if (person == NULL || !days_agree(person)) {
            return -EBADMSG;
        }
        touched->room[ROOM_KEYS] = room_of(person->n_keys);
        touched->room[ROOM_ATTRIBUTES] = room_of(person->n_attributes);
        touched->room[ROOM_INTERESTS] = room_of(person->n_interests);
        touched->person = person;
    }
    *ret = touched->person;
    return 0;
}

int fold_is_erased(struct fold *fold, struct view_txn *txn, uint64_t number) {
    struct fold_customer *kept;
    int r = fold_customers_read(fold, txn, number, &kept);
    return r != 0 ? r : kept->record->erased_sequence != 0;
}

// By number, a byte of it at a time from the lowest on (Knuth, TAOCP 3, 5.2.5): what is sorted is
// read in order, the customers themselves are not looked at.
static void sort(struct fold_customers *customers) {
    enum { BITS = 8, PARTS = 1 << BITS };
    struct touched *from = customers->touched, *to = customers->sorted;
    size_t n = customers->n_touched;
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) {
        all |= from[i].number;
    }
    for (unsigned shift = 0; n > 1 && shift < 64 && all >> shift != 0; shift += BITS) {
        size_t begin[PARTS + 1] = {0};
        for (size_t i = 0; i < n; i++) {
            begin[(from[i].number >> shift & (PARTS - 1)) + 1]++;
        }
        for (size_t part = 1; part < PARTS; part++) {
            begin[part] += begin[part - 1];
        }
        for (size_t i = 0; i < n; i++) {
            to[begin[from[i].number >> shift & (PARTS - 1)]++] = from[i];
        }
        struct touched *passed = from;
        from = to;
        to = passed;
    }
    customers->touched = from;
    customers->sorted = to;
}

// Packs to the end of what is kept for that; NULL where the limits of bounds.h add up to more.
static const uint8_t *pack_person(struct fold_customers *customers, const View__Person *person,
                                  size_t *ret_size) {
    uint8_t *end = customers->packed + RECORD_BYTES_MAX - VIEW_SEAL_OVERHEAD;
    const uint8_t *packed = pack_before(&person->base, customers->packed, end);
    *ret_size = packed == NULL ? 0 : (size_t)(end - packed);
    return packed;
}

// The same for the row: as pack_before would, were the last interactions in the record.
static const uint8_t *pack_row(struct fold_customers *customers,
                               const struct fold_customer *customer, size_t *ret_size) {
    const ProtobufCMessage *record = &customer->record->base;
    uint8_t *begin = customers->packed, *end = begin + RECORD_BYTES_MAX;
    uint8_t *at = pack_unknown_before(record, begin, end);
    at = at == NULL ? NULL
                    : pack_fields_before(record, RECENT_FIELD_LAST + 1, UINT32_MAX, begin, at);
    at = at == NULL ? NULL : fold_recent_pack(customer->recent, begin, at);
    at = at == NULL ? NULL : pack_fields_before(record, 0, RECENT_FIELD_FIRST - 1, begin, at);
    *ret_size = at == NULL ? 0 : (size_t)(end - at);
    return at;
}

// Seals the person again, where it was sealed the last time or, grown, into new room.
static int seal_person(struct fold *fold, struct view_txn *txn, struct fold_customer *touched) {
    uint64_t key = htobe64(touched->number);
    size_t size;
    const uint8_t *packed = pack_person(fold->customers, touched->person, &size);
    if (packed == NULL) {
        return -E2BIG;
    }
    if (touched->sealed_room < size + VIEW_SEAL_OVERHEAD) {
        size_t room = size + VIEW_SEAL_OVERHEAD + size / 4;
        touched->sealed = arena_alloc(fold->arena, room);
        touched->sealed_room = touched->sealed == NULL ? 0 : (uint32_t)room;
    }
    if (touched->sealed == NULL) {
        return -ENOMEM;
    }
    touched->record->person.data = touched->sealed;
    touched->person_changed = false;
    return view_seal(txn, VIEW_CUSTOMERS, &key, sizeof(key), packed, size, touched->sealed,
                     &touched->record->person.len);
}

static int write_row(struct fold *fold, struct view_txn *txn, struct fold_customer *touched) {
    int r = touched->person_changed ? seal_person(fold, txn, touched) : 0;
    if (r != 0) {
        return r;
    }
    size_t size;
    const uint8_t *packed = pack_row(fold->customers, touched, &size);
    if (packed == NULL) {
        return -E2BIG;
    }
    uint64_t key = htobe64(touched->number);
    touched->touched = false;
    touched->size = (uint32_t)size;
    return view_put(txn, VIEW_CUSTOMERS, &key, sizeof(key), packed, size);
}

enum { PREFETCH_STEPS = 4, PREFETCH_APART = 2 }; // customers between two steps

int fold_customers_flush(struct fold *fold, struct view_txn *txn) {
    struct fold_customers *customers = fold->customers;
    sort(customers);
    for (size_t i = 0; i < customers->n_touched; i++) {
        for (unsigned step = 0; step < PREFETCH_STEPS; step++) {
            size_t next = i + (size_t)(PREFETCH_STEPS - step) * PREFETCH_APART;
            if (next < customers->n_touched) {
                const struct touched *touched = &customers->touched[next];
                fold_prefetch_changed(txn, touched->number, touched->customer, step);
            }
        }
        int r = write_row(fold, txn, customers->touched[i].customer);
        if (r != 0) {
            return r;
        }
    }
    customers->n_touched = 0;
    return 0;
}

void *fold_grow(struct fold_step *step, enum fold_room column, void *elements, size_t n,
                size_t element_size) {
    uint16_t *room = &step->touched->room[column];
    if (n < *room) {
        return elements;
    }
    size_t grown = n + n / 2 + 1;
    void *moved = grown > UINT16_MAX ? NULL : arena_alloc(step->fold->arena, grown * element_size);
    if (moved != NULL && n > 0) {
        memcpy(moved, elements, n * element_size);
    }
    *room = moved == NULL ? *room : (uint16_t)grown;
    return moved;
}

void fold_customer_empty(struct fold_customer *customer) {
    view__customer__init(customer->record);
    memset(customer->room, 0, sizeof(customer->room));
    customer->recent = NULL;
    customer->person = NULL;
    customer->person_changed = false;
}
