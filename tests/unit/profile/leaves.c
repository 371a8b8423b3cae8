// SPDX-License-Identifier: Apache-2.0
// See leaves.h.
#include "leaves.h"

#include <endian.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/body.h"

// One more pointer behind n, in a new array.
static void *append(struct arena *arena, void *rows, size_t *n, void *row) {
    void **grown = arena_calloc(arena, *n + 1, sizeof(*grown));
    if (*n > 0) {
        memcpy(grown, rows, *n * sizeof(*grown));
    }
    grown[(*n)++] = row;
    return grown;
}

static View__Attribute *attribute_new(struct arena *arena, const char *name, const char *value,
                                      int64_t time_us, const char *id) {
    View__Attribute *attribute = arena_alloc(arena, sizeof(*attribute));
    view__attribute__init(attribute);
    json_t *json = json_loads(value, JSON_DECODE_ANY, NULL);
    void *bytes = NULL;
    size_t size = 0;
    assert_non_null(json);
    assert_int_equal(body_from_json(json, &bytes, &size), 0);
    attribute->value.data = arena_copy(arena, bytes, size);
    attribute->value.len = size;
    free(bytes);
    json_decref(json);
    attribute->name = arena_strdup(arena, name);
    attribute->id = arena_strdup(arena, id);
    attribute->time_us = time_us;
    return attribute;
}

struct leaf *leaf_new(struct fixture *fixture, uint64_t number) {
    struct leaf *leaf = arena_calloc(fixture->arena, 1, sizeof(*leaf));
    leaf->fixture = fixture;
    leaf->number = number;
    view__customer__init(&leaf->record);
    view__person__init(&leaf->person);
    leaf->record.first_sequence = leaf->record.last_sequence = number;
    return leaf;
}

void leaf_set(struct leaf *leaf, const char *name, const char *value, uint32_t rank,
              int64_t time_us, const char *id, uint64_t sequence) {
    View__Attribute *attribute = attribute_new(leaf->fixture->arena, name, value, time_us, id);
    attribute->rank = rank;
    attribute->sequence = sequence;
    leaf->person.attributes = append(leaf->fixture->arena, leaf->person.attributes,
                                     &leaf->person.n_attributes, attribute);
}

void leaf_interest(struct leaf *leaf, uint32_t kind, const char *term, uint32_t day,
                   uint32_t number) {
    struct arena *arena = leaf->fixture->arena;
    View__Interest *interest = arena_alloc(arena, sizeof(*interest));
    view__interest__init(interest);
    interest->kind = kind;
    interest->term = arena_strdup(arena, term);
    interest->day = arena_copy(arena, &day, sizeof(day));
    interest->number = arena_copy(arena, &number, sizeof(number));
    interest->n_day = interest->n_number = 1;
    leaf->person.interests =
        append(arena, leaf->person.interests, &leaf->person.n_interests, interest);
}

void leaf_merge(struct leaf *leaf, struct leaf *into) {
    leaf->record.into = into->number;
    uint64_t *grown = arena_calloc(leaf->fixture->arena, into->record.n_leaves + 1, sizeof(*grown));
    for (size_t i = 0; i < into->record.n_leaves; i++) {
        grown[i] = into->record.leaves[i];
    }
    grown[into->record.n_leaves++] = leaf->number;
    into->record.leaves = grown;
}

void leaf_put(struct leaf *leaf) {
    struct fixture *fixture = leaf->fixture;
    uint64_t key = htobe64(leaf->number);
    size_t size = view__person__get_packed_size(&leaf->person), sealed_size = 0;
    uint8_t *packed = arena_alloc(fixture->arena, size + 1);
    uint8_t *sealed = arena_alloc(fixture->arena, size + VIEW_SEAL_OVERHEAD);
    view__person__pack(&leaf->person, packed);
    assert_int_equal(view_seal(fixture->txn, VIEW_CUSTOMERS, &key, sizeof(key), packed, size,
                               sealed, &sealed_size),
                     0);
    leaf->record.person = (ProtobufCBinaryData){.len = sealed_size, .data = sealed};
    size = view__customer__get_packed_size(&leaf->record);
    packed = arena_alloc(fixture->arena, size + 1);
    view__customer__pack(&leaf->record, packed);
    assert_int_equal(view_put(fixture->txn, VIEW_CUSTOMERS, &key, sizeof(key), packed, size), 0);
}

struct item *item_new(struct leaf *leaf, enum item_kind kind, const char *id, uint64_t changed) {
    struct item *item = arena_calloc(leaf->fixture->arena, 1, sizeof(*item));
    item->leaf = leaf;
    view__item__init(&item->row);
    item->row.kind = kind;
    item->row.id = arena_strdup(leaf->fixture->arena, id);
    item->row.first_sequence = item->row.changed_sequence = changed;
    item->row.first_us = item->row.changed_us = (int64_t)changed * 1000;
    return item;
}

void item_set(struct item *item, const char *name, const char *value, uint64_t revision,
              int64_t time_us) {
    struct arena *arena = item->leaf->fixture->arena;
    View__Attribute *member = attribute_new(arena, name, value, time_us, "e");
    member->revision = revision;
    item->row.members = append(arena, item->row.members, &item->row.n_members, member);
}

void item_put(struct item *item) {
    struct fixture *fixture = item->leaf->fixture;
    uint8_t key[ITEM_KEY_BYTES];
    uint64_t changed = htobe64(item->row.changed_sequence);
    assert_true(item_key(view_lookup_secret(fixture->txn), item->leaf->number,
                         (enum item_kind)item->row.kind, item->row.id, key));
    size_t size = view__item__get_packed_size(&item->row), sealed_size = 0;
    uint8_t *packed = arena_alloc(fixture->arena, size + 1);
    uint8_t *sealed = arena_alloc(fixture->arena, sizeof(changed) + size + VIEW_SEAL_OVERHEAD);
    view__item__pack(&item->row, packed);
    memcpy(sealed, &changed, sizeof(changed));
    assert_int_equal(view_seal(fixture->txn, VIEW_ITEMS, key, sizeof(key), packed, size,
                               sealed + sizeof(changed), &sealed_size),
                     0);
    assert_int_equal(
        view_put(fixture->txn, VIEW_ITEMS, key, sizeof(key), sealed, sizeof(changed) + sealed_size),
        0);
    const struct item_place place = item_index_place(view_lookup_secret(fixture->txn), &item->row);
    uint8_t index_key[ITEM_INDEX_KEY_BYTES];
    item_index_key(key, &place, index_key);
    if (place.is_kept) {
        assert_int_equal(view_put(fixture->txn, VIEW_INDEX, index_key, sizeof(index_key), "", 0),
                         0);
    }
}
