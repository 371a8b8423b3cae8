// SPDX-License-Identifier: Apache-2.0
// A view that is written behind answers as one that is written at once: generated histories of
// ticks are shown in both, and read at every pace of the writer; what a reader began to read it
// reads to its end; and nothing shown is missing where it counts: after a close, in a restore
// point.
#include "support.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/stores/pending.h"
#include "broker/stores/store.h"
#include "broker/stores/view.h"
#include "points.h"
#include "schemas/base/clock.h"

enum {
    MAP_BYTES = 1 << 28,
    TICKS = 1500, // more than two batches have room for
    STEPS = 12,   // changes of one
    CUSTOMERS = 40,
    READERS = 5,
    PAIRS = 3000,
    TEXT_BYTES = 1 << 17,
};

static struct view *open_view(const char *dir, const char *name, bool behind) {
    struct view *view = NULL;
    assert_int_equal(view_open(support_path(dir, name), VIEW_LIVE, MAP_BYTES, false, &view), 0);
    if (behind) {
        assert_int_equal(view_write_behind(view), 0);
    }
    return view;
}

// ---- all of it as text

struct text {
    char bytes[TEXT_BYTES];
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->bytes + text->size, TEXT_BYTES - text->size, format, arguments);
    va_end(arguments);
    assert_in_range(n, 0, TEXT_BYTES - text->size - 1);
    text->size += (size_t)n;
}

static int note_row(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    for (size_t i = 0; i < key_size; i++) {
        add(user, "%02x", ((const uint8_t *)key)[i]);
    }
    add(user, "=%.*s\n", (int)size, (const char *)value);
    return 0;
}

static const enum view_table tables[] = {VIEW_CUSTOMERS, VIEW_ITEMS, VIEW_DUE};
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

static void read_all(struct view_txn *txn, bool reverse, struct text *ret) {
    ret->size = 0;
    for (unsigned i = 0; i < N_TABLES; i++) {
        assert_int_equal(view_scan(txn, tables[i], "", 0, reverse, note_row, ret), 0);
    }
    ret->bytes[ret->size] = '\0';
}

// What one customer has in a table whose keys begin with it.
static void read_customer(struct view_txn *txn, uint64_t customer, bool reverse, struct text *ret) {
    uint8_t prefix[8];
    store_be64(prefix, customer);
    ret->size = 0;
    assert_int_equal(view_scan(txn, VIEW_ITEMS, prefix, sizeof(prefix), reverse, note_row, ret), 0);
    ret->bytes[ret->size] = '\0';
}

// ---- one history, twice

struct twins {
    struct view *plain, *behind;
    struct pending *changes[2];
    uint64_t seed, applied;
};

// A customer's row, and rows of its own with longer keys.
static size_t make_key(struct twins *twins, unsigned table, uint8_t ret[static 16]) {
    memset(ret, 0, 16);
    store_be64(ret, support_random(&twins->seed) % CUSTOMERS);
    if (tables[table] == VIEW_CUSTOMERS) {
        return 8;
    }
    ret[8] = (uint8_t)(support_random(&twins->seed) % 4);
    return 9 + support_random(&twins->seed) % 4;
}

static void change(struct twins *twins, struct view_txn *one, struct view_txn *other) {
    uint8_t key[16];
    char value[24];
    unsigned table = (unsigned)(support_random(&twins->seed) % N_TABLES);
    size_t size = make_key(twins, table, key);
    snprintf(value, sizeof(value), "%llu",
             (unsigned long long)support_random(&twins->seed) % 1000000);
    if (support_random(&twins->seed) % 3 == 0) {
        assert_int_equal(view_delete(one, tables[table], key, size),
                         view_delete(other, tables[table], key, size));
    } else {
        assert_int_equal(view_put(one, tables[table], key, size, value, strlen(value)), 0);
        assert_int_equal(view_put(other, tables[table], key, size, value, strlen(value)), 0);
    }
}

static void tick(struct twins *twins) {
    struct view *views[2] = {twins->plain, twins->behind};
    struct view_txn *txns[2];
    for (unsigned i = 0; i < 2; i++) {
        twins->changes[i] = view_changes_exchange(views[i], twins->changes[i]);
        assert_non_null(twins->changes[i]);
        assert_int_equal(view_begin_ahead(views[i], twins->changes[i], NULL, &txns[i]), 0);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        change(twins, txns[0], txns[1]);
    }
    twins->applied++;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(view_set_applied(txns[i], twins->applied), 0);
        assert_int_equal(view_set_identity(txns[i], &points_identity), 0);
        view_abort(txns[i]);
        assert_int_equal(view_show(views[i], twins->changes[i]), 0);
    }
}

static struct twins open_twins(const char *dir) {
    struct twins twins = {.plain = open_view(dir, "plain", false),
                          .behind = open_view(dir, "behind", true),
                          .seed = 11};
    twins.changes[0] = view_changes_new();
    twins.changes[1] = view_changes_new();
    return twins;
}

static void close_twins(struct twins *twins) {
    view_changes_free(twins->plain, twins->changes[0]);
    view_changes_free(twins->behind, twins->changes[1]);
    view_close(twins->plain);
    view_close(twins->behind);
}

static void assert_same(struct twins *twins) {
    static struct text one, other;
    struct view_txn *plain = NULL, *behind = NULL;
    assert_int_equal(view_begin(twins->plain, false, &plain), 0);
    assert_int_equal(view_begin(twins->behind, false, &behind), 0);
    bool reverse = support_random(&twins->seed) % 2 == 0;
    read_all(plain, reverse, &one);
    read_all(behind, reverse, &other);
    assert_string_equal(one.bytes, other.bytes);
    for (uint64_t customer = 0; customer < CUSTOMERS; customer++) {
        uint8_t key[8];
        const void *value = NULL, *same = NULL;
        size_t size = 0, same_size = 0;
        store_be64(key, customer);
        int r = view_get(plain, VIEW_CUSTOMERS, key, sizeof(key), &value, &size);
        assert_int_equal(view_get(behind, VIEW_CUSTOMERS, key, sizeof(key), &same, &same_size), r);
        assert_true(r == 1 || (size == same_size && memcmp(value, same, size) == 0));
        read_customer(plain, customer, reverse, &one);
        read_customer(behind, customer, reverse, &other);
        assert_string_equal(one.bytes, other.bytes);
    }
    assert_int_equal(view_applied(behind), twins->applied);
    view_abort(plain);
    view_abort(behind);
}

static void test_what_is_shown_is_read(void **state) {
    struct twins twins = open_twins(*state);
    for (unsigned i = 0; i < TICKS; i++) {
        tick(&twins);
        if (support_random(&twins.seed) % 20 == 0) {
            assert_same(&twins);
        }
        if (support_random(&twins.seed) % 100 == 0) {
            view_settle(twins.behind);
            assert_same(&twins);
        }
    }
    assert_same(&twins);
    close_twins(&twins);
}

// Whatever is shown and written behind its back.
static void test_a_reader_reads_one_state_to_its_end(void **state) {
    static struct text begun[READERS], now;
    struct twins twins = open_twins(*state);
    struct view_txn *readers[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        for (unsigned n = 0; n < 1 + 90 * i; n++) {
            tick(&twins);
        }
        assert_int_equal(view_begin(twins.behind, false, &readers[i]), 0);
        read_all(readers[i], false, &begun[i]);
    }
    for (unsigned i = 0; i < TICKS; i++) {
        tick(&twins);
    }
    for (unsigned i = 0; i < READERS; i++) {
        read_all(readers[i], false, &now);
        assert_string_equal(begun[i].bytes, now.bytes);
        view_abort(readers[i]);
    }
    assert_same(&twins);
    close_twins(&twins);
}

// ---- readers beside the tick and the writer

struct race {
    struct view *view;
    atomic_bool stop;
    atomic_uint n_reads, n_torn;
};

static uint64_t number_at(struct view_txn *txn, enum view_table table) {
    const void *value = NULL;
    size_t size = 0;
    return view_get(txn, table, "pair", 4, &value, &size) == 0 ? store_from_be64(value) : 0;
}

static void *look(void *object) {
    struct race *race = object;
    uint64_t last = 0;
    while (!atomic_load(&race->stop)) {
        struct view_txn *txn = NULL;
        if (view_begin(race->view, false, &txn) != 0) {
            continue;
        }
        uint64_t one = number_at(txn, VIEW_NAMES), other = number_at(txn, VIEW_SHARED);
        bool is_torn = one != other || one != view_applied(txn) || one < last;
        atomic_fetch_add(&race->n_torn, is_torn ? 1 : 0);
        atomic_fetch_add(&race->n_reads, 1);
        last = one;
        view_abort(txn);
    }
    return NULL;
}

static void test_no_tick_is_seen_in_part(void **state) {
    struct race race = {.view = open_view(*state, "race", true)};
    struct pending *changes = view_changes_new();
    pthread_t readers[2];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, look, &race), 0);
    }
    for (uint64_t n = 1; n <= PAIRS; n++) {
        struct view_txn *txn = NULL;
        uint8_t value[8];
        store_be64(value, n);
        changes = view_changes_exchange(race.view, changes);
        assert_int_equal(view_begin_ahead(race.view, changes, NULL, &txn), 0);
        assert_int_equal(number_at(txn, VIEW_NAMES), n - 1);
        assert_int_equal(view_put(txn, VIEW_NAMES, "pair", 4, value, sizeof(value)), 0);
        assert_int_equal(view_put(txn, VIEW_SHARED, "pair", 4, value, sizeof(value)), 0);
        assert_int_equal(view_set_applied(txn, n), 0);
        view_abort(txn);
        assert_int_equal(view_show(race.view, changes), 0);
    }
    while (atomic_load(&race.n_reads) == 0) {
    }
    atomic_store(&race.stop, true);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(atomic_load(&race.n_torn), 0);
    view_changes_free(race.view, changes);
    view_close(race.view);
}

// ---- where the file counts

static void test_a_close_writes_what_is_shown(void **state) {
    static struct text one, other;
    struct twins twins = open_twins(*state);
    for (unsigned i = 0; i < 30; i++) {
        tick(&twins);
    }
    close_twins(&twins);
    twins.plain = open_view(*state, "plain", false);
    twins.behind = open_view(*state, "behind", false);
    struct view_txn *plain = NULL, *behind = NULL;
    assert_int_equal(view_begin(twins.plain, false, &plain), 0);
    assert_int_equal(view_begin(twins.behind, false, &behind), 0);
    read_all(plain, false, &one);
    read_all(behind, false, &other);
    assert_string_equal(one.bytes, other.bytes);
    assert_int_equal(view_applied(behind), twins.applied);
    view_abort(plain);
    view_abort(behind);
    view_close(twins.plain);
    view_close(twins.behind);
}

static void test_a_restore_point_holds_what_was_shown(void **state) {
    struct twins twins = open_twins(*state);
    for (unsigned i = 0; i < 3; i++) {
        tick(&twins);
    }
    points_take_copy(twins.behind);
    assert_int_equal(view_restorable(twins.behind), twins.applied);
    tick(&twins);
    points_take_steady(twins.behind);
    assert_int_equal(view_restorable(twins.behind), twins.applied);
    close_twins(&twins);
}

// A reader that ends later than the writing gives back nothing itself: the writer does, and the
// next tick has it.
static void test_what_a_reader_held_last_is_used_again(void **state) {
    enum { WAIT_MS = 10000 };
    struct view *view = open_view(*state, "view", true);
    struct pending *shown = view_changes_exchange(view, NULL);
    assert_non_null(shown);
    assert_int_equal(pending_put(shown, VIEW_META, "key", 3, "value", 5), 0);
    assert_int_equal(view_show(view, shown), 0);
    struct view_txn *reader = NULL;
    assert_int_equal(view_begin(view, false, &reader), 0);
    view_settle(view);
    struct pending *spare = view_changes_exchange(view, shown);
    assert_ptr_not_equal(spare, shown); // the reader may still look at it
    const void *value = NULL;
    size_t size = 0;
    assert_int_equal(view_get(reader, VIEW_META, "key", 3, &value, &size), 0);
    assert_memory_equal(value, "value", 5);
    view_abort(reader);
    for (unsigned i = 0; i < WAIT_MS && spare != shown; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        struct pending *next = view_changes_exchange(view, NULL);
        view_changes_free(view, spare);
        spare = next;
    }
    assert_ptr_equal(spare, shown);
    assert_int_equal(pending_rows(spare), 0);
    view_changes_free(view, spare);
    view_close(view);
}

// The writer is told to end before, while and after it gives back what the last reader held.
static void test_a_close_behind_the_last_reader_ends(void **state) {
    enum { ROUNDS = 500 };
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct view *view = open_view(*state, "view", true);
        struct pending *shown = view_changes_exchange(view, NULL);
        assert_int_equal(pending_put(shown, VIEW_META, "key", 3, "value", 5), 0);
        assert_int_equal(view_show(view, shown), 0);
        view_changes_free(view, shown);
        struct view_txn *reader = NULL;
        assert_int_equal(view_begin(view, false, &reader), 0);
        view_settle(view);
        view_abort(reader);
        int64_t until_us = clock_monotonic_us() + i % 100;
        while (clock_monotonic_us() < until_us) {
        }
        view_close(view);
    }
}

struct settler {
    struct view *view;
    atomic_bool stop;
};

static void *settle_on_and_on(void *object) {
    struct settler *settler = object;
    while (!atomic_load(&settler->stop)) {
        view_settle(settler->view);
    }
    return NULL;
}

// The rows of one of many ticks, by its number.
static void large_key(unsigned number, unsigned row, uint8_t ret[static 8]) {
    enum { ROWS_MAX = 1 << 20 };
    store_be64(ret, (uint64_t)number * ROWS_MAX + row);
}

static unsigned count_rows(struct view *view, unsigned number, unsigned n_rows, unsigned step) {
    struct view_txn *reader = NULL;
    unsigned n = 0;
    assert_int_equal(view_begin(view, false, &reader), 0);
    for (unsigned row = 0; row < n_rows; row += step) {
        uint8_t key[8];
        const void *value;
        size_t size;
        large_key(number, row, key);
        n += view_get(reader, VIEW_META, key, sizeof(key), &value, &size) == 0;
    }
    view_abort(reader);
    return n;
}

static struct pending *changes_of(unsigned number, unsigned n_rows) {
    struct pending *changes = view_changes_new();
    for (unsigned row = 0; row < n_rows; row++) {
        uint8_t key[8];
        large_key(number, row, key);
        assert_int_equal(pending_put(changes, VIEW_META, key, sizeof(key), "x", 1), 0);
    }
    return changes;
}

// The writer takes the batch, and has written the small tick in it, while a large one's keys go
// into its filter, which is not under the lock.
static void test_a_tick_shown_while_its_batch_is_taken_is_there(void **state) {
    enum { PAIRS_SHOWN = 12, ROWS = 60000, STEP = 997 };
    struct settler settler = {.view = open_view(*state, "view", true)};
    struct pending *small[PAIRS_SHOWN], *large[PAIRS_SHOWN];
    for (unsigned i = 0; i < PAIRS_SHOWN; i++) {
        small[i] = changes_of(2 * i, 1);
        large[i] = changes_of(2 * i + 1, ROWS);
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, settle_on_and_on, &settler), 0);
    for (unsigned i = 0; i < PAIRS_SHOWN; i++) {
        view_settle(settler.view);
        assert_int_equal(view_show(settler.view, small[i]), 0);
        assert_int_equal(view_show(settler.view, large[i]), 0);
        assert_int_equal(count_rows(settler.view, 2 * i + 1, ROWS, STEP), (ROWS + STEP - 1) / STEP);
    }
    atomic_store(&settler.stop, true);
    pthread_join(thread, NULL);
    view_settle(settler.view);
    for (unsigned i = 0; i < PAIRS_SHOWN; i++) {
        assert_int_equal(count_rows(settler.view, 2 * i + 1, ROWS, 1), ROWS);
        view_changes_free(settler.view, small[i]);
        view_changes_free(settler.view, large[i]);
    }
    view_close(settler.view);
}

// What the guard of the process' memory allows for it.
static void test_memory_is_for_what_waits(void **state) {
    enum { WAIT_MS = 10000, TRIES = 20 };
    struct twins twins = open_twins(*state);
    size_t bytes = 0;
    assert_int_equal(view_unwritten_bytes(twins.plain), 0);
    assert_int_equal(view_unwritten_bytes(twins.behind), 0);
    for (unsigned i = 0; i < TRIES && bytes == 0; i++) { // on a slow machine it is written by now
        tick(&twins);
        bytes = view_unwritten_bytes(twins.behind);
    }
    assert_true(bytes > 0);
    view_settle(twins.behind);
    for (unsigned i = 0; i < WAIT_MS && view_unwritten_bytes(twins.behind) > 0; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(view_unwritten_bytes(twins.behind), 0);
    close_twins(&twins);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_is_for_what_waits, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_shown_is_read, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_reads_one_state_to_its_end, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_what_a_reader_held_last_is_used_again, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_a_close_behind_the_last_reader_ends, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_a_tick_shown_while_its_batch_is_taken_is_there,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_no_tick_is_seen_in_part, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_a_close_writes_what_is_shown, support_setup,
                                        support_teardown),
        cmocka_unit_test_setup_teardown(test_a_restore_point_holds_what_was_shown, support_setup,
                                        support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
