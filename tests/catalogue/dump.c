// SPDX-License-Identifier: Apache-2.0
// See dump.h.
#include "dump.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/items.h"
#include "schemas/body.h"
#include "view.pb-c.h"

struct dump {
    struct fold *fold;
    struct view_txn *txn;
    struct arena *arena;
    json_t *object; // what rows are added to
    bool shared;
};

static json_t *value_json(ProtobufCBinaryData value) {
    json_t *json = NULL;
    assert(body_to_json(value.data, value.len, &json) == 0);
    return json;
}

// Nil counts as not there.
static json_t *attributes_json(View__Attribute *const *attributes, size_t n) {
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++) {
        json_t *value = value_json(attributes[i]->value);
        if (json_is_null(value)) {
            json_decref(value);
        } else {
            json_object_set_new(object, attributes[i]->name, value);
        }
    }
    return object;
}

static void set(json_t *object, const char *name, json_t *value) {
    bool is_empty = json_is_null(value) || json_is_false(value) ||
                    (json_is_object(value) && json_object_size(value) == 0) ||
                    (json_is_array(value) && json_array_size(value) == 0) ||
                    (json_is_integer(value) && json_integer_value(value) == 0) ||
                    (json_is_string(value) && *json_string_value(value) == '\0');
    if (is_empty) {
        json_decref(value);
    } else {
        json_object_set_new(object, name, value);
    }
}

// The parts of a composed id, with a sign between them that can be read.
static const char *readable(struct arena *arena, const char *id) {
    char *text = arena_strdup(arena, id);
    for (char *at = text; (at = strchr(at, '\x1f')) != NULL;) {
        *at = '+';
    }
    return text;
}

static int add_item(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct dump *dump = user;
    const uint8_t *bytes = value;
    if (!dump->shared) {
        uint8_t *plain = arena_alloc(dump->arena, size);
        int r =
            view_unseal(dump->txn, VIEW_ITEMS, key, key_size, bytes + 8, size - 8, plain, &size);
        bytes = plain;
        if (r != 0 || size == 0) {
            return r;
        }
    }
    const View__Item *item = item_unpack(arena_allocator(dump->arena), size, bytes);
    assert(item != NULL);
    json_object_set_new(dump->object,
                        arena_printf(dump->arena, "%s %s",
                                     item_kind_name((enum item_kind)item->kind),
                                     readable(dump->arena, item->id)),
                        attributes_json(item->members, item->n_members));
    return 0;
}

static json_t *items_json(struct dump *dump, enum view_table table, const void *prefix,
                          size_t prefix_size) {
    dump->object = json_object();
    dump->shared = table == VIEW_SHARED;
    assert(view_scan(dump->txn, table, prefix, prefix_size, false, add_item, dump) == 0);
    return dump->object;
}

static json_t *interests_json(struct dump *dump, const View__Person *person, uint32_t kind) {
    json_t *object = json_object();
    for (size_t i = 0; i < person->n_interests; i++) {
        const View__Interest *interest = person->interests[i];
        if (interest->kind != kind) {
            continue;
        }
        json_t *days = json_object();
        for (size_t k = 0; k < interest->n_day; k++) {
            json_object_set_new(days, arena_printf(dump->arena, "day %" PRIu32, interest->day[k]),
                                json_integer(interest->number[k]));
        }
        json_object_set_new(object, interest->term, days);
    }
    return object;
}

static json_t *counters_json(struct dump *dump, const View__Customer *record) {
    json_t *object = json_object();
    for (size_t i = 0; i < record->n_counter_number; i++) {
        const char *channel = record->counter_channel[i] == 0
                                  ? ""
                                  : fold_name(dump->fold, record->counter_channel[i]);
        json_object_set_new(object,
                            arena_printf(dump->arena, "%s %s", channel,
                                         fold_name(dump->fold, record->counter_type[i])),
                            json_pack("[I, I, I]", (json_int_t)record->counter_number[i],
                                      (json_int_t)record->counter_first_us[i] / 1000000,
                                      (json_int_t)record->counter_last_us[i] / 1000000));
    }
    return object;
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// "seconds type", by time; the last ones only, as the record holds them.
static json_t *timeline_json(struct dump *dump, const View__Customer *record) {
    struct fold_interaction interactions[TIMELINE_RECENT_MAX];
    const char *texts[TIMELINE_RECENT_MAX];
    size_t n = 0;
    int r = interactions_of_record(record, interactions, &n);
    assert(r == 0);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        texts[i] = arena_printf(dump->arena, "%09" PRId64 " %s", interactions[i].time_us / 1000000,
                                fold_name(dump->fold, interactions[i].type));
    }
    qsort(texts, n, sizeof(*texts), compare_texts);
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_string(texts[i] + strspn(texts[i], "0")));
    }
    return list;
}

static json_t *numbers_json(const uint32_t *numbers, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_integer(numbers[i]));
    }
    return list;
}

static json_t *leaves_json(const uint64_t *numbers, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, json_integer((json_int_t)numbers[i]));
    }
    return list;
}

static void add_person(struct dump *dump, json_t *json, uint64_t key,
                       const View__Customer *record) {
    size_t size = 0;
    uint8_t *plain = arena_alloc(dump->arena, record->person.len + 1);
    assert(view_unseal(dump->txn, VIEW_CUSTOMERS, &key, sizeof(key), record->person.data,
                       record->person.len, plain, &size) == 0);
    const View__Person *person = view__person__unpack(arena_allocator(dump->arena), size, plain);
    assert(person != NULL);
    json_t *keys = json_object();
    for (size_t i = 0; i < person->n_keys; i++) {
        json_object_set_new(
            keys, arena_printf(dump->arena, "%s=%s", person->keys[i]->kind, person->keys[i]->value),
            json_boolean(person->keys[i]->verified));
    }
    set(json, "keys", keys);
    set(json, "attributes", attributes_json(person->attributes, person->n_attributes));
    set(json, "needs", interests_json(dump, person, INTEREST_NEED));
    set(json, "products", interests_json(dump, person, INTEREST_PRODUCT));
}

json_t *dump_customer(struct fold *fold, struct view_txn *txn, struct arena *arena,
                      uint64_t customer) {
    struct dump dump = {.fold = fold, .txn = txn, .arena = arena};
    uint64_t key = htobe64(customer);
    const void *value;
    size_t size;
    json_t *json = json_object();
    if (view_get(txn, VIEW_CUSTOMERS, &key, sizeof(key), &value, &size) == 0) {
        const View__Customer *record = view__customer__unpack(arena_allocator(arena), size, value);
        assert(record != NULL);
        set(json, "erased", json_boolean(record->erased_sequence != 0));
        add_person(&dump, json, key, record);
        set(json, "counters", counters_json(&dump, record));
        set(json, "timeline", timeline_json(&dump, record));
        set(json, "registered", json_boolean(record->registered));
        set(json, "orders", json_integer(record->orders));
        set(json, "visit_days", numbers_json(record->visit_day, record->n_visit_day));
        set(json, "tier", json_string(record->tier));
        set(json, "phase", json_string(record->phase));
        set(json, "value_micro", json_integer(record->value_micro));
        set(json, "into", json_integer((json_int_t)record->into));
        set(json, "leaves", leaves_json(record->leaves, record->n_leaves));
        set(json, "vetoes", leaves_json(record->vetoes, record->n_vetoes));
        set(json, "items", items_json(&dump, VIEW_ITEMS, &key, sizeof(key)));
    }
    set(json, "shared", items_json(&dump, VIEW_SHARED, NULL, 0));
    return json;
}
