// SPDX-License-Identifier: Apache-2.0
// What is soon asked of a kept customer is fetched into the processor's cache, one pointer a step,
// while others are worked on: records are trees, and each branch is a miss. It changes nothing.
#include "broker/fold/fold_internal.h"

enum { CACHE_LINE_BYTES = 64 };

// Takes NULL: an empty column.
static void prefetch(const void *memory, size_t bytes) {
    const char *at = memory;
    for (size_t i = 0; at != NULL && i < bytes; i += CACHE_LINE_BYTES) {
        __builtin_prefetch(at + i, 1);
    }
}

static void prefetch_recent(const struct fold_recent *recent) {
    if (recent != NULL) {
        prefetch(recent, sizeof(*recent) + fold_recent_bytes(recent));
    }
}

// What every event reads or writes of it.
static void prefetch_columns(const View__Customer *record) {
    size_t n = record->n_counter_type;
    prefetch(record->key_lookups.data, record->key_lookups.len);
    prefetch(record->counter_type, n * sizeof(*record->counter_type));
    prefetch(record->counter_channel, n * sizeof(*record->counter_channel));
    prefetch(record->counter_number, n * sizeof(*record->counter_number));
    prefetch(record->counter_first_us, n * sizeof(*record->counter_first_us));
    prefetch(record->counter_last_us, n * sizeof(*record->counter_last_us));
    __builtin_prefetch(record->visit_day);
}

void fold_prefetch_kept(const struct fold_customer *kept, unsigned step) {
    switch (step) {
    case 1:
        prefetch(kept, sizeof(*kept));
        break;
    case 2:
        prefetch(kept->record, sizeof(*kept->record));
        __builtin_prefetch(kept->person);
        __builtin_prefetch(kept->recent);
        break;
    case 3:
        prefetch_columns(kept->record);
        prefetch_recent(kept->recent);
        if (kept->person != NULL) {
            prefetch(kept->person->interests,
                     kept->person->n_interests * sizeof(*kept->person->interests));
        }
        break;
    case 4:
        for (size_t i = 0; kept->person != NULL && i < kept->person->n_interests; i++) {
            __builtin_prefetch(kept->person->interests[i]);
        }
        break;
    default:
        break;
    }
}

void fold_prefetch_changed(const struct view_txn *txn, uint64_t number,
                           const struct fold_customer *kept, unsigned step) {
    const View__Person *person = step > 1 ? kept->person : NULL;
    switch (step) {
    case 0:
        prefetch(kept, sizeof(*kept));
        view_seal_ahead(txn, number, 0);
        break;
    case 1:
        view_seal_ahead(txn, number, 1);
        prefetch(kept->record, sizeof(*kept->record));
        prefetch(kept->person, sizeof(*kept->person));
        __builtin_prefetch(kept->recent);
        break;
    case 2:
        prefetch_columns(kept->record);
        prefetch_recent(kept->recent);
        if (person != NULL) {
            prefetch(person->keys, person->n_keys * sizeof(*person->keys));
            prefetch(person->attributes, person->n_attributes * sizeof(*person->attributes));
            prefetch(person->interests, person->n_interests * sizeof(*person->interests));
        }
        break;
    default:
        for (size_t i = 0; person != NULL && i < person->n_keys; i++) {
            prefetch(person->keys[i], sizeof(*person->keys[i]));
        }
        for (size_t i = 0; person != NULL && i < person->n_attributes; i++) {
            prefetch(person->attributes[i], sizeof(*person->attributes[i]));
        }
        for (size_t i = 0; person != NULL && i < person->n_interests; i++) {
            prefetch(person->interests[i], sizeof(*person->interests[i]));
        }
        break;
    }
}
