// SPDX-License-Identifier: Apache-2.0
// See timer_clock.h. All of it is about one number: how far the wall clock is from the boot clock.
#include "broker/tick/timer_clock.h"

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

#define JUMP_US (2 * CLOCK_US_PER_S) // further away than that, it is not steering
#define STANDS_US (3600 * CLOCK_US_PER_S)
#define DOWN_US_MAX (INT64_C(366) * 86400 * CLOCK_US_PER_S)
enum { STEER_SHARE = 100 }; // of the time that passed

// Clocks can be set to anything: differences that do not fit are as far away as can be.
static int64_t minus(int64_t one, int64_t other) {
    int64_t difference;
    if (__builtin_sub_overflow(one, other, &difference)) {
        return one < other ? INT64_MIN : INT64_MAX;
    }
    return difference;
}

static bool is_near(int64_t one, int64_t other) {
    int64_t difference = minus(one, other);
    return difference >= -JUMP_US && difference <= JUMP_US;
}

static void doubt(struct timer_clock *clock, int64_t offset_us, int64_t boot_us) {
    clock->doubted = true;
    clock->doubted_us = offset_us;
    clock->doubted_since = boot_us;
}

void timer_clock_start(struct timer_clock *clock, int64_t wall_us, int64_t boot_us,
                       int64_t known_us) {
    bool knows = known_us != INT64_MIN;
    bool believed = !knows || (wall_us >= known_us && minus(wall_us, known_us) <= DOWN_US_MAX);
    int64_t now_us = believed || !GUARD(timer_start) ? wall_us : known_us;
    *clock = (struct timer_clock){
        .offset_us = minus(now_us, boot_us),
        .boot_us = boot_us,
        .now_us = now_us,
    };
}

static void steer(struct timer_clock *clock, int64_t offset_us, int64_t passed_us) {
    int64_t away_us = offset_us - clock->offset_us;
    int64_t most_us = passed_us / STEER_SHARE;
    away_us = away_us > most_us ? most_us : away_us < -most_us ? -most_us : away_us;
    clock->offset_us += away_us;
    clock->doubted = false;
}

int64_t timer_clock_read(struct timer_clock *clock, int64_t wall_us, int64_t boot_us) {
    int64_t offset_us = minus(wall_us, boot_us);
    int64_t passed_us = minus(boot_us, clock->boot_us);
    passed_us = passed_us < 0 ? 0 : passed_us;
    if (is_near(offset_us, clock->offset_us)) {
        steer(clock, offset_us, passed_us);
    } else if (!clock->doubted || !is_near(offset_us, clock->doubted_us)) {
        doubt(clock, offset_us, boot_us);
    } else if (minus(boot_us, clock->doubted_since) >= STANDS_US) {
        clock->offset_us = offset_us;
        clock->doubted = false;
    }
    if (!GUARD(timer_jump)) {
        clock->offset_us = offset_us;
    }
    clock->boot_us += passed_us;
    int64_t now_us;
    if (__builtin_add_overflow(clock->boot_us, clock->offset_us, &now_us)) {
        now_us = clock->now_us;
    }
    clock->now_us = now_us > clock->now_us ? now_us : clock->now_us;
    return clock->now_us;
}
