// SPDX-License-Identifier: Apache-2.0
// The customer of an event: by its keys (exact, normalised), else by what it refers to. No owner: a
// new customer. Otherwise the leaf that owns its strongest key, unless a strong key of the event
// says that it is somebody else than the owner of a weaker one. Keys that came with several
// customers lately, and nothing else, lead to nobody. Keys and references of erased persons lead to
// nobody either; where nothing leads to somebody living, the event is redacted.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "broker/tick/whose.h"
#include "schemas/base/guards.h"

static bool is_erased(const struct keys *keys, uint64_t customer) {
    return keys != NULL && whose_is_erased(keys, customer);
}

// ---- by its keys

static int compare_strength(const void *a, const void *b) {
    const struct candidate *left = *(struct candidate *const *)a;
    const struct candidate *right = *(struct candidate *const *)b;
    if (left->class != right->class) {
        return left->class < right->class ? -1 : 1;
    }
    if (left->contested != right->contested) {
        return left->contested ? 1 : -1;
    }
    if (left->owner != right->owner) {
        return left->owner < right->owner ? -1 : 1;
    }
    return left < right ? -1 : left > right;
}

// Of two values of one strong kind in one event only the first counts, an owned one before all.
static bool drop_second_values(struct resolution *resolution) {
    bool any = false;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        struct candidate *candidate = &resolution->candidates[i];
        if (candidate->class != KEY_STRONG || candidate->fate != KEY_NEW) {
            continue;
        }
        for (size_t j = 0; j < resolution->n_candidates; j++) {
            const struct candidate *other = &resolution->candidates[j];
            bool ahead = other->fate == KEY_FOREIGN || (other->fate == KEY_NEW && j < i);
            if (j != i && ahead && strcmp(other->identity->kind, candidate->identity->kind) == 0) {
                candidate->fate = KEY_OVER;
                candidate->reason = "strong-conflict";
            }
        }
        any = any || candidate->fate == KEY_NEW;
    }
    return any;
}

// Only keys of which nobody knows whose they are.
static bool is_ambiguous(const struct resolution *resolution) {
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate != KEY_FOREIGN || !candidate->contested) {
            return false;
        }
    }
    return GUARD(ambiguous_key) && resolution->n_candidates > 0;
}

// Whether the owner of this key may be whom the event's new strong keys name. 1, 0 or a negative
// errno.
static int may_be(const struct resolve *resolve, const struct resolution *resolution,
                  const struct candidate *candidate) {
    struct joined owner;
    int r = resolve_joined(resolve, candidate->survivor, &owner);
    r = r != 0 ? r : resolve_strong_twice(resolve, &owner, 1, resolution);
    return r < 0 ? r : r == 0;
}

static int by_key(const struct resolve *resolve, struct resolution *resolution) {
    struct candidate *owned[EVENT_IDENTITIES_MAX];
    size_t n = 0;
    bool new_strong = drop_second_values(resolution);
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        if (resolution->candidates[i].fate == KEY_FOREIGN) {
            owned[n++] = &resolution->candidates[i];
        }
    }
    qsort(owned, n, sizeof(owned[0]), compare_strength);
    for (size_t i = 0; i < n; i++) {
        bool sure = owned[i]->class == KEY_STRONG || !new_strong || !GUARD(strong_names_another);
        int r = sure ? 1 : may_be(resolve, resolution, owned[i]);
        if (r < 0) {
            return r;
        }
        if (r == 1) {
            resolution->customer = owned[i]->owner;
            resolution->survivor = owned[i]->survivor;
            return 0;
        }
        owned[i]->reason = "strong-conflict";
    }
    return 0;
}

// ---- by what it refers to

// The erasures whose keys and references the event carries.
struct erasures {
    uint64_t customers[EVENT_IDENTITIES_MAX + EVENT_REFERENCES_MAX];
    size_t n;
};

static void note_erased(struct erasures *erasures, uint64_t customer) {
    erasures->customers[erasures->n++] = customer;
}

// References lead to a customer where no key does: to the leaf that has the thing; by number to the
// customer as a whole, so that a split leaves the event where it is.
static int by_reference(const struct resolve *resolve, struct resolution *resolution,
                        struct erasures *erasures) {
    bool direct = false;
    for (size_t i = 0; i < resolution->n_referred && resolution->customer == 0; i++) {
        uint64_t owner = resolution->referred[i].owner;
        if (GUARD(redact_by_reference) && is_erased(resolve->keys, owner)) {
            note_erased(erasures, owner);
        } else if (resolution->n_candidates == 0 || resolution->ambiguous) {
            resolution->customer = owner;
            direct = resolution->referred[i].direct;
        }
    }
    if (resolution->customer == 0) {
        return 0;
    }
    int r = fold_survivor(resolve->fold, resolve->txn, resolution->customer, &resolution->survivor);
    resolution->customer = direct ? resolution->survivor : resolution->customer;
    return r;
}

// Who registers after the erasure, by the event's own time, is a new person.
static int registers_anew(struct keys *keys, const Touchbus__Event *event, size_t n_keys,
                          const struct erasures *erasures, bool *ret) {
    int64_t latest_us = INT64_MIN;
    *ret = false;
    if (n_keys == 0 || !event->has_time || strcmp(event->type, "customer.registered") != 0) {
        return 0;
    }
    for (size_t i = 0; i < erasures->n; i++) {
        int64_t time_us = INT64_MIN;
        int r = keys_destroyed_at(keys, erasures->customers[i], &time_us);
        if (r < 0) {
            return r;
        }
        latest_us = time_us > latest_us ? time_us : latest_us;
    }
    *ret = event->time_us > latest_us;
    return 0;
}

// Where nobody living was found, but somebody erased: who registers anew gets the keys.
static int judge_erased(const struct resolve *resolve, const Touchbus__Event *event,
                        const struct erasures *erasures, struct resolution *resolution) {
    bool anew = false;
    if (resolution->customer != 0 || erasures->n == 0) {
        return 0;
    }
    int r = registers_anew(resolve->keys, event, resolution->n_candidates, erasures, &anew);
    resolution->erased = !anew;
    for (size_t i = 0; anew && i < resolution->n_candidates; i++) {
        struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate == KEY_ERASED) {
            candidate->fate = KEY_NEW;
            candidate->owner = 0;
        }
    }
    return r;
}

int resolve_find(const struct resolve *resolve, const Touchbus__Event *event,
                 const struct event_keys *keys, struct resolution *ret) {
    struct erasures erasures = {.n = 0};
    ret->customer = ret->survivor = 0;
    ret->erased = ret->ambiguous = false;
    ret->merge = (struct merge_plan){0};
    int r = resolve_keys(resolve, event, keys, ret);
    r = r != 0 ? r : resolve_referred(resolve, event, ret);
    if (r != 0) {
        return r;
    }
    for (size_t i = 0; i < ret->n_candidates; i++) {
        if (ret->candidates[i].fate == KEY_ERASED) {
            note_erased(&erasures, ret->candidates[i].owner);
        }
    }
    ret->ambiguous = is_ambiguous(ret);
    r = ret->ambiguous ? 0 : by_key(resolve, ret);
    r = r != 0 || ret->customer != 0 ? r : by_reference(resolve, ret, &erasures);
    r = r != 0 ? r : judge_erased(resolve, event, &erasures, ret);
    return r != 0 || ret->erased || ret->ambiguous ? r : resolve_fates(resolve, event, ret);
}
