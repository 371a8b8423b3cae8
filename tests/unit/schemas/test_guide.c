// SPDX-License-Identifier: Apache-2.0
// The guide to the wire says what the code says: its tables of reasons and limits.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/limits.h"
#include "schemas/reasons.h"
#include "tests/unit/schemas/cmocka_all.h"

enum { GUIDE_BYTES_MAX = 256 << 10 };
static char *guide;

static int set_up(void **state) {
    (void)state;
    FILE *file = fopen(TOUCHBUS_GUIDE, "re");
    guide = calloc(1, GUIDE_BYTES_MAX);
    if (file == NULL || guide == NULL) {
        return -1;
    }
    size_t n = fread(guide, 1, GUIDE_BYTES_MAX - 1, file);
    fclose(file);
    return n > 0 && n < GUIDE_BYTES_MAX - 1 ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    free(guide);
    return 0;
}

static size_t count_rows(const char *heading) {
    const char *at = strstr(guide, heading);
    assert_non_null(at);
    at = strstr(at, "|---|");
    assert_non_null(at);
    size_t n = 0;
    while ((at = strchr(at, '\n')) != NULL && at[1] == '|') {
        at++;
        n++;
    }
    return n;
}

static void test_the_guide_lists_every_reason_as_it_is(void **state) {
    (void)state;
    size_t n;
    const struct reason *rows = reasons_rows(&n);
    for (size_t i = 0; i < n; i++) {
        char line[512];
        snprintf(line, sizeof(line), "\n| %u | %s | %s | %s |\n", rows[i].code, rows[i].name,
                 rows[i].retryable ? "yes" : "no", rows[i].text);
        if (strstr(guide, line) == NULL) {
            fail_msg("missing or different: %s", line);
        }
    }
    assert_int_equal(count_rows("## Reason codes"), n);
}

static void test_the_guide_lists_limits_as_they_are(void **state) {
    (void)state;
#define LIMIT(name)                                                                                \
    { #name, name }
    static const struct {
        const char *name;
        int value;
    } rows[] = {
        LIMIT(EVENT_BYTES_MAX),
        LIMIT(FRAME_BYTES_MAX),
        LIMIT(REQUEST_EVENTS_MAX),
        LIMIT(DELIVERY_EVENTS_MAX),
        LIMIT(SETTLE_MAX),
        LIMIT(SUBSCRIBE_CREDIT_MAX),
        LIMIT(ID_BYTES_MAX),
        LIMIT(NAME_BYTES_MAX),
        LIMIT(IDENTITY_VALUE_BYTES_MAX),
        LIMIT(EVENT_IDENTITIES_MAX),
        LIMIT(EVENT_EXTENSIONS_MAX),
        LIMIT(EXTENSION_TEXT_BYTES_MAX),
        LIMIT(FILTER_PATTERNS_MAX),
        LIMIT(QUERY_ARGUMENTS_MAX),
        LIMIT(ARGUMENT_VALUE_BYTES_MAX),
        LIMIT(BODY_DEPTH_MAX),
        LIMIT(BODY_ITEMS_MAX),
        LIMIT(BODY_OPEN_KEYS_MAX),
        LIMIT(BEAT_MS),
        LIMIT(MEMBER_LAPSE_MS),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "\n| %s | %d | ", rows[i].name, rows[i].value);
        if (strstr(guide, line) == NULL) {
            fail_msg("missing or different: %s", line);
        }
    }
    assert_int_equal(count_rows("## Limits"), sizeof(rows) / sizeof(rows[0]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_guide_lists_every_reason_as_it_is),
        cmocka_unit_test(test_the_guide_lists_limits_as_they_are),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
