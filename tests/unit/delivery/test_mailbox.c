// SPDX-License-Identifier: Apache-2.0
// The mailbox: order, bound, and a descriptor that is readable exactly while something waits.
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/bounds.h"
#include "broker/mailbox.h"

static bool readable(struct mailbox *mailbox) {
    struct pollfd descriptor = {.fd = mailbox_descriptor(mailbox), .events = POLLIN};
    return poll(&descriptor, 1, 0) == 1;
}

static void test_takes_in_the_order_of_posting(void **state) {
    (void)state;
    struct mailbox *mailbox = mailbox_new();
    struct job jobs[3] = {0};
    for (int i = 0; i < 3; i++)
        assert_true(mailbox_post(mailbox, &jobs[i]));
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(mailbox_take(mailbox), &jobs[i]);
    assert_null(mailbox_take(mailbox));
    assert_null(mailbox_free(mailbox));
}

static void test_refuses_beyond_its_bound(void **state) {
    (void)state;
    struct mailbox *mailbox = mailbox_new();
    struct job *jobs = calloc(MAILBOX_JOBS_MAX + 1, sizeof *jobs);
    for (int i = 0; i < MAILBOX_JOBS_MAX; i++)
        assert_true(mailbox_post(mailbox, &jobs[i]));
    assert_false(mailbox_post(mailbox, &jobs[MAILBOX_JOBS_MAX]));
    assert_ptr_equal(mailbox_take(mailbox), &jobs[0]);
    assert_true(mailbox_post(mailbox, &jobs[MAILBOX_JOBS_MAX]));
    while (mailbox_take(mailbox))
        ;
    mailbox_free(mailbox);
    free(jobs);
}

static void test_descriptor_rests_once_taken_empty(void **state) {
    (void)state;
    struct mailbox *mailbox = mailbox_new();
    struct job job = {0};
    assert_false(readable(mailbox));
    mailbox_post(mailbox, &job);
    assert_true(readable(mailbox));
    mailbox_take(mailbox);
    assert_null(mailbox_take(mailbox));
    assert_false(readable(mailbox));
    mailbox_wake(mailbox);
    mailbox_wake(mailbox);
    assert_true(readable(mailbox));
    assert_null(mailbox_take(mailbox));
    assert_false(readable(mailbox));
    mailbox_free(mailbox);
}

enum { POSTERS = 4, JOBS_EACH = 1000 };

static void *post_many(void *user) {
    for (int i = 0; i < JOBS_EACH; i++)
        if (!mailbox_post(user, calloc(1, sizeof(struct job))))
            abort();
    return NULL;
}

static void test_many_threads_lose_no_job(void **state) {
    (void)state;
    struct mailbox *mailbox = mailbox_new();
    pthread_t threads[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, mailbox), 0);
    int n_taken = 0;
    while (n_taken < POSTERS * JOBS_EACH) {
        struct pollfd descriptor = {.fd = mailbox_descriptor(mailbox), .events = POLLIN};
        assert_int_equal(poll(&descriptor, 1, 10000), 1);
        for (struct job *job; (job = mailbox_take(mailbox)); n_taken++)
            free(job);
    }
    for (int i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    mailbox_free(mailbox);
}

enum { ROUNDS = 500 };

struct waking {
    struct mailbox *mailbox;
    _Atomic int begun, woken; // rounds
};

static void *wake_each_round(void *user) {
    struct waking *waking = user;
    for (int i = 1; i <= ROUNDS; i++) {
        while (atomic_load(&waking->begun) < i) {
            sched_yield();
        }
        mailbox_wake(waking->mailbox);
        atomic_store(&waking->woken, i);
    }
    return NULL;
}

// A wake is written beside the lock: a take between the two must neither lose nor leave it.
static void test_descriptor_rests_after_a_wake_that_met_a_take(void **state) {
    (void)state;
    struct waking waking = {.mailbox = mailbox_new()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_each_round, &waking), 0);
    for (int i = 1; i <= ROUNDS; i++) {
        atomic_store(&waking.begun, i);
        while (atomic_load(&waking.woken) < i) {
            assert_null(mailbox_take(waking.mailbox));
        }
        assert_null(mailbox_take(waking.mailbox));
        assert_false(readable(waking.mailbox));
    }
    pthread_join(thread, NULL);
    mailbox_free(waking.mailbox);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_in_the_order_of_posting),
        cmocka_unit_test(test_refuses_beyond_its_bound),
        cmocka_unit_test(test_descriptor_rests_once_taken_empty),
        cmocka_unit_test(test_many_threads_lose_no_job),
        cmocka_unit_test(test_descriptor_rests_after_a_wake_that_met_a_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
