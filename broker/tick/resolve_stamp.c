// SPDX-License-Identifier: Apache-2.0
// What was found is written into the event: customer, keys, the lookups that are new. Of erased
// persons nothing is: their identities go, and an event that leads to them alone keeps only what
// stands open.
#include <errno.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "broker/tick/whose.h"

static void add_owner(struct resolution *resolution, uint64_t owner) {
    for (size_t i = 0; i < resolution->n_owners; i++) {
        if (resolution->owners[i] == owner) {
            return;
        }
    }
    resolution->owners[resolution->n_owners++] = owner;
}

// Whether the fold has to be told of the key: it is new to the customer, or newly verified.
static int is_new(struct fold *fold, struct view_txn *txn, const Touchbus__Event *event,
                  const struct candidate *candidate) {
    if (candidate->owner == 0) {
        return 1;
    }
    int r = fold_holds_key(fold, txn, event->customer, candidate->lookup);
    return r < 0 ? r : r == FOLD_HOLDS_NOT || (r == FOLD_HOLDS && candidate->identity->verified);
}

static int stamp_lookup(struct arena *arena, Touchbus__Event *event,
                        const struct candidate *candidate) {
    ProtobufCBinaryData *lookups = &event->key_lookups;
    if (lookups->data == NULL) {
        lookups->data = arena_alloc(arena, (size_t)EVENT_IDENTITIES_MAX * LOOKUP_KEY_BYTES);
        if (lookups->data == NULL) {
            return -ENOMEM;
        }
    }
    memcpy(lookups->data + lookups->len, candidate->lookup, LOOKUP_BYTES);
    lookups->data[lookups->len + LOOKUP_BYTES] = candidate->identity->verified ? 1 : 0;
    lookups->len += LOOKUP_KEY_BYTES;
    return 0;
}

// Stamps the keys that are the customer's, or become so.
static int stamp_keys(struct fold *fold, struct view_txn *txn, struct arena *arena,
                      Touchbus__Event *event, const struct candidate *candidates, size_t n) {
    Touchbus__Identity **keys = arena_alloc(arena, n * sizeof(*keys));
    Touchbus__Identity *rows = arena_alloc(arena, n * sizeof(*rows));
    if (keys == NULL || rows == NULL) {
        return -ENOMEM;
    }
    size_t n_keys = 0;
    for (size_t i = 0; i < n; i++) {
        if (candidates[i].owner != 0 && candidates[i].owner != event->customer) {
            continue; // somebody else's, living or erased
        }
        Touchbus__Identity *key = &rows[n_keys];
        touchbus__identity__init(key);
        key->kind = candidates[i].identity->kind;
        key->value = arena_strdup(arena, candidates[i].value);
        key->verified = candidates[i].identity->verified;
        if (key->value == NULL) {
            return -ENOMEM;
        }
        keys[n_keys++] = key;
        int r = is_new(fold, txn, event, &candidates[i]);
        r = r == 1 ? stamp_lookup(arena, event, &candidates[i]) : r;
        if (r < 0) {
            return r;
        }
    }
    event->keys = keys;
    event->n_keys = n_keys;
    return 0;
}

// Those that are nobody's yet lead to the customer from here on.
static int stamp_references(struct arena *arena, Touchbus__Event *event,
                            const struct referred *referred, size_t n) {
    size_t n_new = 0;
    for (size_t i = 0; i < n; i++) {
        n_new += referred[i].owner == 0;
    }
    if (n_new == 0 || event->customer == 0) {
        return 0;
    }
    uint8_t *lookups = arena_alloc(arena, n_new * LOOKUP_BYTES);
    if (lookups == NULL) {
        return -ENOMEM;
    }
    event->reference_lookups = (ProtobufCBinaryData){.data = lookups};
    for (size_t i = 0; i < n; i++) {
        if (referred[i].owner == 0) {
            memcpy(lookups + event->reference_lookups.len, referred[i].lookup, LOOKUP_BYTES);
            event->reference_lookups.len += LOOKUP_BYTES;
        }
    }
    return 0;
}

// The next number; one whose key is destroyed (an older log was restored) is nobody's any more.
static uint64_t next_customer(const struct keys *keys, uint64_t *customers_last) {
    do {
        ++*customers_last;
    } while (keys != NULL && whose_is_erased(keys, *customers_last));
    return *customers_last;
}

// The value as it is compared, of an identity that is an erased person's; else NULL.
static const char *names_erased(struct arena *arena, const struct resolution *resolution,
                                const Touchbus__Identity *identity) {
    const char *value = NULL;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (!candidate->erased || strcmp(candidate->identity->kind, identity->kind) != 0) {
            continue;
        }
        value = value != NULL ? value : normalise_value(identity->kind, identity->value, arena);
        if (value != NULL && strcmp(candidate->value, value) == 0) {
            return value;
        }
    }
    return NULL;
}

// However it is written.
static bool holds(const char *text, const char *value) {
    return strcasestr(text, value) != NULL;
}

// What stands for an erased person in an event of somebody else goes, the subject too where it is
// that key.
static void drop_erased(struct arena *arena, Touchbus__Event *event,
                        const struct resolution *resolution) {
    size_t n = 0;
    for (size_t i = 0; i < event->n_identities; i++) {
        Touchbus__Identity *identity = event->identities[i];
        const char *value = names_erased(arena, resolution, identity);
        if (value == NULL) {
            event->identities[n++] = identity;
        } else if (holds(event->subject, identity->value) || holds(event->subject, value)) {
            event->subject = (char *)(uintptr_t) "";
        }
    }
    event->n_identities = n;
}

int resolve_stamp(const struct keys *keys, struct fold *fold, struct view_txn *txn,
                  struct arena *arena, Touchbus__Event *event, uint64_t *customers_last,
                  struct resolution *resolution) {
    const struct candidate *candidates = resolution->candidates;
    size_t n = resolution->n_candidates;
    event->customer = resolution->customer;
    if (n == 0) {
        return stamp_references(arena, event, resolution->referred, resolution->n_referred);
    }
    if (event->customer == 0) {
        event->customer = next_customer(keys, customers_last);
        event->created = true;
    }
    add_owner(resolution, event->customer);
    bool erased = false;
    for (size_t i = 0; i < n; i++) {
        erased = erased || candidates[i].erased;
        if (candidates[i].owner != 0 && !candidates[i].erased) {
            add_owner(resolution, candidates[i].owner);
        }
    }
    if (erased) {
        drop_erased(arena, event, resolution);
    }
    int r = stamp_keys(fold, txn, arena, event, candidates, n);
    return r != 0 ? r
                  : stamp_references(arena, event, resolution->referred, resolution->n_referred);
}

// Named is what stays: what a later version adds to the envelope does not stay by itself.
void resolve_redact(Touchbus__Event *event) {
    Touchbus__Event open;
    touchbus__event__init(&open);
    open.id = event->id;
    open.source = event->source;
    open.type = event->type;
    open.time_us = event->time_us;
    open.has_time = event->has_time;
    open.channel = event->channel;
    open.direction = event->direction;
    open.rank = event->rank;
    open.cause = event->cause;
    open.redacted = true;
    *event = open;
}
