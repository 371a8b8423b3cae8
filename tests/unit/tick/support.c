// SPDX-License-Identifier: Apache-2.0
// See support.h.
#include "support.h"

#include <endian.h>
#include <ftw.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/lookup.h"
#include "schemas/body.h"

struct view *support_view(struct fixture *fixture, const char *name) {
    struct view *view = NULL;
    const char *path = arena_printf(fixture->arena, "%s/%s", fixture->dir, name);
    assert_int_equal(view_open(path, VIEW_SCRATCH, 256 << 20, false, &view), 0);
    return view;
}

void support_begin(struct fixture *fixture, struct view *view, struct view_txn **ret) {
    assert_int_equal(view_begin(view, true, ret), 0);
    view_use_keys(*ret, fixture->secrets);
}

int support_setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->dir = strdup("/tmp/touchbus-tick-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    fixture->arena = arena_new(64 << 20);
    fixture->view = support_view(fixture, "view");
    const char *path = arena_printf(fixture->arena, "%s/keys", fixture->dir);
    assert_int_equal(keys_open(path, false, &fixture->keys), 0);
    assert_int_equal(keys_ensure(fixture->keys, CUSTOMERS_MAX), 0);
    assert_int_equal(keys_reader_new(fixture->keys, &fixture->secrets), 0);
    support_begin(fixture, fixture->view, &fixture->txn);
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
    keys_reader_free(fixture->secrets);
    keys_close(fixture->keys);
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

void support_attach(struct fixture *fixture, Touchbus__Event *event, const char *kind,
                    const char *value, bool verified) {
    struct arena *arena = fixture->arena;
    Touchbus__Identity **grown = arena_calloc(arena, event->n_keys + 1, sizeof(*grown));
    for (size_t i = 0; i < event->n_keys; i++) {
        grown[i] = event->keys[i];
    }
    grown[event->n_keys] = new_identity(arena, kind, value);
    grown[event->n_keys++]->verified = verified;
    event->keys = grown;
    ProtobufCBinaryData *lookups = &event->key_lookups;
    uint8_t *bytes = arena_alloc(arena, lookups->len + LOOKUP_KEY_BYTES);
    if (lookups->len > 0) {
        memcpy(bytes, lookups->data, lookups->len);
    }
    assert_true(lookup_key(keys_hash_secret(fixture->keys), kind, value, bytes + lookups->len));
    bytes[lookups->len + LOOKUP_BYTES] = verified ? 1 : 0;
    lookups->data = bytes;
    lookups->len += LOOKUP_KEY_BYTES;
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

View__Person *support_person(struct view_txn *txn, struct arena *arena, uint64_t number) {
    const View__Customer *customer = support_customer(txn, arena, number);
    assert_non_null(customer);
    uint64_t key = htobe64(number);
    uint8_t *plain = arena_alloc(arena, customer->person.len + 1);
    size_t size = 0;
    assert_int_equal(view_unseal(txn, VIEW_CUSTOMERS, &key, sizeof(key), customer->person.data,
                                 customer->person.len, plain, &size),
                     0);
    View__Person *person = view__person__unpack(arena_allocator(arena), size, plain);
    assert_non_null(person);
    return person;
}

View__Item *support_item(struct view_txn *txn, struct arena *arena, uint64_t customer,
                         enum item_kind kind, const char *id) {
    uint8_t key[ITEM_KEY_BYTES];
    const void *value;
    size_t size, plain_size = 0;
    assert_true(item_key(view_lookup_secret(txn), customer, kind, id, key));
    if (view_get(txn, VIEW_ITEMS, key, sizeof(key), &value, &size) != 0) {
        return NULL;
    }
    uint8_t *plain = arena_alloc(arena, size);
    assert_int_equal(view_unseal(txn, VIEW_ITEMS, key, sizeof(key), (const uint8_t *)value + 8,
                                 size - 8, plain, &plain_size),
                     0);
    return plain_size == 0 ? NULL : item_unpack(arena_allocator(arena), plain_size, plain);
}

View__Item *support_shared(struct view_txn *txn, struct arena *arena, enum item_kind kind,
                           const char *id) {
    uint8_t key[ITEM_SHARED_KEY_BYTES];
    const void *value;
    size_t size;
    assert_true(item_shared_key(view_lookup_secret(txn), kind, id, key));
    if (view_get(txn, VIEW_SHARED, key, sizeof(key), &value, &size) != 0) {
        return NULL;
    }
    return item_unpack(arena_allocator(arena), size, value);
}

static const char *value_text(ProtobufCBinaryData value, struct arena *arena) {
    json_t *json = NULL;
    assert_int_equal(body_to_json(value.data, value.len, &json), 0);
    char *text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    char *copy = arena_strdup(arena, text);
    free(text);
    json_decref(json);
    return copy;
}

const char *support_member(const View__Item *item, struct arena *arena, const char *name) {
    for (size_t i = 0; i < item->n_members; i++) {
        if (strcmp(item->members[i]->name, name) == 0) {
            return value_text(item->members[i]->value, arena);
        }
    }
    return NULL;
}

const char *support_attribute(const View__Person *person, struct arena *arena, const char *name) {
    for (size_t i = 0; i < person->n_attributes; i++) {
        if (strcmp(person->attributes[i]->name, name) == 0) {
            return value_text(person->attributes[i]->value, arena);
        }
    }
    return NULL;
}

const struct policy *support_policy(void) {
    static struct policy *policy;
    char *error;
    if (policy == NULL) {
        assert_int_equal(policy_load(NULL, &policy, &error), 0);
    }
    return policy;
}
