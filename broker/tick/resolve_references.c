// SPDX-License-Identifier: Apache-2.0
// What an event refers to, by the fields that its type's row names, and whose those things are. A
// customer may be referred to by number. References find a customer and never make one.
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/tick/decide_internal.h"
#include "schemas/envelope.h"

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

const char *resolve_text(struct arena *arena, const struct body_value *value) {
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

// A list refers to each of its members.
static int add_value(struct arena *arena, Touchbus__Event *event, const char *kind,
                     const struct body_value *value) {
    struct body_value one = *value;
    size_t position = 0;
    int r = 0;
    while (r == 0 && (value->kind != BODY_LIST || (event->n_references < EVENT_REFERENCES_MAX &&
                                                   body_next(value, &position, NULL, &one)))) {
        const char *id = resolve_text(arena, &one);
        r = id == NULL ? -ENOMEM : *id == '\0' ? 0 : add_reference(arena, event, kind, id);
        if (value->kind != BODY_LIST) {
            break;
        }
    }
    return r;
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
        int r = add_value(arena, event, field->reference, &value);
        if (r < 0) {
            return r;
        }
    }
    return *event->case_id != '\0' ? add_reference(arena, event, "case", event->case_id) : 0;
}

// ---- whose it is

// The customer that is named by number; false where none was given it.
static bool is_number(const struct resolve *resolve, const char *text, struct referred *ret) {
    ret->direct = envelope_parse_customer(text, &ret->owner) == 0 && ret->owner != 0 &&
                  ret->owner <= fold_customers_last(resolve->fold);
    return ret->direct;
}

// The customer who has this address, where it is one's alone.
static int find_address(const struct resolve *resolve, const char *text, struct referred *ret) {
    static const char *const kinds[] = {"email", "phone", "fax"};
    int r = 0;
    for (size_t i = 0; r == 0 && ret->owner == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *value = normalise_value(resolve->policy, kinds[i], text, resolve->arena);
        if (value != NULL && lookup_key(resolve->secret, kinds[i], value, ret->lookup)) {
            r = fold_owner(resolve->fold, resolve->txn, ret->lookup, &ret->owner);
        }
    }
    ret->direct = ret->owner != 0;
    return r;
}

int resolve_referred(const struct resolve *resolve, const Touchbus__Event *event,
                     struct resolution *ret) {
    size_t n = 0;
    int r = 0;
    for (size_t i = 0; r == 0 && i < event->n_references; i++) {
        const Touchbus__Reference *reference = event->references[i];
        struct referred *referred = &ret->referred[n];
        *referred = (struct referred){0};
        if (strcmp(reference->kind, "customer") == 0) {
            n += is_number(resolve, reference->id, referred);
        } else if (strcmp(reference->kind, "address") == 0) {
            r = find_address(resolve, reference->id, referred);
            n += referred->direct;
        } else if (*reference->id != '\0' && lookup_reference(resolve->secret, reference->kind,
                                                              reference->id, referred->lookup)) {
            r = fold_owner(resolve->fold, resolve->txn, referred->lookup, &referred->owner);
            n++;
        }
    }
    ret->n_referred = n;
    return r;
}
