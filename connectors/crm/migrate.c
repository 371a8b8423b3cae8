// SPDX-License-Identifier: Apache-2.0
// The numbered files and who runs them.
#include "connectors/crm/migrate.h"

#include <stdio.h>
#include <stdlib.h>

#include "schemas/base/guards.h"
#include "schemas/base/logging.h"

extern const char crm_warehouse_1[], crm_warehouse_2[], crm_warehouse_3[], crm_warehouse_4[],
    crm_warehouse_5[];

// The number of a migration is its place here, from 1.
static const char *const migrations[] = {crm_warehouse_1, crm_warehouse_2, crm_warehouse_3,
                                         crm_warehouse_4, crm_warehouse_5};
enum { N_MIGRATIONS = sizeof(migrations) / sizeof(migrations[0]) };

static const char make_table[] =
    "CREATE TABLE IF NOT EXISTS touchbus.migrations (number integer PRIMARY KEY, "
    "applied timestamptz NOT NULL DEFAULT now())";

static enum postgres_class read_number(struct postgres *postgres, int *ret, char *why) {
    PGresult *result = NULL;
    enum postgres_class class =
        postgres_exec(postgres, "SELECT coalesce(max(number), 0) FROM touchbus.migrations", 0, NULL,
                      &result, why);
    if (class == POSTGRES_DONE) {
        *ret = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
        PQclear(result);
    }
    return class;
}

static enum postgres_class apply(struct postgres *postgres, int number, char *why) {
    char note[96];
    snprintf(note, sizeof(note), "INSERT INTO touchbus.migrations (number) VALUES (%d)", number);
    enum postgres_class class = postgres_script(postgres, "BEGIN", POSTGRES_ANSWER_MS_MAX, why);
    if (class == POSTGRES_DONE) {
        class = postgres_script(postgres, migrations[number - 1], MIGRATE_MS_MAX, why);
    }
    class = class == POSTGRES_DONE ? postgres_exec(postgres, note, 0, NULL, NULL, why) : class;
    class = class == POSTGRES_DONE ? postgres_exec(postgres, "COMMIT", 0, NULL, NULL, why) : class;
    if (class == POSTGRES_DONE) {
        logging_info("warehouse migration=%d applied", number);
    } else {
        postgres_roll_back(postgres);
    }
    return class;
}

static enum postgres_class run(struct postgres *postgres, bool *ret_newer, char *why) {
    int number = 0;
    enum postgres_class class = postgres_exec(postgres, make_table, 0, NULL, NULL, why);
    class = class == POSTGRES_DONE ? read_number(postgres, &number, why) : class;
    if (class == POSTGRES_DONE && number > N_MIGRATIONS && GUARD(warehouse_newer)) {
        snprintf(why, POSTGRES_WHY_BYTES,
                 "the warehouse is of a newer program: migration %d, this one knows %d", number,
                 N_MIGRATIONS);
        *ret_newer = true;
        return POSTGRES_AWAY;
    }
    while (class == POSTGRES_DONE && number < N_MIGRATIONS) {
        class = apply(postgres, ++number, why);
    }
    return class;
}

enum postgres_class migrate(struct postgres *postgres, bool *ret_newer, char *why) {
    char lock[64], unlock[64], ignored[POSTGRES_WHY_BYTES];
    snprintf(lock, sizeof(lock), "SELECT pg_advisory_lock(%d)", MIGRATE_LOCK);
    snprintf(unlock, sizeof(unlock), "SELECT pg_advisory_unlock(%d)", MIGRATE_LOCK);
    *ret_newer = false;
    enum postgres_class class =
        postgres_exec(postgres, GUARD(warehouse_lock) ? lock : "SELECT 1", 0, NULL, NULL, why);
    if (class == POSTGRES_DONE) {
        class = run(postgres, ret_newer, why);
        postgres_exec(postgres, unlock, 0, NULL, NULL, ignored);
    }
    return class == POSTGRES_DONE ? POSTGRES_DONE : POSTGRES_AWAY;
}
