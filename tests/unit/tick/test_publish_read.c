// SPDX-License-Identifier: Apache-2.0
// A frame at the publish endpoint: what is wrong with it as a whole is a typed refusal that names
// the request, and nothing of it goes on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tick/publish_read.h"
#include "schemas/envelope.h"
#include "schemas/limits.h"
#include "schemas/reasons.h"

enum { REQUEST = 7 };

static struct arena *arena;

static int setup(void **state) {
    (void)state;
    arena = arena_new(64 << 20);
    return arena == NULL;
}

static int teardown(void **state) {
    (void)state;
    arena = arena_free(arena);
    return 0;
}

static int read_bytes(const void *bytes, size_t size, unsigned n_frames, struct request *ret) {
    zmq_msg_t frame;
    assert_int_equal(zmq_msg_init_size(&frame, size), 0);
    memcpy(zmq_msg_data(&frame), bytes, size);
    *ret = (struct request){.n_events = 0};
    int code = publish_read(ret, &frame, n_frames, arena);
    zmq_msg_close(&frame);
    assert_int_equal(ret->reply.code, code);
    assert_true((code == 0) == (*ret->reply.detail == '\0'));
    return code;
}

static int read_request(const Touchbus__PublishRequest *message, unsigned n_frames,
                        struct request *ret) {
    const uint8_t *bytes;
    size_t size;
    assert_int_equal(envelope_pack(&message->base, arena, &bytes, &size), 0);
    int code = read_bytes(bytes, size, n_frames, ret);
    assert_int_equal(ret->reply.request, n_frames == 1 ? REQUEST : 0);
    return code;
}

static Touchbus__PublishRequest make_request(void) {
    Touchbus__PublishRequest message;
    touchbus__publish_request__init(&message);
    message.version = WIRE_VERSION;
    message.request = REQUEST;
    return message;
}

static void test_a_request_is_one_frame(void **state) {
    (void)state;
    Touchbus__PublishRequest message = make_request();
    struct request request;
    assert_int_equal(read_request(&message, 1, &request), 0);
    assert_int_equal(read_request(&message, 0, &request), REASON_BAD_FRAME);
    assert_int_equal(read_request(&message, 2, &request), REASON_BAD_FRAME);
    assert_int_equal(read_request(&message, 500, &request), REASON_BAD_FRAME);
}

static void test_another_version_and_no_message_are_refused(void **state) {
    (void)state;
    Touchbus__PublishRequest message = make_request();
    struct request request;
    message.version = WIRE_VERSION + 1;
    assert_int_equal(read_request(&message, 1, &request), REASON_BAD_VERSION);
    assert_int_equal(read_bytes("\xff\xff", 2, 1, &request), REASON_BAD_FRAME);
    assert_int_equal(read_bytes("", 0, 1, &request), REASON_BAD_VERSION);
}

static void test_events_in_a_request_are_bounded(void **state) {
    (void)state;
    static ProtobufCBinaryData events[REQUEST_EVENTS_MAX + 1];
    Touchbus__PublishRequest message = make_request();
    struct request request;
    message.events = events;
    message.n_events = REQUEST_EVENTS_MAX;
    assert_int_equal(read_request(&message, 1, &request), 0);
    message.n_events = REQUEST_EVENTS_MAX + 1;
    assert_int_equal(read_request(&message, 1, &request), REASON_TOO_LARGE);
}

static void test_numbers_stay_below_their_end(void **state) {
    (void)state;
    static const struct {
        uint64_t number;
        int code;
    } rows[] = {
        {1, 0},
        {INT64_MAX - REQUEST_EVENTS_MAX, 0},
        {0, REASON_BAD_ARGUMENT},
        {INT64_MAX, REASON_BAD_ARGUMENT},
        {(uint64_t)INT64_MAX + 1, REASON_BAD_ARGUMENT},
        {UINT64_MAX, REASON_BAD_ARGUMENT},
    };
    char name[] = "crm";
    ProtobufCBinaryData event = {0};
    Touchbus__PublishRequest message = make_request();
    message.producer = name;
    message.events = &event;
    message.n_events = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request request;
        message.number = rows[i].number;
        assert_int_equal(read_request(&message, 1, &request), rows[i].code);
    }
}

static void test_a_producers_name_fits_its_row(void **state) {
    (void)state;
    char name[NAME_BYTES_MAX + 2];
    Touchbus__PublishRequest message = make_request();
    struct request request;
    memset(name, 'p', sizeof(name));
    name[NAME_BYTES_MAX] = '\0';
    message.producer = name;
    assert_int_equal(read_request(&message, 1, &request), 0);
    name[3] = '\n';
    assert_int_equal(read_request(&message, 1, &request), REASON_BAD_ARGUMENT);
    memset(name, 'p', sizeof(name));
    name[NAME_BYTES_MAX + 1] = '\0';
    assert_true(read_request(&message, 1, &request) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_request_is_one_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_version_and_no_message_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_events_in_a_request_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers_stay_below_their_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_producers_name_fits_its_row, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
