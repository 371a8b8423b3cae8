// SPDX-License-Identifier: Apache-2.0
// The Delivery written by hand is what protobuf would write, and what is not sent yet is counted.
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/delivery/frame.h"
#include "touchbus.pb-c.h"

static const uint8_t incarnation[INCARNATION_BYTES] = {1, 2, 3, 0xff};

struct fixture {
    struct outlets *outlets;
    struct outlet *outlet;
    struct frame frame;
};

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (outlets_new(&fixture->outlets) < 0)
        return -1;
    fixture->outlet = outlet_new(fixture->outlets);
    *state = fixture;
    return fixture->outlet ? 0 : -1;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    frame_clear(&fixture->frame);
    outlet_leave(fixture->outlet);
    outlets_leave(fixture->outlets);
    free(fixture);
    return 0;
}

static void add(struct frame *frame, const char *open, const char *plain, bool with_plain,
                uint32_t attempt) {
    const size_t open_size = strlen(open), plain_size = strlen(plain);
    uint8_t *to = frame_event(frame, open, open_size, plain_size);
    assert_non_null(to);
    for (size_t i = 0; i < plain_size; i++)
        to[i] = (uint8_t)plain[i];
    frame_event_end(frame, open_size, plain_size, with_plain ? plain_size : 0, attempt);
}

static void finish(struct fixture *fixture, uint64_t head, zmq_msg_t *ret) {
    assert_int_equal(frame_finish(&fixture->frame, incarnation, head, fixture->outlet, ret), 0);
    assert_int_equal(fixture->frame.n_events, 0);
}

static void assert_same_bytes(zmq_msg_t *message, const Touchbus__BrokerMessage *expected) {
    size_t size = touchbus__broker_message__get_packed_size(expected);
    uint8_t *bytes = malloc(size);
    touchbus__broker_message__pack(expected, bytes);
    assert_int_equal(zmq_msg_size(message), size);
    assert_memory_equal(zmq_msg_data(message), bytes, size);
    free(bytes);
}

static void test_writes_what_protobuf_writes(void **state) {
    struct fixture *fixture = *state;
    for (uint32_t attempts = 1; attempts <= 300; attempts += 299) {
        ProtobufCBinaryData events[3] = {
            {6, (uint8_t *)(uintptr_t) "openUN"},
            {4, (uint8_t *)(uintptr_t) "only"},
            {0, NULL},
        };
        uint32_t tried[3] = {1, attempts, 1};
        Touchbus__Delivery delivery;
        touchbus__delivery__init(&delivery);
        Touchbus__BrokerMessage message;
        touchbus__broker_message__init(&message);
        delivery.events = events;
        delivery.n_events = 3;
        delivery.attempts = tried;
        delivery.n_attempts = attempts > 1 ? 3 : 0;
        delivery.head = 123456789;
        message.version = WIRE_VERSION;
        message.incarnation =
            (ProtobufCBinaryData){INCARNATION_BYTES, (uint8_t *)(uintptr_t)incarnation};
        message.body_case = TOUCHBUS__BROKER_MESSAGE__BODY_DELIVERY;
        message.delivery = &delivery;
        add(&fixture->frame, "open", "UN", true, 1);
        add(&fixture->frame, "only", "a longer half that is gone", false, attempts);
        add(&fixture->frame, "", "", true, 1);
        zmq_msg_t frame;
        finish(fixture, delivery.head, &frame);
        assert_same_bytes(&frame, &message);
        zmq_msg_close(&frame);
    }
}

static void test_a_destroyed_half_leaves_a_shorter_length(void **state) {
    struct fixture *fixture = *state;
    char plain[5000];
    memset(plain, 'x', sizeof plain - 1);
    plain[sizeof plain - 1] = 0;
    add(&fixture->frame, "open", plain, false, 1); // its length took two bytes, now one
    add(&fixture->frame, "next", plain, true, 1);
    zmq_msg_t frame;
    finish(fixture, 1, &frame);
    Touchbus__BrokerMessage *message =
        touchbus__broker_message__unpack(NULL, zmq_msg_size(&frame), zmq_msg_data(&frame));
    assert_non_null(message);
    assert_int_equal(message->delivery->events[0].len, 4);
    assert_memory_equal(message->delivery->events[0].data, "open", 4);
    assert_int_equal(message->delivery->events[1].len, 4 + sizeof plain - 1);
    touchbus__broker_message__free_unpacked(message, NULL);
    zmq_msg_close(&frame);
}

static void test_a_full_frame_stays_within_the_wire(void **state) {
    struct fixture *fixture = *state;
    char *plain = calloc(1, EVENT_BYTES_MAX);
    memset(plain, 'y', EVENT_BYTES_MAX - 1);
    while (fixture->frame.n_events < DELIVERY_EVENTS_MAX / 2)
        add(&fixture->frame, "some open half", "some other", true, 1);
    while (!frame_is_full(&fixture->frame))
        add(&fixture->frame, "open", plain, true, 2);
    zmq_msg_t frame;
    finish(fixture, UINT64_MAX, &frame);
    assert_true(zmq_msg_size(&frame) < FRAME_BYTES_MAX);
    zmq_msg_close(&frame);
    free(plain);
}

static void test_counts_what_is_not_sent(void **state) {
    struct fixture *fixture = *state;
    zmq_msg_t frames[64];
    char plain[100001];
    memset(plain, 'z', sizeof plain - 1);
    plain[sizeof plain - 1] = 0;
    unsigned n = 0;
    while (!outlet_is_full(fixture->outlet)) {
        assert_in_range(n, 0, 63);
        add(&fixture->frame, "open", plain, true, 1);
        finish(fixture, 1, &frames[n++]);
    }
    assert_in_range(outlet_unsent(fixture->outlet), PEER_UNSENT_BYTES_MAX,
                    PEER_UNSENT_BYTES_MAX + FRAME_TARGET_BYTES);
    struct pollfd descriptor = {.fd = outlets_descriptor(fixture->outlets), .events = POLLIN};
    outlets_wait(fixture->outlets);
    assert_int_equal(poll(&descriptor, 1, 0), 0);
    zmq_msg_close(&frames[0]); // as ZeroMQ does once it is sent
    assert_int_equal(poll(&descriptor, 1, 0), 1);
    outlets_rest(fixture->outlets);
    assert_int_equal(poll(&descriptor, 1, 0), 0);
    while (n > 1)
        zmq_msg_close(&frames[--n]);
    assert_int_equal(outlet_unsent(fixture->outlet), 0);
    assert_int_equal(outlets_unsent(fixture->outlets), 0);
}

static void test_frames_outlive_their_peer(void **state) {
    struct fixture *fixture = *state;
    zmq_msg_t frame;
    add(&fixture->frame, "open", "rest", true, 1);
    finish(fixture, 1, &frame);
    outlet_leave(fixture->outlet);
    fixture->outlet = NULL;
    assert_true(outlets_unsent(fixture->outlets) > 0);
    zmq_msg_close(&frame);
    assert_int_equal(outlets_unsent(fixture->outlets), 0);
}

#define RULE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(test_writes_what_protobuf_writes),
        RULE(test_a_destroyed_half_leaves_a_shorter_length),
        RULE(test_a_full_frame_stays_within_the_wire),
        RULE(test_counts_what_is_not_sent),
        RULE(test_frames_outlive_their_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
