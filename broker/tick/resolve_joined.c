// SPDX-License-Identifier: Apache-2.0
// A customer with all its leaves, as the rules of identity look at it, and the conditions under
// which several become one. Only what is rare comes here: a key that is new to somebody, or keys of
// several.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "broker/tick/whose.h"
#include "schemas/base/guards.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

// ---- one customer

static void add_leaf(const struct resolve *resolve, const View__Customer *record,
                     struct joined *ret) {
    uint32_t today = (uint32_t)(resolve->now_us / DAY_US);
    for (size_t i = LOOKUP_BYTES; i < record->key_lookups.len; i += LOOKUP_KEY_BYTES) {
        unsigned class = record->key_lookups.data[i] & LOOKUP_CLASS;
        ret->class = class != 0 && class < ret->class ? class : ret->class;
        ret->bound = ret->bound || class == 0; // of an older log: it may have been any
    }
    ret->n_keys += record->key_lookups.len / LOOKUP_KEY_BYTES;
    ret->merges += record->merges;
    for (size_t i = 0; i < record->n_merge_day; i++) {
        ret->merges_today += record->merge_day[i] == today;
    }
    ret->first_sequence = ret->first_sequence == 0 || record->first_sequence < ret->first_sequence
                              ? record->first_sequence
                              : ret->first_sequence;
    ret->bound = ret->bound || record->bound;
    ret->erased = ret->erased || record->erased_sequence != 0;
    ret->vetoes_full =
        ret->vetoes_full || record->n_vetoes + STAMP_LEAVES_MAX > CUSTOMER_VETOES_MAX;
}

int resolve_joined(const struct resolve *resolve, uint64_t customer, struct joined *ret) {
    const View__Customer *record;
    *ret = (struct joined){.customer = customer, .class = LOOKUP_CLASS};
    int r = fold_customer(resolve->fold, resolve->txn, customer, &record);
    if (r != 0) {
        return r;
    }
    if (record->n_leaves >= STAMP_LEAVES_MAX) {
        return -EBADMSG;
    }
    ret->leaves[ret->n_leaves++] = customer;
    for (size_t i = 0; i < record->n_leaves; i++) {
        ret->leaves[ret->n_leaves++] = record->leaves[i];
    }
    for (size_t i = 0; r == 0 && i < ret->n_leaves; i++) {
        r = fold_customer(resolve->fold, resolve->txn, ret->leaves[i], &record);
        if (r == 0) {
            add_leaf(resolve, record, ret);
        }
        ret->erased = ret->erased ||
                      (resolve->keys != NULL && whose_is_erased(resolve->keys, ret->leaves[i]));
    }
    return r;
}

int resolve_count_keys(const struct resolve *resolve, const struct joined *joined, const char *kind,
                       int64_t within_us, unsigned *ret) {
    int64_t since_us = within_us == 0 ? INT64_MIN : resolve->now_us - within_us;
    int r = 0;
    *ret = 0;
    for (size_t i = 0; r == 0 && i < joined->n_leaves; i++) {
        const View__Person *person;
        r = fold_customer_person(resolve->fold, resolve->txn, joined->leaves[i], &person);
        for (size_t j = 0; r == 0 && j < person->n_keys; j++) {
            *ret +=
                person->keys[j]->attached_us > since_us && strcmp(person->keys[j]->kind, kind) == 0;
        }
    }
    return r;
}

// ---- a strong kind twice

// A value of each strong kind that was met, up to so many: beyond, every further one is taken for a
// second.
enum { STRONG_KINDS_MAX = 64 };
struct strong {
    const char *kinds[STRONG_KINDS_MAX], *values[STRONG_KINDS_MAX];
    size_t n;
};

// Whether the kind has another value.
static bool note_strong(struct strong *strong, const char *kind, const char *value) {
    for (size_t i = 0; i < strong->n; i++) {
        if (strcmp(strong->kinds[i], kind) == 0) {
            return strcmp(strong->values[i], value) != 0;
        }
    }
    if (strong->n == STRONG_KINDS_MAX) {
        return true;
    }
    strong->kinds[strong->n] = kind;
    strong->values[strong->n++] = value;
    return false;
}

static int note_leaf(const struct resolve *resolve, uint64_t leaf, struct strong *strong) {
    const View__Person *person;
    int r = fold_customer_person(resolve->fold, resolve->txn, leaf, &person);
    bool twice = false;
    for (size_t i = 0; r == 0 && !twice && i < person->n_keys; i++) {
        const View__Key *key = person->keys[i];
        twice = normalise_class(resolve->policy, key->kind) == KEY_STRONG &&
                note_strong(strong, key->kind, key->value);
    }
    return r != 0 ? r : twice;
}

int resolve_strong_twice(const struct resolve *resolve, const struct joined *joined, size_t n,
                         const struct resolution *resolution) {
    struct strong strong = {.n = 0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        for (size_t j = 0; r == 0 && j < joined[i].n_leaves; j++) {
            r = note_leaf(resolve, joined[i].leaves[j], &strong);
        }
    }
    for (size_t i = 0; r == 0 && resolution != NULL && i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (candidate->class == KEY_STRONG && candidate->fate == KEY_NEW) {
            r = note_strong(&strong, candidate->identity->kind, candidate->value);
        }
    }
    return r;
}

// ---- several

static bool stands_in(const uint64_t *list, size_t n, uint64_t number) {
    for (size_t i = 0; i < n; i++) {
        if (list[i] == number) {
            return true;
        }
    }
    return false;
}

// Whether a leaf of the one is kept apart from a leaf of the other. A veto stands at both.
static int are_vetoed(const struct resolve *resolve, const struct joined *one,
                      const struct joined *other) {
    for (size_t i = 0; i < one->n_leaves; i++) {
        const View__Customer *record;
        int r = fold_customer(resolve->fold, resolve->txn, one->leaves[i], &record);
        if (r != 0) {
            return r;
        }
        for (size_t j = 0; j < record->n_vetoes; j++) {
            if (stands_in(other->leaves, other->n_leaves, record->vetoes[j])) {
                return 1;
            }
        }
    }
    return 0;
}

static int any_vetoed(const struct resolve *resolve, const struct joined *joined, size_t n) {
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        r = joined[i].vetoes_full;
        for (size_t j = i + 1; r == 0 && j < n; j++) {
            r = are_vetoed(resolve, &joined[i], &joined[j]);
        }
    }
    return r;
}

static bool is_partner(const struct joined *joined) {
    return joined->class == resolve_class_bits(KEY_PARTNER);
}

int resolve_may_merge(const struct resolve *resolve, const struct joined *joined, size_t n,
                      const struct resolution *resolution, const char **ret_reason) {
    const struct policy_identity *policy = &resolve->policy->identity;
    size_t n_keys = 0, n_leaves = 0;
    uint64_t merges = n - 1;
    unsigned today = (unsigned)n - 1;
    bool erased = false, partner = false;
    for (size_t i = 0; i < n; i++) {
        n_keys += joined[i].n_keys;
        n_leaves += joined[i].n_leaves;
        merges += joined[i].merges;
        today += joined[i].merges_today;
        erased = erased || joined[i].erased;
        partner = partner || is_partner(&joined[i]);
    }
    for (size_t i = 0; resolution != NULL && i < resolution->n_candidates; i++) {
        n_keys += resolution->candidates[i].fate == KEY_NEW;
    }
    int twice =
        GUARD(merge_strong_twice) ? resolve_strong_twice(resolve, joined, n, resolution) : 0;
    int vetoed = GUARD(merge_veto) ? any_vetoed(resolve, joined, n) : 0;
    if (twice < 0 || vetoed < 0) {
        return twice < 0 ? twice : vetoed;
    }
    *ret_reason =
        twice == 1                                           ? "strong-conflict"
        : GUARD(merge_keys_max) && n_keys > policy->keys_max ? "keys"
        : GUARD(merge_bomb) && (merges > policy->merges_max || today > policy->merges_a_day ||
                                n - 1 > MERGES_AT_ONCE_MAX)
            ? "merges"
        : n_leaves > STAMP_LEAVES_MAX ? "leaves"
        : vetoed == 1                 ? "veto"
        : erased                      ? "erased"
        : partner                     ? "partner"
                                      : NULL;
    return 0;
}

// Strongest key, then who came first; numbers break a tie that cannot be.
static int compare_rank(const void *a, const void *b) {
    const struct joined *left = a, *right = b;
    if (left->class != right->class) {
        return left->class < right->class ? -1 : 1;
    }
    if (left->first_sequence != right->first_sequence) {
        return left->first_sequence < right->first_sequence ? -1 : 1;
    }
    return left->customer < right->customer ? -1 : left->customer > right->customer;
}

void resolve_plan(struct joined *joined, size_t n, const char *reason, struct merge_plan *ret) {
    qsort(joined, n, sizeof(joined[0]), compare_rank);
    *ret = (struct merge_plan){.into = joined[0].customer, .reason = reason};
    for (size_t i = 1; i < n; i++) {
        ret->from[ret->n++] = joined[i].customer;
    }
}
