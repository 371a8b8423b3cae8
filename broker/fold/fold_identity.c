// SPDX-License-Identifier: Apache-2.0
// Merges, splits and keys that several customers share, as decide stamped them. A merge is a
// pointer and a row of the ledger: no leaf's own rows are touched, so that a split gives back
// exactly what each had. All of it is read from the stamp alone, and what does not fit the view as
// it is changes nothing.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

static uint32_t day_of(int64_t time_us) {
    return time_us < 0 ? 0 : (uint32_t)(time_us / DAY_US);
}

// ---- lists of leaves in a record

static bool stands_in(const uint64_t *list, size_t n, uint64_t number) {
    for (size_t i = 0; i < n; i++) {
        if (list[i] == number) {
            return true;
        }
    }
    return false;
}

// Adds those that are not there yet, up to max.
static int add(struct arena *arena, uint64_t **list, size_t *n, const uint64_t *more, size_t n_more,
               size_t max) {
    uint64_t *grown = arena_alloc(arena, (*n + n_more) * sizeof(*grown) + 1);
    if (grown == NULL) {
        return -ENOMEM;
    }
    size_t n_grown = *n;
    if (*n > 0) {
        memcpy(grown, *list, *n * sizeof(*grown));
    }
    for (size_t i = 0; i < n_more && n_grown < max; i++) {
        if (!stands_in(grown, n_grown, more[i])) {
            grown[n_grown++] = more[i];
        }
    }
    *list = grown;
    *n = n_grown;
    return 0;
}

static void remove_all(uint64_t *list, size_t *n, const uint64_t *gone, size_t n_gone) {
    size_t n_kept = 0;
    for (size_t i = 0; i < *n; i++) {
        if (!stands_in(gone, n_gone, list[i])) {
            list[n_kept++] = list[i];
        }
    }
    *n = n_kept;
}

static int record_of(struct fold_step *step, uint64_t number, View__Customer **ret) {
    struct fold_customer *touched;
    int r = fold_customers_get(step->fold, step->txn, number, &touched);
    *ret = r == 0 ? touched->record : NULL;
    return r;
}

static bool is_a_customer(const struct fold_step *step, uint64_t number) {
    return number != 0 && number <= step->fold->customers_last;
}

static int write_ledger(struct fold_step *step, uint64_t from, uint64_t into, bool split) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    uint8_t packed[256]; // two numbers, a flag and STAMP_LEAVES_MAX numbers
    uint64_t key = htobe64(step->event->sequence);
    View__Ledger row = VIEW__LEDGER__INIT;
    row.from = from;
    row.into = into;
    row.split = split;
    row.vetoes = stamp->vetoes;
    row.n_vetoes = split && stamp->n_vetoes <= STAMP_LEAVES_MAX ? stamp->n_vetoes : 0;
    size_t size = view__ledger__get_packed_size(&row);
    if (size > sizeof(packed)) {
        return -E2BIG;
    }
    view__ledger__pack(&row, packed);
    return view_put(step->txn, VIEW_LEDGER, &key, sizeof(key), packed, size);
}

// ---- merge

static int count_merge(struct fold_step *step, View__Customer *into) {
    size_t n = into->n_merge_day;
    size_t kept = n < CUSTOMER_MERGE_DAYS_MAX ? n : CUSTOMER_MERGE_DAYS_MAX - 1;
    uint32_t *days = arena_alloc(step->fold->arena, (kept + 1) * sizeof(*days));
    if (days == NULL) {
        return -ENOMEM;
    }
    if (kept > 0) {
        memcpy(days, into->merge_day + (n - kept), kept * sizeof(*days));
    }
    days[kept] = day_of(step->event->received_us);
    into->merge_day = days;
    into->n_merge_day = kept + 1;
    into->merges++;
    return 0;
}

static int merge(struct fold_step *step) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    View__Customer *from, *into;
    if (!is_a_customer(step, stamp->merge_from) || !is_a_customer(step, stamp->merge_into) ||
        stamp->merge_from == stamp->merge_into) {
        return 0;
    }
    int r = record_of(step, stamp->merge_from, &from);
    r = r != 0 ? r : record_of(step, stamp->merge_into, &into);
    if (r != 0) {
        return r;
    }
    if (from->erased_sequence != 0 || into->erased_sequence != 0 || from->into != 0 ||
        into->into != 0 || from->n_leaves + into->n_leaves + 2 > STAMP_LEAVES_MAX) {
        return 0;
    }
    struct arena *arena = step->fold->arena;
    from->into = stamp->merge_into;
    r = add(arena, &into->leaves, &into->n_leaves, &stamp->merge_from, 1, STAMP_LEAVES_MAX);
    r = r != 0 ? r
               : add(arena, &into->leaves, &into->n_leaves, from->leaves, from->n_leaves,
                     STAMP_LEAVES_MAX);
    r = r != 0 ? r : count_merge(step, into);
    return r != 0 ? r : write_ledger(step, stamp->merge_from, stamp->merge_into, false);
}

// ---- split

// Takes the leaf and what is below it out of everything above it.
static int cut(struct fold_step *step, uint64_t above, const uint64_t *gone, size_t n_gone) {
    int r = 0;
    for (unsigned i = 0; r == 0 && above != 0 && i < STAMP_LEAVES_MAX; i++) {
        View__Customer *record;
        r = record_of(step, above, &record);
        if (r == 0) {
            remove_all(record->leaves, &record->n_leaves, gone, n_gone);
            above = record->into;
        }
    }
    return r;
}

static int veto(struct fold_step *step, const uint64_t *leaves, size_t n, const uint64_t *against,
                size_t n_against) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        View__Customer *record = NULL;
        r = is_a_customer(step, leaves[i]) ? record_of(step, leaves[i], &record) : 0;
        if (r == 0 && record != NULL && record->erased_sequence == 0) {
            r = add(step->fold->arena, &record->vetoes, &record->n_vetoes, against, n_against,
                    CUSTOMER_VETOES_MAX);
        }
    }
    return r;
}

static int split(struct fold_step *step) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    View__Customer *record;
    uint64_t gone[STAMP_LEAVES_MAX];
    if (!is_a_customer(step, stamp->split)) {
        return 0;
    }
    int r = record_of(step, stamp->split, &record);
    if (r != 0 || record->erased_sequence != 0 || record->into == 0 ||
        record->n_leaves >= STAMP_LEAVES_MAX) {
        return r;
    }
    uint64_t above = record->into;
    size_t n = 0;
    gone[n++] = stamp->split;
    for (size_t i = 0; i < record->n_leaves; i++) {
        gone[n++] = record->leaves[i];
    }
    record->into = 0;
    r = cut(step, above, gone, n);
    if (GUARD(split_vetoes)) {
        r = r != 0 ? r : veto(step, gone, n, stamp->vetoes, stamp->n_vetoes);
        r = r != 0 ? r : veto(step, stamp->vetoes, stamp->n_vetoes, gone, n);
    }
    return r != 0 ? r : write_ledger(step, stamp->split, above, true);
}

// ---- keys that several customers came with

// A bit for many lookups, set with the first row that one of them gets; rows are few.
static uint64_t *contested_bit(const struct fold *fold, const uint8_t *lookup, uint64_t *ret_mask) {
    uint64_t number;
    memcpy(&number, lookup, sizeof(number));
    number &= FOLD_CONTESTED_BITS - 1;
    *ret_mask = UINT64_C(1) << number % 64;
    return (uint64_t *)(uintptr_t)&fold->contested[number / 64];
}

bool fold_may_be_contested(const struct fold *fold, const uint8_t lookup[static LOOKUP_BYTES]) {
    uint64_t mask;
    return (*contested_bit(fold, lookup, &mask) & mask) != 0;
}

static void note_bit(struct fold *fold, const uint8_t *lookup) {
    uint64_t mask;
    *contested_bit(fold, lookup, &mask) |= mask;
}

static int load_bit(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value;
    (void)size;
    if (key_size != LOOKUP_BYTES) {
        return -EBADMSG;
    }
    note_bit(user, key);
    return 0;
}

int fold_contested_load(struct fold *fold, struct view_txn *txn) {
    return view_scan(txn, VIEW_CONTESTED, NULL, 0, false, load_bit, fold);
}

static int contested_get(struct fold_step *step, const uint8_t *lookup, View__Contested **ret) {
    const void *value;
    size_t size = 0;
    int r = view_get(step->txn, VIEW_CONTESTED, lookup, LOOKUP_BYTES, &value, &size);
    if (r < 0) {
        return r;
    }
    View__Contested *row =
        r == 0 ? view__contested__unpack(arena_allocator(step->fold->scratch), size, value)
               : arena_alloc(step->fold->scratch, sizeof(*row));
    if (row == NULL) {
        return r == 0 ? -EBADMSG : -ENOMEM;
    }
    if (r == 1) {
        view__contested__init(row);
    }
    *ret = row;
    return row->n_customer == row->n_day && row->n_customer <= CONTESTED_CUSTOMERS_MAX ? 0
                                                                                       : -EBADMSG;
}

static int contested_put(struct fold_step *step, const uint8_t *lookup,
                         const View__Contested *row) {
    size_t size = view__contested__get_packed_size(row);
    uint8_t *packed = arena_alloc(step->fold->scratch, size + 1);
    if (packed == NULL) {
        return -ENOMEM;
    }
    view__contested__pack(row, packed);
    note_bit(step->fold, lookup);
    return view_put(step->txn, VIEW_CONTESTED, lookup, LOOKUP_BYTES, packed, size);
}

// The customer goes to the end of the row; of too many the first one is forgotten.
static int note_contested(struct fold_step *step, const uint8_t *lookup) {
    View__Contested *row;
    int r = contested_get(step, lookup, &row);
    if (r != 0) {
        return r;
    }
    uint64_t customers[CONTESTED_CUSTOMERS_MAX + 1];
    uint32_t days[CONTESTED_CUSTOMERS_MAX + 1];
    size_t n = 0;
    for (size_t i = 0; i < row->n_customer; i++) {
        if (row->customer[i] != step->event->customer) {
            customers[n] = row->customer[i];
            days[n++] = row->day[i];
        }
    }
    customers[n] = step->event->customer;
    days[n++] = day_of(step->event->received_us);
    size_t first = n > CONTESTED_CUSTOMERS_MAX ? 1 : 0;
    row->customer = customers + first;
    row->day = days + first;
    row->n_customer = row->n_day = n - first;
    return contested_put(step, lookup, row);
}

static int share(struct fold_step *step, const uint8_t *lookup) {
    View__Contested *row;
    int r = contested_get(step, lookup, &row);
    if (r != 0) {
        return r;
    }
    row->shared = true;
    r = contested_put(step, lookup, row);
    return r != 0 ? r : fold_keys_unbind(step, lookup);
}

static int each(struct fold_step *step, ProtobufCBinaryData lookups,
                int (*change)(struct fold_step *step, const uint8_t *lookup)) {
    int r = 0;
    for (size_t i = 0; r == 0 && i + LOOKUP_BYTES <= lookups.len; i += LOOKUP_BYTES) {
        r = change(step, lookups.data + i);
    }
    return r;
}

int fold_identity(struct fold_step *step) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    int r = stamp->merge_from != 0 ? merge(step) : 0;
    r = r == 0 && stamp->split != 0 ? split(step) : r;
    if (r == 0 && step->event->customer != 0) {
        r = each(step, stamp->contested, note_contested);
    }
    r = r != 0 ? r : each(step, stamp->shared, share);
    if (stamp->limited && step->customer != NULL && step->customer->erased_sequence == 0) {
        step->customer->limit_day = day_of(step->event->received_us);
    }
    return r;
}
