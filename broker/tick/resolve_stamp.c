// SPDX-License-Identifier: Apache-2.0
// What was found is written into the event: customer, keys, the lookups that are new. Of erased
// persons nothing is: their identities go, and an event that leads to them alone keeps only what
// stands open.
#include <errno.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "broker/tick/whose.h"

_Static_assert((KEY_STRONG + 1) << 1 == LOOKUP_STRONG && (KEY_MEDIUM + 1) << 1 == LOOKUP_MEDIUM,
               "the fold reads these of a key's class");

uint8_t resolve_class_bits(enum key_class class) {
    return (uint8_t)(((unsigned)class + 1) << 1);
}

Touchbus__Stamp *resolve_make_stamp(struct arena *arena, Touchbus__Event *event) {
    if (event->stamp == NULL) {
        event->stamp = arena_alloc(arena, sizeof(*event->stamp));
        if (event->stamp != NULL) {
            touchbus__stamp__init(event->stamp);
        }
    }
    return event->stamp;
}

// Whether the fold has to be told of the key: it is new to the customer, or newly verified.
static int is_news(const struct resolve *resolve, const Touchbus__Event *event,
                   const struct candidate *candidate) {
    if (candidate->fate != KEY_HELD) {
        return 1;
    }
    int r = fold_holds_key(resolve->fold, resolve->txn, event->customer, candidate->lookup);
    return r < 0 ? r : r == FOLD_HOLDS && candidate->identity->verified;
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
    lookups->data[lookups->len + LOOKUP_BYTES] =
        (uint8_t)((candidate->identity->verified ? LOOKUP_VERIFIED : 0) |
                  resolve_class_bits(candidate->class) |
                  (candidate->fate == KEY_TAKEN ? LOOKUP_TAKEN : 0));
    lookups->len += LOOKUP_KEY_BYTES;
    return 0;
}

// Stamps the keys that are the customer's, or become so.
static int stamp_keys(const struct resolve *resolve, Touchbus__Event *event,
                      const struct resolution *resolution) {
    struct arena *arena = resolve->arena;
    size_t n_keys = 0, n = resolution->n_candidates;
    Touchbus__Identity **keys = arena_alloc(arena, n * sizeof(*keys));
    Touchbus__Identity *rows = arena_alloc(arena, n * sizeof(*rows));
    if (keys == NULL || rows == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        bool held = candidate->fate == KEY_HELD && candidate->owner == event->customer;
        if (!held && candidate->fate != KEY_NEW && candidate->fate != KEY_TAKEN) {
            continue; // another leaf's or somebody else's, living or erased
        }
        Touchbus__Identity *key = &rows[n_keys];
        touchbus__identity__init(key);
        key->kind = candidate->identity->kind;
        key->value = arena_strdup(arena, candidate->value);
        key->verified = candidate->identity->verified;
        if (key->value == NULL) {
            return -ENOMEM;
        }
        keys[n_keys++] = key;
        int r = is_news(resolve, event, candidate);
        r = r == 1 ? stamp_lookup(arena, event, candidate) : r;
        if (r < 0) {
            return r;
        }
    }
    event->keys = keys;
    event->n_keys = n_keys;
    return 0;
}

// Medium keys of others that came with this customer, and stay where they are.
static int stamp_contested(struct arena *arena, Touchbus__Event *event,
                           const struct resolution *resolution) {
    uint8_t lookups[EVENT_IDENTITIES_MAX * LOOKUP_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate == KEY_FOREIGN && candidate->class == KEY_MEDIUM) {
            memcpy(lookups + size, candidate->lookup, LOOKUP_BYTES);
            size += LOOKUP_BYTES;
        }
    }
    if (size == 0) {
        return 0;
    }
    Touchbus__Stamp *stamp = resolve_make_stamp(arena, event);
    if (stamp == NULL) {
        return -ENOMEM;
    }
    stamp->contested = (ProtobufCBinaryData){.len = size, .data = arena_copy(arena, lookups, size)};
    return stamp->contested.data == NULL ? -ENOMEM : 0;
}

// Those that are nobody's yet lead to the customer from here on.
static int stamp_references(struct arena *arena, Touchbus__Event *event,
                            const struct referred *referred, size_t n) {
    size_t n_new = 0;
    for (size_t i = 0; i < n; i++) {
        n_new += referred[i].owner == 0 && !referred[i].direct;
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
        if (referred[i].owner == 0 && !referred[i].direct) {
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
static const char *names_erased(const struct resolve *resolve, const struct resolution *resolution,
                                const Touchbus__Identity *identity) {
    const char *value = NULL;
    for (size_t i = 0; i < resolution->n_candidates; i++) {
        const struct candidate *candidate = &resolution->candidates[i];
        if (candidate->fate != KEY_ERASED ||
            strcmp(candidate->identity->kind, identity->kind) != 0) {
            continue;
        }
        value = value != NULL ? value
                              : normalise_value(resolve->policy, identity->kind, identity->value,
                                                resolve->arena);
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
static void drop_erased(const struct resolve *resolve, Touchbus__Event *event,
                        const struct resolution *resolution) {
    size_t n = 0;
    for (size_t i = 0; i < event->n_identities; i++) {
        Touchbus__Identity *identity = event->identities[i];
        const char *value = names_erased(resolve, resolution, identity);
        if (value == NULL) {
            event->identities[n++] = identity;
        } else if (holds(event->subject, identity->value) || holds(event->subject, value)) {
            event->subject = (char *)(uintptr_t) "";
        }
    }
    event->n_identities = n;
}

int resolve_stamp(const struct resolve *resolve, Touchbus__Event *event, uint64_t *customers_last,
                  struct resolution *resolution) {
    struct arena *arena = resolve->arena;
    bool erased = false;
    int r = 0;
    event->customer = resolution->customer;
    if (resolution->n_candidates > 0 && !resolution->ambiguous) {
        if (event->customer == 0) {
            event->customer = next_customer(resolve->keys, customers_last);
            event->created = true;
        }
        for (size_t i = 0; i < resolution->n_candidates; i++) {
            erased = erased || resolution->candidates[i].fate == KEY_ERASED;
        }
        if (erased) {
            drop_erased(resolve, event, resolution);
        }
        r = stamp_keys(resolve, event, resolution);
        r = r != 0 ? r : stamp_contested(arena, event, resolution);
    }
    event->survivor = resolution->survivor != event->customer ? resolution->survivor : 0;
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
