// SPDX-License-Identifier: Apache-2.0
// Where a customer stands: what standing.changed stamped, in the record of whom it names; and what
// a leaf's orders are worth in all, a sum for each currency, moved by the difference that an event
// makes. Which tier follows from it is decide's to say.
#include <errno.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "broker/fold/worth.h"
#include "schemas/base/money.h"

// ---- tier and phase

int fold_standing(struct fold_step *step) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    View__Customer *customer = step->customer;
    bool says = *stamp->tier != '\0' || *stamp->phase != '\0';
    if (!says || customer == NULL || customer->erased_sequence != 0) {
        return 0;
    }
    struct arena *arena = step->fold->arena;
    customer->tier = *stamp->tier == '\0' ? customer->tier : arena_strdup(arena, stamp->tier);
    customer->phase = *stamp->phase == '\0' ? customer->phase : arena_strdup(arena, stamp->phase);
    customer->value_micro = stamp->value_micro;
    customer->standing_sequence = step->event->sequence;
    return customer->tier == NULL || customer->phase == NULL ? -ENOMEM : 0;
}

// ---- what an order is worth

static const View__Attribute *find_member(const View__Item *item, const char *name) {
    for (size_t i = 0; i < item->n_members; i++) {
        if (strcmp(item->members[i]->name, name) == 0) {
            return item->members[i];
        }
    }
    return NULL;
}

static bool read_member(const View__Item *item, const char *name, enum body_kind kind,
                        struct body_value *ret) {
    const View__Attribute *member = find_member(item, name);
    return member != NULL && body_read(member->value.data, member->value.len, ret) &&
           ret->kind == kind;
}

static bool counts(const View__Item *order) {
    static const char *const gone[] = {"cancelled", "canceled", "returned", "refunded"};
    struct body_value status;
    if (!read_member(order, "status", BODY_TEXT, &status)) {
        return true;
    }
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        if (status.text_size == strlen(gone[i]) &&
            memcmp(status.text, gone[i], status.text_size) == 0) {
            return false;
        }
    }
    return true;
}

int64_t worth_of_order(const View__Item *order, struct arena *arena, const char **ret_currency) {
    struct body_value total, currency;
    *ret_currency = NULL;
    if (!read_member(order, "total", BODY_INTEGER, &total) ||
        !read_member(order, "currency", BODY_TEXT, &currency) ||
        currency.text_size > CURRENCY_BYTES_MAX) {
        return 0;
    }
    char *text = arena_alloc(arena, currency.text_size + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, currency.text, currency.text_size);
    text[currency.text_size] = '\0';
    *ret_currency = text;
    int64_t micro = total.integer == INT64_MIN ? -INT64_MAX : total.integer; // it can be taken off
    return counts(order) ? micro : 0;
}

// ---- what they are worth in all

int64_t worth_in(const View__Customer *record, const char *currency) {
    for (size_t i = 0; i < record->n_worth; i++) {
        if (strcmp(record->worth[i]->currency, currency) == 0) {
            return record->worth[i]->micro;
        }
    }
    return 0;
}

// NULL: over the limit, or memory is short.
static View__Worth *find_worth(struct fold_step *step, const char *currency) {
    View__Customer *customer = step->customer;
    struct arena *arena = step->fold->arena;
    for (size_t i = 0; i < customer->n_worth; i++) {
        if (strcmp(customer->worth[i]->currency, currency) == 0) {
            return customer->worth[i];
        }
    }
    View__Worth **rows = arena_alloc(arena, (customer->n_worth + 1) * sizeof(View__Worth *));
    View__Worth *row = arena_alloc(arena, sizeof(*row));
    if (customer->n_worth >= WORTH_CURRENCIES_MAX || rows == NULL || row == NULL) {
        return NULL;
    }
    view__worth__init(row);
    row->currency = arena_strdup(arena, currency);
    if (customer->n_worth > 0) {
        memcpy(rows, customer->worth, customer->n_worth * sizeof(View__Worth *));
    }
    rows[customer->n_worth++] = row;
    customer->worth = rows;
    return row->currency == NULL ? NULL : row;
}

static int move(struct fold_step *step, const char *currency, int64_t micro) {
    View__Worth *row = micro == 0 ? NULL : find_worth(step, currency);
    if (micro != 0 && row == NULL) {
        bool is_full = step->customer->n_worth >= WORTH_CURRENCIES_MAX;
        step->customer->dropped += is_full;
        return is_full ? 0 : -ENOMEM;
    }
    if (row != NULL) {
        money_add(&row->micro, micro);
    }
    return 0;
}

int fold_worth(struct fold_step *step, View__Item *order) {
    const char *currency;
    int64_t micro = worth_of_order(order, step->fold->arena, &currency);
    int r = move(step, order->counted_currency, -order->counted_micro);
    r = r != 0 || currency == NULL ? r : move(step, currency, micro);
    order->counted_micro = micro;
    if (currency != NULL) {
        order->counted_currency = arena_strdup(step->fold->arena, currency);
    }
    return r != 0 ? r : order->counted_currency == NULL ? -ENOMEM : 0;
}
