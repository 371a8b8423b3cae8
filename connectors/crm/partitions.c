// SPDX-License-Identifier: Apache-2.0
// Which months there are is remembered until something fails: an administrator may have taken one
// away.
#include "connectors/crm/partitions.h"

#include <stdio.h>
#include <time.h>

#include "connectors/crm/migrate.h"
#include "schemas/base/clock.h"

enum { SCRIPT_BYTES = 1024 };

void partitions_forget(struct partitions *partitions) {
    partitions->n_known = 0;
}

static int month_of(int64_t time_us) {
    time_t seconds = time_us / CLOCK_US_PER_S - (time_us % CLOCK_US_PER_S < 0);
    struct tm parts;
    return gmtime_r(&seconds, &parts) == NULL ? 12 * 1970
                                              : 12 * (parts.tm_year + 1900) + parts.tm_mon;
}

static bool is_known(const struct partitions *partitions, int month) {
    size_t i = 0;
    while (i < partitions->n_known && partitions->known[i] != month) {
        i++;
    }
    return i < partitions->n_known;
}

static enum postgres_class make(struct postgres *postgres, int month, char *why) {
    char script[SCRIPT_BYTES], name[64];
    snprintf(name, sizeof(name), "interactions_%04d_%02d", month / 12, month % 12 + 1);
    snprintf(script, sizeof(script),
             "BEGIN; SELECT pg_advisory_xact_lock(%d);"
             "DO $$ BEGIN IF to_regclass('touchbus.%s') IS NULL THEN "
             "CREATE TABLE touchbus.%s (LIKE touchbus.interactions INCLUDING ALL); "
             "ALTER TABLE touchbus.interactions ATTACH PARTITION touchbus.%s FOR VALUES "
             "FROM ('%04d-%02d-01 00:00:00+00') TO ('%04d-%02d-01 00:00:00+00'); "
             "END IF; END $$; COMMIT",
             MIGRATE_LOCK, name, name, name, month / 12, month % 12 + 1, (month + 1) / 12,
             (month + 1) % 12 + 1);
    enum postgres_class class = postgres_script(postgres, script, POSTGRES_ANSWER_MS_MAX, why);
    if (class != POSTGRES_DONE) {
        postgres_roll_back(postgres);
    }
    return class == POSTGRES_DONE ? POSTGRES_DONE : POSTGRES_AWAY;
}

enum postgres_class partitions_make(struct partitions *partitions, struct postgres *postgres,
                                    const struct store_event *events, size_t n_events, char *why) {
    enum postgres_class class = POSTGRES_DONE;
    for (size_t i = 0; i < n_events && class == POSTGRES_DONE; i++) {
        int month = month_of(events[i].received_us);
        if (events[i].erases || events[i].redacted || is_known(partitions, month)) {
            continue;
        }
        class = make(postgres, month, why);
        if (partitions->n_known == PARTITIONS_KNOWN_MAX) {
            partitions_forget(partitions);
        }
        partitions->known[partitions->n_known++] = month;
    }
    if (class != POSTGRES_DONE) {
        partitions_forget(partitions);
    }
    return class;
}
