// SPDX-License-Identifier: Apache-2.0
// A customer's timeline is read page by page, whole and in order, and no page reads what earlier
// ones have read: a customer with a million events costs what they cost, not their square.
#include "../stores/support.h"
#include "../stores/ticks.h"

#include <stdlib.h>
#include <string.h>

#include "broker/delivery/feed.h"
#include "broker/stores/state.h"
#include "view.pb-c.h"

enum { TICKS = 50, CUSTOMER = 7 };

static unsigned n_unpacked; // runs

View__Run *__real_view__run__unpack(ProtobufCAllocator *allocator, size_t size,
                                    const uint8_t *bytes);
View__Run *__wrap_view__run__unpack(ProtobufCAllocator *allocator, size_t size,
                                    const uint8_t *bytes);
View__Run *__wrap_view__run__unpack(ProtobufCAllocator *allocator, size_t size,
                                    const uint8_t *bytes) {
    n_unpacked++;
    return __real_view__run__unpack(allocator, size, bytes);
}

static void test_pages_are_whole_and_read_nothing_twice(void **state) {
    struct broker *broker = calloc(1, sizeof(*broker));
    struct feed *feed = NULL;
    assert_non_null(broker);
    broker->configuration.state = strdup(support_path(*state, "state"));
    broker->configuration.log_map_bytes = broker->configuration.view_map_bytes = 1 << 28;
    assert_int_equal(state_open(broker), 0);
    for (int i = 0; i < TICKS; i++) {
        ticks_one(broker, TICKS_EVENTS_MAX);
    }
    assert_int_equal(feed_new(broker, &feed), 0);
    const uint64_t n_events = (uint64_t)TICKS * TICKS_EVENTS_MAX;
    for (size_t page = 1; page < 40; page += 6) {
        uint64_t after = 0, upto = 0, expected = CUSTOMER - 1;
        unsigned n_pages = 0;
        n_unpacked = 0;
        do {
            uint64_t sequences[40];
            size_t n = 0;
            assert_int_equal(feed_begin(feed), 0);
            assert_int_equal(feed_customer(feed, CUSTOMER, after, sequences, page, &n, &upto), 0);
            feed_end(feed);
            for (size_t i = 0; i < n; i++, expected += TICKS_CUSTOMERS) {
                assert_int_equal(sequences[i], expected);
            }
            assert_true(upto > after);
            after = upto;
            n_pages++;
        } while (after < n_events);
        assert_true(expected > n_events);
        // The one that the page before ended in, those that the page takes, and the next one.
        assert_true(n_unpacked <= n_pages * (page / 16 + 3));
    }
    feed_free(feed);
    state_close(broker, false);
    free(broker->configuration.state);
    free(broker);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages_are_whole_and_read_nothing_twice, support_setup,
                                        support_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
