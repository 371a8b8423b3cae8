// SPDX-License-Identifier: Apache-2.0
// The time by which timers are judged: the wall clock as it was at the start, run on by the boot
// clock. It never goes back, and a wall clock that jumps does not move it:
// - A wall clock that is steered (slewed) is followed, by a hundredth of the time that passes.
// - One that jumped, either way, is believed once it stood where it is for an hour; then what is
// due
//   by it is due. So nothing is ever early for less than an hour of a wrong clock, and what a right
//   one would have had due is late by that hour at most.
// - At a start the wall clock is believed: nobody can tell a jump from a broker that was down. But
//   not one behind what this clock showed last, or more than a year ahead of it: that has to stand
//   for its hour first. A start with a clock that is years ahead fires nothing; with one that is
//   a month ahead, as after a month of being down.
// Pure: who calls it reads the clocks.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct timer_clock {
    int64_t offset_us;     // of the wall clock that is believed from the boot clock
    int64_t boot_us;       // when it was read last
    int64_t now_us;        // what it showed then
    bool doubted;          // the wall clock is elsewhere,
    int64_t doubted_us;    // with this offset,
    int64_t doubted_since; // since then, of the boot clock
};

// known_us: what it showed last, or the latest time that is known to have been; INT64_MIN: none.
void timer_clock_start(struct timer_clock *clock, int64_t wall_us, int64_t boot_us,
                       int64_t known_us);
int64_t timer_clock_read(struct timer_clock *clock, int64_t wall_us, int64_t boot_us);
