// SPDX-License-Identifier: Apache-2.0
// Where a broker is, as people write it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// What a thread asked of the scheduler (sched_getattr(2)); 0: a kernel that does not say.
static uint64_t slice_ns(long thread) {
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = sizeof(attributes)};
    long r = syscall(SYS_sched_getattr, thread, &attributes, sizeof(attributes), 0);
    return r == 0 ? attributes.runtime : 0;
}

enum { THREADS_MAX = 32 };

// The process's threads, as many as there are. By number: a thread names itself, when it runs.
static size_t list_threads(long ret[static THREADS_MAX]) {
    DIR *threads = opendir("/proc/self/task");
    assert_non_null(threads);
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        long number = strtol(entry->d_name, NULL, 10);
        if (number > 0 && n < THREADS_MAX) {
            ret[n++] = number;
        }
    }
    closedir(threads);
    return n;
}

static bool has(const long *threads, size_t n, long thread) {
    while (n > 0 && threads[n - 1] != thread) {
        n--;
    }
    return n > 0;
}

static void test_the_threads_are_prompt_and_the_caller_stays_as_it_is(void **state) {
    (void)state;
    uint64_t own_ns = slice_ns(0);
    struct keys keys = {0};
    struct handshake handshake = {0};
    struct endpoint_options options = {.keys = &keys, .handshake = &handshake, .hwm = 1};
    void *socket = NULL;
    long before[THREADS_MAX], now[THREADS_MAX];
    if (own_ns == 0) {
        skip();
    }
    size_t n_before = list_threads(before);
    assert_int_equal(endpoint_connect("ipc:///nonexistent/query", &options, &socket), 0);
    assert_int_equal(slice_ns(0), own_ns);
    size_t n_now = list_threads(now), n_new = 0;
    for (size_t i = 0; i < n_now; i++) {
        if (!has(before, n_before, now[i])) {
            assert_true(slice_ns(now[i]) < own_ns);
            n_new++;
        }
    }
    assert_true(n_new > 0);
    endpoint_close(socket, &handshake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_endpoint_is_the_next_port),
        cmocka_unit_test(test_ipv6_stands_in_brackets),
        cmocka_unit_test(test_ipc_is_a_folder),
        cmocka_unit_test(test_the_environment_says_where_when_nobody_else_does),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_the_threads_are_prompt_and_the_caller_stays_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
