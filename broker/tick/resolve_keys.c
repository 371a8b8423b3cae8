// SPDX-License-Identifier: Apache-2.0
// An event's keys: normalised, without those that are nobody's or shared by many, and who has each.
#include <errno.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "broker/tick/whose.h"
#include "schemas/base/guards.h"

#define DAY_US (INT64_C(24) * 3600 * 1000000)

// ---- by the policy alone

// Whether it is a key at all.
static bool make(const struct policy *policy, const uint8_t *secret, struct arena *arena,
                 const Touchbus__Identity *identity, struct event_key *ret) {
    ret->identity = identity;
    ret->class = normalise_class(policy, identity->kind);
    if (ret->class == KEY_SHARED) {
        return false;
    }
    ret->value = normalise_value(policy, identity->kind, identity->value, arena);
    return ret->value != NULL && lookup_key(secret, identity->kind, ret->value, ret->lookup);
}

int resolve_make_keys(const struct policy *policy, const uint8_t *secret, struct arena *arena,
                      const Touchbus__Event *event, struct event_keys *ret) {
    size_t n = 0;
    struct event_key *rows = arena_alloc(arena, event->n_identities * sizeof(*rows));
    if (rows == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < event->n_identities; i++) {
        n += make(policy, secret, arena, event->identities[i], &rows[n]);
    }
    *ret = (struct event_keys){.rows = rows, .n = n};
    return 0;
}

// ---- as candidates

static struct candidate *find_known(struct candidate *candidates, size_t n,
                                    const struct event_key *key) {
    for (size_t i = 0; i < n; i++) {
        if (memcmp(candidates[i].lookup, key->lookup, LOOKUP_BYTES) == 0 &&
            strcmp(candidates[i].value, key->value) == 0 &&
            strcmp(candidates[i].identity->kind, key->identity->kind) == 0) {
            return &candidates[i];
        }
    }
    return NULL;
}

// Adds the key, or finds it there. NULL where there is no room.
static struct candidate *add(const struct event_key *key, struct resolution *resolution) {
    struct candidate *known = find_known(resolution->candidates, resolution->n_candidates, key);
    if (known != NULL || resolution->n_candidates == EVENT_IDENTITIES_MAX) {
        return known;
    }
    known = &resolution->candidates[resolution->n_candidates++];
    *known =
        (struct candidate){.identity = key->identity, .value = key->value, .class = key->class};
    memcpy(known->lookup, key->lookup, LOOKUP_BYTES);
    return known;
}

// Partners' keys count only where no person's key stands beside them: a partner is a customer of
// its own kind.
static void drop_partners(struct resolution *resolution) {
    size_t n_kept = 0;
    bool person = false;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        person = person || resolution->candidates[i].class != KEY_PARTNER;
    }
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        if (!person || resolution->candidates[i].class != KEY_PARTNER) {
            resolution->candidates[n_kept++] = resolution->candidates[i];
        }
    }
    resolution->n_candidates = n_kept;
}

// ---- customer.aliased: two names that its data says are one person's

static const Touchbus__Identity *named(const struct resolve *resolve, const Touchbus__Event *event,
                                       const char *field, const char *kind) {
    struct body_value value;
    if (!body_find(event->data.data, event->data.len, field, &value)) {
        return NULL;
    }
    const char *text = resolve_text(resolve->arena, &value);
    Touchbus__Identity *identity = arena_alloc(resolve->arena, sizeof(*identity));
    if (text == NULL || *text == '\0' || identity == NULL) {
        return NULL;
    }
    touchbus__identity__init(identity);
    identity->kind = arena_strdup(resolve->arena, kind);
    identity->value = (char *)(uintptr_t)text;
    return identity->kind == NULL ? NULL : identity;
}

static bool make_one(const struct resolve *resolve, const Touchbus__Identity *identity,
                     struct event_key *ret) {
    return make(resolve->policy, resolve->secret, resolve->arena, identity, ret);
}

// The earlier name is a user's where it is known as one, else that of somebody who had not said
// who it is.
static int add_aliases(const struct resolve *resolve, const Touchbus__Event *event,
                       struct resolution *resolution) {
    struct event_key user, key;
    uint64_t owner = 0;
    const Touchbus__Identity *before = named(resolve, event, "previous_id", "user_id");
    const Touchbus__Identity *now = named(resolve, event, "user_id", "user_id");
    if (before == NULL || now == NULL) {
        return 0;
    }
    int r = make_one(resolve, before, &user)
                ? fold_owner(resolve->fold, resolve->txn, user.lookup, &owner)
                : 0;
    before = owner != 0 ? before : named(resolve, event, "previous_id", "anonymous_id");
    struct candidate *one = NULL, *other = NULL;
    if (r == 0 && before != NULL && make_one(resolve, before, &key)) {
        one = add(&key, resolution);
    }
    if (r == 0 && make_one(resolve, now, &key)) {
        other = add(&key, resolution);
    }
    if (one != NULL && other != NULL) {
        one->explicit = other->explicit = true;
    }
    return r;
}

// ---- who has them

static bool is_erased(const struct keys *keys, uint64_t customer) {
    return keys != NULL && whose_is_erased(keys, customer);
}

int resolve_contested(const struct resolve *resolve, const uint8_t lookup[static LOOKUP_BYTES],
                      uint64_t ret[static CONTESTED_CUSTOMERS_MAX], size_t *ret_n,
                      bool *ret_shared) {
    const void *value;
    size_t size;
    *ret_n = 0;
    *ret_shared = false;
    if (!fold_may_be_contested(resolve->fold, lookup)) {
        return 0;
    }
    int r = view_get(resolve->txn, VIEW_CONTESTED, lookup, LOOKUP_BYTES, &value, &size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    const View__Contested *row =
        view__contested__unpack(arena_allocator(resolve->arena), size, value);
    if (row == NULL || row->n_customer > CONTESTED_CUSTOMERS_MAX || row->n_day != row->n_customer) {
        return -EBADMSG;
    }
    *ret_shared = row->shared;
    int64_t since_us = resolve->now_us - resolve->policy->identity.contested_us;
    for (size_t i = row->n_customer; i-- > 0;) {
        // The whole day counts: only the day is known.
        if (((int64_t)row->day[i] + 1) * DAY_US > since_us &&
            !is_erased(resolve->keys, row->customer[i])) {
            ret[(*ret_n)++] = row->customer[i];
        }
    }
    return 0;
}

// A medium key may have become many people's, and be somebody else's, too.
static int look_at_contest(const struct resolve *resolve, struct candidate *candidate) {
    uint64_t others[CONTESTED_CUSTOMERS_MAX];
    size_t n = 0;
    bool shared = false;
    int r = resolve_contested(resolve, candidate->lookup, others, &n, &shared);
    candidate->class = shared ? KEY_SHARED : candidate->class;
    for (size_t i = 0; r == 0 && !candidate->contested && i < n; i++) {
        uint64_t survivor = 0;
        r = fold_survivor(resolve->fold, resolve->txn, others[i], &survivor);
        candidate->contested = r == 0 && survivor != candidate->survivor;
    }
    return r;
}

// Looks up who owns the keys. Nearly always they are all one customer's: a key that the record of
// the first one's owner holds needs no look-up of its own.
static int find_owner(const struct resolve *resolve, uint64_t likely, struct candidate *candidate) {
    int r = likely == 0 ? FOLD_HOLDS_NOT
                        : fold_holds_key(resolve->fold, resolve->txn, likely, candidate->lookup);
    if (r > FOLD_HOLDS_NOT) {
        candidate->owner = likely;
        r = 0;
    } else {
        r = r < 0 ? r
                  : fold_owner(resolve->fold, resolve->txn, candidate->lookup, &candidate->owner);
    }
    candidate->fate = candidate->owner == 0 ? KEY_NEW : KEY_FOREIGN;
    if (r == 0 && GUARD(redact_by_key) && is_erased(resolve->keys, candidate->owner)) {
        candidate->fate = KEY_ERASED;
    } else if (r == 0 && candidate->owner != 0) {
        r = fold_survivor(resolve->fold, resolve->txn, candidate->owner, &candidate->survivor);
    }
    if (r == 0 && candidate->class == KEY_MEDIUM && candidate->fate != KEY_ERASED) {
        r = look_at_contest(resolve, candidate);
    }
    return r;
}

int resolve_keys(const struct resolve *resolve, const Touchbus__Event *event,
                 const struct event_keys *keys, struct resolution *ret) {
    ret->n_candidates = 0;
    for (size_t i = 0; i < keys->n; i++) {
        add(&keys->rows[i], ret);
    }
    int r = strcmp(event->type, "customer.aliased") == 0 ? add_aliases(resolve, event, ret) : 0;
    drop_partners(ret);
    uint64_t likely = 0;
    size_t n_kept = 0;
    for (size_t i = 0; r == 0 && i < ret->n_candidates; i++) {
        struct candidate *candidate = &ret->candidates[i];
        r = find_owner(resolve, likely, candidate);
        likely = likely == 0 ? candidate->owner : likely;
        if (candidate->class != KEY_SHARED) {
            ret->candidates[n_kept++] = *candidate;
        }
    }
    ret->n_candidates = n_kept;
    return r;
}
