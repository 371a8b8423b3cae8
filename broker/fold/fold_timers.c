// SPDX-License-Identifier: Apache-2.0
// Due times: what Stamp.timers arms, moves or clears, in two tables kept in step. timers says when
// something of a customer is due, due says what is due next. Both follow from the open half of
// events alone, and the event that erases a customer takes its rows out of both.
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/fold/fold_internal.h"
#include "broker/fold/timers.h"

void timer_key(uint64_t customer, uint32_t kind, const uint8_t id[static LOOKUP_BYTES],
               uint8_t ret[static TIMER_KEY_BYTES]) {
    uint64_t number = htobe64(customer);
    memcpy(ret, &number, sizeof(number));
    ret[sizeof(number)] = (uint8_t)kind;
    memcpy(ret + sizeof(number) + 1, id, LOOKUP_BYTES);
}

bool timer_due_read(const void *key, size_t size, struct timer_due *ret) {
    uint64_t numbers[2];
    const uint8_t *bytes = key;
    if (size != TIMER_DUE_KEY_BYTES) {
        return false;
    }
    memcpy(numbers, bytes, sizeof(numbers));
    ret->due_us = (int64_t)be64toh(numbers[0]);
    ret->customer = be64toh(numbers[1]);
    ret->kind = bytes[sizeof(numbers)];
    memcpy(ret->id, bytes + sizeof(numbers) + 1, LOOKUP_BYTES);
    return true;
}

int timer_get(struct view_txn *txn, uint64_t customer, uint32_t kind,
              const uint8_t id[static LOOKUP_BYTES], int64_t *ret_due_us) {
    uint8_t key[TIMER_KEY_BYTES];
    uint64_t due = 0;
    const void *value;
    size_t size;
    timer_key(customer, kind, id, key);
    int r = view_get(txn, VIEW_TIMERS, key, sizeof(key), &value, &size);
    if (r == 0 && size != sizeof(due)) {
        return -EBADMSG;
    }
    if (r == 0) {
        memcpy(&due, value, sizeof(due));
    }
    *ret_due_us = (int64_t)be64toh(due);
    return r < 0 ? r : 0;
}

// The row of the other table: due, then the key of this one.
static void due_key(int64_t due_us, const uint8_t timer[static TIMER_KEY_BYTES],
                    uint8_t ret[static TIMER_DUE_KEY_BYTES]) {
    uint64_t due = htobe64((uint64_t)due_us);
    memcpy(ret, &due, sizeof(due));
    memcpy(ret + sizeof(due), timer, TIMER_KEY_BYTES);
}

static int delete_due(struct view_txn *txn, int64_t due_us,
                      const uint8_t timer[static TIMER_KEY_BYTES]) {
    uint8_t key[TIMER_DUE_KEY_BYTES];
    due_key(due_us, timer, key);
    int r = view_delete(txn, VIEW_DUE, key, sizeof(key));
    return r < 0 ? r : 0;
}

static int clear(struct fold_step *step, const uint8_t key[static TIMER_KEY_BYTES],
                 int64_t due_us) {
    int r = delete_due(step->txn, due_us, key);
    r = r != 0 ? r : view_delete(step->txn, VIEW_TIMERS, key, TIMER_KEY_BYTES);
    return r < 0 ? r : 0;
}

static int arm(struct fold_step *step, const uint8_t key[static TIMER_KEY_BYTES], int64_t due_us) {
    uint64_t value = htobe64((uint64_t)due_us);
    uint8_t row[TIMER_DUE_KEY_BYTES];
    due_key(due_us, key, row);
    int r = view_put(step->txn, VIEW_TIMERS, key, TIMER_KEY_BYTES, &value, sizeof(value));
    return r != 0 ? r : view_put(step->txn, VIEW_DUE, row, sizeof(row), "", 0);
}

static int set(struct fold_step *step, const Touchbus__Timer *timer) {
    uint8_t key[TIMER_KEY_BYTES];
    int64_t before_us = 0;
    if (timer->id.len != LOOKUP_BYTES || timer->kind == 0 || timer->kind > UINT8_MAX) {
        return 0;
    }
    int r = timer_get(step->txn, step->event->customer, timer->kind, timer->id.data, &before_us);
    timer_key(step->event->customer, timer->kind, timer->id.data, key);
    if (r == 0 && before_us != 0) {
        r = clear(step, key, before_us);
    }
    step->fold->timers_moved = true;
    return r != 0 || timer->due_us <= 0 ? r : arm(step, key, timer->due_us);
}

int fold_timers(struct fold_step *step) {
    const Touchbus__Stamp *stamp = step->event->stamp;
    if (step->customer != NULL && step->customer->erased_sequence != 0) {
        return 0;
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < stamp->n_timers; i++) {
        r = set(step, stamp->timers[i]);
    }
    return r;
}

// ---- erasure

enum { BATCH_ROWS = 64 };

// Rows to delete: a table is not changed while it is scanned.
struct batch {
    uint8_t keys[BATCH_ROWS][TIMER_KEY_BYTES];
    int64_t due_us[BATCH_ROWS];
    size_t n;
};

static int batch_add(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    struct batch *batch = user;
    uint64_t due;
    if (key_size != TIMER_KEY_BYTES || size != sizeof(due)) {
        return -EBADMSG;
    }
    memcpy(&due, value, sizeof(due));
    memcpy(batch->keys[batch->n], key, key_size);
    batch->due_us[batch->n++] = (int64_t)be64toh(due);
    return batch->n == BATCH_ROWS;
}

int fold_timers_erase(struct fold_step *step) {
    uint64_t prefix = htobe64(step->event->customer);
    struct batch batch;
    int r = 1;
    while (r == 1) {
        batch.n = 0;
        r = view_scan(step->txn, VIEW_TIMERS, &prefix, sizeof(prefix), false, batch_add, &batch);
        for (size_t i = 0; r >= 0 && i < batch.n; i++) {
            int cleared = clear(step, batch.keys[i], batch.due_us[i]);
            r = cleared < 0 ? cleared : r;
            step->fold->timers_moved = true;
        }
    }
    return r;
}

bool fold_timers_moved(struct fold *fold) {
    bool moved = fold->timers_moved;
    fold->timers_moved = false;
    return moved;
}
