// SPDX-License-Identifier: Apache-2.0
// The rules of schemas/base: arena, clock, UTF-8, base64, log lines, reasons.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schemas/base/arena.h"
#include "schemas/base/base64.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/clock.h"
#include "schemas/base/core_dumps.h"
#include "schemas/base/logging.h"
#include "schemas/base/notify.h"
#include "schemas/base/utf8.h"
#include "schemas/reasons.h"
#include "tests/unit/schemas/cmocka_all.h"

static void test_arena_aligns_and_counts(void **state) {
    (void)state;
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(1 << 20);
    char *first = arena_alloc(arena, 1);
    char *second = arena_alloc(arena, 17);
    assert_int_equal((uintptr_t)first % 16, 0);
    assert_int_equal((uintptr_t)second % 16, 0);
    assert_ptr_not_equal(first, second);
    assert_int_equal(arena_used(arena), 16 + 32);
    arena_reset(arena);
    assert_int_equal(arena_used(arena), 0);
}

static void test_arena_refuses_beyond_its_bound(void **state) {
    (void)state;
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(100000);
    size_t taken = 0;
    while (arena_alloc(arena, 1000) != NULL) {
        taken += 1000;
        assert_true(taken <= 100000);
    }
    assert_true(taken > 50000);
    assert_null(arena_alloc(arena, SIZE_MAX));
    assert_null(arena_calloc(arena, SIZE_MAX / 2, 4));
    arena_reset(arena);
    assert_non_null(arena_alloc(arena, 1000));
}

static void test_arena_reset_settles_in_one_chunk(void **state) {
    (void)state;
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(8 << 20);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 1000; i++) {
            memset(arena_alloc(arena, 999), i, 999);
        }
        arena_reset(arena);
    }
    void *before = arena_alloc(arena, 64);
    arena_reset(arena);
    assert_ptr_equal(arena_alloc(arena, 64), before);
}

static void test_arena_gives_from_both_ends(void **state) {
    (void)state;
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(1 << 20);
    uint8_t *end = NULL;
    assert_null(arena_back(arena, 100, &end));
    memset(arena_alloc(arena, 16), 'a', 16);
    uint8_t *front = arena_alloc(arena, 16);
    memset(front, 'a', 16);
    uint8_t *begin = arena_back(arena, 100, &end);
    assert_int_equal(end - begin, 100);
    memset(begin, 'b', 100);
    arena_take_back(arena, begin, end, 7);
    assert_int_equal(arena_used(arena), 32 + 7);
    uint8_t *second_end;
    begin = arena_back(arena, SIZE_MAX, &second_end);
    assert_ptr_equal(second_end, end - 7);
    assert_ptr_equal(begin, front + 16);
    arena_take_back(arena, begin, second_end, 0);
    // What is left in the middle is given once; then the chunk is full, from either end.
    for (size_t left = (size_t)(second_end - begin); left >= 16; left -= 16) {
        uint8_t *more = arena_alloc(arena, 16);
        assert_true(more >= begin && more + 16 <= second_end);
        memset(more, 'c', 16);
    }
    uint8_t *elsewhere = arena_alloc(arena, 16);
    assert_true(elsewhere < front || elsewhere >= end);
    for (int i = 1; i <= 7; i++) {
        assert_int_equal(end[-i], 'b');
    }
    for (int i = 0; i < 16; i++) {
        assert_int_equal(front[i], 'a');
    }
    arena_reset(arena);
    begin = arena_back(arena, SIZE_MAX, &end);
    assert_true((size_t)(end - begin) >= 960);
    arena_take_back(arena, begin, end, (size_t)(end - begin));
    assert_null(arena_back(arena, 1, &end));
}

static void test_arena_goes_back_to_a_mark(void **state) {
    (void)state;
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(1 << 20);
    struct arena_mark at_first = arena_mark(arena);
    char *kept = arena_strdup(arena, "kept");
    uint8_t *end;
    uint8_t *begin = arena_back(arena, 100, &end);
    memset(begin, 'k', 100);
    arena_take_back(arena, begin, end, 100);
    for (int round = 0; round < 100; round++) { // a megabyte would not do, were it not free again
        struct arena_mark mark = arena_mark(arena);
        memset(arena_alloc(arena, 100), 'x', 100);
        memset(arena_alloc(arena, 100000), 'x', 100000);
        uint8_t *other_end;
        uint8_t *other = arena_back(arena, 10, &other_end);
        if (other != NULL) {
            arena_take_back(arena, other, other_end, 10);
        }
        arena_rewind(arena, &mark);
    }
    assert_int_equal(arena_used(arena), 16 + 100);
    assert_string_equal(kept, "kept");
    assert_int_equal(begin[0], 'k');
    assert_int_equal(end[-1], 'k');
    arena_rewind(arena, &at_first);
    assert_int_equal(arena_used(arena), 0);
}

static void test_arena_keeps_text(void **state) {
    (void)state;
    _cleanup_(cleanup_arena) struct arena *arena = arena_new(1 << 20);
    assert_string_equal(arena_printf(arena, "%s-%d", "order", 17), "order-17");
    assert_string_equal(arena_strdup(arena, "x"), "x");
    assert_non_null(arena_copy(arena, NULL, 0));
}

static void test_rfc3339_reads_what_the_rfc_shows(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1985-04-12T23:20:50.52Z", INT64_C(482196050520000)},
        {"1996-12-19T16:39:57-08:00", INT64_C(851042397000000)},
        {"1990-12-31T23:59:60Z", INT64_C(662688000000000)},
        {"1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130000)},
        {"2026-11-21t19:19:35.123456789z", INT64_C(1795288775123456)},
        {"0000-01-01T00:00:00Z", CLOCK_US_MIN},
        {"9999-12-31T23:59:59.999999Z", CLOCK_US_MAX},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = -1;
        assert_int_equal(clock_parse_rfc3339(rows[i].text, &us), 0);
        assert_int_equal(us, rows[i].us);
    }
}

static void test_rfc3339_refuses_everything_else(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",
        "2026",
        "2026-11-21",
        "2026-11-21T10:00:00",
        "2026-11-21 10:00:00Z",
        "2026-11-21T10:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T10:60:00Z",
        "2026-11-21T10:00:61Z",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00.1234567890Z",
        "2026-11-21T10:00:00+0100",
        "2026-11-21T10:00:00+24:00",
        "2026-11-21T10:00:00Zx",
        "0000-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = 7;
        assert_int_equal(clock_parse_rfc3339(rows[i], &us), -EINVAL);
        assert_int_equal(us, 7);
    }
}

static void test_rfc3339_round_trips_to_the_microsecond(void **state) {
    (void)state;
    char text[CLOCK_TEXT_BYTES];
    uint64_t seed = 7;
    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
        int64_t us = CLOCK_US_MIN + (int64_t)(seed % (uint64_t)(CLOCK_US_MAX - CLOCK_US_MIN));
        us -= i % 3 == 0 ? us % CLOCK_US_PER_S : 0;
        int64_t back = 0;
        clock_format_rfc3339(us, text);
        assert_int_equal(clock_parse_rfc3339(text, &back), 0);
        assert_int_equal(back, us);
    }
    assert_string_equal(clock_format_rfc3339(-1, text), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(clock_format_rfc3339(1500000, text), "1970-01-01T00:00:01.500Z");
    assert_string_equal(clock_format_rfc3339(INT64_MIN, text), "0000-01-01T00:00:00Z");
    assert_string_equal(clock_format_rfc3339(INT64_MAX, text), "9999-12-31T23:59:59.999999Z");
}

static void test_durations_have_units(void **state) {
    (void)state;
    int64_t us = 0;
    assert_int_equal(clock_parse_duration("250ms", &us), 0);
    assert_int_equal(us, 250000);
    assert_int_equal(clock_parse_duration("7d", &us), 0);
    assert_int_equal(us, INT64_C(604800000000));
    static const char *const wrong[] = {
        "", "5", "s", "-1s", "1.5s", "1 s", "1w", "99999999999d", "99999999999999999999s"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(clock_parse_duration(wrong[i], &us), -EINVAL);
    }
}

// The definition, straight from the standard: decode, then ask for the shortest form.
static bool reference_utf8(const uint8_t *at, size_t size) {
    static const uint32_t least[] = {0, 1, 0x80, 0x800, 0x10000};
    while (size > 0) {
        size_t n = *at < 0x80 ? 1 : *at >> 5 == 6 ? 2 : *at >> 4 == 14 ? 3 : *at >> 3 == 30 ? 4 : 0;
        if (n == 0 || n > size) {
            return false;
        }
        uint32_t code = n == 1 ? *at : *at & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
            if (at[i] >> 6 != 2) {
                return false;
            }
            code = code << 6 | (at[i] & 0x3fU);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
        at += n;
        size -= n;
    }
    return true;
}

static void test_utf8_agrees_with_the_standard(void **state) {
    (void)state;
    static const uint8_t interesting[] = {0x00, 0x01, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                          0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                          0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    enum { N = sizeof(interesting) };
    for (size_t i = 0; i < (size_t)N * N * N * N; i++) {
        // Amid ASCII: across and within the eight bytes that are looked at together.
        uint8_t bytes[19] = "abcdefgwxyzabcdefgh";
        for (size_t k = 0, rest = i; k < 4; k++, rest /= N) {
            bytes[(i % 2 == 0 ? 5 : 11) + k] = interesting[rest % N];
        }
        bool well_formed = reference_utf8(bytes, sizeof(bytes));
        bool control = false;
        for (size_t k = 0; k < sizeof(bytes); k++) {
            bool c1 = k > 0 && bytes[k - 1] == 0xc2 && bytes[k] < 0xa0;
            control = control || bytes[k] < 0x20 || bytes[k] == 0x7f || c1;
        }
        assert_int_equal(utf8_check(bytes, sizeof(bytes)), well_formed);
        assert_int_equal(utf8_check_printable(bytes, sizeof(bytes)), well_formed && !control);
    }
    uint8_t text[20]; // short ones, which are looked at in other pieces: one byte is not theirs
    for (size_t size = 1; size <= sizeof(text); size++) {
        memset(text, 'a', sizeof(text));
        assert_true(utf8_check(text, size) && utf8_check_printable(text, size));
        for (size_t i = 0; i < size; i++) {
            text[i] = '\n';
            assert_true(utf8_check(text, size) && !utf8_check_printable(text, size));
            text[i] = 0x80;
            assert_true(!utf8_check(text, size) && !utf8_check_printable(text, size));
            text[i] = '\0';
            assert_true(!utf8_check(text, size) && !utf8_check_printable(text, size));
            text[i] = 'a';
        }
    }
    assert_true(utf8_check("", 0));
    assert_false(utf8_check_printable("a\nb", 3));
    assert_false(utf8_check_printable("a\xc2\x9b", 3));
    assert_true(utf8_check_printable("caf\xc3\xa9\xc2\xa0", 7));
}

static void test_base64_has_one_spelling(void **state) {
    (void)state;
    static const struct {
        const char *plain, *coded;
    } rows[] = {{"", ""},
                {"f", "Zg=="},
                {"fo", "Zm8="},
                {"foo", "Zm9v"},
                {"foob", "Zm9vYg=="},
                {"fooba", "Zm9vYmE="},
                {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        _cleanup_free_ char *coded = base64_encode(rows[i].plain, strlen(rows[i].plain));
        assert_string_equal(coded, rows[i].coded);
        _cleanup_free_ uint8_t *back = NULL;
        size_t size = 99;
        assert_int_equal(base64_decode(coded, strlen(coded), &back, &size), 0);
        assert_int_equal(size, strlen(rows[i].plain));
        assert_memory_equal(back, rows[i].plain, size);
    }
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm-_", "=Zg="};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t *back = NULL;
        size_t size;
        assert_int_equal(base64_decode(wrong[i], strlen(wrong[i]), &back, &size), -EINVAL);
        assert_null(back);
    }
}

// Runs a logging call with stderr in a pipe and gives back what it wrote.
static size_t logged(char *text, size_t size, const char *argument) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int kept = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    logging_info("path=%s", argument);
    logging_debug("never=shown");
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[1]);
    ssize_t n = read(ends[0], text, size - 1);
    close(ends[0]);
    assert_true(n > 0);
    text[n] = '\0';
    return (size_t)n;
}

static void test_log_lines_are_one_escaped_line(void **state) {
    (void)state;
    char text[8192];
    logging_init("unit", LOGGING_INFO);
    logged(text, sizeof(text), "a\nb\x1b[31m\xc2\x9b");
    assert_non_null(strstr(text, " info unit path=a\\x0ab\\x1b[31m\\xc2\\x9b\n"));
    assert_null(strstr(text, "never"));
    char long_text[6000];
    memset(long_text, '\n', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    size_t n = logged(text, sizeof(text), long_text);
    assert_true(n < 2300);
    assert_string_equal(text + n - 4, "...\n");
}

static void test_levels_have_names(void **state) {
    (void)state;
    enum logging_level level = LOGGING_INFO;
    assert_int_equal(logging_level_parse("debug", &level), 0);
    assert_int_equal(level, LOGGING_DEBUG);
    assert_int_equal(logging_level_parse("loud", &level), -EINVAL);
    assert_int_equal(level, LOGGING_DEBUG);
}

static void test_reasons_are_unique_and_never_missing(void **state) {
    (void)state;
    size_t n;
    const struct reason *rows = reasons_rows(&n);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(reason_find(rows[i].code), &rows[i]);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(rows[i].name, rows[k].name);
        }
        assert_true(i == 0 || rows[i].code > rows[i - 1].code);
        assert_true(rows[i].text[0] != '\0');
    }
    assert_string_equal(reason_find(77777)->name, "unknown");
    assert_string_equal(reason_find(REASON_NUMBER_GAP)->name, "number-gap");
}

// In a child, as nothing takes it back. Its status says what holds there.
static int status_of_child(const char *allowed) {
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {1, 1};
        if (allowed != NULL) {
            setenv("TOUCHBUS_CORE_DUMPS", allowed, 1);
        }
        core_dumps_forbid();
        int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
        getrlimit(RLIMIT_CORE, &limit);
        _exit(dumpable == 0 && limit.rlim_max == 0 ? 0 : dumpable == 1 ? 1 : 2);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WEXITSTATUS(status);
}

static void test_a_crash_writes_no_core_unless_told_to(void **state) {
    (void)state;
    unsetenv("TOUCHBUS_CORE_DUMPS");
    assert_int_equal(status_of_child(NULL), 0);
    assert_int_equal(status_of_child("yes"), 0);
    assert_int_equal(status_of_child("1"), 1);
}

static void test_the_service_manager_is_told_where_there_is_one(void **state) {
    (void)state;
    static const char *const told[] = {"READY=1", "STOPPING=1"};
    char name[64] = "@touchbus-test-";
    snprintf(name + strlen(name), sizeof(name) - strlen(name), "%ld", (long)getpid());
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    setenv("NOTIFY_SOCKET", name, 1);
    notify_ready();
    notify_stopping();
    unsetenv("NOTIFY_SOCKET");
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        char text[64] = "";
        assert_int_equal(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT), strlen(told[i]));
        assert_string_equal(text, told[i]);
    }
    assert_int_equal(recv(fd, name, sizeof(name), MSG_DONTWAIT), -1); // nothing without a socket
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_aligns_and_counts),
        cmocka_unit_test(test_arena_refuses_beyond_its_bound),
        cmocka_unit_test(test_arena_reset_settles_in_one_chunk),
        cmocka_unit_test(test_arena_gives_from_both_ends),
        cmocka_unit_test(test_arena_goes_back_to_a_mark),
        cmocka_unit_test(test_arena_keeps_text),
        cmocka_unit_test(test_rfc3339_reads_what_the_rfc_shows),
        cmocka_unit_test(test_rfc3339_refuses_everything_else),
        cmocka_unit_test(test_rfc3339_round_trips_to_the_microsecond),
        cmocka_unit_test(test_durations_have_units),
        cmocka_unit_test(test_utf8_agrees_with_the_standard),
        cmocka_unit_test(test_base64_has_one_spelling),
        cmocka_unit_test(test_log_lines_are_one_escaped_line),
        cmocka_unit_test(test_levels_have_names),
        cmocka_unit_test(test_a_crash_writes_no_core_unless_told_to),
        cmocka_unit_test(test_the_service_manager_is_told_where_there_is_one),
        cmocka_unit_test(test_reasons_are_unique_and_never_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
