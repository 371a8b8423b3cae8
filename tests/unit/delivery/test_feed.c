// SPDX-License-Identifier: Apache-2.0
// What the feed hands out of people who were erased: open halves flagged redacted, also where it
// had unsealed them before; and nothing that names them in somebody else's event.
#include "../stores/support.h"
#include "../stores/ticks.h"

#include <stdlib.h>
#include <string.h>

#include "broker/delivery/feed.h"
#include "broker/stores/state.h"
#include "touchbus.pb-c.h"

enum { EVENTS = 4 };

struct scene {
    struct broker *broker;
    struct feed *feed;
    struct outlets *outlets;
    struct outlet *outlet;
};

static void open_scene(const char *dir, struct scene *ret) {
    struct broker *broker = calloc(1, sizeof(*broker));
    broker->configuration.state = strdup(support_path(dir, "state"));
    broker->configuration.log_map_bytes = broker->configuration.view_map_bytes = 1 << 28;
    assert_int_equal(state_open(broker), 0);
    ticks_one(broker, EVENTS);
    atomic_store(&broker->visible, EVENTS);
    *ret = (struct scene){.broker = broker};
    assert_int_equal(feed_new(broker, &ret->feed), 0);
    assert_int_equal(outlets_new(&ret->outlets), 0);
    ret->outlet = outlet_new(ret->outlets);
}

static void close_scene(struct scene *scene) {
    feed_free(scene->feed);
    outlet_leave(scene->outlet);
    outlets_leave(scene->outlets);
    state_close(scene->broker, false);
    free(scene->broker->configuration.state);
    free(scene->broker);
}

// The event as a subscriber gets it; between feed_begin and feed_end.
static Touchbus__Event *hand_out(struct scene *scene, uint64_t sequence) {
    static const uint8_t incarnation[INCARNATION_BYTES] = {1};
    struct frame frame = {0};
    const struct block_head *block;
    struct block_entry entry;
    zmq_msg_t message;
    assert_int_equal(feed_entry(scene->feed, sequence, &block, &entry, NULL), 0);
    assert_int_equal(feed_write(scene->feed, block, &entry, 1, &frame), 0);
    assert_int_equal(frame_finish(&frame, incarnation, 1, scene->outlet, &message), 0);
    Touchbus__BrokerMessage *sent =
        touchbus__broker_message__unpack(NULL, zmq_msg_size(&message), zmq_msg_data(&message));
    assert_non_null(sent);
    assert_int_equal(sent->delivery->n_events, 1);
    const ProtobufCBinaryData *bytes = &sent->delivery->events[0];
    Touchbus__Event *event = touchbus__event__unpack(NULL, bytes->len, bytes->data);
    assert_non_null(event);
    touchbus__broker_message__free_unpacked(sent, NULL);
    zmq_msg_close(&message);
    return event;
}

static void expect(struct scene *scene, uint64_t sequence, bool redacted) {
    Touchbus__Event *event = hand_out(scene, sequence);
    assert_int_equal(event->sequence, sequence);
    assert_int_equal(event->redacted, redacted);
    assert_int_equal(event->n_keys, redacted ? 0 : 1);
    assert_int_equal(strlen(event->subject) == 0, redacted);
    touchbus__event__free_unpacked(event, NULL);
}

static void test_an_erased_person_s_events_are_open_halves(void **state) {
    struct scene scene;
    open_scene(*state, &scene);
    assert_int_equal(keys_destroy(scene.broker->keys, 2, 1), 0); // of the first event
    assert_int_equal(feed_begin(scene.feed), 0);
    expect(&scene, 1, true);
    expect(&scene, 2, false);
    feed_end(scene.feed);
    close_scene(&scene);
}

static void test_what_was_unsealed_before_does_not_outlive_the_key(void **state) {
    struct scene scene;
    open_scene(*state, &scene);
    assert_int_equal(feed_begin(scene.feed), 0);
    feed_share(scene.feed, true, 1);
    expect(&scene, 1, false);
    assert_int_equal(keys_destroy(scene.broker->keys, 2, 1), 0);
    expect(&scene, 1, true); // in the same slice
    feed_end(scene.feed);
    assert_int_equal(feed_begin(scene.feed), 0);
    feed_share(scene.feed, true, 2);
    expect(&scene, 1, true);
    expect(&scene, 2, false);
    feed_forget(scene.feed);
    expect(&scene, 2, false);
    feed_end(scene.feed);
    close_scene(&scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_erased_person_s_events_are_open_halves,
                                        support_setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_what_was_unsealed_before_does_not_outlive_the_key,
                                        support_setup, support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
