// SPDX-License-Identifier: Apache-2.0
// Queries over a real socket. The library's call waits, so the broker is a thread here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum { ANSWER_PARTS = 2 };

static void answer(struct peer *peer, const Touchbus__Query *query, uint64_t request, bool more) {
    uint8_t body[] = {0x81, 0xa1, 'n', 0x07}; // {"n": 7}
    Touchbus__Answer message;
    touchbus__answer__init(&message);
    message.version = 1;
    message.request = request;
    message.as_of = 99;
    message.more = more;
    message.code = query->n_arguments == 0 ? REASON_UNKNOWN_VERB : REASON_OK;
    message.body = (ProtobufCBinaryData){.len = sizeof(body), .data = body};
    peer_send(peer, &message.base);
}

// Answers one query: first a late answer to an older one, then two parts, then the last.
static void *serve(void *argument) {
    struct peer *peer = argument;
    for (int i = 0; i < PEER_PATIENCE; i++) {
        ProtobufCMessage *message = peer_receive(peer, &touchbus__query__descriptor);
        if (message != NULL) {
            const Touchbus__Query *query = (const Touchbus__Query *)message;
            answer(peer, query, query->request + 1000, false);
            answer(peer, query, query->request, true);
            answer(peer, query, query->request, true);
            answer(peer, query, query->request, false);
            return NULL;
        }
    }
    return argument;
}

static void count_part(const touchbus_answer *part, void *user) {
    assert_string_equal(touchbus_answer_json(part), "{\"n\":7}");
    (*(int *)user)++;
}

static void ask(const touchbus_argument *arguments, size_t n_arguments, uint32_t code) {
    struct peer peer;
    pthread_t thread;
    void *failed;
    int n_parts = 0;
    touchbus_client *client;
    touchbus_answer *got = NULL;
    peer_open(&peer, ENDPOINT_QUERY);
    assert_int_equal(pthread_create(&thread, NULL, serve, &peer), 0);
    assert_int_equal(
        touchbus_client_new(&(touchbus_client_options){.broker = peer.broker}, &client), 0);
    int r = touchbus_client_query(client, "customer.show", arguments, n_arguments, "{\"a\":1}", 5,
                                  10000, count_part, &n_parts, &got);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
    assert_int_equal(r, 0);
    assert_int_equal(n_parts, ANSWER_PARTS);
    assert_int_equal(touchbus_answer_code(got), code);
    assert_int_equal(touchbus_answer_as_of(got), 99);
    assert_string_equal(touchbus_answer_json(got), "{\"n\":7}");
    touchbus_answer_free(got);
    touchbus_client_free(client);
    peer_close(&peer);
}

static void test_parts_and_the_last_answer_come_in_order(void **state) {
    (void)state;
    const touchbus_argument arguments[] = {{"key", "email:ana@klant.example"}};
    ask(arguments, 1, REASON_OK);
}

static void test_a_refusal_is_an_answer(void **state) {
    (void)state;
    ask(NULL, 0, REASON_UNKNOWN_VERB);
}

static void test_no_broker_is_a_time_out(void **state) {
    (void)state;
    touchbus_client *client;
    touchbus_answer *got;
    assert_int_equal(
        touchbus_client_new(&(touchbus_client_options){.broker = "127.0.0.1:1"}, &client), 0);
    assert_int_equal(
        touchbus_client_query(client, "status", NULL, 0, NULL, 0, 30, NULL, NULL, &got),
        -ETIMEDOUT);
    assert_int_equal(touchbus_client_query(client, "", NULL, 0, NULL, 0, 30, NULL, NULL, &got),
                     -EINVAL);
    assert_int_equal(touchbus_client_query(client, "status", NULL, 0, "[", 0, 30, NULL, NULL, &got),
                     -EBADMSG);
    touchbus_argument many[QUERY_ARGUMENTS_MAX + 1];
    for (size_t i = 0; i <= QUERY_ARGUMENTS_MAX; i++) {
        many[i] = (touchbus_argument){"a", "b"};
    }
    assert_int_equal(touchbus_client_query(client, "status", many, QUERY_ARGUMENTS_MAX + 1, NULL, 0,
                                           30, NULL, NULL, &got),
                     -E2BIG);
    touchbus_client_free(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts_and_the_last_answer_come_in_order),
        cmocka_unit_test(test_a_refusal_is_an_answer),
        cmocka_unit_test(test_no_broker_is_a_time_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
