// SPDX-License-Identifier: Apache-2.0
// Hours and months are counted by the proleptic Gregorian calendar (Howard Hinnant, "chrono-
// compatible low-level date algorithms"): no zone, no clock.
#include "broker/fold/scores.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

enum { HOURS_A_DAY = 24, DAYS_BEFORE_1970 = 719468, DAYS_AN_ERA = 146097, YEARS_AN_ERA = 400 };
#define HOUR_US (INT64_C(3600) * 1000000)
#define SCORES_KEPT SCORES_HOURS_END
#define SCORES_MONTHS UINT32_C(0xffffffff)

uint32_t scores_hour(int64_t time_us) {
    int64_t hour = time_us < 0 ? 0 : time_us / HOUR_US;
    return hour >= SCORES_HOURS_END ? SCORES_HOURS_END - 1 : (uint32_t)hour;
}

uint32_t scores_month(uint32_t hour) {
    uint32_t days = hour / HOURS_A_DAY + DAYS_BEFORE_1970;
    uint32_t era = days / DAYS_AN_ERA, day = days % DAYS_AN_ERA;
    uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    uint32_t day_of_year = day - (365 * year + year / 4 - year / 100);
    uint32_t month = (5 * day_of_year + 2) / 153; // 0: March
    year += era * YEARS_AN_ERA + (month >= 10);
    return year * 12 + (month + 2) % 12;
}

uint32_t scores_month_begins(uint32_t month) {
    uint32_t low = 0, high = SCORES_HOURS_END / HOURS_A_DAY;
    while (low < high) { // the first day that is not in a month before
        uint32_t middle = low + (high - low) / 2;
        if (scores_month(middle * HOURS_A_DAY) < month) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low * HOURS_A_DAY;
}

void scores_cell_key(uint32_t hour, uint32_t channel, uint32_t tier,
                     uint8_t ret[static SCORES_CELL_KEY_BYTES]) {
    const uint32_t parts[] = {htobe32(hour), htobe32(channel), htobe32(tier)};
    assert(hour < SCORES_HOURS_END);
    memcpy(ret, parts, sizeof(parts));
}

size_t scores_month_key(uint32_t month, const char *channel,
                        uint8_t ret[static SCORES_KEY_BYTES_MAX]) {
    const uint32_t parts[] = {htobe32(SCORES_MONTHS), htobe32(month)};
    size_t size = strnlen(channel, SCORES_KEY_BYTES_MAX - sizeof(parts));
    memcpy(ret, parts, sizeof(parts));
    memcpy(ret + sizeof(parts), channel, size);
    return sizeof(parts) + size;
}

void scores_kept_key(uint32_t item_kind, const uint8_t lookup[static LOOKUP_BYTES],
                     uint8_t ret[static SCORES_KEPT_KEY_BYTES]) {
    uint32_t prefix = htobe32(SCORES_KEPT);
    memcpy(ret, &prefix, sizeof(prefix));
    ret[sizeof(prefix)] = (uint8_t)item_kind;
    memcpy(ret + sizeof(prefix) + 1, lookup, LOOKUP_BYTES);
}

bool scores_cell_parse(const void *key, size_t size, uint32_t *ret_hour, uint32_t *ret_channel,
                       uint32_t *ret_tier) {
    uint32_t parts[3];
    if (size != sizeof(parts)) {
        return false;
    }
    memcpy(parts, key, sizeof(parts));
    if (be32toh(parts[0]) >= SCORES_HOURS_END) {
        return false;
    }
    *ret_hour = be32toh(parts[0]);
    *ret_channel = be32toh(parts[1]);
    *ret_tier = be32toh(parts[2]);
    return true;
}
