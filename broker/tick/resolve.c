// SPDX-License-Identifier: Apache-2.0
// The customer of an event: by its keys (exact, normalised), else by what it refers to. No owner: a
// new customer. One: its new keys attach. Several: nothing is merged; the event goes to the owner
// of its strongest key, foreign keys are left where they are, and identity.changed says so. Keys
// and references of erased persons lead to nobody; where nothing leads to somebody living, the
// event is redacted.
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "broker/tick/whose.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/body.h"
#include "schemas/envelope.h"
#include "schemas/reasons.h"

static int find_owner(struct view_txn *txn, const uint8_t lookup[static LOOKUP_BYTES],
                      uint64_t *ret) {
    const void *number;
    size_t size;
    *ret = 0;
    int r = view_get(txn, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &number, &size);
    if (r == 0 && size == sizeof(*ret)) {
        memcpy(ret, number, size);
        *ret = be64toh(*ret);
    }
    return r < 0 ? r : 0;
}

static bool is_known(const struct candidate *candidates, size_t n,
                     const struct candidate *candidate) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(candidates[i].value, candidate->value) == 0 &&
            strcmp(candidates[i].identity->kind, candidate->identity->kind) == 0) {
            return true;
        }
    }
    return false;
}

// The event's keys, without nobody's values, shared ones and repeats. Partners' keys count only
// where no person's key stands beside them: a partner is a customer of its own kind.
static void collect(struct arena *arena, const uint8_t *secret, const Touchbus__Event *event,
                    struct candidate candidates[static EVENT_IDENTITIES_MAX], size_t *ret_n) {
    size_t n = 0;
    bool person = false;
    for (size_t i = 0; i < event->n_identities && n < EVENT_IDENTITIES_MAX; i++) {
        const Touchbus__Identity *identity = event->identities[i];
        struct candidate candidate = {.identity = identity,
                                      .class = normalise_class(identity->kind)};
        if (candidate.class == KEY_SHARED) {
            continue;
        }
        candidate.value = normalise_value(identity->kind, identity->value, arena);
        if (candidate.value != NULL && !is_known(candidates, n, &candidate) &&
            lookup_key(secret, identity->kind, candidate.value, candidate.lookup)) {
            person = person || candidate.class != KEY_PARTNER;
            candidates[n++] = candidate;
        }
    }
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!person || candidates[i].class != KEY_PARTNER) {
            candidates[n_kept++] = candidates[i];
        }
    }
    *ret_n = n_kept;
}

// Looks up who owns the keys. Nearly always they are all one customer's: a key that the record of
// the first one's owner holds needs no look-up of its own.
static int find_owners(struct fold *fold, struct view_txn *txn, struct candidate *candidates,
                       size_t n) {
    uint64_t likely = 0;
    for (size_t i = 0; i < n; i++) {
        struct candidate *candidate = &candidates[i];
        int r = likely == 0 ? FOLD_HOLDS_NOT : fold_holds_key(fold, txn, likely, candidate->lookup);
        if (r > FOLD_HOLDS_NOT) {
            candidate->owner = likely;
            continue;
        }
        r = r < 0 ? r : find_owner(txn, candidate->lookup, &candidate->owner);
        if (r < 0) {
            return r;
        }
        likely = likely == 0 ? candidate->owner : likely;
    }
    return 0;
}

// The owner of the strongest owned key; of several in one class the lowest number. 0: none.
static uint64_t strongest_owner(const struct candidate *candidates, size_t n) {
    const struct candidate *best = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct candidate *candidate = &candidates[i];
        if (candidate->owner != 0 && !candidate->erased &&
            (best == NULL || candidate->class < best->class ||
             (candidate->class == best->class && candidate->owner < best->owner))) {
            best = candidate;
        }
    }
    return best == NULL ? 0 : best->owner;
}

// The owners of what the event refers to.
static int find_referred(struct view_txn *txn, const uint8_t *secret, const Touchbus__Event *event,
                         struct referred referred[static EVENT_REFERENCES_MAX], size_t *ret_n) {
    size_t n = 0;
    for (size_t i = 0; i < event->n_references; i++) {
        const Touchbus__Reference *reference = event->references[i];
        if (*reference->id == '\0' ||
            !lookup_reference(secret, reference->kind, reference->id, referred[n].lookup)) {
            continue;
        }
        int r = find_owner(txn, referred[n].lookup, &referred[n].owner);
        if (r < 0) {
            return r;
        }
        n++;
    }
    *ret_n = n;
    return 0;
}

// ---- whose it is

static bool is_erased(const struct keys *keys, uint64_t customer) {
    return keys != NULL && whose_is_erased(keys, customer);
}

// The latest of the erasures whose keys and references the event carries.
struct erasures {
    uint64_t customers[EVENT_IDENTITIES_MAX + EVENT_REFERENCES_MAX];
    size_t n;
};

static void note_erased(struct erasures *erasures, uint64_t customer) {
    erasures->customers[erasures->n++] = customer;
}

// References lead to a customer where no key does.
static void by_reference(const struct keys *keys, struct resolution *resolution,
                         struct erasures *erasures) {
    for (size_t i = 0; i < resolution->n_referred && resolution->customer == 0; i++) {
        uint64_t owner = resolution->referred[i].owner;
        if (GUARD(redact_by_reference) && is_erased(keys, owner)) {
            note_erased(erasures, owner);
        } else if (resolution->n_candidates == 0) {
            resolution->customer = owner;
        }
    }
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

int resolve_find(const uint8_t secret[static 16], struct keys *keys, struct fold *fold,
                 struct view_txn *txn, struct arena *arena, const Touchbus__Event *event,
                 struct resolution *ret) {
    struct erasures erasures = {.n = 0};
    struct candidate *candidates = ret->candidates;
    ret->n_owners = 0;
    ret->erased = false;
    collect(arena, secret, event, candidates, &ret->n_candidates);
    int r = find_referred(txn, secret, event, ret->referred, &ret->n_referred);
    r = r != 0 ? r : find_owners(fold, txn, candidates, ret->n_candidates);
    if (r != 0) {
        return r;
    }
    for (size_t i = 0; i < ret->n_candidates; i++) {
        candidates[i].erased = GUARD(redact_by_key) && is_erased(keys, candidates[i].owner);
        if (candidates[i].erased) {
            note_erased(&erasures, candidates[i].owner);
        }
    }
    ret->customer = strongest_owner(candidates, ret->n_candidates);
    by_reference(keys, ret, &erasures);
    bool anew = false;
    if (ret->customer == 0 && erasures.n > 0) {
        r = registers_anew(keys, event, ret->n_candidates, &erasures, &anew);
        ret->erased = !anew;
    }
    for (size_t i = 0; anew && i < ret->n_candidates; i++) { // they lead to the new one from now on
        candidates[i].erased = false;
        candidates[i].owner = 0;
    }
    return r;
}

// ---- references

static int add_reference(struct arena *arena, Touchbus__Event *event, const char *kind,
                         const char *id) {
    if (event->n_references >= EVENT_REFERENCES_MAX) {
        return 0;
    }
    if (event->references == NULL) {
        event->references = arena_alloc(arena, EVENT_REFERENCES_MAX * sizeof(*event->references));
    }
    Touchbus__Reference *reference = arena_alloc(arena, sizeof(*reference));
    if (event->references == NULL || reference == NULL) {
        return -ENOMEM;
    }
    touchbus__reference__init(reference);
    reference->kind = arena_strdup(arena, kind);
    reference->id = arena_strdup(arena, id);
    event->references[event->n_references++] = reference;
    return reference->kind == NULL || reference->id == NULL ? -ENOMEM : 0;
}

// The text of a field that refers to something; "" where it holds nothing usable.
static const char *reference_text(struct arena *arena, const struct body_value *value) {
    if (value->kind == BODY_INTEGER) {
        return arena_printf(arena, "%" PRId64, value->integer);
    }
    if (value->kind != BODY_TEXT || value->text_size > ID_BYTES_MAX ||
        memchr(value->text, '\0', value->text_size) != NULL) {
        return "";
    }
    char *text = arena_alloc(arena, value->text_size + 1);
    if (text != NULL) {
        memcpy(text, value->text, value->text_size);
        text[value->text_size] = '\0';
    }
    return text;
}

int resolve_references(const struct catalogue_type *type, struct arena *arena,
                       Touchbus__Event *event) {
    for (size_t i = 0; type != NULL && i < type->n_fields; i++) {
        const struct catalogue_field *field = &type->fields[i];
        struct body_value value;
        if (field->reference == NULL ||
            !body_find(event->data.data, event->data.len, field->name, &value)) {
            continue;
        }
        const char *id = reference_text(arena, &value);
        int r = id == NULL    ? -ENOMEM
                : *id == '\0' ? 0
                              : add_reference(arena, event, field->reference, id);
        if (r < 0) {
            return r;
        }
    }
    return *event->case_id != '\0' ? add_reference(arena, event, "case", event->case_id) : 0;
}

// ---- the refused merge

static json_t *refusal_data(const struct resolution *resolution) {
    char text[24];
    json_t *from = json_array();
    for (size_t i = 1; i < resolution->n_owners; i++) {
        json_array_append_new(from,
                              json_string(envelope_format_customer(resolution->owners[i], text)));
    }
    return json_pack("{s:s, s:o, s:s, s:s}", "kind", "refused", "from", from, "to",
                     envelope_format_customer(resolution->owners[0], text), "reason",
                     reason_find(REASON_MERGE_REFUSED)->text);
}

int resolve_refusal(struct arena *arena, const Touchbus__Event *event, uint64_t sequence,
                    const struct resolution *resolution, Touchbus__Event **ret) {
    Touchbus__Event *refusal = arena_alloc(arena, sizeof(*refusal));
    uint64_t *lanes =
        arena_copy(arena, resolution->owners, resolution->n_owners * sizeof(resolution->owners[0]));
    if (refusal == NULL || lanes == NULL) {
        return -ENOMEM;
    }
    touchbus__event__init(refusal);
    _cleanup_free_ void *data = NULL;
    size_t size = 0;
    json_t *json = refusal_data(resolution);
    int r = json == NULL ? -ENOMEM : body_from_json(json, &data, &size);
    json_decref(json);
    if (r < 0) {
        return r;
    }
    refusal->data = (ProtobufCBinaryData){.len = size, .data = arena_copy(arena, data, size)};
    refusal->id = arena_printf(arena, "refused-%" PRIu64, sequence);
    refusal->source = arena_strdup(arena, "/touchbus");
    refusal->type = arena_strdup(arena, "identity.changed");
    refusal->traceparent = event->traceparent;
    refusal->direction = TOUCHBUS__DIRECTION__DECIDED;
    refusal->cause = sequence;
    refusal->customer = event->customer;
    refusal->lanes = lanes;
    refusal->n_lanes = resolution->n_owners;
    if (refusal->data.data == NULL || refusal->id == NULL || refusal->source == NULL ||
        refusal->type == NULL) {
        return -ENOMEM;
    }
    *ret = refusal;
    return 0;
}
