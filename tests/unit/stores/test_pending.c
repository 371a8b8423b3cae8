// SPDX-License-Identifier: Apache-2.0
// A transaction ahead of its writing answers as one that writes at once: generated histories of
// puts, deletes, gets and scans are done to both, over a store that holds something already and
// over changes that are on their way. And many of them written at one go are what they are one
// after the other.
#include "support.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/stores/pending.h"
#include "broker/stores/store.h"
#include "broker/stores/view.h"

enum { MAP_BYTES = 1 << 26, STEPS = 3000, KEYS = 200, ROUNDS = 6, ROWS_MAX = 2 * KEYS };
enum { LAYERS = 40, LAYER_ROWS = 60 };

static uint64_t dice_state;

static unsigned dice(unsigned n) {
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (unsigned)(dice_state >> 33) % n;
}

static struct view *open_view(const char *dir, const char *name) {
    struct view *view = NULL;
    assert_int_equal(view_open(support_path(dir, name), VIEW_SCRATCH, MAP_BYTES, false, &view), 0);
    return view;
}

// Of different lengths, one the beginning of another, with bytes that count up to the next prefix.
static size_t make_key(uint8_t ret[static 16]) {
    unsigned number = dice(KEYS);
    size_t size = 1 + number % 12;
    memset(ret, number % 3 == 0 ? 0xff : 'a', size);
    ret[size - 1] = (uint8_t)(number * 7);
    ret[0] = (uint8_t)(number % 5 == 0 ? 0xff : number % 5);
    return size;
}

static enum view_table table_of(unsigned number) {
    static const enum view_table tables[] = {VIEW_CUSTOMERS, VIEW_ITEMS, VIEW_DUE};
    return tables[number % 3];
}

struct rows {
    char text[ROWS_MAX][64];
    size_t n, n_max;
};

static int note_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct rows *rows = user;
    char *at = rows->text[rows->n++];
    size_t written = 0;
    for (size_t i = 0; i < key_size; i++) {
        written += (size_t)snprintf(at + written, 64 - written, "%02x", ((const uint8_t *)key)[i]);
    }
    snprintf(at + written, 64 - written, "=%.*s", (int)size, (const char *)value);
    return rows->n == rows->n_max ? 1 : 0;
}

static void assert_same_scan(struct view_txn *plain, struct view_txn *ahead) {
    static struct rows one, other;
    uint8_t prefix[16], from[16];
    size_t prefix_size = dice(3) == 0 ? 0 : make_key(prefix) % 3;
    size_t from_size = dice(2) == 0 ? make_key(from) : 0;
    if (from_size > 0 && prefix_size > 0) { // within the prefix
        memcpy(from, prefix, prefix_size);
        from_size = from_size < prefix_size ? prefix_size : from_size;
    }
    enum view_table table = table_of(dice(3));
    bool reverse = dice(2) == 0;
    one.n = other.n = 0;
    one.n_max = other.n_max = 1 + dice(ROWS_MAX - 1);
    int r =
        view_scan_from(plain, table, prefix, prefix_size, from, from_size, reverse, note_row, &one);
    assert_int_equal(view_scan_from(ahead, table, prefix, prefix_size, from, from_size, reverse,
                                    note_row, &other),
                     r);
    assert_int_equal(one.n, other.n);
    for (size_t i = 0; i < one.n; i++) {
        assert_string_equal(one.text[i], other.text[i]);
    }
}

static void assert_same(int r, const void *value, size_t size, int other_r, const void *other,
                        size_t other_size) {
    assert_int_equal(r, other_r);
    if (r == 0) {
        assert_int_equal(size, other_size);
        assert_memory_equal(value, other, size);
    }
}

static void step(struct view_txn *plain, struct view_txn *ahead) {
    uint8_t key[16];
    char text[24];
    size_t size = make_key(key), value_size = 0, other_size = 0;
    const void *value = NULL, *other = NULL;
    enum view_table table = table_of(dice(3));
    snprintf(text, sizeof(text), "%.*s", (int)dice(20), "a value of some length");
    int r, other_r;
    switch (dice(6)) {
    case 0:
        r = view_delete(plain, table, key, size);
        assert_int_equal(view_delete(ahead, table, key, size), r);
        break;
    case 1:
        r = view_put_new(plain, table, key, size, text, strlen(text), &value, &value_size);
        other_r = view_put_new(ahead, table, key, size, text, strlen(text), &other, &other_size);
        assert_int_equal(r, other_r);
        if (r == 1) {
            assert_same(0, value, value_size, 0, other, other_size);
        }
        break;
    case 2:
        assert_same_scan(plain, ahead);
        break;
    case 3:
        r = view_get(plain, table, key, size, &value, &value_size);
        other_r = view_get(ahead, table, key, size, &other, &other_size);
        assert_same(r, value, value_size, other_r, other, other_size);
        break;
    default:
        assert_int_equal(view_put(plain, table, key, size, text, strlen(text)), 0);
        assert_int_equal(view_put(ahead, table, key, size, text, strlen(text)), 0);
    }
}

static void assert_same_hash(struct view *one, struct view *other) {
    char hash[65], other_hash[65];
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(one, false, &txn), 0);
    assert_int_equal(view_hash(txn, hash), 0);
    view_abort(txn);
    assert_int_equal(view_begin(other, false, &txn), 0);
    assert_int_equal(view_hash(txn, other_hash), 0);
    view_abort(txn);
    assert_string_equal(hash, other_hash);
}

static void write_changes(struct view *view, struct pending *changes) {
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, true, &txn), 0);
    assert_int_equal(view_write_changes(txn, changes), 0);
    assert_int_equal(view_commit(txn), 0);
}

// One transaction to both. `before` is on its way: written while the next one reads, or ahead of
// it.
static void round_of(struct view *plain, struct view *ahead, struct pending *changes,
                     struct pending *before, bool late) {
    struct view_txn *one = NULL, *other = NULL;
    if (before != NULL && !late) {
        write_changes(ahead, before);
    }
    assert_int_equal(view_begin(plain, true, &one), 0);
    assert_int_equal(view_begin_ahead(ahead, changes, before, &other), 0);
    if (before != NULL && late) {
        write_changes(ahead, before);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step(one, other);
    }
    assert_int_equal(view_commit(one), 0);
    view_abort(other);
}

static void test_ahead_answers_as_at_once(void **state) {
    struct view *plain = open_view(*state, "plain"), *ahead = open_view(*state, "ahead");
    struct pending *changes[2] = {view_changes_new(), view_changes_new()};
    dice_state = UINT64_C(88172645463325252);
    for (unsigned i = 0; i < ROUNDS; i++) {
        pending_reset(changes[i % 2]);
        round_of(plain, ahead, changes[i % 2], i > 0 ? changes[(i + 1) % 2] : NULL, i % 3 == 0);
    }
    write_changes(ahead, changes[(ROUNDS + 1) % 2]);
    assert_same_hash(plain, ahead);
    pending_free(changes[0]);
    pending_free(changes[1]);
    view_close(plain);
    view_close(ahead);
}

static void test_nothing_is_written_before_it_is_told_to(void **state) {
    struct view *view = open_view(*state, "alone"), *empty = open_view(*state, "empty");
    struct pending *changes = view_changes_new();
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin_ahead(view, changes, NULL, &txn), 0);
    assert_int_equal(view_put(txn, VIEW_ITEMS, "k", 1, "v", 1), 0);
    view_abort(txn);
    assert_same_hash(view, empty);
    write_changes(view, changes);
    assert_int_equal(view_begin(empty, true, &txn), 0);
    assert_int_equal(view_put(txn, VIEW_ITEMS, "k", 1, "v", 1), 0);
    assert_int_equal(view_commit(txn), 0);
    assert_same_hash(view, empty);
    pending_free(changes);
    view_close(view);
    view_close(empty);
}

static void fill_layer(struct pending *layer) {
    for (unsigned i = 0; i < LAYER_ROWS; i++) {
        uint8_t key[16];
        char text[24];
        size_t size = make_key(key);
        enum view_table table = table_of(dice(3));
        snprintf(text, sizeof(text), "%u", dice(1000000));
        int r = dice(4) == 0 ? pending_delete(layer, table, key, size)
                             : pending_put(layer, table, key, size, text, strlen(text));
        assert_int_equal(r, 0);
    }
}

static void apply(struct view *view, struct pending *const *layers, unsigned n) {
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, true, &txn), 0);
    assert_int_equal(pending_apply(layers, n, view_txn_store(txn)), 0);
    assert_int_equal(view_commit(txn), 0);
}

static void test_many_at_once_are_as_one_after_the_other(void **state) {
    struct view *one = open_view(*state, "one"), *other = open_view(*state, "other");
    struct pending *layers[LAYERS];
    dice_state = UINT64_C(1442695040888963407);
    for (unsigned i = 0; i < LAYERS; i++) {
        layers[i] = view_changes_new();
        fill_layer(layers[i]);
    }
    for (unsigned i = 0; i < LAYERS; i++) {
        apply(one, &layers[i], 1);
    }
    // Over what is there, and into nothing.
    apply(other, layers, 3);
    apply(other, layers, LAYERS);
    assert_same_hash(one, other);
    for (unsigned i = 0; i < LAYERS; i++) {
        pending_free(layers[i]);
    }
    view_close(one);
    view_close(other);
}

static void test_parts_are_nothing_before_the_whole(void **state) {
    struct view *view = open_view(*state, "parts"), *empty = open_view(*state, "empty");
    for (unsigned n_parts = 0; n_parts < 3; n_parts++) {
        struct view_txn *txn = NULL;
        assert_int_equal(view_begin(view, true, &txn), 0);
        for (unsigned part = 0; part < n_parts; part++) {
            assert_int_equal(store_next_part(view_txn_store(txn)), 0);
            assert_int_equal(view_put(txn, VIEW_ITEMS, &part, sizeof(part), "v", 1), 0);
        }
        if (n_parts == 2) {
            assert_int_equal(store_end_part(view_txn_store(txn)), 0);
        }
        view_abort(txn);
        assert_same_hash(view, empty);
    }
    view_close(view);
    view_close(empty);
}

static void test_the_bound_is_an_error_and_keys_are_the_stores(void **state) {
    static uint8_t bytes[1 << 16];
    struct pending *pending = pending_new(1, 1 << 20);
    int r = 0;
    for (uint64_t i = 0; r == 0 && i < 100; i++) {
        r = pending_put(pending, 0, &i, sizeof(i), bytes, sizeof(bytes));
    }
    assert_int_equal(r, -ENOMEM);
    pending_reset(pending);
    assert_null(pending_from(pending, 0, NULL, 0));
    assert_int_equal(pending_put(pending, 0, "k", 1, bytes, sizeof(bytes)), 0);
    pending_free(pending);
    struct view *view = open_view(*state, "keys");
    struct pending *changes = view_changes_new();
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin_ahead(view, changes, NULL, &txn), 0);
    assert_int_equal(view_put(txn, VIEW_ITEMS, bytes, 512, "v", 1), -EINVAL);
    assert_int_equal(view_put(txn, VIEW_ITEMS, bytes, 0, "v", 1), -EINVAL);
    view_abort(txn);
    pending_free(changes);
    view_close(view);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ahead_answers_as_at_once, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_written_before_it_is_told_to, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_many_at_once_are_as_one_after_the_other, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_parts_are_nothing_before_the_whole, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_the_bound_is_an_error_and_keys_are_the_stores,
                                        support_setup, support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
