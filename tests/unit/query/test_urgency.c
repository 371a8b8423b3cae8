// SPDX-License-Identifier: Apache-2.0
// How long look-ups may go ahead of everything else: the rules of the allowance, and what becomes
// of the calling thread.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/bounds.h"
#include "broker/query/urgency.h"
#include "schemas/base/scheduling.h"

enum { PERCENT = 20, DROPPED = 65534 };
static const int64_t step_us = 1000, room_us = URGENT_ROOM_US;

static struct allowance full(void) {
    return (struct allowance){.percent = PERCENT, .left_us = room_us, .urgent = true};
}

static void test_what_is_within_the_share_stays_urgent(void **state) {
    (void)state;
    struct allowance allowance = full();
    for (int i = 0; i < 100000; i++) {
        assert_true(allowance_take(&allowance, step_us, step_us * PERCENT / 100));
    }
}

// From any start: what is used ahead of others is the room and the share, and a step.
static void test_a_flood_is_urgent_for_its_share_only(void **state) {
    (void)state;
    struct allowance allowance = full();
    int64_t urgent_us = 0;
    enum { STEPS = 100000 };
    for (int i = 0; i < STEPS; i++) {
        urgent_us += allowance.urgent ? step_us : 0;
        allowance_take(&allowance, step_us, step_us);
    }
    assert_false(allowance.urgent);
    assert_true(urgent_us <= room_us + step_us * STEPS * PERCENT / 100 + step_us);
    // It goes on as others run, which is no share: it is not urgent again before it ends.
    assert_true(urgent_us <= 2 * room_us);
}

static void test_a_flood_that_ends_is_forgotten(void **state) {
    (void)state;
    struct allowance allowance = full();
    assert_false(allowance_take(&allowance, INT64_C(60) * 1000000, 3600 * INT64_C(1000000)));
    int64_t waited_us = 0;
    while (!allowance_take(&allowance, step_us, 0)) {
        waited_us += step_us;
        assert_true(waited_us < room_us * 2 * 100 / PERCENT);
    }
    assert_true(waited_us > 0);
}

static void test_one_long_question_is_paid_back(void **state) {
    (void)state;
    struct allowance allowance = full();
    assert_false(allowance_take(&allowance, room_us * 2, room_us * 2));
    assert_false(allowance_take(&allowance, step_us, 0));
}

static void test_what_rests_saves_nothing_up(void **state) {
    (void)state;
    struct allowance allowance = full();
    assert_true(allowance_take(&allowance, INT64_C(3600) * 1000000, 0));
    assert_int_equal(allowance.left_us, room_us);
}

// ---- the calling thread; in a child, which may be changed at will

static int policy(void) {
    return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

static void in_a_child(int (*body)(void)) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(body());
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int not_permitted(void) {
    struct urgency urgency;
    struct rlimit none = {0};
    if (setrlimit(RLIMIT_RTPRIO, &none) != 0 || (geteuid() == 0 && setuid(DROPPED) != 0)) {
        return 1;
    }
    urgency_begin(&urgency, PERCENT, "no such thread");
    urgency_look(&urgency);
    return urgency.n_threads == 0 && policy() == SCHED_OTHER ? 0 : 2;
}

static void test_without_permission_nothing_changes(void **state) {
    (void)state;
    in_a_child(not_permitted);
}

static int permitted(void) {
    struct urgency urgency;
    urgency_begin(&urgency, PERCENT, "no such thread");
    if (urgency.n_threads != 1 || policy() != SCHED_RR) {
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        _exit(policy() == SCHED_OTHER ? 0 : 1);
    }
    int status = 1;
    if (waitpid(child, &status, 0) != child || status != 0) {
        return 2;
    }
    int64_t start_us = scheduling_used_us(gettid());
    while (scheduling_used_us(gettid()) - start_us < 3 * room_us) {
    }
    urgency_look(&urgency);
    return policy() == SCHED_OTHER ? 0 : 3;
}

static int never(void) {
    struct urgency urgency;
    urgency_begin(&urgency, 0, "no such thread");
    urgency_look(&urgency);
    return urgency.n_threads == 0 && policy() == SCHED_OTHER ? 0 : 1;
}

static void test_a_thread_is_urgent_until_its_share_is_used(void **state) {
    (void)state;
    if (scheduling_urgent(gettid()) != 0) {
        skip(); // may not
    }
    scheduling_prompt_again(gettid());
    in_a_child(permitted);
}

static void test_others_make_way_until_a_while_after_the_last_question(void **state) {
    (void)state;
    struct urgency urgency;
    urgency_begin(&urgency, 0, "no such thread");
    urgency_asked(&urgency);
    urgency_look(&urgency);
    assert_true(scheduling_yields_wanted());
    urgency.asked_us -= URGENT_ASKED_US + 1;
    urgency_look(&urgency);
    assert_false(scheduling_yields_wanted());
    urgency_asked(&urgency);
    assert_true(scheduling_yields_wanted());
}

static void test_an_operator_may_say_never(void **state) {
    (void)state;
    in_a_child(never);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_within_the_share_stays_urgent),
        cmocka_unit_test(test_a_flood_is_urgent_for_its_share_only),
        cmocka_unit_test(test_a_flood_that_ends_is_forgotten),
        cmocka_unit_test(test_one_long_question_is_paid_back),
        cmocka_unit_test(test_what_rests_saves_nothing_up),
        cmocka_unit_test(test_without_permission_nothing_changes),
        cmocka_unit_test(test_others_make_way_until_a_while_after_the_last_question),
        cmocka_unit_test(test_a_thread_is_urgent_until_its_share_is_used),
        cmocka_unit_test(test_an_operator_may_say_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
