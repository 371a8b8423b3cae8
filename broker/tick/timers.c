// SPDX-License-Identifier: Apache-2.0
// See timers.h. When the next one is due is kept, so that an idle look and a busy one cost a
// comparison; the table is read again when a due time changed.
#include "broker/tick/timers.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "broker/fold/timers.h"
#include "broker/tick/tick_internal.h"
#include "schemas/base/clock.h"

enum { WAIT_MS_MAX = 60 * 1000 }; // then the clocks are looked at again
#define KEEP_US (10 * CLOCK_US_PER_S)
#define DISK_LOW_WAIT_US CLOCK_US_PER_S // what is due then waits for room, as events do

static const char clock_key[] = "timer-clock"; // of LOG_META: i64, what the clock showed

// ---- what is due

struct batch {
    int64_t now_us;
    struct timer_due rows[TIMERS_A_TICK_MAX];
    size_t n;
    int64_t next_us; // of the first row that was not taken
};

static int batch_add(void *user, const void *key, size_t key_size, const void *value, size_t size) {
    (void)value, (void)size;
    struct batch *batch = user;
    struct timer_due due;
    if (!timer_due_read(key, key_size, &due)) {
        return -EBADMSG;
    }
    if (due.due_us > batch->now_us || batch->n == TIMERS_A_TICK_MAX) {
        batch->next_us = due.due_us;
        return 1;
    }
    batch->rows[batch->n++] = due;
    return 0;
}

// The first rows that are due by now_us, and when the one behind them is.
static int read_due(struct view_txn *txn, int64_t now_us, struct batch *ret) {
    ret->now_us = now_us;
    ret->next_us = INT64_MAX;
    ret->n = 0;
    int r = view_scan(txn, VIEW_DUE, NULL, 0, false, batch_add, ret);
    return r < 0 ? r : 0;
}

static int read_next(struct tick *tick, struct view_txn *txn) {
    struct batch batch;
    int r = read_due(txn, INT64_MIN, &batch);
    tick->timers.next_us = batch.next_us;
    return r;
}

static int fire(struct tick *tick, const struct timer_due *due) {
    struct decide_place place = tick_place(tick);
    struct decision decision;
    int64_t due_us = 0;
    // One before it may have taken it out, or moved it.
    int r = timer_get(tick->view, due->customer, due->kind, due->id, &due_us);
    if (r != 0 || due_us != due->due_us) {
        return r;
    }
    r = decide_due(tick->decide, &place, due, &decision);
    return r != 0 ? r : admit_caused(tick, &place, &decision);
}

int timers_fire(struct tick *tick) {
    struct batch batch;
    int r = read_due(tick->view, tick->timers.now_us, &batch);
    for (size_t i = 0; r == 0 && i < batch.n && tick_has_room(tick); i++) {
        r = fire(tick, &batch.rows[i]);
    }
    return r != 0 ? r : read_next(tick, tick->view);
}

// ---- the clock

bool timers_look(struct tick *tick) {
    struct timers *timers = &tick->timers;
    timers->now_us = timer_clock_read(&timers->clock, clock_now_us(), clock_boot_us());
    return timers->next_us <= timers->now_us && !atomic_load(&tick->broker->disk_low);
}

int timers_wait_ms(struct tick *tick) {
    struct timers *timers = &tick->timers;
    if (timers->next_us == INT64_MAX) {
        return -1;
    }
    if (timers_look(tick)) {
        return 0;
    }
    int64_t wait_us = timers->next_us - timers->now_us;
    wait_us = wait_us <= 0 ? DISK_LOW_WAIT_US : wait_us;
    return wait_us >= WAIT_MS_MAX * CLOCK_US_PER_MS ? WAIT_MS_MAX
                                                    : (int)(wait_us / CLOCK_US_PER_MS) + 1;
}

static int keep_clock(struct tick *tick) {
    struct timers *timers = &tick->timers;
    bool writes = tick->n_records > 0 || tick->log_touched;
    if (!writes || timers->kept_us > timers->now_us - KEEP_US) {
        return 0;
    }
    uint64_t value = htobe64((uint64_t)timers->now_us);
    timers->kept_us = timers->now_us;
    return log_put(tick->log, LOG_META, clock_key, sizeof(clock_key) - 1, &value, sizeof(value));
}

int timers_note(struct tick *tick) {
    int r = fold_timers_moved(tick->fold) ? read_next(tick, tick->view) : 0;
    return r != 0 ? r : keep_clock(tick);
}

// What it showed last, or, in a log from before there was one, the last event's receipt.
static int load_known(struct tick *tick, int64_t *ret_us) {
    const void *value;
    size_t size;
    uint64_t kept;
    int r = log_reader_begin(tick->reader);
    if (r != 0) {
        return r;
    }
    *ret_us = tick->now_us == 0 ? INT64_MIN : tick->now_us;
    r = log_reader_get(tick->reader, LOG_META, clock_key, sizeof(clock_key) - 1, &value, &size);
    if (r == 0 && size == sizeof(kept)) {
        memcpy(&kept, value, size);
        *ret_us = (int64_t)be64toh(kept);
    }
    log_reader_end(tick->reader);
    return r < 0 ? r : 0;
}

int timers_load(struct tick *tick) {
    struct timers *timers = &tick->timers;
    struct view_txn *txn;
    int64_t known_us;
    timers->kept_us = INT64_MIN;
    int r = load_known(tick, &known_us);
    if (r != 0) {
        return r;
    }
    timer_clock_start(&timers->clock, clock_now_us(), clock_boot_us(), known_us);
    timers_look(tick);
    r = view_begin(tick->broker->view, false, &txn);
    if (r == 0) {
        r = read_next(tick, txn);
        view_abort(txn);
    }
    return r;
}
