// SPDX-License-Identifier: Apache-2.0
// What two threads of one processor see of each other: whose turn it is, not how long it takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "schemas/base/scheduling.h"

enum { PIECES = 100, PIECE_US = 600 };

static atomic_bool ended;
static atomic_ulong n_turns;

static void *take_turns(void *unused) {
    (void)unused;
    while (!atomic_load(&ended)) {
        atomic_fetch_add(&n_turns, 1);
        sched_yield();
    }
    return NULL;
}

// Works so much of the processor's time, with many yield points.
static void work(int64_t used_us) {
    int64_t until_us = scheduling_used_us(gettid()) + used_us;
    while (scheduling_used_us(gettid()) < until_us) {
        scheduling_yield_point();
    }
}

static void stay_on_one_processor(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

// In how many pieces of work the other thread had a turn.
static int pieces_with_a_turn(void) {
    pthread_t other;
    int n = 0;
    atomic_store(&ended, false);
    assert_int_equal(pthread_create(&other, NULL, take_turns, NULL), 0);
    scheduling_yields(true);
    work(PIECE_US); // the other has begun
    for (int i = 0; i < PIECES; i++) {
        unsigned long before = atomic_load(&n_turns);
        work(PIECE_US);
        n += atomic_load(&n_turns) != before;
    }
    scheduling_yields(false);
    atomic_store(&ended, true);
    pthread_join(other, NULL);
    return n;
}

static void test_patient_work_makes_way_while_it_is_wanted(void **state) {
    (void)state;
    stay_on_one_processor();
    scheduling_patient();
    assert_in_range(pieces_with_a_turn(), PIECES * 3 / 4, PIECES); // the kernel's own slices: 43
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patient_work_makes_way_while_it_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
