// SPDX-License-Identifier: Apache-2.0
// Local time by ICU's calendars: which day it is where the customer is, and when a time of day
// comes next there. One zone is one thread's; nothing here asks the machine's own zone or clock.
// Times are microseconds since 1970 UTC, days are the local calendar's, numbered from 1970-01-01.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZONE_NAME_BYTES = 64 };

struct zone;

// name is of the tz database, e.g. Europe/Berlin. 0; 1: there is no such zone; -ENOMEM.
int zone_open(const char *name, struct zone **ret);
struct zone *zone_close(struct zone *zone); // takes NULL; returns NULL

uint32_t zone_day(struct zone *zone, int64_t time_us);
// Since local midnight by the clock on the wall.
int64_t zone_time_of_day(struct zone *zone, int64_t time_us);
// The first time after time_us at which the clock on the wall shows this time of day; where the
// clocks go forward over it, the moment they do.
int64_t zone_next(struct zone *zone, int64_t time_us, int64_t time_of_day_us);

// A zone of a region (ISO 3166-1 alpha-2): `preferred` where it is one of its zones, else the
// first of its names. False: there is no such region.
bool zone_of_region(const char *region, const char *preferred, char ret[static ZONE_NAME_BYTES]);
