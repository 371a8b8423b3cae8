// SPDX-License-Identifier: Apache-2.0
// Retention: judge what may go, fold it into the base (synced), and only then have the tick remove
// it, a few blocks a tick. A kill between the two leaves blocks that the base has already: they are
// trimmed next time, and a rebuild starts behind them.
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "broker/delivery/delivery.h"
#include "broker/faultpoint.h"
#include "broker/stores/disk.h"
#include "broker/stores/state.h"
#include "broker/stores/upkeep_internal.h"
#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/reasons.h"

enum {
    TRIM_BLOCKS_A_TICK = 32,
    RETAIN_SLICE_MS = 200, // between two looks at everything else
    HALT_S = 60,           // retention rests that long after a failure
    RESERVE_SHARE = 4,     // below that part of the disk's reserve the base does not grow
};

// A verify or a backup reads what would go, or pins it, so that nothing would be won.
static bool is_paused(struct broker *broker) {
    return GUARD(trim_pause) && atomic_load(&broker->trim_paused);
}

// ---- jobs in the tick

static int write_trim(struct upkeep_request *request, struct tick *tick) {
    return log_trim(tick_log(tick), request->floor, TRIM_BLOCKS_A_TICK, &request->n_trimmed);
}

static int write_lost(struct upkeep_request *request, struct tick *tick) {
    json_t *data =
        json_pack("{s:s, s:s, s:I, s:I}", "actor", "touchbusd", "what", "retention", "first",
                  (json_int_t)request->lost_first, "last", (json_int_t)request->lost_last);
    return data == NULL ? -ENOMEM : tick_append(tick, "events.lost", data, "touchbusd", 0, NULL);
}

// ---- one floor

// To where a block starts: the one that holds floor goes whole where it ends below floor_max, else
// it stays. The last one always does. Never above what the restore point needs.
static int round_to_block(struct upkeep *upkeep, uint64_t *floor, uint64_t floor_max) {
    uint64_t restorable = view_restorable(upkeep->broker->view);
    *floor = *floor < restorable + 1 ? *floor : restorable + 1;
    floor_max = floor_max < restorable + 1 ? floor_max : restorable + 1;
    struct block_head block;
    int r = log_reader_begin(upkeep->log);
    if (r < 0) {
        return r;
    }
    uint64_t next = log_reader_next(upkeep->log);
    r = next == 1 ? 1 : log_reader_block(upkeep->log, *floor < next ? *floor : next - 1, &block);
    log_reader_end(upkeep->log);
    if (r < 0 && r != -EBADMSG) {
        return r;
    }
    if (r != 1 && *floor > block.first) { // a damaged one still says where it starts and ends
        uint64_t end = block.first + block.n_events;
        *floor = end < next && end <= floor_max ? end : block.first;
    }
    return r == 1 ? 1 : 0;
}

static uint64_t base_applied(struct upkeep *upkeep) {
    struct view_txn *txn = NULL;
    if (view_begin(upkeep->broker->base, false, &txn) < 0) {
        return 0;
    }
    uint64_t applied = view_applied(txn);
    view_abort(txn);
    return applied;
}

// One bounded piece of the way to floor. 0: there; 1: more; negative: halted.
static int trim_some(struct upkeep *upkeep, uint64_t floor) {
    struct broker *broker = upkeep->broker;
    uint64_t applied = base_applied(upkeep);
    if (applied + 1 < floor) {
        int r = rebuild_step(upkeep->base, floor - 1, &applied);
        if (r == -EIO) {
            broker_fatal("base-commit", r);
        }
        if (r < 0) {
            return r;
        }
    }
    FAULTPOINT("while-trimming");
    struct upkeep_request trim = {.write = write_trim,
                                  .floor = applied + 1 < floor ? applied + 1 : floor};
    int r = upkeep_ask(upkeep, &trim);
    if (r != 0) {
        return r == REASON_BUSY ? 1 : r;
    }
    bool there = applied + 1 >= floor && trim.n_trimmed < TRIM_BLOCKS_A_TICK;
    return there || atomic_load(&broker->stop) || is_paused(broker) ? 0 : 1;
}

static bool halted(struct upkeep *upkeep) {
    return upkeep->trim_halted_us != 0 &&
           clock_monotonic_us() - upkeep->trim_halted_us < HALT_S * CLOCK_US_PER_S;
}

static void halt(struct upkeep *upkeep, int r) {
    upkeep->trim_halted_us = clock_monotonic_us();
    logging_error("retention=halted error=\"%s\" retry_s=%d", strerror(-r), HALT_S);
}

// ---- by rule

static uint64_t needed_floor(struct upkeep *upkeep) {
    struct delivery *delivery = upkeep->broker->delivery;
    return delivery != NULL ? delivery_floor(delivery) : UINT64_MAX;
}

// The first sequence that age keeps, paced; 0 in an empty log. *ret_oldest_us: when the oldest
// event was received, for what the pace is charged with afterwards.
static int age_floor(struct upkeep *upkeep, uint64_t *ret, int64_t *ret_oldest_us) {
    int64_t age_us = upkeep->broker->configuration.retention_age_us;
    struct block_head block;
    int r = log_reader_begin(upkeep->log);
    if (r < 0) {
        return r;
    }
    r = log_reader_block(upkeep->log, 0, &block);
    if (r == 0) {
        *ret_oldest_us = block.received_first_us;
        int64_t limit_us = retention_pace_limit(&upkeep->pace, age_us, clock_monotonic_us(),
                                                block.received_first_us, clock_now_us() - age_us);
        r = log_reader_find_time(upkeep->log, limit_us, ret);
    }
    log_reader_end(upkeep->log);
    return r > 0 ? 0 : r;
}

static void spend_pace(struct upkeep *upkeep, int64_t oldest_us) {
    struct block_head block;
    if (log_reader_begin(upkeep->log) == 0) {
        if (log_reader_block(upkeep->log, 0, &block) == 0) {
            retention_pace_spend(&upkeep->pace, oldest_us, block.received_first_us);
        }
        log_reader_end(upkeep->log);
    }
}

static bool has_room(const struct configuration *configuration) {
    uint64_t free_bytes = 0;
    return disk_free_bytes(configuration->state, &free_bytes) != 0 ||
           free_bytes >= (uint64_t)configuration->disk_reserve_bytes / RESERVE_SHARE;
}

static int judge(struct upkeep *upkeep, struct retention_verdict *ret, int64_t *ret_oldest_us) {
    struct broker *broker = upkeep->broker;
    const struct configuration *configuration = &broker->configuration;
    struct retention_rule rule = {.age_us = configuration->retention_age_us,
                                  .bytes = configuration->retention_bytes,
                                  .subscription_bytes =
                                      configuration->retention_subscription_bytes};
    struct retention_log log = {.first = log_first(broker->log),
                                .next = log_next(broker->log),
                                .bytes = log_bytes(broker->log),
                                .needed = needed_floor(upkeep)};
    int r = rule.age_us > 0 ? age_floor(upkeep, &log.age_floor, ret_oldest_us) : 0;
    if (r == 0) {
        *ret = retention_judge(&rule, &log);
    }
    return r;
}

// The loss stands in the log before it happens, and once.
static int announce_loss(struct upkeep *upkeep, uint64_t first, uint64_t last) {
    first = first > upkeep->announced ? first : upkeep->announced + 1;
    if (first > last) {
        return 0;
    }
    struct upkeep_request lost = {.write = write_lost, .lost_first = first, .lost_last = last};
    int r = upkeep_ask(upkeep, &lost);
    if (r == 0) {
        upkeep->announced = last;
        atomic_fetch_add(&upkeep->broker->counters.lost, last - first + 1);
        logging_warning("retention=lost first=%" PRIu64 " last=%" PRIu64
                        " why=\"a subscription is further behind than its cap\"",
                        first, last);
    }
    return r;
}

// 0 and the floor to trim to; 1: nothing to do now.
static int pick_floor(struct upkeep *upkeep, uint64_t *ret, int64_t *ret_oldest_us) {
    struct retention_verdict verdict = {.floor = 0};
    int r = judge(upkeep, &verdict, ret_oldest_us);
    uint64_t first = log_first(upkeep->broker->log), floor = verdict.floor;
    if (r < 0 || floor <= first) {
        return r < 0 ? r : 1;
    }
    r = round_to_block(upkeep, &floor, verdict.floor_max);
    if (r != 0 || floor <= first) {
        return r < 0 ? r : 1;
    }
    if (verdict.lost_first != 0 && floor > verdict.lost_first) {
        r = announce_loss(upkeep, verdict.lost_first, floor - 1);
    }
    *ret = floor;
    return r;
}

bool upkeep_retain(struct upkeep *upkeep) {
    struct broker *broker = upkeep->broker;
    const struct configuration *configuration = &broker->configuration;
    bool has_rule = configuration->retention_age_us > 0 || configuration->retention_bytes > 0;
    if (!has_rule || is_paused(broker) || halted(upkeep) || !has_room(configuration)) {
        return false;
    }
    uint64_t floor = 0;
    int64_t oldest_us = 0, began_us = clock_monotonic_us();
    int r = pick_floor(upkeep, &floor, &oldest_us);
    if (r > 0) {
        return false;
    }
    for (r = r == 0 ? 1 : r;
         r == 1 && clock_monotonic_us() - began_us < RETAIN_SLICE_MS * CLOCK_US_PER_MS;) {
        r = trim_some(upkeep, floor);
    }
    if (r < 0) {
        halt(upkeep, r);
        return false;
    }
    spend_pace(upkeep, oldest_us);
    return r == 1;
}

// ---- by command

int upkeep_trim_before(struct upkeep *upkeep, uint64_t sequence, uint64_t *ret_first,
                       const char **ret_detail) {
    struct broker *broker = upkeep->broker;
    if (sequence > log_next(broker->log)) {
        *ret_detail = "beyond the head of the log";
        return REASON_BAD_CURSOR;
    }
    if (sequence > needed_floor(upkeep)) {
        *ret_detail = "a subscription still needs events before it";
        return REASON_IN_USE;
    }
    if (is_paused(broker)) {
        *ret_detail = "a verify or a backup reads the log";
        return REASON_BUSY;
    }
    if (view_restorable(broker->view) + 1 < sequence) {
        upkeep_point(upkeep, true);
    }
    uint64_t floor = sequence;
    int r = round_to_block(upkeep, &floor, floor);
    for (r = r == 0 && floor > log_first(broker->log) ? 1 : r; r == 1;) {
        r = trim_some(upkeep, floor);
        upkeep_point(upkeep, false);
        atomic_store(&broker->disk_low, state_is_low(broker)); // the base has grown
    }
    if (r < 0) {
        halt(upkeep, r);
        *ret_detail = "folding into the base failed, see the broker's log";
        return REASON_INTERNAL;
    }
    *ret_first = log_first(broker->log);
    return 0;
}
