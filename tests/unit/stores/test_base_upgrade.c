// SPDX-License-Identifier: Apache-2.0
// A base of fold version 1 becomes, byte for byte, what this version would have written, and
// nothing readable is left of it.
#include "support.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/fold.h"
#include "broker/stores/base_upgrade.h"
#include "broker/stores/store.h"
#include "schemas/base/arena.h"
#include "view.pb-c.h"

enum { CUSTOMERS = 12000, MAP_BYTES = 256 << 20, PACKED_BYTES = 1024 };
static const uint8_t incarnation[INCARNATION_BYTES] = {7, 7};

static const char *const old_names[] = {"meta",     "customers", "keys",   "references",
                                        "timeline", "orders",    "quotes", "names"};
enum { N_OLD = sizeof(old_names) / sizeof(old_names[0]) };

struct scene {
    struct keys *keys;
    struct keys_reader *secrets;
    struct store_txn *old;
    struct view_txn *expected;
    struct arena *arena;
};

static void put_old(struct scene *scene, unsigned table, const void *key, size_t key_size,
                    const void *value, size_t size) {
    assert_int_equal(store_put(scene->old, table, key, key_size, value, size), 0);
}

static void put_new(struct scene *scene, enum view_table table, const void *key, size_t key_size,
                    const void *value, size_t size) {
    assert_int_equal(view_put(scene->expected, table, key, key_size, value, size), 0);
}

static void put_both(struct scene *scene, unsigned old, enum view_table table, const void *key,
                     size_t key_size, const void *value, size_t size) {
    put_old(scene, old, key, key_size, value, size);
    put_new(scene, table, key, key_size, value, size);
}

// kind \0 value, in the arena.
static const char *text_key(struct scene *scene, const char *kind, const char *value,
                            size_t *ret_size) {
    *ret_size = strlen(kind) + 1 + strlen(value);
    return arena_printf(scene->arena, "%s%c%s", kind, 0, value);
}

static void add_customer(struct scene *scene, uint64_t number) {
    const uint8_t *secret = keys_hash_secret(scene->keys);
    uint64_t be = htobe64(number);
    uint8_t lookup[LOOKUP_KEY_BYTES], packed[PACKED_BYTES], sealed[PACKED_BYTES], nil = 0xc0;
    View__Customer record = VIEW__CUSTOMER__INIT;
    View__Person person = VIEW__PERSON__INIT;
    View__Key key, *keys[] = {&key};
    View__Attribute attribute, *attributes[] = {&attribute};
    uint64_t recent[] = {number, number + 7};
    view__key__init(&key);
    view__attribute__init(&attribute);
    record.first_sequence = number;
    record.events = 2;
    record.recent_sequence = recent;
    record.n_recent_sequence = 2;
    key.kind = arena_strdup(scene->arena, "email");
    key.value = arena_printf(scene->arena, "p%zu@klant.example", (size_t)number);
    key.verified = number % 2 == 0;
    attribute.name = arena_strdup(scene->arena, "nickname");
    attribute.value = (ProtobufCBinaryData){.data = &nil, .len = 1};
    attribute.id = arena_strdup(scene->arena, "e-1");
    person.keys = keys;
    person.attributes = attributes;
    person.n_keys = person.n_attributes = number % 5 == 0 ? 0 : 1; // some have nothing personal

    size_t n = view__person__pack(&person, packed);
    size_t n_record = view__customer__pack(&record, packed + n);
    put_old(scene, 1, &be, 8, packed, n + n_record);
    if (person.n_keys > 0) {
        size_t key_size;
        const char *text = text_key(scene, key.kind, key.value, &key_size);
        put_old(scene, 2, text, key_size, &be, 8);
        assert_true(lookup_key(secret, key.kind, key.value, lookup));
        put_new(scene, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &be, 8);
        lookup[LOOKUP_BYTES] = key.verified ? 1 : 0;
        record.key_lookups = (ProtobufCBinaryData){.data = lookup, .len = sizeof(lookup)};
        record.person.data = sealed;
        assert_int_equal(view_seal(scene->expected, VIEW_CUSTOMERS, &be, 8, packed, n, sealed,
                                   &record.person.len),
                         0);
    }
    n = view__customer__pack(&record, packed);
    put_new(scene, VIEW_CUSTOMERS, &be, 8, packed, n);
}

static void add_row(struct scene *scene, unsigned old, enum view_table table, const char *kind,
                    uint64_t customer, const char *id, uint64_t changed, const void *row,
                    size_t size) {
    uint8_t key[8 + LOOKUP_BYTES], value[PACKED_BYTES];
    uint64_t be = htobe64(customer), open = htobe64(changed);
    size_t n = 0;
    char *old_key = arena_alloc(scene->arena, 8 + strlen(id));
    mempcpy(mempcpy(old_key, &be, 8), id, strlen(id));
    put_old(scene, old, old_key, 8 + strlen(id), row, size);
    memcpy(key, &be, 8);
    memcpy(value, &open, 8);
    assert_true(lookup_reference(keys_hash_secret(scene->keys), kind, id, key + 8));
    assert_int_equal(view_seal(scene->expected, table, key, sizeof(key), row, size, value + 8, &n),
                     0);
    put_new(scene, table, key, sizeof(key), value, 8 + n);
}

static void add_order_and_quote(struct scene *scene) {
    uint8_t packed[PACKED_BYTES], lookup[LOOKUP_BYTES];
    char id[] = "order-17", quote_id[] = "quote-4";
    uint64_t three = htobe64(3);
    size_t key_size;
    View__Order order;
    View__Quote quote;
    view__order__init(&order);
    view__quote__init(&quote);
    order.order_id = id;
    order.changed_sequence = 99;
    add_row(scene, 5, VIEW_ORDERS, "order", 3, id, 99, packed, view__order__pack(&order, packed));
    quote.quote_id = quote_id;
    quote.changed_sequence = 98;
    add_row(scene, 6, VIEW_QUOTES, "quote", 3, quote_id, 98, packed,
            view__quote__pack(&quote, packed));
    const char *text = text_key(scene, "order", id, &key_size);
    put_old(scene, 3, text, key_size, &three, 8);
    assert_true(lookup_reference(keys_hash_secret(scene->keys), "order", id, lookup));
    put_new(scene, VIEW_LOOKUPS, lookup, sizeof(lookup), &three, 8);
}

static void fill(struct scene *scene) {
    uint64_t version = htobe64(1), applied = htobe64(500), pair[2] = {htobe64(3), htobe64(1)};
    put_old(scene, 0, "fold-version", 12, &version, 8);
    version = htobe64(FOLD_VERSION);
    put_new(scene, VIEW_META, "fold-version", 12, &version, 8);
    put_both(scene, 0, VIEW_META, "incarnation", 11, incarnation, sizeof(incarnation));
    put_both(scene, 0, VIEW_META, "applied", 7, &applied, 8);
    put_both(scene, 7, VIEW_NAMES, "\0\0\0\1", 4, "page.viewed", 11);
    put_both(scene, 4, VIEW_TIMELINE, pair, sizeof(pair), "run", 3);
    for (uint64_t number = 1; number <= CUSTOMERS; number++) {
        add_customer(scene, number);
    }
    add_order_and_quote(scene);
}

static void hash_of(const char *dir, char ret[65]) {
    struct view *view = NULL;
    struct view_txn *txn = NULL;
    assert_int_equal(view_open(dir, VIEW_BASE, MAP_BYTES, false, &view), 0);
    assert_int_equal(view_begin(view, false, &txn), 0);
    assert_int_equal(view_hash(txn, ret), 0);
    view_abort(txn);
    view_close(view);
}

static void expect_unreadable(const char *dir) {
    static const char *const words[] = {"klant.example", "nickname", "order-17", "quote-4"};
    char path[PATH_BYTES];
    size_t size = 0;
    snprintf(path, sizeof(path), "%s/data.mdb", dir);
    uint8_t *bytes = support_read(path, &size);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_null(memmem(bytes, size, words[i], strlen(words[i])));
    }
    free(bytes);
}

static void test_a_readable_base_is_sealed(void **state) {
    struct store_options options = {.tables = old_names, .n_tables = N_OLD, .map_bytes = MAP_BYTES};
    struct scene scene = {.arena = arena_new(MAP_BYTES)};
    struct store *store = NULL;
    struct view *view = NULL;
    char expected[65], upgraded[65];
    const char *base = support_path(*state, "base"), *other = support_path(*state, "expected");
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &scene.keys), 0);
    assert_int_equal(keys_ensure(scene.keys, CUSTOMERS), 0);
    assert_int_equal(keys_reader_new(scene.keys, &scene.secrets), 0);
    assert_int_equal(base_upgrade(base, MAP_BYTES, scene.keys), 0); // none yet
    assert_int_equal(store_open(base, &options, &store), 0);
    assert_int_equal(store_begin(store, true, &scene.old), 0);
    assert_int_equal(view_open(other, VIEW_BASE, MAP_BYTES, false, &view), 0);
    assert_int_equal(view_begin(view, true, &scene.expected), 0);
    view_use_keys(scene.expected, scene.secrets);
    fill(&scene);
    assert_int_equal(store_commit(scene.old), 0);
    assert_int_equal(view_commit(scene.expected), 0);
    store_close(store);
    view_close(view);
    hash_of(other, expected);

    // The second time there is nothing to do.
    for (int i = 0; i < 2; i++) {
        assert_int_equal(base_upgrade(base, MAP_BYTES, scene.keys), 0);
        hash_of(base, upgraded);
        assert_string_equal(upgraded, expected);
        expect_unreadable(base);
    }
    keys_reader_free(scene.secrets);
    keys_close(scene.keys);
    arena_free(scene.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
        test_a_readable_base_is_sealed, support_setup, support_teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
