// SPDX-License-Identifier: Apache-2.0
// A base of fold version 1 or 2 becomes, byte for byte, one of this version, with orders and quotes
// as items, and nothing readable is left of it; one of version 3 gets its index. Up to version 4
// interactions stood whole.
#include "support.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/fold/fold.h"
#include "broker/fold/item_index.h"
#include "broker/stores/base_upgrade.h"
#include "broker/stores/store.h"
#include "schemas/base/arena.h"
#include "view.pb-c.h"

enum { CUSTOMERS = 12000, WITH_ORDERS = 3, MAP_BYTES = 256 << 20, PACKED_BYTES = 1024 };
static const uint8_t incarnation[INCARNATION_BYTES] = {7, 7};

// Of both versions; each has some of them.
enum old { META, CUSTOMERS_OLD, TIMELINE, ORDERS, QUOTES, NAMES, KEYS, REFERENCES, N_OLD };
static const char *const old_names[] = {"meta",   "customers", "timeline", "orders",
                                        "quotes", "names",     "keys",     "references"};
static const char *const old_names_2[] = {"meta",   "customers", "timeline", "orders",
                                          "quotes", "names",     "lookups"};
enum { LOOKUPS = KEYS }; // of version 2
// In the order of enum view_table.
static const char *const old_names_4[] = {"meta",  "customers", "lookups", "timeline",  "names",
                                          "items", "shared",    "ledger",  "contested", "timers",
                                          "due",   "waiting",   "scores",  "index"};
enum { N_OLD_4 = sizeof(old_names_4) / sizeof(old_names_4[0]), N_OLD_3 = N_OLD_4 - 1 };

struct scene {
    uint64_t version; // of the old base
    struct keys *keys;
    struct keys_reader *secrets;
    struct store_txn *old; // NULL: it is made of what is expected
    struct view_txn *expected;
    struct arena *arena;
};

static void put_old(struct scene *scene, unsigned table, const void *key, size_t key_size,
                    const void *value, size_t size) {
    if (scene->old != NULL) {
        assert_int_equal(store_put(scene->old, table, key, key_size, value, size), 0);
    }
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

// Who a key or a reference leads to.
static void add_lookup(struct scene *scene, const char *kind, const char *value, bool is_key,
                       uint64_t customer) {
    const uint8_t *secret = keys_hash_secret(scene->keys);
    uint64_t be = htobe64(customer);
    uint8_t lookup[LOOKUP_BYTES];
    size_t key_size;
    assert_true(is_key ? lookup_key(secret, kind, value, lookup)
                       : lookup_reference(secret, kind, value, lookup));
    put_new(scene, VIEW_LOOKUPS, lookup, LOOKUP_BYTES, &be, 8);
    if (scene->version == 2) {
        put_old(scene, LOOKUPS, lookup, LOOKUP_BYTES, &be, 8);
        return;
    }
    const char *text = text_key(scene, kind, value, &key_size);
    put_old(scene, is_key ? KEYS : REFERENCES, text, key_size, &be, 8);
}

// Two interactions of a customer, or of a run; as a version had them.
struct interactions {
    uint64_t sequence[2], last_sequence;
    int64_t time_us[2], last_us;
    uint32_t type[2], channel[2];
};

static struct interactions interactions_of(uint64_t number, uint64_t version) {
    struct interactions made = {.sequence = {number, number + 7},
                                .time_us = {INT64_MAX, -2},
                                .type = {1, 300},
                                .channel = {0, 2}};
    return version < 5 ? made
                       : (struct interactions){.sequence = {0, 7},
                                               .time_us = {0, INT64_MAX}, // as it wraps
                                               .type = {1, 300},
                                               .channel = {0, 2},
                                               .last_sequence = made.sequence[1],
                                               .last_us = made.time_us[1]};
}

static void set_recent(View__Customer *record, struct interactions *interactions) {
    record->n_recent_sequence_delta = record->n_recent_time_delta_us = record->n_recent_type =
        record->n_recent_channel = 2;
    record->recent_sequence_delta = interactions->sequence;
    record->recent_time_delta_us = interactions->time_us;
    record->recent_type = interactions->type;
    record->recent_channel = interactions->channel;
    record->recent_last_sequence = interactions->last_sequence;
    record->recent_last_us = interactions->last_us;
}

static size_t pack_run(uint64_t version, uint8_t *ret) {
    struct interactions interactions = interactions_of(1, version);
    View__Run run;
    view__run__init(&run);
    run.n_sequence_delta = run.n_time_delta_us = run.n_type = run.n_channel = 2;
    run.sequence_delta = interactions.sequence;
    run.time_delta_us = interactions.time_us;
    run.type = interactions.type;
    run.channel = interactions.channel;
    run.last_sequence = interactions.last_sequence;
    run.last_us = interactions.last_us;
    return view__run__pack(&run, ret);
}

static void add_customer(struct scene *scene, uint64_t number) {
    const uint8_t *secret = keys_hash_secret(scene->keys);
    uint64_t be = htobe64(number);
    uint8_t lookup[LOOKUP_KEY_BYTES], packed[PACKED_BYTES], sealed[PACKED_BYTES], nil = 0xc0;
    View__Customer record;
    view__customer__init(&record);
    View__Person person = VIEW__PERSON__INIT;
    View__Key key, *keys[] = {&key};
    View__Attribute attribute, *attributes[] = {&attribute};
    struct interactions whole = interactions_of(number, scene->version),
                        differences = interactions_of(number, FOLD_VERSION);
    view__key__init(&key);
    view__attribute__init(&attribute);
    record.first_sequence = number;
    record.events = 2;
    set_recent(&record, &whole);
    key.kind = arena_strdup(scene->arena, "email");
    key.value = arena_printf(scene->arena, "p%zu@klant.example", (size_t)number);
    key.verified = number % 2 == 0;
    attribute.name = arena_strdup(scene->arena, "nickname");
    attribute.value = (ProtobufCBinaryData){.data = &nil, .len = 1};
    attribute.id = arena_strdup(scene->arena, "e-1");
    person.keys = keys;
    person.attributes = attributes;
    person.n_keys = person.n_attributes = number % 5 == 0 ? 0 : 1; // some have nothing personal

    bool is_registered = number % 7 == 0 && person.n_attributes > 0;
    attribute.name = is_registered ? arena_strdup(scene->arena, "registered") : attribute.name;
    nil = is_registered ? 0xc3 : nil;
    size_t n = view__person__pack(&person, packed);
    if (scene->version == 1) {
        put_old(scene, CUSTOMERS_OLD, &be, 8, packed,
                n + view__customer__pack(&record, packed + n));
    }
    if (person.n_keys > 0) {
        add_lookup(scene, key.kind, key.value, true, number);
        assert_true(lookup_key(secret, key.kind, key.value, lookup));
        lookup[LOOKUP_BYTES] = key.verified ? 1 : 0;
        record.key_lookups = (ProtobufCBinaryData){.data = lookup, .len = sizeof(lookup)};
        record.person.data = sealed;
        assert_int_equal(view_seal(scene->expected, VIEW_CUSTOMERS, &be, 8, packed, n, sealed,
                                   &record.person.len),
                         0);
    }
    n = view__customer__pack(&record, packed);
    if (scene->version == 2) {
        put_old(scene, CUSTOMERS_OLD, &be, 8, packed, n);
    }
    set_recent(&record, &differences);
    record.registered = is_registered;
    record.orders = number == WITH_ORDERS;
    n = view__customer__pack(&record, packed);
    put_new(scene, VIEW_CUSTOMERS, &be, 8, packed, n);
}

// The row as the old version had it, of customer WITH_ORDERS.
static void add_old_row(struct scene *scene, enum old table, char letter, const char *kind,
                        const char *id, uint64_t changed, const void *row, size_t size) {
    uint8_t place[1 + 8 + LOOKUP_BYTES], value[PACKED_BYTES];
    uint64_t be = htobe64(WITH_ORDERS), open = htobe64(changed);
    if (scene->version == 1) {
        char *key = arena_alloc(scene->arena, 8 + strlen(id));
        mempcpy(mempcpy(key, &be, 8), id, strlen(id));
        put_old(scene, table, key, 8 + strlen(id), row, size);
        return;
    }
    place[0] = (uint8_t)letter;
    memcpy(place + 1, &be, 8);
    memcpy(value, &open, 8);
    assert_true(lookup_reference(keys_hash_secret(scene->keys), kind, id, place + 9));
    assert_true(keys_reader_reads(scene->secrets)); // since the customers were sealed
    assert_int_equal(
        keys_seal_row(scene->secrets, WITH_ORDERS, place, sizeof(place), row, size, value + 8), 0);
    put_old(scene, table, place + 1, sizeof(place) - 1, value, 8 + size + KEYS_ROW_OVERHEAD);
}

static void add_member(struct scene *scene, View__Item *item, const char *name, const char *value,
                       size_t size, uint64_t sequence, uint64_t revision, int64_t time_us) {
    View__Attribute *member = arena_alloc(scene->arena, sizeof(*member));
    view__attribute__init(member);
    member->name = arena_strdup(scene->arena, name);
    member->value.data = arena_copy(scene->arena, value, size);
    member->value.len = size;
    member->sequence = sequence;
    member->revision = revision;
    member->time_us = time_us;
    item->members[item->n_members++] = member;
}

static void put_item(struct scene *scene, View__Item *item, enum item_kind kind, char *id,
                     uint64_t first, uint64_t changed) {
    uint8_t key[ITEM_KEY_BYTES], value[PACKED_BYTES], packed[PACKED_BYTES];
    uint64_t open = htobe64(changed);
    size_t n = 0;
    item->kind = kind;
    item->id = id;
    item->first_sequence = first;
    item->changed_sequence = changed;
    assert_true(item_key(keys_hash_secret(scene->keys), WITH_ORDERS, kind, id, key));
    memcpy(value, &open, 8);
    item_packed_size(item);
    size_t size = item_pack(item, packed);
    assert_int_equal(
        view_seal(scene->expected, VIEW_ITEMS, key, sizeof(key), packed, size, value + 8, &n), 0);
    put_new(scene, VIEW_ITEMS, key, sizeof(key), value, 8 + n);
    const struct item_place place = item_index_place(keys_hash_secret(scene->keys), item);
    uint8_t index_key[ITEM_INDEX_KEY_BYTES];
    item_index_key(key, &place, index_key);
    if (place.is_kept) {
        put_new(scene, VIEW_INDEX, index_key, sizeof(index_key), "", 0);
    }
}

static void add_order_and_quote(struct scene *scene) {
    uint8_t packed[PACKED_BYTES];
    char id[] = "order-17", quote_id[] = "quote-4", status[] = "packed", outcome[] = "accepted";
    View__Attribute *members[8];
    View__Order order;
    View__Quote quote;
    View__Item item;
    view__order__init(&order);
    view__quote__init(&quote);
    order.order_id = id;
    order.status = status;
    order.revision = 2;
    order.placed_sequence = 90;
    order.placed_us = 7;
    order.changed_sequence = 99;
    order.changed_us = 8;
    add_old_row(scene, ORDERS, 'o', "order", id, 99, packed, view__order__pack(&order, packed));
    view__item__init(&item);
    item.members = members;
    item.first_us = 7;
    item.changed_us = 8;
    add_member(scene, &item, "placed", "\7", 1, 90, 0, 7);
    add_member(scene, &item, "status", "\xa6packed", 7, 99, 2, 8);
    add_member(scene, &item, "revision", "\2", 1, 99, 2, 8);
    put_item(scene, &item, ITEM_ORDER, id, 90, 99);

    quote.quote_id = quote_id;
    quote.outcome = outcome;
    quote.changed_sequence = 98;
    add_old_row(scene, QUOTES, 'q', "quote", quote_id, 98, packed,
                view__quote__pack(&quote, packed));
    view__item__init(&item);
    item.members = members;
    add_member(scene, &item, "state",
               "\xa6"
               "closed",
               7, 98, 0, 0);
    add_member(scene, &item, "outcome",
               "\xa8"
               "accepted",
               9, 98, 0, 0);
    put_item(scene, &item, ITEM_QUOTE, quote_id, 98, 98);
    add_lookup(scene, "order", id, false, WITH_ORDERS);
}

static void fill(struct scene *scene) {
    uint64_t version = htobe64(scene->version), applied = htobe64(500),
             pair[2] = {htobe64(3), htobe64(1)};
    put_old(scene, META, "fold-version", 12, &version, 8);
    version = htobe64(FOLD_VERSION);
    put_new(scene, VIEW_META, "fold-version", 12, &version, 8);
    put_both(scene, META, VIEW_META, "incarnation", 11, incarnation, sizeof(incarnation));
    put_both(scene, META, VIEW_META, "applied", 7, &applied, 8);
    put_both(scene, NAMES, VIEW_NAMES, "\0\0\0\1", 4, "page.viewed", 11);
    uint8_t run[PACKED_BYTES];
    put_old(scene, TIMELINE, pair, sizeof(pair), run, pack_run(scene->version, run));
    put_new(scene, VIEW_TIMELINE, pair, sizeof(pair), run, pack_run(FOLD_VERSION, run));
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

static void upgrade(void **state, uint64_t version) {
    bool is_first = version == 1;
    struct store_options options = {.tables = is_first ? old_names : old_names_2,
                                    .n_tables = is_first ? N_OLD : N_OLD - 1,
                                    .map_bytes = MAP_BYTES};
    struct scene scene = {.version = version, .arena = arena_new(MAP_BYTES)};
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

// ---- versions 3, all but the index, and 4: interactions stand whole

struct copying {
    struct store_txn *old;
    struct arena *arena;
    unsigned table;
};

static size_t pack_whole(struct arena *arena, uint64_t number, const void *value, size_t size,
                         uint8_t *ret) {
    struct interactions whole = interactions_of(number, 4);
    View__Customer *record = view__customer__unpack(arena_allocator(arena), size, value);
    assert_non_null(record);
    set_recent(record, &whole);
    return view__customer__pack(record, ret);
}

static int copy_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    const struct copying *copying = user;
    uint8_t old[PACKED_BYTES];
    if (copying->table == VIEW_CUSTOMERS) {
        size = pack_whole(copying->arena, store_from_be64(key), value, size, old);
        value = old;
    } else if (copying->table == VIEW_TIMELINE) {
        size = pack_run(4, old);
        value = old;
    }
    assert_int_equal(store_put(copying->old, copying->table, key, key_size, value, size), 0);
    return 0;
}

static void make_old(struct scene *scene, const char *dir, uint64_t version,
                     struct view *expected) {
    unsigned n_tables = version == 3 ? N_OLD_3 : N_OLD_4;
    struct store_options options = {
        .tables = old_names_4, .n_tables = n_tables, .map_bytes = MAP_BYTES};
    struct copying copying = {.arena = scene->arena};
    struct store *store = NULL;
    struct view_txn *txn = NULL;
    assert_int_equal(VIEW_INDEX, N_OLD_3); // what came behind it
    assert_int_equal(VIEW_N_TABLES, N_OLD_4);
    assert_int_equal(store_open(dir, &options, &store), 0);
    assert_int_equal(store_begin(store, true, &copying.old), 0);
    assert_int_equal(view_begin(expected, false, &txn), 0);
    for (copying.table = 0; copying.table < n_tables; copying.table++) {
        assert_int_equal(view_scan(txn, copying.table, NULL, 0, false, copy_row, &copying), 0);
    }
    version = htobe64(version);
    assert_int_equal(store_put(copying.old, VIEW_META, "fold-version", 12, &version, 8), 0);
    view_abort(txn);
    assert_int_equal(store_commit(copying.old), 0);
    store_close(store);
}

static void upgrade_copy(void **state, uint64_t version) {
    struct scene scene = {.version = 2, .arena = arena_new(MAP_BYTES)};
    struct view *view = NULL;
    char expected[65], upgraded[65];
    const char *base = support_path(*state, "base"), *other = support_path(*state, "expected");
    assert_int_equal(keys_open(support_path(*state, "keys"), false, &scene.keys), 0);
    assert_int_equal(keys_ensure(scene.keys, CUSTOMERS), 0);
    assert_int_equal(keys_reader_new(scene.keys, &scene.secrets), 0);
    assert_int_equal(view_open(other, VIEW_BASE, MAP_BYTES, false, &view), 0);
    assert_int_equal(view_begin(view, true, &scene.expected), 0);
    view_use_keys(scene.expected, scene.secrets);
    fill(&scene);
    assert_int_equal(view_commit(scene.expected), 0);
    make_old(&scene, base, version, view);
    view_close(view);
    hash_of(other, expected);
    assert_int_equal(base_upgrade(base, MAP_BYTES, scene.keys), 0);
    hash_of(base, upgraded);
    assert_string_equal(upgraded, expected);
    keys_reader_free(scene.secrets);
    keys_close(scene.keys);
    arena_free(scene.arena);
}

static void test_items_of_version_3_get_their_index(void **state) {
    upgrade_copy(state, 3);
}

static void test_interactions_of_version_4_stand_by_difference(void **state) {
    upgrade_copy(state, 4);
}

static void test_a_readable_base_is_sealed(void **state) {
    upgrade(state, 1);
}

static void test_orders_and_quotes_of_version_2_become_items(void **state) {
    upgrade(state, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_readable_base_is_sealed, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_orders_and_quotes_of_version_2_become_items,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_items_of_version_3_get_their_index, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_interactions_of_version_4_stand_by_difference,
                                        support_setup, support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
