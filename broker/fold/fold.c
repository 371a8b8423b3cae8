// SPDX-License-Identifier: Apache-2.0
// The table of what each type changes, and the path every event takes: what its stamp says (of
// nobody's events, too), then the customer's record and items. Nothing that comes for a customer
// who was erased changes the customer. An event whose data is not what its type promises changes
// what can be read of it.
#include "broker/fold/fold.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/bounds.h"
#include "broker/fold/fold_internal.h"
#include "schemas/base/guards.h"

// What is more than values taken from the data: by type, in the order of names; several rows of one
// type run from the top down.
static const struct fold_row {
    const char *type;
    int (*apply)(struct fold_step *step);
} FOLD[] = {
    {"quote.issued", fold_superseded},
};
enum { N_FOLD = sizeof(FOLD) / sizeof(FOLD[0]) };

// What decide stamped, one file a concern; step->customer is NULL for events of nobody. Tables that
// are not a customer's own may be changed from the stamp alone: it stands open, so that a rebuild
// makes the same of events whose sealed half is gone.
static int (*const STAMPS[])(struct fold_step *step) = {
    fold_contact, // before a split is cut
    fold_identity, fold_timers, fold_standing, fold_scores, fold_routing, NULL,
};

static int fold_stamp(struct fold_step *step) {
    int r = 0;
    if (step->event->stamp == NULL || fold_left_out(step)) {
        return 0;
    }
    for (size_t i = 0; r == 0 && i < sizeof(STAMPS) / sizeof(STAMPS[0]) && STAMPS[i] != NULL; i++) {
        r = STAMPS[i](step);
    }
    return r;
}

// Counters and timeline: of every event. *ret_type: the number of the type's name.
static int fold_interaction(struct fold_step *step, uint32_t *ret_type) {
    const Touchbus__Event *event = step->event;
    uint32_t type = 0;
    uint32_t channel = 0;
    int r = fold_names_intern(step->fold->names, step->txn, event->type, &type);
    *ret_type = type;
    if (r == 0 && *event->channel != '\0') {
        r = fold_names_intern(step->fold->names, step->txn, event->channel, &channel);
    }
    if (r != 0 || fold_timeline_left_out(step)) {
        return r;
    }
    r = fold_counters(step, type, channel);
    return r != 0 ? r : fold_timeline(step, type, channel);
}

static struct fold_rows rows_of(const char *type) {
    return (struct fold_rows){
        .known = true,
        .attributes = fold_attributes_of(type),
        .interests = fold_interests_of(type),
        .items = fold_items_of(type),
        .own = fold_rows_of(FOLD, N_FOLD, sizeof(FOLD[0]), type),
    };
}

// What the type changes beside counters and timeline. Its rows are looked for once, by its name's
// number; what has none is looked for each time.
static int fold_type(struct fold_step *step, uint32_t number) {
    struct fold_rows *rows = &step->fold->rows[number];
    if (number == 0 || !rows->known) {
        *rows = rows_of(step->event->type);
    }
    int r = fold_attributes(step, rows->attributes);
    r = r != 0 ? r : fold_interests(step, rows->interests);
    r = r != 0 ? r : fold_items(step, rows->items);
    for (size_t i = rows->own.first; r == 0 && i < (size_t)rows->own.first + rows->own.n; i++) {
        r = FOLD[i].apply == NULL || fold_left_out(step) ? 0 : FOLD[i].apply(step);
    }
    return r;
}

static const char customers_key[] = "customers";

static int customers_last_load(struct view_txn *txn, uint64_t *ret) {
    const void *value;
    size_t size;
    int r = view_get(txn, VIEW_META, customers_key, sizeof(customers_key) - 1, &value, &size);
    if (r == 0 && size == sizeof(*ret)) {
        memcpy(ret, value, size);
        *ret = be64toh(*ret);
        return 0;
    }
    *ret = 0;
    return r < 0 ? r : r == 1 ? 0 : -EBADMSG;
}

int fold_new(struct view_txn *txn, struct fold **ret) {
    struct fold *fold = calloc(1, sizeof(*fold));
    if (fold == NULL) {
        return -ENOMEM;
    }
    fold->arena = arena_new(FOLD_KEPT_BYTES_MAX + FOLD_ARENA_BYTES_MAX);
    fold->scratch = arena_new(FOLD_ARENA_BYTES_MAX);
    fold->rows = calloc(NAMES_MAX + 1, sizeof(*fold->rows));
    fold->customers = fold_customers_new();
    fold->lookups = fold_lookups_new();
    fold->scores = fold_scores_new();
    int r = fold->arena == NULL || fold->scratch == NULL || fold->customers == NULL ||
                    fold->lookups == NULL || fold->scores == NULL || fold->rows == NULL
                ? -ENOMEM
                : 0;
    r = r != 0 ? r : fold_names_new(txn, &fold->names);
    r = r != 0 ? r : customers_last_load(txn, &fold->customers_last);
    r = r != 0 ? r : fold_stamped_load(txn, &fold->stamped);
    r = r != 0 ? r : fold_contested_load(fold, txn);
    if (r != 0) {
        fold_free(fold);
        return r;
    }
    *ret = fold;
    return 0;
}

struct fold *fold_free(struct fold *fold) {
    if (fold == NULL) {
        return NULL;
    }
    free(fold->rows);
    fold_names_free(fold->names);
    fold_customers_free(fold->customers);
    fold_lookups_free(fold->lookups);
    fold_scores_free(fold->scores);
    arena_free(fold->scratch);
    arena_free(fold->arena);
    free(fold);
    return NULL;
}

static int fold_event(struct fold_step *step) {
    const Touchbus__Event *event = step->event;
    int r = fold_customers_get(step->fold, step->txn, event->customer, &step->touched);
    if (r != 0) {
        return r;
    }
    step->customer = step->touched->record;
    if (event->erases) {
        return fold_erasure(step);
    }
    if (GUARD(erased_stays_erased) && step->customer->erased_sequence != 0) {
        return fold_stamp(step);
    }
    View__Customer *customer = step->customer;
    customer->first_sequence =
        customer->first_sequence == 0 ? event->sequence : customer->first_sequence;
    customer->last_sequence = event->sequence;
    customer->events++;
    r = fold_keys(step);
    r = r != 0 ? r : fold_references(step);
    uint32_t type = 0;
    r = r != 0 ? r : fold_interaction(step, &type);
    r = r != 0 ? r : fold_stamp(step);
    return r != 0 ? r : fold_type(step, type);
}

static int fold_of_nobody(struct fold_step *step) {
    int r = fold_stamp(step);
    return r != 0 ? r : fold_items(step, fold_items_of(step->event->type));
}

int fold_apply(struct fold *fold, struct view_txn *txn, const Touchbus__Event *event) {
    return fold_apply_read(fold, txn, event, NULL);
}

int fold_apply_read(struct fold *fold, struct view_txn *txn, const Touchbus__Event *event,
                    const struct body_members *members) {
    if (arena_used(fold->scratch) > FOLD_ARENA_BYTES_MAX / 4) {
        int flushed = fold_flush(fold, txn);
        if (flushed != 0) {
            return flushed;
        }
    }
    int r = fold_customers_reserve(fold, txn);
    if (r != 0) {
        return r;
    }
    if (event->customer > fold->customers_last) {
        fold->customers_last = event->customer;
        fold->customers_last_moved = true;
    }
    int64_t latest_us;
    if (__builtin_add_overflow(event->received_us, FOLD_AHEAD_US, &latest_us)) {
        latest_us = INT64_MAX;
    }
    int64_t time_us = event->has_time ? event->time_us : event->received_us;
    struct fold_data data;
    // A redacted event's are gone.
    bool has_read =
        members != NULL && members->data == event->data.data && members->size == event->data.len;
    data.members = has_read || !GUARD(members_are_the_event_s) ? members : NULL;
    struct fold_step step = {
        .data = &data,
        .fold = fold,
        .txn = txn,
        .event = event,
        .time_us = time_us > latest_us ? latest_us : time_us,
    };
    return event->customer == 0 ? fold_of_nobody(&step) : fold_event(&step);
}

int fold_flush(struct fold *fold, struct view_txn *txn) {
    int r = fold_customers_flush(fold, txn);
    r = r != 0 ? r : fold_scores_flush(fold, txn);
    if (r == 0 && fold->customers_last_moved) {
        uint64_t value = htobe64(fold->customers_last);
        r = view_put(txn, VIEW_META, customers_key, sizeof(customers_key) - 1, &value,
                     sizeof(value));
        fold->customers_last_moved = false;
    }
    arena_reset(fold->scratch);
    return r;
}

size_t fold_record_bytes(const struct fold *fold) {
    return fold->record_bytes;
}

void fold_count_anew(struct fold *fold) {
    fold->record_bytes = 0;
}

uint64_t fold_customers_last(const struct fold *fold) {
    return fold->customers_last;
}

const char *fold_name(const struct fold *fold, uint32_t number) {
    return fold_names_text(fold->names, number);
}
