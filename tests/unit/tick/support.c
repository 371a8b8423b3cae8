// SPDX-License-Identifier: Apache-2.0
// See support.h.
#include "support.h"

#include <endian.h>
#include <ftw.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/body.h"

struct view *support_view(struct fixture *fixture, const char *name) {
    struct view *view = NULL;
    const char *path = arena_printf(fixture->arena, "%s/%s", fixture->dir, name);
    assert_int_equal(view_open(path, VIEW_SCRATCH, 256 << 20, false, &view), 0);
    return view;
}

int support_setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->dir = strdup("/tmp/touchbus-tick-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    fixture->arena = arena_new(64 << 20);
    fixture->view = support_view(fixture, "view");
    assert_int_equal(view_begin(fixture->view, true, &fixture->txn), 0);
    *state = fixture;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    (void)status, (void)type, (void)ftw;
    return remove(path);
}

int support_teardown(void **state) {
    struct fixture *fixture = *state;
    view_abort(fixture->txn);
    view_close(fixture->view);
    int r = nftw(fixture->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    arena_free(fixture->arena);
    free(fixture->dir);
    free(fixture);
    return r;
}

Touchbus__Event *support_event(struct arena *arena, const char *type, const char *id,
                               const char *data) {
    Touchbus__Event *event = arena_alloc(arena, sizeof(*event));
    touchbus__event__init(event);
    event->type = arena_strdup(arena, type);
    event->id = arena_strdup(arena, id);
    event->source = arena_strdup(arena, "/test");
    event->channel = arena_strdup(arena, "web");
    if (data != NULL) {
        json_t *json = json_loads(data, JSON_DECODE_ANY, NULL);
        void *bytes = NULL;
        size_t size = 0;
        assert_non_null(json);
        assert_int_equal(body_from_json(json, &bytes, &size), 0);
        event->data.data = arena_copy(arena, bytes, size);
        event->data.len = size;
        free(bytes);
        json_decref(json);
    }
    return event;
}

static Touchbus__Identity *new_identity(struct arena *arena, const char *kind, const char *value) {
    Touchbus__Identity *identity = arena_alloc(arena, sizeof(*identity));
    touchbus__identity__init(identity);
    identity->kind = arena_strdup(arena, kind);
    identity->value = arena_strdup(arena, value);
    return identity;
}

void support_identify(struct arena *arena, Touchbus__Event *event, const char *kind,
                      const char *value) {
    Touchbus__Identity **grown = arena_calloc(arena, event->n_identities + 1, sizeof(*grown));
    for (size_t i = 0; i < event->n_identities; i++) {
        grown[i] = event->identities[i];
    }
    grown[event->n_identities++] = new_identity(arena, kind, value);
    event->identities = grown;
}

void support_attach(struct arena *arena, Touchbus__Event *event, const char *kind,
                    const char *value) {
    Touchbus__Identity **grown = arena_calloc(arena, event->n_keys + 1, sizeof(*grown));
    for (size_t i = 0; i < event->n_keys; i++) {
        grown[i] = event->keys[i];
    }
    grown[event->n_keys++] = new_identity(arena, kind, value);
    event->keys = grown;
}

View__Customer *support_customer(struct view_txn *txn, struct arena *arena, uint64_t number) {
    uint64_t key = htobe64(number);
    const void *value;
    size_t size;
    if (view_get(txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size) != 0) {
        return NULL;
    }
    View__Customer *customer = view__customer__unpack(arena_allocator(arena), size, value);
    assert_non_null(customer);
    return customer;
}

const char *support_attribute(const View__Customer *customer, struct arena *arena,
                              const char *name) {
    for (size_t i = 0; i < customer->n_attributes; i++) {
        const View__Attribute *attribute = customer->attributes[i];
        if (strcmp(attribute->name, name) != 0) {
            continue;
        }
        json_t *json = NULL;
        assert_int_equal(body_to_json(attribute->value.data, attribute->value.len, &json), 0);
        char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
        char *copy = arena_strdup(arena, text);
        free(text);
        json_decref(json);
        return copy;
    }
    return NULL;
}
