// SPDX-License-Identifier: Apache-2.0
// Contacts' places in the caps, by what Stamp.reservation says. They stand open in the record of
// the leaf that took them, so that a rebuild makes the same of them after somebody's key is gone. A
// split gives each side what the other had taken: who was contacted as one person yesterday is not
// contacted twice today because there are two.
#include <errno.h>
#include <string.h>

#include "broker/fold/fold_internal.h"
#include "broker/fold/reservations.h"
#include "schemas/base/guards.h"
#include "schemas/limits.h"

// The leaves to visit, each once.
struct leaves {
    uint64_t numbers[STAMP_LEAVES_MAX];
    size_t n;
};

static void leaves_add(struct leaves *leaves, uint64_t number) {
    for (size_t i = 0; i < leaves->n; i++) {
        if (leaves->numbers[i] == number) {
            return;
        }
    }
    if (leaves->n < STAMP_LEAVES_MAX) {
        leaves->numbers[leaves->n++] = number;
    }
}

// ---- one record

static View__Place *find_place(const View__Customer *record, const ProtobufCBinaryData *contact) {
    for (size_t i = 0; i < record->n_places; i++) {
        if (record->places[i]->contact.len == contact->len &&
            memcmp(record->places[i]->contact.data, contact->data, contact->len) == 0) {
            return record->places[i];
        }
    }
    return NULL;
}

// Nobody asks any more for what is past its window.
static void drop_past(View__Customer *record, int64_t now_us) {
    size_t n = 0;
    for (size_t i = 0; i < record->n_places; i++) {
        if (record->places[i]->until_us > now_us) {
            record->places[n++] = record->places[i];
        }
    }
    record->n_places = n;
}

static int add_place(struct fold *fold, View__Customer *record, View__Place *place) {
    View__Place **places = arena_alloc(fold->arena, (record->n_places + 1) * sizeof(View__Place *));
    if (places == NULL) {
        return -ENOMEM;
    }
    size_t skip = record->n_places >= RESERVATIONS_MAX ? 1 : 0;
    size_t n = record->n_places - skip;
    if (n > 0) {
        memcpy(places, record->places + skip, n * sizeof(View__Place *));
    }
    record->dropped += skip;
    places[n] = place;
    record->places = places;
    record->n_places = n + 1;
    return 0;
}

static View__Place *copy_place(struct arena *arena, const View__Place *from) {
    View__Place *place = arena_copy(arena, from, sizeof(*from));
    if (place == NULL) {
        return NULL;
    }
    place->contact.data = arena_copy(arena, from->contact.data, from->contact.len);
    place->content.data = arena_copy(arena, from->content.data, from->content.len);
    place->channel = arena_strdup(arena, from->channel);
    place->days = arena_copy(arena, from->days, from->n_days * sizeof(*from->days));
    place->also = arena_copy(arena, from->also, from->n_also * sizeof(*from->also));
    return place->contact.data == NULL || place->content.data == NULL || place->channel == NULL ||
                   place->days == NULL || place->also == NULL
               ? NULL
               : place;
}

static int add_also(struct arena *arena, View__Place *place, uint64_t leaf) {
    uint64_t *also = arena_alloc(arena, (place->n_also + 1) * sizeof(*also));
    if (also == NULL) {
        return -ENOMEM;
    }
    if (place->n_also > 0) {
        memcpy(also, place->also, place->n_also * sizeof(*also));
    }
    also[place->n_also++] = leaf;
    place->also = also;
    return 0;
}

// *ret NULL where the customer was erased.
static int get_record(struct fold_step *step, uint64_t leaf, View__Customer **ret) {
    struct fold_customer *touched;
    int r = fold_customers_get(step->fold, step->txn, leaf, &touched);
    *ret = r == 0 && touched->record->erased_sequence == 0 ? touched->record : NULL;
    return r;
}

// ---- what a reservation says

static int take(struct fold_step *step, View__Customer *record,
                const Touchbus__Reservation *reservation) {
    View__Place place;
    view__place__init(&place);
    View__Place *standing = find_place(record, &reservation->contact);
    place.contact = reservation->contact;
    place.content = reservation->content;
    place.channel = reservation->channel;
    place.state = reservation->state;
    place.n_days = reservation->n_days;
    place.days = reservation->days;
    place.counts = reservation->counts;
    place.lapse_us = reservation->lapse_us;
    place.until_us = reservation->until_us;
    place.sequence = step->event->sequence;
    View__Place *kept = copy_place(step->fold->arena, &place);
    if (kept == NULL) {
        return -ENOMEM;
    }
    if (standing != NULL) { // lapsed or released, and decided again
        *standing = *kept;
        return 0;
    }
    return add_place(step->fold, record, kept);
}

// A place that was carried out stays, whatever becomes of the contact afterwards.
static void settle(View__Place *place, uint32_t state) {
    if (state == RESERVATION_HANDED || place->state == RESERVATION_HELD) {
        place->state = state;
    }
}

static int reserve(struct fold_step *step, const Touchbus__Reservation *reservation) {
    struct leaves leaves = {.n = 0};
    leaves_add(&leaves, reservation->customer != 0 ? reservation->customer : step->event->customer);
    int r = 0;
    for (size_t i = 0; r == 0 && i < leaves.n; i++) {
        View__Customer *record;
        r = leaves.numbers[i] == 0 ? 0 : get_record(step, leaves.numbers[i], &record);
        if (r != 0 || leaves.numbers[i] == 0 || record == NULL) {
            continue;
        }
        drop_past(record, step->event->received_us);
        View__Place *place = find_place(record, &reservation->contact);
        if (reservation->n_days > 0) {
            r = take(step, record, reservation);
        } else if (place != NULL) {
            settle(place, reservation->state);
        }
        for (size_t j = 0; place != NULL && j < place->n_also; j++) {
            leaves_add(&leaves, place->also[j]);
        }
    }
    return r;
}

// ---- splits

// What stands in these leaves within its window and is not free again, copied.
static int gather(struct fold_step *step, const struct leaves *leaves, View__Place ***ret,
                  uint64_t **ret_owners, size_t *ret_n) {
    enum { GATHERED_MAX = 256 };
    View__Place **places = arena_alloc(step->fold->arena, GATHERED_MAX * sizeof(View__Place *));
    uint64_t *owners = arena_alloc(step->fold->arena, GATHERED_MAX * sizeof(*owners));
    size_t n = 0;
    int r = places == NULL || owners == NULL ? -ENOMEM : 0;
    for (size_t i = 0; r == 0 && i < leaves->n; i++) {
        View__Customer *record;
        r = get_record(step, leaves->numbers[i], &record);
        for (size_t j = 0; r == 0 && record != NULL && j < record->n_places && n < GATHERED_MAX;
             j++) {
            if (record->places[j]->until_us <= step->event->received_us ||
                record->places[j]->state == RESERVATION_RELEASED) {
                continue;
            }
            owners[n] = leaves->numbers[i];
            places[n] = copy_place(step->fold->arena, record->places[j]);
            r = places[n++] == NULL ? -ENOMEM : 0;
        }
    }
    *ret = places;
    *ret_owners = owners;
    *ret_n = n;
    return r;
}

// The place stands in both leaves from here on.
static int put_also(struct fold_step *step, View__Place *place, uint64_t owner, uint64_t leaf) {
    View__Customer *record;
    int r = get_record(step, leaf, &record);
    if (r != 0 || record == NULL || find_place(record, &place->contact) != NULL) {
        return r;
    }
    r = add_also(step->fold->arena, place, owner);
    r = r != 0 ? r : add_place(step->fold, record, place);
    r = r != 0 ? r : get_record(step, owner, &record);
    View__Place *standing = r != 0 || record == NULL ? NULL : find_place(record, &place->contact);
    return r != 0 || standing == NULL ? r : add_also(step->fold->arena, standing, leaf);
}

static int give(struct fold_step *step, const struct leaves *from, uint64_t leaf) {
    View__Place **places;
    uint64_t *owners;
    size_t n;
    int r = gather(step, from, &places, &owners, &n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = put_also(step, places[i], owners[i], leaf);
    }
    return r;
}

// The leaf that names the customer: up the pointers.
static int find_root(struct fold_step *step, uint64_t leaf, uint64_t *ret) {
    int r = 0;
    *ret = leaf;
    for (size_t i = 0; r == 0 && i < STAMP_LEAVES_MAX; i++) {
        View__Customer *record;
        r = get_record(step, *ret, &record);
        if (r != 0 || record == NULL || record->into == 0) {
            break;
        }
        *ret = record->into;
    }
    return r;
}

static int list_leaves(struct fold_step *step, uint64_t leaf, struct leaves *ret) {
    View__Customer *record;
    int r = get_record(step, leaf, &record);
    leaves_add(ret, leaf);
    for (size_t i = 0; r == 0 && record != NULL && i < record->n_leaves; i++) {
        leaves_add(ret, record->leaves[i]);
    }
    return r;
}

// Ahead of the cut: both sides are still one tree.
static int split(struct fold_step *step, uint64_t leaf) {
    struct leaves side = {.n = 0}, all = {.n = 0}, rest = {.n = 0};
    uint64_t root;
    int r = find_root(step, leaf, &root);
    if (r != 0 || root == leaf) {
        return r;
    }
    r = list_leaves(step, leaf, &side);
    r = r != 0 ? r : list_leaves(step, root, &all);
    for (size_t i = 0; i < all.n; i++) {
        size_t j = 0;
        while (j < side.n && side.numbers[j] != all.numbers[i]) {
            j++;
        }
        if (j == side.n) {
            leaves_add(&rest, all.numbers[i]);
        }
    }
    r = r != 0 ? r : give(step, &side, root);
    return r != 0 ? r : give(step, &rest, leaf);
}

int fold_contact(struct fold_step *step) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    if (stamp->reservation == NULL && stamp->split == 0) {
        return 0;
    }
    int r = stamp->reservation == NULL ? 0 : reserve(step, stamp->reservation);
    if (GUARD(split_keeps_places) && r == 0 && stamp->split != 0) {
        r = split(step, stamp->split);
    }
    return r;
}
