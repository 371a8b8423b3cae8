// SPDX-License-Identifier: Apache-2.0
// Where a broker is, as people write it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "connectors/client/endpoint.h"

static void test_each_endpoint_is_the_next_port(void **state) {
    (void)state;
    char text[ENDPOINT_BYTES_MAX];
    assert_int_equal(endpoint_format("bus.example:7400", ENDPOINT_PUBLISH, text), 0);
    assert_string_equal(text, "tcp://bus.example:7400");
    assert_int_equal(endpoint_format("bus.example:7400", ENDPOINT_SUBSCRIBE, text), 0);
    assert_string_equal(text, "tcp://bus.example:7401");
    assert_int_equal(endpoint_format("bus.example", ENDPOINT_QUERY, text), 0);
    assert_string_equal(text, "tcp://bus.example:7402");
}

static void test_ipv6_stands_in_brackets(void **state) {
    (void)state;
    char text[ENDPOINT_BYTES_MAX];
    assert_int_equal(endpoint_format("[::1]:9000", ENDPOINT_SUBSCRIBE, text), 0);
    assert_string_equal(text, "tcp://[::1]:9001");
    assert_int_equal(endpoint_format("[::1", ENDPOINT_PUBLISH, text), -EINVAL);
    assert_int_equal(endpoint_format("::1", ENDPOINT_PUBLISH, text), -EINVAL);
}

static void test_ipc_is_a_folder(void **state) {
    (void)state;
    char text[ENDPOINT_BYTES_MAX];
    assert_int_equal(endpoint_format("ipc:///run/touchbus", ENDPOINT_QUERY, text), 0);
    assert_string_equal(text, "ipc:///run/touchbus/query");
    assert_int_equal(endpoint_format("ipc://", ENDPOINT_QUERY, text), -EINVAL);
}

static void test_the_environment_says_where_when_nobody_else_does(void **state) {
    (void)state;
    char text[ENDPOINT_BYTES_MAX];
    unsetenv("TOUCHBUS_BROKER");
    assert_int_equal(endpoint_format(NULL, ENDPOINT_PUBLISH, text), 0);
    assert_string_equal(text, "tcp://127.0.0.1:7400");
    setenv("TOUCHBUS_BROKER", "elsewhere:1234", 1);
    assert_int_equal(endpoint_format(NULL, ENDPOINT_PUBLISH, text), 0);
    assert_string_equal(text, "tcp://elsewhere:1234");
    assert_int_equal(endpoint_format("here:1", ENDPOINT_PUBLISH, text), 0);
    assert_string_equal(text, "tcp://here:1");
    unsetenv("TOUCHBUS_BROKER");
}

static void test_what_is_no_address_is_refused(void **state) {
    (void)state;
    char text[ENDPOINT_BYTES_MAX];
    const char *const wrong[] = {":7400",   "host:",   "host:0",    "host:65534", "host:7400x",
                                 "ho st:1", "host:-1", "tcp://h:1", "host:1:2",   "host; rm:1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(endpoint_format(wrong[i], ENDPOINT_PUBLISH, text), -EINVAL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_endpoint_is_the_next_port),
        cmocka_unit_test(test_ipv6_stands_in_brackets),
        cmocka_unit_test(test_ipc_is_a_folder),
        cmocka_unit_test(test_the_environment_says_where_when_nobody_else_does),
        cmocka_unit_test(test_what_is_no_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
