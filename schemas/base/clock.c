// SPDX-License-Identifier: Apache-2.0
// Time as microseconds since 1970 UTC and as RFC 3339 text. Parsing is strict and knows neither
// locale nor time zone. Times that RFC 3339 cannot write are CLOCK_US_MIN's and CLOCK_US_MAX's
// neighbours: formatting clamps them, so that it never fails.
#include "schemas/base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * CLOCK_US_PER_S + now.tv_nsec / 1000;
}

int64_t clock_now_us(void) {
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_coarse_us(void) {
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

int64_t clock_boot_us(void) {
    return read_clock(CLOCK_BOOTTIME);
}

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

// Reads exactly n digits; false and *at unmoved where there are fewer.
static bool read_digits(const char **at, int n, int *ret) {
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit((*at)[i])) {
            return false;
        }
        value = value * 10 + ((*at)[i] - '0');
    }
    *at += n;
    *ret = value;
    return true;
}

static bool read_byte(const char **at, const char *allowed) {
    if (**at == '\0' || strchr(allowed, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

static int month_days(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool read_fraction(const char **at, int64_t *ret_us) {
    enum { NANOSECOND_DIGITS = 9 };
    int64_t us = 0;
    int n = 0;
    for (; is_digit(**at) && n < NANOSECOND_DIGITS; (*at)++, n++) {
        if (n < 6) {
            us = us * 10 + (**at - '0');
        }
    }
    if (n == 0 || is_digit(**at)) {
        return false;
    }
    for (; n < 6; n++) {
        us *= 10;
    }
    *ret_us = us;
    return true;
}

static bool read_offset(const char **at, int64_t *ret_s) {
    if (read_byte(at, "Zz")) {
        *ret_s = 0;
        return true;
    }
    int sign = **at == '-' ? -1 : 1;
    int hours;
    int minutes;
    if (!read_byte(at, "+-") || !read_digits(at, 2, &hours) || !read_byte(at, ":") ||
        !read_digits(at, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *ret_s = (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

int clock_parse_rfc3339(const char *text, int64_t *ret_us) {
    const char *at = text;
    struct tm parts = {0};
    int64_t fraction_us = 0;
    int64_t offset_s = 0;
    int year;
    int month;
    if (!read_digits(&at, 4, &year) || !read_byte(&at, "-") || !read_digits(&at, 2, &month) ||
        !read_byte(&at, "-") || !read_digits(&at, 2, &parts.tm_mday) || !read_byte(&at, "Tt") ||
        !read_digits(&at, 2, &parts.tm_hour) || !read_byte(&at, ":") ||
        !read_digits(&at, 2, &parts.tm_min) || !read_byte(&at, ":") ||
        !read_digits(&at, 2, &parts.tm_sec)) {
        return -EINVAL;
    }
    if (read_byte(&at, ".") && !read_fraction(&at, &fraction_us)) {
        return -EINVAL;
    }
    if (!read_offset(&at, &offset_s) || *at != '\0') {
        return -EINVAL;
    }
    // A leap second (60) is allowed by the RFC and counts as the first second of the next minute.
    if (month < 1 || month > 12 || parts.tm_mday < 1 || parts.tm_mday > month_days(year, month) ||
        parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60) {
        return -EINVAL;
    }
    parts.tm_year = year - 1900;
    parts.tm_mon = month - 1;
    int64_t us = ((int64_t)timegm(&parts) - offset_s) * CLOCK_US_PER_S + fraction_us;
    if (us < CLOCK_US_MIN || us > CLOCK_US_MAX) {
        return -EINVAL;
    }
    *ret_us = us;
    return 0;
}

char *clock_format_rfc3339(int64_t time_us, char buffer[static CLOCK_TEXT_BYTES]) {
    int64_t us = time_us < CLOCK_US_MIN ? CLOCK_US_MIN : time_us;
    us = us > CLOCK_US_MAX ? CLOCK_US_MAX : us;
    int64_t fraction = us % CLOCK_US_PER_S;
    fraction += fraction < 0 ? CLOCK_US_PER_S : 0;
    time_t seconds = (time_t)((us - fraction) / CLOCK_US_PER_S);
    struct tm parts = {0};
    gmtime_r(&seconds, &parts);
    int used =
        snprintf(buffer, CLOCK_TEXT_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d", parts.tm_year + 1900,
                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    char *at = buffer + used;
    size_t left = CLOCK_TEXT_BYTES - (size_t)used;
    if (fraction == 0) {
        snprintf(at, left, "Z");
    } else if (fraction % CLOCK_US_PER_MS == 0) {
        snprintf(at, left, ".%03dZ", (int)(fraction / CLOCK_US_PER_MS));
    } else {
        snprintf(at, left, ".%06dZ", (int)fraction);
    }
    return buffer;
}

int clock_parse_duration(const char *text, int64_t *ret_us) {
    static const struct {
        const char *unit;
        int64_t us;
    } units[] = {
        {"us", 1},
        {"ms", CLOCK_US_PER_MS},
        {"s", CLOCK_US_PER_S},
        {"m", 60 * CLOCK_US_PER_S},
        {"h", 3600 * CLOCK_US_PER_S},
        {"d", 86400 * CLOCK_US_PER_S},
    };
    const char *at = text;
    int64_t number = 0;
    for (; is_digit(*at); at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *at - '0', &number)) {
            return -EINVAL;
        }
    }
    if (at == text) {
        return -EINVAL;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(at, units[i].unit) == 0) {
            return __builtin_mul_overflow(number, units[i].us, ret_us) ? -EINVAL : 0;
        }
    }
    return -EINVAL;
}
