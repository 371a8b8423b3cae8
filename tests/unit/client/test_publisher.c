// SPDX-License-Identifier: Apache-2.0
// The publisher over a real socket, the broker played by the test.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "schemas/reasons.h"

enum { N_ACKS_MAX = 64 };

static uint8_t incarnation[16] = {1, 2, 3};
static ProtobufCBinaryData verdict; // of the first event of a request that is answered

struct acks {
    size_t n;
    touchbus_ack acks[N_ACKS_MAX];
    uint8_t incarnation[16];
    char verdict[128];
    touchbus_publisher *publish_again; // from within the first ack
};

static void publish(touchbus_publisher *publisher, const char *id, uintptr_t tag) {
    touchbus_event *event = touchbus_event_new("page.viewed", NULL, id);
    assert_non_null(event);
    assert_int_equal(touchbus_publisher_publish(publisher, event, (void *)tag), 0);
    touchbus_event_free(event);
}

static void on_ack(const touchbus_ack *ack, void *user) {
    struct acks *acks = user;
    assert_true(acks->n < N_ACKS_MAX);
    acks->acks[acks->n] = *ack;
    acks->acks[acks->n].verdict = NULL;
    if (ack->verdict != NULL) {
        snprintf(acks->verdict, sizeof(acks->verdict), "%s", ack->verdict);
        acks->acks[acks->n].verdict = acks->verdict;
    }
    acks->n++;
    memcpy(acks->incarnation, ack->incarnation, sizeof(acks->incarnation));
    if (acks->publish_again != NULL) {
        touchbus_publisher *publisher = acks->publish_again;
        acks->publish_again = NULL;
        publish(publisher, "from-the-ack", 99);
    }
}

static Touchbus__PublishRequest *next_request(struct peer *peer, touchbus_publisher *publisher) {
    for (int i = 0; i < PEER_PATIENCE; i++) {
        touchbus_publisher_run(publisher, 0);
        ProtobufCMessage *message = peer_receive(peer, &touchbus__publish_request__descriptor);
        if (message != NULL) {
            return (Touchbus__PublishRequest *)message;
        }
    }
    fail_msg("no request came");
    return NULL;
}

static void answer(struct peer *peer, const Touchbus__PublishRequest *request) {
    uint64_t sequences[64];
    Touchbus__PublishReply reply;
    touchbus__publish_reply__init(&reply);
    reply.version = 1;
    reply.request = request->request;
    reply.incarnation = (ProtobufCBinaryData){.len = sizeof(incarnation), .data = incarnation};
    reply.number = request->number;
    reply.expected = request->n_events == 0 ? 1 : request->number + request->n_events;
    reply.credit = 64;
    reply.n_sequences = request->n_events;
    reply.sequences = sequences;
    for (size_t i = 0; i < request->n_events; i++) {
        sequences[i] = 100 + request->number + i;
    }
    Touchbus__Outcome outcome;
    Touchbus__Outcome *outcomes[] = {&outcome};
    touchbus__outcome__init(&outcome);
    outcome.verdict = verdict;
    reply.outcomes = outcomes;
    reply.n_outcomes = verdict.len > 0 && request->n_events > 0;
    peer_send(peer, &reply.base);
}

static touchbus_publisher *publisher_for(struct peer *peer, struct acks *acks) {
    touchbus_publisher_options options = {
        .broker = peer->broker, .producer = "unit", .epoch = 7, .on_ack = on_ack, .user = acks};
    touchbus_publisher *publisher;
    assert_int_equal(touchbus_publisher_new(&options, &publisher), 0);
    return publisher;
}

static void greet(struct peer *peer, touchbus_publisher *publisher) {
    Touchbus__PublishRequest *hello = next_request(peer, publisher);
    assert_int_equal(hello->n_events, 0);
    assert_string_equal(hello->producer, "unit");
    assert_int_equal(hello->epoch, 7);
    answer(peer, hello);
}

static Touchbus__Event *event_of(const Touchbus__PublishRequest *request, size_t index) {
    Touchbus__Event *event =
        touchbus__event__unpack(NULL, request->events[index].len, request->events[index].data);
    assert_non_null(event);
    return event;
}

static void test_a_verdict_comes_with_the_ack(void **state) {
    (void)state;
    static uint8_t bytes[] = "\x81\xa7verdict\xa8"
                             "approved";
    struct peer peer;
    struct acks acks = {0};
    peer_open(&peer, ENDPOINT_PUBLISH);
    touchbus_publisher *publisher = publisher_for(&peer, &acks);
    publish(publisher, "a", 1);
    publish(publisher, "b", 2);
    greet(&peer, publisher);
    verdict = (ProtobufCBinaryData){.len = sizeof(bytes) - 1, .data = bytes};
    answer(&peer, next_request(&peer, publisher));
    verdict = (ProtobufCBinaryData){0};
    assert_int_equal(touchbus_publisher_flush(publisher, 5000), 0);
    assert_int_equal(acks.n, 2);
    assert_int_equal(acks.acks[0].code, 0);
    assert_string_equal(acks.acks[0].verdict, "{\"verdict\":\"approved\"}");
    assert_null(acks.acks[1].verdict);
    touchbus_publisher_free(publisher);
    peer_close(&peer);
}

static void test_publish_is_acked_with_sequence_and_incarnation(void **state) {
    (void)state;
    struct peer peer;
    struct acks acks = {0};
    peer_open(&peer, ENDPOINT_PUBLISH);
    touchbus_publisher *publisher = publisher_for(&peer, &acks);
    publish(publisher, "a", 1);
    publish(publisher, NULL, 2);
    assert_int_equal(touchbus_publisher_pending(publisher), 2);
    assert_false(touchbus_publisher_connected(publisher));
    greet(&peer, publisher);
    Touchbus__PublishRequest *request = next_request(&peer, publisher);
    assert_int_equal(request->n_events, 2);
    assert_int_equal(request->number, 1);
    Touchbus__Event *first = event_of(request, 0), *second = event_of(request, 1);
    assert_string_equal(first->id, "a");
    assert_string_equal(first->source, "/unit"); // the publisher's own
    assert_true(strlen(second->id) > 16);
    touchbus__event__free_unpacked(first, NULL);
    touchbus__event__free_unpacked(second, NULL);
    answer(&peer, request);
    assert_int_equal(touchbus_publisher_flush(publisher, 5000), 0);
    assert_int_equal(acks.n, 2);
    assert_ptr_equal(acks.acks[1].tag, (void *)2);
    assert_int_equal(acks.acks[1].sequence, 102);
    assert_string_equal(acks.acks[1].reason, "ok");
    assert_memory_equal(acks.incarnation, incarnation, sizeof(incarnation));
    assert_true(touchbus_publisher_connected(publisher));
    touchbus_publisher_free(publisher);
    peer_close(&peer);
}

static void test_a_cut_connection_sends_again_under_the_same_numbers(void **state) {
    (void)state;
    struct peer peer;
    struct acks acks = {0};
    peer_open(&peer, ENDPOINT_PUBLISH);
    touchbus_publisher *publisher = publisher_for(&peer, &acks);
    greet(&peer, publisher);
    publish(publisher, "a", 1);
    Touchbus__PublishRequest *request = next_request(&peer, publisher);
    assert_int_equal(request->number, 1);
    uint64_t given_up = request->request;
    peer_cut(&peer);
    request = next_request(&peer, publisher);
    assert_int_equal(request->number, 1);
    assert_int_equal(request->n_events, 1);
    assert_int_equal(request->epoch, 7);
    assert_true(request->request > given_up);
    answer(&peer, request);
    assert_int_equal(touchbus_publisher_flush(publisher, 5000), 0);
    assert_int_equal(acks.n, 1);
    touchbus_publisher_free(publisher);
    peer_close(&peer);
}

static void test_publishing_from_within_an_ack_is_sent_afterwards(void **state) {
    (void)state;
    struct peer peer;
    struct acks acks = {0};
    peer_open(&peer, ENDPOINT_PUBLISH);
    touchbus_publisher *publisher = publisher_for(&peer, &acks);
    acks.publish_again = publisher;
    greet(&peer, publisher);
    publish(publisher, "a", 1);
    answer(&peer, next_request(&peer, publisher));
    Touchbus__PublishRequest *request = next_request(&peer, publisher);
    assert_int_equal(request->number, 2);
    answer(&peer, request);
    assert_int_equal(touchbus_publisher_flush(publisher, 5000), 0);
    assert_int_equal(acks.n, 2);
    touchbus_publisher_free(publisher);
    peer_close(&peer);
}

static void test_a_reply_that_cannot_be_read_is_as_good_as_lost(void **state) {
    (void)state;
    struct peer peer;
    struct acks acks = {0};
    peer_open(&peer, ENDPOINT_PUBLISH);
    touchbus_publisher *publisher = publisher_for(&peer, &acks);
    greet(&peer, publisher);
    publish(publisher, "a", 1);
    next_request(&peer, publisher);
    zmq_msg_t identity;
    zmq_msg_init(&identity);
    zmq_msg_copy(&identity, &peer.identity);
    zmq_msg_send(&identity, peer.socket, ZMQ_SNDMORE);
    zmq_send(peer.socket, "\xff\xff\xff", 3, 0);
    answer(&peer, next_request(&peer, publisher));
    assert_int_equal(touchbus_publisher_flush(publisher, 5000), 0);
    assert_int_equal(acks.n, 1);
    touchbus_publisher_free(publisher);
    peer_close(&peer);
}

static void test_a_full_window_says_so(void **state) {
    (void)state;
    touchbus_publisher_options options = {.broker = "127.0.0.1:1", .producer = "unit", .window = 2};
    touchbus_publisher *publisher;
    assert_int_equal(touchbus_publisher_new(&options, &publisher), 0);
    publish(publisher, "a", 1);
    publish(publisher, "b", 2);
    touchbus_event *event = touchbus_event_new("page.viewed", NULL, NULL);
    assert_int_equal(touchbus_publisher_publish(publisher, event, NULL), TOUCHBUS_FULL);
    touchbus_event_free(event);
    assert_int_equal(touchbus_publisher_flush(publisher, 20), -ETIMEDOUT);
    assert_int_equal(touchbus_publisher_run(publisher, 10), 0);
    touchbus_publisher_free(publisher);
}

static void test_malformed_options_are_refused(void **state) {
    (void)state;
    touchbus_publisher *publisher;
    const touchbus_publisher_options wrong[] = {
        {.broker = "host:port"},
        {.producer = ""},
        {.producer = "a\nb"},
        {.producer = "x", .source = ""},
        {.producer = "x", .window = UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(touchbus_publisher_new(&wrong[i], &publisher), -EINVAL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_verdict_comes_with_the_ack),
        cmocka_unit_test(test_publish_is_acked_with_sequence_and_incarnation),
        cmocka_unit_test(test_a_cut_connection_sends_again_under_the_same_numbers),
        cmocka_unit_test(test_publishing_from_within_an_ack_is_sent_afterwards),
        cmocka_unit_test(test_a_reply_that_cannot_be_read_is_as_good_as_lost),
        cmocka_unit_test(test_a_full_window_says_so),
        cmocka_unit_test(test_malformed_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
