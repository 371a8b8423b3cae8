// SPDX-License-Identifier: Apache-2.0
// The scorecard's cells: sums of what decide stamped, and of nothing else, so that erasing a person
// leaves them as they are. Cells that were touched since the last flush are kept decoded and
// written by it, in key order.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "broker/fold/items.h"
#include "broker/fold/scores.h"
#include "broker/fold/spread.h"
#include "schemas/base/money.h"

// Touched between two flushes at most; a fuller table is written first.
enum { CELLS_MAX = 1024, SLOTS = CELLS_MAX * 2 };

struct cell {
    uint8_t key[SCORES_KEY_BYTES_MAX];
    size_t key_size;
    View__Cell *record; // in the fold's arena
};

struct fold_scores {
    struct cell cells[CELLS_MAX];
    size_t n;
    uint16_t slots[SLOTS]; // 1 + index into cells
};

struct fold_scores *fold_scores_new(void) {
    return calloc(1, sizeof(struct fold_scores));
}

struct fold_scores *fold_scores_free(struct fold_scores *scores) {
    free(scores);
    return NULL;
}

static size_t slot_of(const struct fold_scores *scores, const uint8_t *key, size_t size) {
    uint32_t hash = UINT32_C(2166136261); // FNV-1a
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ key[i]) * UINT32_C(16777619);
    }
    size_t i = hash % SLOTS;
    while (scores->slots[i] != 0) {
        const struct cell *cell = &scores->cells[scores->slots[i] - 1];
        if (cell->key_size == size && memcmp(cell->key, key, size) == 0) {
            break;
        }
        i = (i + 1) % SLOTS;
    }
    return i;
}

static int load(struct fold *fold, struct view_txn *txn, const uint8_t *key, size_t size,
                View__Cell **ret) {
    const void *value;
    size_t value_size;
    int r = view_get(txn, VIEW_SCORES, key, size, &value, &value_size);
    if (r < 0) {
        return r;
    }
    if (r == 0) {
        fold->record_bytes += value_size;
        *ret = view__cell__unpack(arena_allocator(fold->scratch), value_size, value);
        return *ret == NULL || (*ret)->n_reason != (*ret)->n_reason_number ? -EBADMSG : 0;
    }
    *ret = arena_alloc(fold->scratch, sizeof(**ret));
    if (*ret == NULL) {
        return -ENOMEM;
    }
    view__cell__init(*ret);
    return 0;
}

static int cell_get(struct fold *fold, struct view_txn *txn, const uint8_t *key, size_t size,
                    View__Cell **ret) {
    struct fold_scores *scores = fold->scores;
    size_t slot = slot_of(scores, key, size);
    if (scores->slots[slot] != 0) {
        *ret = scores->cells[scores->slots[slot] - 1].record;
        return 0;
    }
    if (scores->n == CELLS_MAX) {
        int r = fold_scores_flush(fold, txn);
        if (r != 0) {
            return r;
        }
        slot = slot_of(scores, key, size);
    }
    struct cell *cell = &scores->cells[scores->n];
    int r = load(fold, txn, key, size, &cell->record);
    if (r != 0) {
        return r;
    }
    memcpy(cell->key, key, size);
    cell->key_size = size;
    scores->slots[slot] = (uint16_t)++scores->n;
    *ret = cell->record;
    return 0;
}

static int compare_key(const void *a, const void *b) {
    const struct cell *left = a, *right = b;
    size_t size = left->key_size < right->key_size ? left->key_size : right->key_size;
    int order = memcmp(left->key, right->key, size);
    return order != 0 ? order
                      : (left->key_size > right->key_size) - (left->key_size < right->key_size);
}

int fold_scores_flush(struct fold *fold, struct view_txn *txn) {
    struct fold_scores *scores = fold->scores;
    int r = 0;
    if (scores->n == 0) {
        return 0;
    }
    qsort(scores->cells, scores->n, sizeof(scores->cells[0]), compare_key);
    for (size_t i = 0; r == 0 && i < scores->n; i++) {
        const struct cell *cell = &scores->cells[i];
        size_t size = view__cell__get_packed_size(cell->record);
        uint8_t *packed = arena_alloc(fold->scratch, size + 1);
        if (packed == NULL) {
            return -ENOMEM;
        }
        view__cell__pack(cell->record, packed);
        r = view_put(txn, VIEW_SCORES, cell->key, cell->key_size, packed, size);
    }
    scores->n = 0;
    memset(scores->slots, 0, sizeof(scores->slots));
    return r;
}

// Looks without keeping: what nobody changed must not be written.
int fold_month_cost(struct fold *fold, struct view_txn *txn, const char *channel, uint32_t month,
                    int64_t *ret_micro) {
    uint8_t key[SCORES_KEY_BYTES_MAX];
    size_t size = scores_month_key(month, channel, key);
    uint16_t slot = fold->scores->slots[slot_of(fold->scores, key, size)];
    View__Cell *cell = slot != 0 ? fold->scores->cells[slot - 1].record : NULL;
    int r = cell != NULL ? 0 : load(fold, txn, key, size, &cell);
    if (r == 0) {
        *ret_micro = cell->cost_micro;
    }
    return r;
}

// ---- one score

static int observe(struct fold *fold, View__Spread **spread, bool observed, int64_t time_us) {
    if (!observed) {
        return 0;
    }
    if (*spread == NULL) {
        *spread = arena_alloc(fold->scratch, sizeof(**spread));
        if (*spread == NULL) {
            return -ENOMEM;
        }
        view__spread__init(*spread);
    }
    return spread_add(fold->scratch, *spread, time_us);
}

static int add_reason(const struct fold_step *step, View__Cell *cell, const char *text) {
    struct arena *arena = step->fold->scratch;
    uint32_t name = 0;
    int r = fold_names_intern(step->fold->names, step->txn, text, &name);
    size_t at = 0;
    while (r == 0 && at < cell->n_reason && cell->reason[at] != name) {
        at++;
    }
    if (r == 0 && at == cell->n_reason) {
        uint32_t *reasons = arena_alloc(arena, (at + 1) * sizeof(*reasons));
        uint64_t *numbers = arena_alloc(arena, (at + 1) * sizeof(*numbers));
        if (reasons == NULL || numbers == NULL) {
            return -ENOMEM;
        }
        if (at > 0) {
            memcpy(reasons, cell->reason, at * sizeof(*reasons));
            memcpy(numbers, cell->reason_number, at * sizeof(*numbers));
        }
        reasons[at] = name;
        numbers[at] = 0;
        cell->reason = reasons;
        cell->reason_number = numbers;
        cell->n_reason = cell->n_reason_number = at + 1;
    }
    if (r == 0) {
        cell->reason_number[at]++;
    }
    return r;
}

static int add(const struct fold_step *step, View__Cell *cell, const Touchbus__Score *score) {
    struct fold *fold = step->fold;
    cell->contacts += score->contacts;
    cell->handled += score->handled;
    cell->abandoned += score->abandoned;
    cell->resolved += score->resolved;
    cell->reopened += score->reopened;
    cell->unconverted += score->unconverted;
    cell->orders += score->orders;
    cell->satisfactions += score->has_satisfaction;
    cell->suppressed += score->n_reasons > 0;
    money_add(&cell->satisfaction_micro, score->satisfaction_micro);
    money_add(&cell->cost_micro, score->cost_micro);
    money_add(&cell->revenue_micro, score->revenue_micro);
    money_add(&cell->margin_micro, score->margin_micro);
    int r = observe(fold, &cell->waiting, score->has_waiting, score->waiting_us);
    r = r != 0 ? r : observe(fold, &cell->handling, score->has_handling, score->handling_us);
    r = r != 0 ? r : observe(fold, &cell->response, score->has_response, score->response_us);
    for (size_t i = 0; r == 0 && i < score->n_reasons; i++) {
        r = add_reason(step, cell, score->reasons[i]);
    }
    return r;
}

// What a channel has cost in a month stands in a row of its own, so that a budget needs no scan.
static int add_to_month(const struct fold_step *step, uint32_t hour, const Touchbus__Score *score) {
    uint8_t key[SCORES_KEY_BYTES_MAX];
    View__Cell *month;
    if (score->cost_micro == 0) {
        return 0;
    }
    size_t size = scores_month_key(scores_month(hour), score->channel, key);
    int r = cell_get(step->fold, step->txn, key, size, &month);
    if (r == 0) {
        money_add(&month->cost_micro, score->cost_micro);
    }
    return r;
}

// What an order, a case or a message was counted in, for the event that comes back to it. What is
// settled of an order stays: a repeat must not count it anew.
static int keep(const struct fold_step *step, const Touchbus__Score *score) {
    uint8_t key[SCORES_KEPT_KEY_BYTES];
    if (score->about.len != LOOKUP_BYTES) {
        return 0;
    }
    scores_kept_key(score->about_kind, score->about.data, key);
    if (score->settles && score->about_kind != ITEM_ORDER) {
        int r = view_delete(step->txn, VIEW_SCORES, key, sizeof(key));
        return r > 0 ? 0 : r;
    }
    View__Kept kept;
    view__kept__init(&kept);
    kept.settled = score->settles;
    if (!score->settles) {
        kept.hour = score->hour;
        kept.channel = score->channel;
        kept.tier = score->tier;
        kept.time_us = step->time_us;
        kept.revenue_micro = score->revenue_micro;
        kept.margin_micro = score->margin_micro;
    }
    size_t size = view__kept__get_packed_size(&kept);
    uint8_t *packed = arena_alloc(step->fold->scratch, size + 1);
    if (packed == NULL) {
        return -ENOMEM;
    }
    view__kept__pack(&kept, packed);
    return view_put(step->txn, VIEW_SCORES, key, sizeof(key), packed, size);
}

int fold_scores(struct fold_step *step) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    int r = 0;
    for (size_t i = 0; r == 0 && i < stamp->n_scores; i++) {
        const Touchbus__Score *score = stamp->scores[i];
        uint32_t hour = score->hour >= SCORES_HOURS_END ? SCORES_HOURS_END - 1 : score->hour;
        uint32_t channel = 0, tier = 0;
        uint8_t key[SCORES_CELL_KEY_BYTES];
        View__Cell *cell;
        r = fold_names_intern(step->fold->names, step->txn, score->channel, &channel);
        r = r != 0 ? r : fold_names_intern(step->fold->names, step->txn, score->tier, &tier);
        scores_cell_key(hour, channel, tier, key);
        r = r != 0 ? r : cell_get(step->fold, step->txn, key, sizeof(key), &cell);
        r = r != 0 ? r : add(step, cell, score);
        r = r != 0 ? r : add_to_month(step, hour, score);
        r = r != 0 ? r : keep(step, score);
    }
    return r;
}
