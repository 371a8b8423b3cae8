// SPDX-License-Identifier: Apache-2.0
// Text to member and back, a function a type. What goes in as text comes out as text that goes in
// again.
#include "broker/policy/policy_value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schemas/base/clock.h"
#include "schemas/base/guards.h"
#include "schemas/base/money.h"

enum { TEXT_SHOWN_MAX = 60 };

static const struct {
    const char *expected;
    bool negative; // where the row has no bounds
} types[] = {
    [POLICY_TEXT] = {"a text", false},
    [POLICY_TEXT_OR_NOT] = {"a text", false},
    [POLICY_NUMBER] = {"a whole number", false},
    [POLICY_SIGNED] = {"a whole number", true},
    [POLICY_REAL] = {"a number such as 0.8", false},
    [POLICY_REAL_OR_NOT] = {"a number such as 0.8", true},
    [POLICY_FLAG] = {"true or false", false},
    [POLICY_MONEY] = {"an amount such as 4.20", false},
    [POLICY_DURATION] = {"a duration such as 15m, 36h or 30d", false},
    [POLICY_CLOCK] = {"a time of day such as 21:00", false},
    [POLICY_TIME] = {"a time such as 2026-12-01T00:00:00+01:00", true},
};

__attribute__((format(printf, 2, 3))) static int say(char why[static POLICY_WHY_BYTES],
                                                     const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    vsnprintf(why, POLICY_WHY_BYTES, format, ap);
    va_end(ap);
    return -EINVAL;
}

// ---- texts

static int set_text(const struct policy_row *row, void *object, const char *text,
                    char why[static POLICY_WHY_BYTES]) {
    if (GUARD(policy_words) && row->words != NULL && !row->words->holds(text)) {
        return say(why, "'%.*s' is not %s", TEXT_SHOWN_MAX, text, row->words->expected);
    }
    char **member = policy_member(object, row->offset);
    char *copy = strdup(text);
    if (copy == NULL) {
        return -ENOMEM;
    }
    free(*member);
    *member = copy;
    return 0;
}

// ---- numbers

static int parse_real(const char *text, double *ret) {
    char *end;
    *ret = strtod(text, &end);
    bool digits = strspn(text, "+-.0123456789eE") == strlen(text);
    return end == text || *end != '\0' || !digits || !isfinite(*ret) ? -EINVAL : 0;
}

// In base ten, and not one that a double cannot hold.
static int parse_whole(const char *text, int64_t *ret) {
    char *end;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    bool digits = strspn(text, "-0123456789") == strlen(text);
    return errno != 0 || end == text || *end != '\0' || !digits ? -EINVAL : 0;
}

// HH:MM; 24:00 is the day's end.
static int parse_clock(const char *text, int64_t *ret_us) {
    static const char digits[] = "0123456789";
    if (strlen(text) != 5 || strspn(text, digits) != 2 || text[2] != ':' ||
        strspn(text + 3, digits) != 2) {
        return -EINVAL;
    }
    int hour = (text[0] - '0') * 10 + text[1] - '0';
    int minute = (text[3] - '0') * 10 + text[4] - '0';
    *ret_us = (hour * INT64_C(60) + minute) * 60 * CLOCK_US_PER_S;
    return minute > 59 || hour * 60 + minute > 24 * 60 ? -EINVAL : 0;
}

static int parse(const struct policy_row *row, const char *text, int64_t *ret, double *ret_real) {
    int r = -EINVAL;
    switch (row->type) {
    case POLICY_NUMBER:
    case POLICY_SIGNED:
        r = parse_whole(text, ret);
        break;
    case POLICY_FLAG:
        *ret = strcmp(text, "true") == 0;
        r = *ret != 0 || strcmp(text, "false") == 0 ? 0 : -EINVAL;
        break;
    case POLICY_MONEY:
        r = money_parse(text, strlen(text), ret);
        break;
    case POLICY_DURATION:
        r = clock_parse_duration(text, ret);
        break;
    case POLICY_CLOCK:
        r = parse_clock(text, ret);
        break;
    case POLICY_TIME:
        r = clock_parse_rfc3339(text, ret);
        break;
    case POLICY_REAL:
    case POLICY_REAL_OR_NOT:
        return parse_real(text, ret_real);
    case POLICY_TEXT:
    case POLICY_TEXT_OR_NOT:
    case POLICY_NAMES:
    case POLICY_TEXTS:
    case POLICY_SECTION:
    case POLICY_LIST:
        break;
    }
    *ret_real = (double)*ret;
    return r;
}

// The bounds as the file would have them.
static int say_range(const struct policy_row *row, const char *text,
                     char why[static POLICY_WHY_BYTES]) {
    char low[POLICY_SCALAR_BYTES];
    char high[POLICY_SCALAR_BYTES];
    union {
        int64_t whole;
        double real;
    } member;
    struct policy_row bound = *row;
    bound.offset = 0;
    bool real = row->type == POLICY_REAL || row->type == POLICY_REAL_OR_NOT;
    // A member of its own for each: what is printed is a number or a time, of the row's type.
    bound.type = row->type == POLICY_REAL_OR_NOT ? POLICY_REAL : row->type;
    if (real) {
        member.real = row->min;
    } else {
        member.whole = (int64_t)row->min;
    }
    policy_scalar(&bound, &member, low);
    if (real) {
        member.real = row->max;
    } else {
        member.whole = (int64_t)row->max;
    }
    policy_scalar(&bound, &member, high);
    return say(why, "'%.*s' is out of range (%s to %s)", TEXT_SHOWN_MAX, text, low, high);
}

static bool is_bounded(const struct policy_row *row) {
    return row->min != 0 || row->max != 0;
}

static int keep(const struct policy_row *row, void *member, int64_t whole, double real) {
    double *asked;
    switch (row->type) {
    case POLICY_NUMBER:
        *(unsigned *)member = (unsigned)whole;
        return 0;
    case POLICY_SIGNED:
        *(int *)member = (int)whole;
        return 0;
    case POLICY_FLAG:
        *(bool *)member = whole != 0;
        return 0;
    case POLICY_REAL:
        *(double *)member = real;
        return 0;
    case POLICY_REAL_OR_NOT:
        asked = malloc(sizeof(*asked));
        if (asked == NULL) {
            return -ENOMEM;
        }
        *asked = real;
        free(*(double **)member);
        *(double **)member = asked;
        return 0;
    case POLICY_MONEY:
    case POLICY_DURATION:
    case POLICY_CLOCK:
    case POLICY_TIME:
        *(int64_t *)member = whole;
        return 0;
    case POLICY_TEXT:
    case POLICY_TEXT_OR_NOT:
    case POLICY_NAMES:
    case POLICY_TEXTS:
    case POLICY_SECTION:
    case POLICY_LIST:
        break;
    }
    return -EINVAL;
}

int policy_set(const struct policy_row *row, void *object, const char *text,
               char why[static POLICY_WHY_BYTES]) {
    int64_t whole = 0;
    double real = 0;
    if (row->type == POLICY_TEXT || row->type == POLICY_TEXT_OR_NOT) {
        return set_text(row, object, text, why);
    }
    if (parse(row, text, &whole, &real) != 0) {
        return say(why, "'%.*s' is not %s", TEXT_SHOWN_MAX, text, types[row->type].expected);
    }
    bool low = is_bounded(row) ? real < row->min : real < 0 && !types[row->type].negative;
    if (GUARD(policy_range) && is_bounded(row) && (low || real > row->max)) {
        return say_range(row, text, why);
    }
    if (GUARD(policy_range) && low) {
        return say(why, "'%.*s' is below 0", TEXT_SHOWN_MAX, text);
    }
    return keep(row, policy_member(object, row->offset), whole, real);
}

// ---- back to text

static const char *format_duration(int64_t us, char buffer[static POLICY_SCALAR_BYTES]) {
    static const struct {
        int64_t us;
        const char *unit;
    } units[] = {
        {86400 * CLOCK_US_PER_S, "d"}, {3600 * CLOCK_US_PER_S, "h"}, {60 * CLOCK_US_PER_S, "m"},
        {CLOCK_US_PER_S, "s"},         {CLOCK_US_PER_MS, "ms"},      {1, "us"},
    };
    size_t i = 0;
    while (us % units[i].us != 0) {
        i++;
    }
    i = us == 0 ? 3 : i; // 0s
    snprintf(buffer, POLICY_SCALAR_BYTES, "%" PRId64 "%s", us / units[i].us, units[i].unit);
    return buffer;
}

// As few digits as give the same number.
static const char *format_real(double real, char buffer[static POLICY_SCALAR_BYTES]) {
    enum { DIGITS_ALWAYS_ENOUGH = 17 };
    for (int digits = 1; digits <= DIGITS_ALWAYS_ENOUGH; digits++) {
        snprintf(buffer, POLICY_SCALAR_BYTES, "%.*g", digits, real);
        if (strtod(buffer, NULL) == real) {
            break;
        }
    }
    return buffer;
}

static const char *format_clock(int64_t us, char buffer[static POLICY_SCALAR_BYTES]) {
    int64_t minutes = us / (60 * CLOCK_US_PER_S);
    snprintf(buffer, POLICY_SCALAR_BYTES, "%02" PRId64 ":%02" PRId64, minutes / 60, minutes % 60);
    return buffer;
}

const char *policy_scalar(const struct policy_row *row, const void *object,
                          char buffer[static POLICY_SCALAR_BYTES]) {
    const void *member = policy_look(object, row->offset);
    switch (row->type) {
    case POLICY_TEXT:
    case POLICY_TEXT_OR_NOT:
        return *(char *const *)member;
    case POLICY_NUMBER:
        snprintf(buffer, POLICY_SCALAR_BYTES, "%u", *(const unsigned *)member);
        return buffer;
    case POLICY_SIGNED:
        snprintf(buffer, POLICY_SCALAR_BYTES, "%d", *(const int *)member);
        return buffer;
    case POLICY_FLAG:
        return *(const bool *)member ? "true" : "false";
    case POLICY_REAL:
        return format_real(*(const double *)member, buffer);
    case POLICY_REAL_OR_NOT:
        return *(double *const *)member == NULL ? NULL
                                                : format_real(**(double *const *)member, buffer);
    case POLICY_MONEY:
        return money_format(*(const int64_t *)member, buffer);
    case POLICY_DURATION:
        return format_duration(*(const int64_t *)member, buffer);
    case POLICY_CLOCK:
        return format_clock(*(const int64_t *)member, buffer);
    case POLICY_TIME:
        return *(const int64_t *)member == 0
                   ? NULL
                   : clock_format_rfc3339(*(const int64_t *)member, buffer);
    case POLICY_NAMES:
    case POLICY_TEXTS:
    case POLICY_SECTION:
    case POLICY_LIST:
        break;
    }
    return NULL;
}
