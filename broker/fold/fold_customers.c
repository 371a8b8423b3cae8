// SPDX-License-Identifier: Apache-2.0
// Customers that this tick has touched, decoded once and written once, in key order: neighbours
// share the B-tree's pages. The table is emptied by a flush. What is personal stays sealed as it is
// unless an event changes it.
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"

// Touched between two flushes at most; a fuller one is flushed first.
enum { TOUCHED_MAX = 8192, SLOTS = TOUCHED_MAX * 2, RECORD_BYTES_MAX = 1 << 20, GROWTH = 8 };

struct fold_customers {
    struct fold_customer rows[TOUCHED_MAX];
    size_t n;
    uint16_t slots[SLOTS];    // 1 + index into rows
    uint8_t *packed, *sealed; // RECORD_BYTES_MAX each, for packing one record
};

struct fold_customers *fold_customers_new(void) {
    struct fold_customers *customers = calloc(1, sizeof(*customers));
    if (customers == NULL) {
        return NULL;
    }
    customers->packed = malloc(RECORD_BYTES_MAX);
    customers->sealed = malloc(RECORD_BYTES_MAX);
    return customers->packed == NULL || customers->sealed == NULL ? fold_customers_free(customers)
                                                                  : customers;
}

struct fold_customers *fold_customers_free(struct fold_customers *customers) {
    if (customers != NULL) {
        free(customers->packed);
        free(customers->sealed);
        free(customers);
    }
    return NULL;
}

static size_t slot_of(const struct fold_customers *customers, uint64_t number) {
    size_t i = (number * UINT64_C(0x9E3779B97F4A7C15) >> 40) & (SLOTS - 1);
    while (customers->slots[i] != 0 && customers->rows[customers->slots[i] - 1].number != number) {
        i = (i + 1) & (SLOTS - 1);
    }
    return i;
}

// Columns have room for a multiple of GROWTH elements; what was just unpacked is brought to it.
static bool round_up(struct arena *arena, void *column, size_t n, size_t element_size) {
    void *elements;
    memcpy(&elements, column, sizeof(elements));
    if (n % GROWTH == 0) {
        return true; // full, or empty: fold_grow moves it
    }
    void *moved = arena_alloc(arena, (n + GROWTH - n % GROWTH) * element_size);
    if (moved == NULL) {
        return false;
    }
    memcpy(moved, elements, n * element_size);
    memcpy(column, &moved, sizeof(moved));
    return true;
}

#define ROUND(column) round_up(arena, &record->column, record->n_##column, sizeof(*record->column))
static bool round_columns(struct arena *arena, View__Customer *record) {
    return round_up(arena, &record->key_lookups.data, record->key_lookups.len / LOOKUP_KEY_BYTES,
                    LOOKUP_KEY_BYTES) &&
           ROUND(counter_channel) && ROUND(counter_type) && ROUND(counter_number) &&
           ROUND(counter_first_us) && ROUND(counter_last_us) && ROUND(recent_sequence) &&
           ROUND(recent_time_us) && ROUND(recent_type) && ROUND(recent_channel);
}

static bool round_person(struct arena *arena, View__Person *record) {
    return ROUND(keys) && ROUND(attributes) && ROUND(interests);
}
#undef ROUND

static bool columns_agree(const View__Customer *record) {
    size_t n = record->n_counter_type;
    size_t m = record->n_recent_sequence;
    return n == record->n_counter_channel && n == record->n_counter_number &&
           n == record->n_counter_first_us && n == record->n_counter_last_us &&
           m == record->n_recent_time_us && m == record->n_recent_type &&
           m == record->n_recent_channel && record->key_lookups.len % LOOKUP_KEY_BYTES == 0;
}

static bool days_agree(const View__Person *person) {
    for (size_t i = 0; i < person->n_interests; i++) {
        if (person->interests[i]->n_day != person->interests[i]->n_number) {
            return false;
        }
    }
    return true;
}

static int load(struct fold *fold, struct view_txn *txn, uint64_t number, View__Customer **ret) {
    uint64_t key = htobe64(number);
    const void *value;
    size_t size;
    int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size);
    if (r < 0) {
        return r;
    }
    if (r == 1) {
        View__Customer *record = arena_alloc(fold->arena, sizeof(*record));
        if (record == NULL) {
            return -ENOMEM;
        }
        view__customer__init(record);
        *ret = record;
        return 0;
    }
    fold->record_bytes += size;
    *ret = view__customer__unpack(arena_allocator(fold->arena), size, value);
    if (*ret == NULL || !columns_agree(*ret)) {
        return -EBADMSG;
    }
    return round_columns(fold->arena, *ret) ? 0 : -ENOMEM;
}

int fold_customers_get(struct fold *fold, struct view_txn *txn, uint64_t number,
                       struct fold_customer **ret) {
    struct fold_customers *customers = fold->customers;
    size_t slot = slot_of(customers, number);
    if (customers->slots[slot] != 0) {
        *ret = &customers->rows[customers->slots[slot] - 1];
        return 0;
    }
    if (customers->n == TOUCHED_MAX) {
        int r = fold_customers_flush(fold, txn);
        if (r != 0) {
            return r;
        }
        slot = slot_of(customers, number);
    }
    View__Customer *record;
    int r = load(fold, txn, number, &record);
    if (r != 0) {
        return r;
    }
    *ret = &customers->rows[customers->n++];
    **ret = (struct fold_customer){.number = number, .record = record};
    customers->slots[slot] = (uint16_t)customers->n;
    return 0;
}

int fold_customers_reserve(struct fold *fold, struct view_txn *txn, size_t n) {
    return fold->customers->n + n > TOUCHED_MAX ? fold_customers_flush(fold, txn) : 0;
}

int fold_person(struct fold_step *step, View__Person **ret) {
    struct fold_customer *touched = step->touched;
    struct arena *arena = step->fold->arena;
    if (touched->person == NULL) {
        ProtobufCBinaryData sealed = touched->record->person;
        uint64_t key = htobe64(touched->number);
        size_t size = 0;
        uint8_t *plain = arena_alloc(arena, sealed.len + 1);
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
        if (!round_person(arena, person)) {
            return -ENOMEM;
        }
        touched->person = person;
    }
    *ret = touched->person;
    return 0;
}

// Without a row in the table of the touched, which might have to be flushed first.
int fold_is_erased(struct fold *fold, struct view_txn *txn, uint64_t number) {
    const struct fold_customers *customers = fold->customers;
    uint16_t slot = customers->slots[slot_of(customers, number)];
    if (slot != 0) {
        return customers->rows[slot - 1].record->erased_sequence != 0;
    }
    View__Customer *record;
    int r = load(fold, txn, number, &record);
    return r != 0 ? r : record->erased_sequence != 0;
}

static int compare_number(const void *a, const void *b) {
    uint64_t left = ((const struct fold_customer *)a)->number;
    uint64_t right = ((const struct fold_customer *)b)->number;
    return left < right ? -1 : left > right;
}

// Seals the person again, into the buffer that lasts until the record is packed.
static int seal_person(struct fold_customers *customers, struct view_txn *txn,
                       const struct fold_customer *touched) {
    uint64_t key = htobe64(touched->number);
    size_t size = view__person__get_packed_size(touched->person);
    if (size > RECORD_BYTES_MAX - VIEW_SEAL_OVERHEAD) {
        return -E2BIG; // the limits of bounds.h add up to less
    }
    view__person__pack(touched->person, customers->packed);
    touched->record->person.data = customers->sealed;
    return view_seal(txn, VIEW_CUSTOMERS, &key, sizeof(key), customers->packed, size,
                     customers->sealed, &touched->record->person.len);
}

int fold_customers_flush(struct fold *fold, struct view_txn *txn) {
    struct fold_customers *customers = fold->customers;
    qsort(customers->rows, customers->n, sizeof(customers->rows[0]), compare_number);
    for (size_t i = 0; i < customers->n; i++) {
        const View__Customer *record = customers->rows[i].record;
        int r = customers->rows[i].person_changed ? seal_person(customers, txn, &customers->rows[i])
                                                  : 0;
        if (r != 0) {
            return r;
        }
        size_t size = view__customer__get_packed_size(record);
        if (size > RECORD_BYTES_MAX) {
            return -E2BIG; // the limits of bounds.h add up to less
        }
        view__customer__pack(record, customers->packed);
        uint64_t key = htobe64(customers->rows[i].number);
        r = view_put(txn, VIEW_CUSTOMERS, &key, sizeof(key), customers->packed, size);
        if (r != 0) {
            return r;
        }
    }
    customers->n = 0;
    memset(customers->slots, 0, sizeof(customers->slots));
    return 0;
}

void *fold_grow(struct arena *arena, void *elements, size_t n, size_t element_size) {
    if (n % GROWTH != 0) {
        return elements;
    }
    void *moved = arena_alloc(arena, (n + GROWTH) * element_size);
    if (moved != NULL && n > 0) {
        memcpy(moved, elements, n * element_size);
    }
    return moved;
}
