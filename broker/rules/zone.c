// SPDX-License-Identifier: Apache-2.0
// What is asked of ICU, through its C interface: offsets, calendar arithmetic over changes of the
// clock, and which zones a region has.
#include "broker/rules/zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ucal.h>
#include <unicode/uenum.h>
#include <unicode/ustring.h>

#define US_PER_MS INT64_C(1000)
#define MS_PER_DAY INT64_C(86400000)
#define YEAR_9999_MS INT64_C(253402300799000)

struct zone {
    UCalendar *calendar;
};

static bool to_units(const char *name, UChar ret[static ZONE_NAME_BYTES]) {
    size_t length = strlen(name);
    if (length == 0 || length >= ZONE_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i <= length; i++) {
        if ((unsigned char)name[i] >= 0x80) {
            return false;
        }
        ret[i] = (UChar)name[i];
    }
    return true;
}

// ICU takes a name it does not know for Greenwich. 0; 1: there is none; -ENOMEM.
static int check(const UChar *name) {
    UChar canonical[ZONE_NAME_BYTES];
    UBool is_system = false;
    UErrorCode status = U_ZERO_ERROR;
    ucal_getCanonicalTimeZoneID(name, -1, canonical, ZONE_NAME_BYTES, &is_system, &status);
    return status == U_MEMORY_ALLOCATION_ERROR ? -ENOMEM : U_FAILURE(status) || !is_system;
}

int zone_open(const char *name, struct zone **ret) {
    UChar units[ZONE_NAME_BYTES];
    int r = to_units(name, units) ? check(units) : 1;
    if (r != 0) {
        return r;
    }
    struct zone *zone = calloc(1, sizeof(*zone));
    UErrorCode status = U_ZERO_ERROR;
    if (zone != NULL) {
        zone->calendar = ucal_open(units, -1, "en_US_POSIX", UCAL_GREGORIAN, &status);
    }
    if (zone == NULL || U_FAILURE(status)) {
        zone_close(zone);
        return -ENOMEM;
    }
    *ret = zone;
    return 0;
}

struct zone *zone_close(struct zone *zone) {
    if (zone != NULL) {
        ucal_close(zone->calendar);
        free(zone);
    }
    return NULL;
}

// The clock on the wall, in milliseconds since its 1970-01-01.
static int64_t local_ms(struct zone *zone, int64_t time_us) {
    UErrorCode status = U_ZERO_ERROR;
    int64_t time_ms = time_us / US_PER_MS;
    time_ms = time_ms < 0 ? 0 : time_ms > YEAR_9999_MS ? YEAR_9999_MS : time_ms;
    ucal_setMillis(zone->calendar, (UDate)time_ms, &status);
    int32_t zone_ms = ucal_get(zone->calendar, UCAL_ZONE_OFFSET, &status);
    int32_t summer_ms = ucal_get(zone->calendar, UCAL_DST_OFFSET, &status);
    int64_t local = time_ms + zone_ms + summer_ms;
    return U_FAILURE(status) || local < 0 ? 0 : local;
}

uint32_t zone_day(struct zone *zone, int64_t time_us) {
    return (uint32_t)(local_ms(zone, time_us) / MS_PER_DAY);
}

int64_t zone_time_of_day(struct zone *zone, int64_t time_us) {
    return local_ms(zone, time_us) % MS_PER_DAY * US_PER_MS;
}

int64_t zone_next(struct zone *zone, int64_t time_us, int64_t time_of_day_us) {
    UErrorCode status = U_ZERO_ERROR;
    int64_t time_ms = time_us / US_PER_MS;
    int32_t of_day_ms = (int32_t)(time_of_day_us / US_PER_MS % MS_PER_DAY);
    int64_t next_ms = time_ms;
    ucal_setAttribute(zone->calendar, UCAL_SKIPPED_WALL_TIME, UCAL_WALLTIME_NEXT_VALID);
    ucal_setMillis(zone->calendar, (UDate)time_ms, &status);
    for (int i = 0; i < 3 && next_ms <= time_ms && U_SUCCESS(status); i++) {
        ucal_set(zone->calendar, UCAL_HOUR_OF_DAY, of_day_ms / 3600000);
        ucal_set(zone->calendar, UCAL_MINUTE, of_day_ms / 60000 % 60);
        ucal_set(zone->calendar, UCAL_SECOND, of_day_ms / 1000 % 60);
        ucal_set(zone->calendar, UCAL_MILLISECOND, of_day_ms % 1000);
        next_ms = (int64_t)ucal_getMillis(zone->calendar, &status);
        if (next_ms <= time_ms) {
            ucal_add(zone->calendar, UCAL_DATE, 1, &status);
        }
    }
    return U_SUCCESS(status) && next_ms > time_ms ? next_ms * US_PER_MS
                                                  : time_us + MS_PER_DAY * US_PER_MS;
}

bool zone_of_region(const char *region, const char *preferred, char ret[static ZONE_NAME_BYTES]) {
    UErrorCode status = U_ZERO_ERROR;
    UEnumeration *names =
        ucal_openTimeZoneIDEnumeration(UCAL_ZONE_TYPE_CANONICAL_LOCATION, region, NULL, &status);
    bool found = false;
    int32_t length;
    const char *name;
    while (U_SUCCESS(status) && (name = uenum_next(names, &length, &status)) != NULL) {
        if ((found && strcmp(name, preferred) != 0) || length >= ZONE_NAME_BYTES) {
            continue;
        }
        memcpy(ret, name, (size_t)length + 1);
        found = true;
    }
    uenum_close(names);
    return found;
}
