// SPDX-License-Identifier: Apache-2.0
// The publisher's go-back-N machine, one rule a test: replies are made by hand, the clock is a
// number.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/client/window.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum { EPOCH = 77 };
#define MS_US INT64_C(1000)
#define SECOND_US (1000 * MS_US)

struct seen {
    size_t n;
    struct window_settled settled[64];
};

static void on_settled(const struct window_settled *settled, void *user) {
    struct seen *seen = user;
    assert_true(seen->n < 64);
    seen->settled[seen->n++] = *settled;
}

static void push(struct window *window, uintptr_t tag) {
    uint8_t *bytes = malloc(10);
    assert_non_null(bytes);
    memset(bytes, 'x', 10);
    window_push(window, bytes, 10, (void *)tag);
}

static void push_many(struct window *window, size_t n) {
    for (size_t i = 1; i <= n; i++) {
        push(window, i);
    }
}

// A reply that accepts everything: sequences 1001, 1002, ... by number.
struct answer {
    Touchbus__PublishReply reply;
    uint64_t sequences[REQUEST_EVENTS_MAX];
    Touchbus__Outcome outcomes[32];
    Touchbus__Outcome *list[32];
};

static void answer_init(struct answer *answer, const struct window_request *request) {
    touchbus__publish_reply__init(&answer->reply);
    answer->reply.request = request->request;
    answer->reply.number = request->number;
    answer->reply.n_sequences = request->n_events;
    answer->reply.sequences = answer->sequences;
    answer->reply.expected = request->number + request->n_events;
    answer->reply.credit = PUBLISH_CREDIT;
    answer->reply.outcomes = answer->list;
    for (size_t i = 0; i < request->n_events; i++) {
        answer->sequences[i] = 1000 + request->number + i;
    }
}

static void answer_outcome(struct answer *answer, uint32_t index, uint32_t code) {
    size_t n = answer->reply.n_outcomes++;
    touchbus__outcome__init(&answer->outcomes[n]);
    answer->outcomes[n].index = index;
    answer->outcomes[n].code = code;
    answer->list[n] = &answer->outcomes[n];
    if (code != REASON_DUPLICATE) {
        answer->sequences[index] = 0;
    }
}

static struct window_request send_next(struct window *window, int64_t now_us) {
    struct window_request request;
    assert_true(window_next(window, now_us, &request));
    window_sent(window, &request, now_us);
    return request;
}

static void assert_nothing_due(struct window *window, int64_t now_us) {
    struct window_request request;
    assert_false(window_next(window, now_us, &request));
}

// A window that has said hello and was told which number comes next.
static struct window *greeted(uint64_t expected) {
    struct window *window = window_new(64, true, EPOCH);
    assert_non_null(window);
    struct window_request hello = send_next(window, 0);
    assert_int_equal(hello.n_events, 0);
    struct answer answer;
    answer_init(&answer, &hello);
    answer.reply.expected = expected;
    struct seen seen = {0};
    window_reply(window, &answer.reply, 0, on_settled, &seen);
    assert_int_equal(seen.n, 0);
    return window;
}

static struct seen accept_all(struct window *window, const struct window_request *request,
                              int64_t now_us) {
    struct seen seen = {0};
    struct answer answer;
    answer_init(&answer, request);
    window_reply(window, &answer.reply, now_us, on_settled, &seen);
    return seen;
}

static void test_nothing_is_sent_before_the_broker_has_told_the_number(void **state) {
    (void)state;
    struct window *window = window_new(64, true, EPOCH);
    push(window, 1);
    struct window_request hello = send_next(window, 0);
    assert_int_equal(hello.n_events, 0);
    assert_int_equal(hello.epoch, EPOCH);
    assert_nothing_due(window, 1);
    window_free(window);
}

static void test_numbers_go_on_where_the_broker_stands(void **state) {
    (void)state;
    struct window *window = greeted(501);
    push(window, 1);
    struct window_request request = send_next(window, 1);
    assert_int_equal(request.number, 501);
    window_free(window);
}

static void test_an_event_goes_at_once_when_nothing_is_in_flight(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    struct window_request request = send_next(window, 1);
    assert_int_equal(request.n_events, 1);
    push_many(window, 3);
    assert_nothing_due(window, 2); // gathers until an answer comes
    struct seen seen = accept_all(window, &request, 3);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.settled[0].sequence, 1001);
    request = send_next(window, 4);
    assert_int_equal(request.n_events, 3);
    assert_int_equal(request.number, 2);
    window_free(window);
}

static void test_a_full_batch_does_not_wait(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    send_next(window, 1);
    push_many(window, 16); // a quarter of the window
    struct window_request request = send_next(window, 1);
    assert_int_equal(request.n_events, 16);
    window_free(window);
}

static void test_credit_bounds_what_is_in_flight(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    struct window_request first = send_next(window, 1);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &first);
    answer.reply.credit = 20;
    window_reply(window, &answer.reply, 1, on_settled, &seen);
    push_many(window, 40);
    struct window_request request = send_next(window, 2);
    assert_int_equal(request.n_events, 16);
    assert_nothing_due(window, 2); // four of credit left: not worth a request
    accept_all(window, &request, 3);
    assert_int_equal(send_next(window, 3).n_events, 16);
    window_free(window);
}

static void test_silence_sends_again_from_the_first_unanswered(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 3);
    struct window_request request = send_next(window, 1);
    assert_int_equal(request.n_events, 3);
    assert_nothing_due(window, SECOND_US / 2);
    assert_true(window_deadline(window) <= SECOND_US + 1);
    struct window_request again = send_next(window, 2 * SECOND_US);
    assert_int_equal(again.number, 1);
    assert_int_equal(again.n_events, 3);
    assert_int_equal(again.epoch, EPOCH);
    assert_true(again.request > request.request);
    window_free(window);
}

static void test_silence_is_waited_for_longer_each_time(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    send_next(window, 0);
    send_next(window, 1 * SECOND_US);
    assert_nothing_due(window, 2 * SECOND_US + SECOND_US / 2);
    send_next(window, 3 * SECOND_US);
    assert_nothing_due(window, 6 * SECOND_US);
    window_free(window);
}

static void test_our_own_duplicate_looks_like_a_plain_ack(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 2);
    send_next(window, 0);
    struct window_request again = send_next(window, 2 * SECOND_US);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &again);
    answer_outcome(&answer, 0, REASON_DUPLICATE);
    answer_outcome(&answer, 1, REASON_DUPLICATE);
    window_reply(window, &answer.reply, 2 * SECOND_US, on_settled, &seen);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.settled[1].code, REASON_OK);
    assert_false(seen.settled[1].duplicate);
    assert_int_equal(seen.settled[1].sequence, 1002);
    window_free(window);
}

static void test_a_duplicate_from_elsewhere_is_told(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    struct window_request request = send_next(window, 0);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &request);
    answer_outcome(&answer, 0, REASON_DUPLICATE);
    window_reply(window, &answer.reply, 1, on_settled, &seen);
    assert_int_equal(seen.n, 1);
    assert_true(seen.settled[0].duplicate);
    assert_int_equal(seen.settled[0].code, REASON_DUPLICATE);
    window_free(window);
}

static void test_a_late_reply_to_a_request_given_up_still_counts(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 2);
    struct window_request first = send_next(window, 0);
    struct window_request again = send_next(window, 2 * SECOND_US);
    assert_int_equal(accept_all(window, &first, 2 * SECOND_US).n, 2);
    assert_int_equal(window_pending(window), 0);
    assert_int_equal(accept_all(window, &again, 2 * SECOND_US).n, 0); // each is acked once
    window_free(window);
}

static void test_a_reply_to_no_request_is_ignored(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    struct window_request request = send_next(window, 0);
    request.request += 100;
    assert_int_equal(accept_all(window, &request, 1).n, 0);
    assert_int_equal(window_pending(window), 1);
    window_free(window);
}

static void test_a_gap_sends_again_at_once_under_the_same_numbers(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    send_next(window, 0); // lost
    push_many(window, 16);
    struct window_request second = send_next(window, 0);
    assert_int_equal(second.number, 2);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &second);
    answer_outcome(&answer, 0, REASON_NUMBER_GAP);
    for (uint32_t i = 1; i < 16; i++) {
        answer_outcome(&answer, i, REASON_NUMBER_GAP);
    }
    answer.reply.expected = 1;
    answer.reply.n_sequences = 0;
    window_reply(window, &answer.reply, 1, on_settled, &seen);
    assert_int_equal(seen.n, 0);
    struct window_request again = send_next(window, 1);
    assert_int_equal(again.number, 1);
    assert_int_equal(again.epoch, EPOCH);
    window_free(window);
}

static void test_a_broker_that_forgot_gets_a_new_epoch(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 2);
    struct window_request request = send_next(window, 0);
    accept_all(window, &request, 0);
    push_many(window, 2);
    request = send_next(window, 1);
    assert_int_equal(request.number, 3);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &request);
    answer_outcome(&answer, 0, REASON_NUMBER_GAP);
    answer_outcome(&answer, 1, REASON_NUMBER_GAP);
    answer.reply.expected = 1; // what it was before we sent 1 and 2: a restored log
    window_reply(window, &answer.reply, 1, on_settled, &seen);
    struct window_request again = send_next(window, 1);
    assert_int_equal(again.number, 1);
    assert_int_equal(again.n_events, 2);
    assert_true(again.epoch > EPOCH);
    window_free(window);
}

static void test_busy_backs_off_and_keeps_the_order(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 3);
    struct window_request request = send_next(window, 0);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &request);
    answer_outcome(&answer, 1, REASON_BUSY);
    answer_outcome(&answer, 2, REASON_NUMBER_GAP);
    answer.reply.expected = 2;
    window_reply(window, &answer.reply, 0, on_settled, &seen);
    assert_int_equal(seen.n, 1);
    assert_nothing_due(window, 0);
    assert_true(window_deadline(window) <= WINDOW_BUSY_MS_MIN * MS_US);
    const char *detail;
    assert_int_equal(window_refusal(window, &detail), REASON_BUSY);
    struct window_request again = send_next(window, WINDOW_BUSY_MS_MIN * MS_US);
    assert_int_equal(again.number, 2);
    assert_int_equal(again.n_events, 2);
    assert_int_equal(accept_all(window, &again, SECOND_US / 10).n, 2);
    assert_int_equal(window_refusal(window, &detail), 0);
    window_free(window);
}

static void test_a_key_that_may_not_publish_here_loses_nothing(void **state) {
    (void)state;
    const char *detail;
    struct answer answer;
    struct seen seen = {0};
    struct window *window = window_new(64, true, EPOCH);
    assert_non_null(window);
    push_many(window, 2);
    struct window_request hello = send_next(window, 0);
    answer_init(&answer, &hello);
    answer.reply.code = REASON_FORBIDDEN;
    answer.reply.expected = 0;
    window_reply(window, &answer.reply, 0, on_settled, &seen);
    assert_int_equal(window_refusal(window, &detail), REASON_FORBIDDEN);
    assert_nothing_due(window, 0);
    hello = send_next(window, WINDOW_BUSY_MS_MIN * MS_US); // asks again, and sends no event before
    assert_int_equal(hello.n_events, 0);
    answer_init(&answer, &hello);
    answer.reply.expected = 1;
    window_reply(window, &answer.reply, SECOND_US, on_settled, &seen);
    assert_int_equal(window_refusal(window, &detail), 0);
    struct window_request request = send_next(window, SECOND_US);
    assert_int_equal(request.n_events, 2);
    answer_init(&answer, &request); // the key is taken away in between
    answer.reply.code = REASON_FORBIDDEN;
    answer.reply.n_sequences = 0;
    answer.reply.expected = 0;
    window_reply(window, &answer.reply, SECOND_US, on_settled, &seen);
    assert_int_equal(seen.n, 0);
    assert_int_equal(window_pending(window), 2);
    struct window_request again = send_next(window, 2 * SECOND_US);
    assert_int_equal(again.number, 1);
    assert_int_equal(accept_all(window, &again, 2 * SECOND_US).n, 2);
    window_free(window);
}

static void test_an_event_that_a_role_may_not_publish_is_settled(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 2);
    struct window_request request = send_next(window, 0);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &request);
    answer_outcome(&answer, 0, REASON_FORBIDDEN);
    window_reply(window, &answer.reply, 0, on_settled, &seen);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.settled[0].code, REASON_FORBIDDEN);
    assert_int_equal(seen.settled[1].code, REASON_OK);
    window_free(window);
}

static void test_a_refused_event_uses_its_number(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 3);
    struct window_request request = send_next(window, 0);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &request);
    answer_outcome(&answer, 1, REASON_CONFLICT);
    window_reply(window, &answer.reply, 0, on_settled, &seen);
    assert_int_equal(seen.n, 3);
    assert_int_equal(seen.settled[1].code, REASON_CONFLICT);
    assert_int_equal(seen.settled[1].sequence, 0);
    assert_ptr_equal(seen.settled[2].tag, (void *)3);
    push(window, 4);
    assert_int_equal(send_next(window, 0).number, 4);
    window_free(window);
}

static void test_a_refused_request_uses_no_number(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 2);
    struct window_request request = send_next(window, 0);
    push_many(window, 2); // numbered 3 and 4, to become 1 and 2
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &request);
    answer.reply.code = REASON_BAD_FRAME;
    window_reply(window, &answer.reply, 0, on_settled, &seen);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.settled[0].code, REASON_BAD_FRAME);
    assert_int_equal(send_next(window, 0).number, 1);
    window_free(window);
}

static void test_a_fenced_publisher_tells_every_event(void **state) {
    (void)state;
    struct window *window = greeted(1);
    for (int round = 0; round < 2; round++) {
        push_many(window, 2);
        struct window_request request = send_next(window, 0);
        assert_int_equal(request.epoch, EPOCH);
        struct answer answer;
        struct seen seen = {0};
        answer_init(&answer, &request);
        answer.reply.code = REASON_FENCED;
        window_reply(window, &answer.reply, 0, on_settled, &seen);
        assert_int_equal(seen.n, 2);
        assert_int_equal(seen.settled[0].code, REASON_FENCED);
    }
    window_free(window);
}

static void test_a_lost_reply_before_an_answered_one_is_asked_for_again(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push(window, 1);
    send_next(window, 0); // its reply is lost
    push_many(window, 16);
    struct window_request second = send_next(window, 0);
    assert_int_equal(accept_all(window, &second, 0).n, 16);
    struct window_request again = send_next(window, 0);
    assert_int_equal(again.number, 1);
    assert_int_equal(again.n_events, 1);
    assert_int_equal(accept_all(window, &again, 0).n, 1);
    assert_int_equal(window_pending(window), 0);
    window_free(window);
}

static void test_a_lost_connection_sends_again_without_waiting(void **state) {
    (void)state;
    struct window *window = greeted(1);
    push_many(window, 2);
    send_next(window, 0);
    window_lost(window);
    assert_int_equal(send_next(window, 1).number, 1);
    window_free(window);
}

static void test_an_idle_publisher_asks_whether_the_broker_is_there(void **state) {
    (void)state;
    struct window *window = greeted(1);
    assert_nothing_due(window, SECOND_US);
    struct window_request hello = send_next(window, WINDOW_HELLO_MS * MS_US);
    assert_int_equal(hello.n_events, 0);
    window_free(window);
}

static void test_the_window_is_bounded_by_events_and_bytes(void **state) {
    (void)state;
    struct window *window = window_new(4, true, EPOCH);
    push_many(window, 4);
    assert_false(window_has_room(window, 1));
    window_free(window);
    window = window_new(1024, true, EPOCH);
    for (int i = 0; i < WINDOW_BYTES_MAX / EVENT_BYTES_MAX; i++) {
        assert_true(window_has_room(window, EVENT_BYTES_MAX));
        window_push(window, calloc(1, EVENT_BYTES_MAX), EVENT_BYTES_MAX, NULL);
    }
    assert_false(window_has_room(window, EVENT_BYTES_MAX));
    window_free(window);
}

static void test_an_unnumbered_busy_event_does_not_hold_the_others(void **state) {
    (void)state;
    struct window *window = window_new(64, false, EPOCH);
    struct window_request hello = send_next(window, 0);
    assert_int_equal(hello.epoch, 0);
    accept_all(window, &hello, 0);
    push_many(window, 3);
    struct window_request request = send_next(window, 0);
    assert_int_equal(request.number, 0);
    struct answer answer;
    struct seen seen = {0};
    answer_init(&answer, &request);
    answer.reply.sequences[0] = 1000;
    answer_outcome(&answer, 1, REASON_BUSY);
    window_reply(window, &answer.reply, 0, on_settled, &seen);
    assert_int_equal(seen.n, 2);
    assert_int_equal(window_pending(window), 1);
    assert_int_equal(send_next(window, SECOND_US).n_events, 1);
    window_free(window);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_sent_before_the_broker_has_told_the_number),
        cmocka_unit_test(test_numbers_go_on_where_the_broker_stands),
        cmocka_unit_test(test_an_event_goes_at_once_when_nothing_is_in_flight),
        cmocka_unit_test(test_a_full_batch_does_not_wait),
        cmocka_unit_test(test_credit_bounds_what_is_in_flight),
        cmocka_unit_test(test_silence_sends_again_from_the_first_unanswered),
        cmocka_unit_test(test_silence_is_waited_for_longer_each_time),
        cmocka_unit_test(test_our_own_duplicate_looks_like_a_plain_ack),
        cmocka_unit_test(test_a_duplicate_from_elsewhere_is_told),
        cmocka_unit_test(test_a_late_reply_to_a_request_given_up_still_counts),
        cmocka_unit_test(test_a_reply_to_no_request_is_ignored),
        cmocka_unit_test(test_a_gap_sends_again_at_once_under_the_same_numbers),
        cmocka_unit_test(test_a_broker_that_forgot_gets_a_new_epoch),
        cmocka_unit_test(test_busy_backs_off_and_keeps_the_order),
        cmocka_unit_test(test_a_key_that_may_not_publish_here_loses_nothing),
        cmocka_unit_test(test_an_event_that_a_role_may_not_publish_is_settled),
        cmocka_unit_test(test_a_refused_event_uses_its_number),
        cmocka_unit_test(test_a_refused_request_uses_no_number),
        cmocka_unit_test(test_a_fenced_publisher_tells_every_event),
        cmocka_unit_test(test_a_lost_reply_before_an_answered_one_is_asked_for_again),
        cmocka_unit_test(test_a_lost_connection_sends_again_without_waiting),
        cmocka_unit_test(test_an_idle_publisher_asks_whether_the_broker_is_there),
        cmocka_unit_test(test_the_window_is_bounded_by_events_and_bytes),
        cmocka_unit_test(test_an_unnumbered_busy_event_does_not_hold_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
