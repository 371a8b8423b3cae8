// SPDX-License-Identifier: Apache-2.0
// sched_setattr(2) has no wrapper in glibc 2.36; the struct is the kernel's first version of it.
#include "schemas/base/scheduling.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"

enum { SLICE_NS = 100000, PATIENT_NICE = 5, URGENT_PRIORITY = 1 };
// A look-up's p99 is the same with 200, and patient work loses 10 % instead of 5; 800: no better
// than none.
enum { YIELD_EVERY_US = 400 };
// <linux/sched.h>: what the thread starts begins with the usual policy.
enum { RESET_ON_FORK = 1 };

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static int set(pid_t thread, struct attributes attributes) {
    attributes.size = sizeof(attributes);
    return syscall(SYS_sched_setattr, thread, &attributes, 0) == 0 ? 0 : -errno;
}

static int nice_of(pid_t thread) {
    return getpriority(PRIO_PROCESS, (id_t)thread); // of one thread, on Linux
}

// A refusal changes nothing but speed.
void scheduling_prompt(void) {
    (void)set(0,
              (struct attributes){.policy = SCHED_OTHER, .nice = nice_of(0), .runtime = SLICE_NS});
}

void scheduling_patient(void) {
    (void)set(0, (struct attributes){.policy = SCHED_OTHER, .nice = nice_of(0) + PATIENT_NICE});
}

static atomic_bool yields;

void scheduling_yields(bool wanted) {
    atomic_store_explicit(&yields, wanted, memory_order_relaxed);
}

bool scheduling_yields_wanted(void) {
    return atomic_load_explicit(&yields, memory_order_relaxed);
}

// sched_yield(2) is unspecified for the usual policy; Linux lets the others that are owed
// something go first, and returns at once where there is none.
void scheduling_yield_point(void) {
    static _Thread_local int64_t yielded_us;
    if (!scheduling_yields_wanted()) {
        return;
    }
    int64_t now_us = clock_monotonic_us();
    if (now_us - yielded_us > YIELD_EVERY_US) {
        yielded_us = now_us;
        if (GUARD(yield_points)) {
            sched_yield();
        }
    }
}

int scheduling_urgent(pid_t thread) {
    return set(thread, (struct attributes){.policy = SCHED_RR,
                                           .flags = RESET_ON_FORK,
                                           .priority = URGENT_PRIORITY});
}

// The flag stays: only a privileged process may take it back.
void scheduling_prompt_again(pid_t thread) {
    (void)set(thread, (struct attributes){.policy = SCHED_OTHER,
                                          .flags = RESET_ON_FORK,
                                          .nice = nice_of(thread),
                                          .runtime = SLICE_NS});
}

// As pthread_getcpuclockid(3) makes it of a pthread_t, which a library's thread does not tell.
static clockid_t clock_of(pid_t thread) {
    enum { PER_THREAD = 4, SCHEDULED = 2 };
    return (clockid_t)((~(uint32_t)thread << 3) | PER_THREAD | SCHEDULED);
}

int64_t scheduling_used_us(pid_t thread) {
    struct timespec used;
    return clock_gettime(clock_of(thread), &used) == 0
               ? (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000
               : -1;
}
