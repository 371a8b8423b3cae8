// SPDX-License-Identifier: Apache-2.0
// Look-ups only: every answer is as of the transaction that was handed in.
#include "broker/tick/whose.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/stores/lookup.h"
#include "broker/tick/decide_internal.h"
#include "broker/tick/normalise.h"
#include "view.pb-c.h"

static int find(struct view_txn *txn, const uint8_t lookup[static LOOKUP_BYTES], uint64_t *ret) {
    const void *number;
    size_t size;
    int r = view_get(txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &number, &size);
    if (r == 0 && size == sizeof(*ret)) {
        memcpy(ret, number, size);
        *ret = be64toh(*ret);
    }
    return r < 0 ? r : 0;
}

static const struct policy *take(const struct whose *whose) {
    return whose->policies == NULL ? NULL : policy_take(whose->policies);
}

static void release(const struct whose *whose, const struct policy *policy) {
    if (policy != NULL) {
        policy_release(whose->policies, policy);
    }
}

int whose_key(const struct whose *whose, const char *kind, const char *value, uint64_t *ret) {
    const struct policy *policy = take(whose);
    const char *normal = normalise_value(policy, kind, value, whose->arena);
    release(whose, policy);
    uint8_t lookup[LOOKUP_BYTES];
    *ret = 0;
    return normal != NULL && lookup_key(keys_hash_secret(whose->keys), kind, normal, lookup)
               ? find(whose->txn, lookup, ret)
               : 1;
}

int whose_reference(const struct whose *whose, const char *kind, const char *id, uint64_t *ret) {
    uint8_t lookup[LOOKUP_BYTES];
    *ret = 0;
    return lookup_reference(keys_hash_secret(whose->keys), kind, id, lookup)
               ? find(whose->txn, lookup, ret)
               : 0;
}

bool whose_is_erased(const struct keys *keys, uint64_t customer) {
    return customer != 0 && keys_is_destroyed(keys, customer);
}

int whose_erased_sequence(struct view_txn *txn, uint64_t customer, uint64_t *ret) {
    uint64_t key = htobe64(customer);
    const void *value;
    size_t size;
    *ret = 0;
    int r = view_get(txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size);
    if (r != 0) {
        return r < 0 ? r : 0;
    }
    View__Customer *record = view__customer__unpack(NULL, size, value);
    if (record == NULL) {
        return -EBADMSG;
    }
    *ret = record->erased_sequence;
    view__customer__free_unpacked(record, NULL);
    return 0;
}

// ---- a whole event, as resolve.c would judge it

// Where keys of one sort lead.
struct found {
    uint64_t owner; // living, of the strongest; 0: none
    enum key_class best;
    bool any, erased;
};

static void note_key(const struct whose *whose, enum key_class class, uint64_t customer,
                     struct found *found) {
    found->any = true;
    if (whose_is_erased(whose->keys, customer)) {
        found->erased = true;
    } else if (customer != 0 && (found->owner == 0 || class < found->best ||
                                 (class == found->best && customer < found->owner))) {
        found->owner = customer;
        found->best = class;
    }
}

// Partners' keys count only where no person's key stands beside them.
static int by_keys(const struct whose *whose, const struct policy *policy,
                   const Touchbus__Event *event, struct found *ret) {
    struct found person = {0}, partner = {0};
    for (size_t i = 0; i < event->n_identities; i++) {
        const Touchbus__Identity *identity = event->identities[i];
        enum key_class class = normalise_class(policy, identity->kind);
        uint64_t customer = 0;
        int r =
            class == KEY_SHARED ? 1 : whose_key(whose, identity->kind, identity->value, &customer);
        if (r < 0) {
            return r;
        }
        if (r == 0) {
            note_key(whose, class, customer, class == KEY_PARTNER ? &partner : &person);
        }
    }
    *ret = person.any ? person : partner;
    return 0;
}

int whose_event(const struct whose *whose, const struct catalogue *catalogue,
                const Touchbus__Event *event, uint64_t *ret_owner, bool *ret_erased) {
    struct found found = {0};
    const struct policy *policy = take(whose);
    int r = by_keys(whose, policy, event, &found);
    release(whose, policy);
    *ret_owner = found.owner;
    *ret_erased = found.erased;
    if (r != 0 || found.owner != 0) {
        return r;
    }
    Touchbus__Event copy = *event; // references are stamped into it
    copy.references = NULL;
    copy.n_references = 0;
    r = resolve_references(catalogue_find(catalogue, event->type), whose->arena, &copy);
    for (size_t i = 0; r == 0 && i < copy.n_references; i++) {
        uint64_t customer;
        r = whose_reference(whose, copy.references[i]->kind, copy.references[i]->id, &customer);
        if (whose_is_erased(whose->keys, customer)) {
            *ret_erased = true;
        } else if (*ret_owner == 0 && !found.any) { // what has keys of its own is nobody else's
            *ret_owner = customer;
        }
    }
    return r;
}

bool whose_may_name_erased(const struct keys *keys, size_t n_identities, size_t n_keys) {
    return n_identities > n_keys && keys_n_destroyed(keys) > 0;
}

int whose_drop_erased(const struct whose *whose, Touchbus__Event *event) {
    size_t n = 0;
    for (size_t i = 0; i < event->n_identities; i++) {
        uint64_t customer;
        Touchbus__Identity *identity = event->identities[i];
        int r = whose_key(whose, identity->kind, identity->value, &customer);
        if (r < 0) {
            return r;
        }
        if (!whose_is_erased(whose->keys, customer)) {
            event->identities[n++] = identity;
        }
    }
    event->n_identities = n;
    return 0;
}
