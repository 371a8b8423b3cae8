// SPDX-License-Identifier: Apache-2.0
// The clocks, in microseconds, and time as text. Code that judges by time takes a `now` argument;
// only the outermost loops call these.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CLOCK_US_PER_MS INT64_C(1000)
#define CLOCK_US_PER_S INT64_C(1000000)
// The span that RFC 3339 can write: 0000-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z.
#define CLOCK_US_MIN (INT64_C(-62167219200) * CLOCK_US_PER_S)
#define CLOCK_US_MAX (INT64_C(253402300800) * CLOCK_US_PER_S - 1)
enum { CLOCK_TEXT_BYTES = 40 };

int64_t clock_now_us(void);       // wall clock, since 1970 UTC
int64_t clock_monotonic_us(void); // for intervals and time-outs
int64_t clock_coarse_us(void);    // as monotonic, up to a few milliseconds behind it, for a tenth
int64_t clock_boot_us(void);      // as monotonic, and runs on while the machine is suspended

// RFC 3339 (any offset, up to nanoseconds, digits past microseconds are dropped). 0 or -EINVAL.
int clock_parse_rfc3339(const char *text, int64_t *ret_us);
// RFC 3339 in UTC with Z, fraction only where there is one; a time beyond CLOCK_US_MIN or
// CLOCK_US_MAX is written as that bound. Returns buffer.
char *clock_format_rfc3339(int64_t time_us, char buffer[static CLOCK_TEXT_BYTES]);
// "250ms", "30s", "15m", "1h", "7d" -> microseconds. 0 or -EINVAL.
int clock_parse_duration(const char *text, int64_t *ret_us);
