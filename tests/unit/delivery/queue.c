// SPDX-License-Identifier: Apache-2.0
// No rule stands here: what a test wants to hold it says itself.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "queue.h"

int queue_open(const struct subscription_options *options, uint64_t n_max, struct fixture **ret) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture)
        return -ENOMEM;
    fixture->budget.n_slots_max = fixture->budget.n_parked_max = n_max;
    fixture->now_us = 1;
    *ret = fixture;
    return subscription_new(options, &fixture->budget, 0, NULL, 0, 1, &fixture->subscription);
}

int queue_close(struct fixture *fixture) {
    if (fixture->one.subscription)
        subscription_leave(fixture->subscription, &fixture->one);
    if (fixture->two.subscription)
        subscription_leave(fixture->subscription, &fixture->two);
    subscription_free(fixture->subscription);
    int left = fixture->budget.n_slots != 0 || fixture->budget.n_parked != 0;
    free(fixture);
    return left;
}

void offer(struct fixture *fixture, uint64_t sequence, uint64_t lane) {
    assert_int_equal(subscription_offer(fixture->subscription, sequence, &lane, 1, fixture->now_us),
                     0);
}

void offer_both(struct fixture *fixture, uint64_t sequence, uint64_t lane, uint64_t other) {
    uint64_t lanes[] = {lane, other};
    assert_int_equal(subscription_offer(fixture->subscription, sequence, lanes, 2, fixture->now_us),
                     0);
}

uint64_t take(struct fixture *fixture, struct member **ret_member) {
    struct member *member = NULL;
    struct slot *slot = subscription_take(fixture->subscription, fixture->now_us, &member);
    if (ret_member)
        *ret_member = member;
    return slot ? slot->sequence : 0;
}
