// SPDX-License-Identifier: Apache-2.0
// See points.h.
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "broker/stores/store.h"
#include "points.h"

enum { MAP_BYTES = 1 << 28, PAGE_BYTES = 4096 };

const struct view_identity points_identity = {.incarnation = {4, 2}, .fold_version = 3};

struct view *points_open(const char *dir) {
    struct view *view = NULL;
    assert_int_equal(view_open(support_path(dir, "view"), VIEW_LIVE, MAP_BYTES, false, &view), 0);
    return view;
}

void points_hash(struct view *view, char ret[65]) {
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, false, &txn), 0);
    assert_int_equal(view_hash(txn, ret), 0);
    view_abort(txn);
}

void points_work(struct view *view, uint64_t *seed, uint64_t applied) {
    static uint8_t value[9000];
    struct view_txn *txn = NULL;
    assert_int_equal(view_begin(view, true, &txn), 0);
    for (int i = 0; i < 60; i++) {
        uint8_t key[8];
        store_be64(key, support_random(seed) % 500);
        unsigned table = 1 + (unsigned)(support_random(seed) % (VIEW_N_TABLES - 1));
        memset(value, (int)support_random(seed), 32);
        if (support_random(seed) % 4 == 0) {
            assert_true(view_delete(txn, table, key, sizeof(key)) >= 0);
        } else {
            size_t size = support_random(seed) % 10 == 0 ? sizeof(value) : 200;
            assert_int_equal(view_put(txn, table, key, sizeof(key), value, size), 0);
        }
    }
    assert_int_equal(view_set_applied(txn, applied), 0);
    assert_int_equal(view_set_identity(txn, &points_identity), 0);
    assert_int_equal(view_commit(txn), 0);
}

void points_take_steady(struct view *view) {
    struct view_snapshot *snapshot = NULL;
    assert_int_equal(view_snapshot_begin(view, &snapshot), 0);
    assert_int_equal(view_snapshot_finish(view, snapshot), 0);
}

void points_take_copy(struct view *view) {
    assert_int_equal(view_take_copy(view), 0);
}

void points_expect(const char *dir, uint64_t applied, const char *expected) {
    const char *why = "";
    uint64_t restored = 0;
    char found[65];
    assert_int_equal(view_restore(support_path(dir, "view"), &points_identity, &restored, &why), 0);
    assert_int_equal(restored, applied);
    struct view *view = points_open(dir);
    assert_int_equal(view_pin_restored(view, applied), 0);
    assert_int_equal(view_restorable(view), applied);
    points_hash(view, found);
    assert_string_equal(found, expected);
    view_close(view);
}

void points_refuse(const char *dir, const struct view_identity *expected, uint64_t applied,
                   const char *reason) {
    const char *why = "";
    uint64_t restored = 99;
    assert_int_equal(view_restore(support_path(dir, "view"), expected, &restored, &why), 1);
    assert_string_equal(why, reason);
    assert_int_equal(restored, applied);
}

void points_cut_power(const char *path, const uint8_t *old, size_t old_size, uint64_t *seed) {
    size_t size = 0;
    uint8_t *now = support_read(path, &size);
    for (size_t at = 0; at + PAGE_BYTES <= size; at += PAGE_BYTES) {
        bool existed = at + PAGE_BYTES <= old_size;
        if (existed && memcmp(now + at, old + at, PAGE_BYTES) == 0) {
            continue;
        }
        uint8_t before[PAGE_BYTES] = {0};
        if (existed) {
            memcpy(before, old + at, PAGE_BYTES);
        }
        // A meta page is small enough to be whole; other pages tear at sectors.
        switch (support_random(seed) % (at < (size_t)2 * PAGE_BYTES ? 2 : 3)) {
        case 0:
            break;
        case 1:
            memcpy(now + at, before, PAGE_BYTES);
            break;
        default:
            for (size_t sector = 0; sector < PAGE_BYTES; sector += 512) {
                if (support_random(seed) % 2 == 0) {
                    memcpy(now + at + sector, before + sector, 512);
                }
            }
        }
    }
    // The file's length may be that of the sync, or any since.
    size_t kept = size;
    if (size > old_size && support_random(seed) % 2 == 0) {
        kept = old_size + support_random(seed) % (size - old_size + 1);
    }
    support_write(path, now, kept);
    free(now);
}
