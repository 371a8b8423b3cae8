// SPDX-License-Identifier: Apache-2.0
// Who asks does not wait for a processor: the query thread and ZeroMQ's thread behind its socket
// run at the lowest real-time priority, where the process may, for a bounded share of the time.
// Beyond it, in a flood of questions or connections, they are two threads among others until there
// is share again; so the tick never waits for them longer than URGENT_ROOM_US and a look.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// How much may be used, as of the last look. Plain arithmetic, so that it can be tested.
struct allowance {
    int percent; // of one processor
    int64_t left_us;
    bool urgent;
};

// elapsed_us went by, of which used_us were used. Whether it may be urgent from now on: until all
// is used, and again when half of the room is there.
bool allowance_take(struct allowance *allowance, int64_t elapsed_us, int64_t used_us);

enum { URGENT_THREADS_MAX = 2 };

struct urgency {
    struct allowance allowance;
    pid_t threads[URGENT_THREADS_MAX];
    int64_t used_us[URGENT_THREADS_MAX];
    size_t n_threads;            // 0: never urgent
    int64_t looked_us, asked_us; // monotonic
};

// On the query thread, once its socket is open. percent 0: never urgent. io_thread: the name of
// ZeroMQ's thread. Where the process may not, one log line says so.
void urgency_begin(struct urgency *urgency, int percent, const char *io_thread);
// On the query thread, when a question came: until URGENT_ASKED_US after the last one the threads
// that work much at a time make way often (scheduling_yields). Who asks may be on this machine.
void urgency_asked(struct urgency *urgency);
// On the query thread: after each question and at the latest after URGENT_LOOK_MS.
void urgency_look(struct urgency *urgency);
