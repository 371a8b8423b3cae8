// SPDX-License-Identifier: Apache-2.0
// A sweep that is cut off is done again: the table of erasures knows that it is open, and the event
// was not confirmed.
#include "connectors/crm/warehouse_sweep.h"

#include <stdio.h>
#include <string.h>

#include "connectors/crm/warehouse.h"
#include "schemas/base/logging.h"

enum { STATEMENT_BYTES = 512, NUMBER_BYTES = 24 };

// Tables with rows of a person, lines before what says whose they are; keys last: by them the
// person is found again, should this be cut off.
static const char *const tables[] = {
    "order_lines",  "quote_lines", "orders", "quotes",    "consents",  "attributes",
    "interactions", "contacts",    "cases",  "standings", "customers", "keys",
};
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

// An empty answer to this says that there is nothing to do.
static const char is_open[] = "SELECT 1 FROM touchbus.erasures WHERE NOT swept LIMIT 1";
static const char list_copies[] = "SELECT nspname FROM pg_namespace WHERE nspname ~ "
                                  "'^touchbus_[0-9a-f]{32}_[0-9]+$' ORDER BY nspname";

// Index entries as well: those of keys are addresses. And what the planner learned of values: it is
// readable in pg_stats.
static enum postgres_class vacuum(struct postgres *postgres, const char *schema, char *why) {
    enum postgres_class class = POSTGRES_DONE;
    for (size_t i = 0; i < N_TABLES && class == POSTGRES_DONE; i++) {
        char statement[STATEMENT_BYTES];
        snprintf(statement, sizeof(statement), "VACUUM (INDEX_CLEANUP ON, ANALYZE) %s.%s", schema,
                 tables[i]);
        class = postgres_script(postgres, statement, WAREHOUSE_ERASE_MS_MAX, why);
    }
    return class;
}

// ---- what was kept of other logs

static enum postgres_class remove_person(struct postgres *postgres, const char *schema,
                                         const char *customer, char *why) {
    enum postgres_class class = POSTGRES_DONE;
    for (size_t i = 0; i < N_TABLES && class == POSTGRES_DONE; i++) {
        char statement[STATEMENT_BYTES];
        const char *lines_of = strcmp(tables[i], "order_lines") == 0   ? "order"
                               : strcmp(tables[i], "quote_lines") == 0 ? "quote"
                                                                       : NULL;
        if (lines_of != NULL) {
            snprintf(statement, sizeof(statement),
                     "DELETE FROM %s.%s_lines WHERE %s_id IN (SELECT %s_id FROM %s.%ss WHERE "
                     "customer = $1)",
                     schema, lines_of, lines_of, lines_of, schema, lines_of);
        } else {
            snprintf(statement, sizeof(statement), "DELETE FROM %s.%s WHERE customer = $1", schema,
                     tables[i]);
        }
        class = postgres_exec(postgres, statement, 1, &customer, NULL, why);
    }
    return class;
}

// Asks about one page of keys and removes whose they are where somebody was erased.
static enum postgres_class judge_page(struct postgres *postgres, const char *schema,
                                      const PGresult *page, const struct store_sweep *sweep,
                                      bool *ret_removed, char *why) {
    struct store_key keys[STORE_SWEEP_KEYS_MAX];
    bool gone[STORE_SWEEP_KEYS_MAX] = {false};
    size_t n = (size_t)PQntuples(page);
    for (size_t i = 0; i < n; i++) {
        keys[i] = (struct store_key){.kind = PQgetvalue(page, (int)i, 0),
                                     .value = PQgetvalue(page, (int)i, 1)};
    }
    if (sweep->tombstoned(sweep->user, keys, n, gone) != 0) {
        snprintf(why, POSTGRES_WHY_BYTES, "the broker does not say now whose keys are erased");
        return POSTGRES_AWAY;
    }
    enum postgres_class class = POSTGRES_DONE;
    for (size_t i = 0; i < n && class == POSTGRES_DONE; i++) {
        if (gone[i]) {
            class = remove_person(postgres, schema, PQgetvalue(page, (int)i, 2), why);
            *ret_removed = true;
        }
    }
    return class;
}

static enum postgres_class sweep_copy(struct postgres *postgres, const char *schema,
                                      const struct store_sweep *sweep, char *why) {
    char statement[STATEMENT_BYTES], offset[NUMBER_BYTES];
    bool removed = false;
    int n = STORE_SWEEP_KEYS_MAX;
    snprintf(statement, sizeof(statement),
             "SELECT kind, value, customer FROM %s.keys ORDER BY kind, value, customer "
             "OFFSET $1 LIMIT %d",
             schema, STORE_SWEEP_KEYS_MAX);
    enum postgres_class class = POSTGRES_DONE;
    // A page from which somebody was removed is read again: the ones behind it moved up.
    for (long long at = 0; n > 0 && class == POSTGRES_DONE;) {
        PGresult *page = NULL;
        bool removed_here = false;
        snprintf(offset, sizeof(offset), "%lld", at);
        const char *const values[] = {offset};
        class = postgres_exec(postgres, statement, 1, values, &page, why);
        if (class == POSTGRES_DONE) {
            n = PQntuples(page);
            class = n > 0 ? judge_page(postgres, schema, page, sweep, &removed_here, why) : class;
            PQclear(page);
        }
        removed = removed || removed_here;
        at += removed_here ? 0 : n;
        sweep->beat(sweep->user);
    }
    return class == POSTGRES_DONE && removed ? vacuum(postgres, schema, why) : class;
}

static enum postgres_class sweep_copies(struct postgres *postgres, const struct store_sweep *sweep,
                                        char *why) {
    PGresult *copies = NULL;
    enum postgres_class class = postgres_exec(postgres, list_copies, 0, NULL, &copies, why);
    for (int i = 0; class == POSTGRES_DONE && i < PQntuples(copies); i++) {
        class = sweep_copy(postgres, PQgetvalue(copies, i, 0), sweep, why);
    }
    PQclear(copies);
    return class;
}

enum postgres_class warehouse_sweep_all(struct postgres *postgres, const struct store_sweep *sweep,
                                        char *why) {
    PGresult *open = NULL;
    enum postgres_class class = postgres_exec(postgres, is_open, 0, NULL, &open, why);
    bool is_done = class == POSTGRES_DONE && PQntuples(open) == 0;
    PQclear(open);
    if (class != POSTGRES_DONE || is_done) {
        return class;
    }
    class = vacuum(postgres, "touchbus", why);
    if (class == POSTGRES_DONE) {
        class = postgres_script(postgres, "VACUUM (INDEX_CLEANUP ON, ANALYZE) touchbus.outgoing",
                                WAREHOUSE_ERASE_MS_MAX, why);
    }
    class = class == POSTGRES_DONE ? sweep_copies(postgres, sweep, why) : class;
    class =
        class == POSTGRES_DONE
            ? postgres_exec(postgres, "UPDATE touchbus.erasures SET swept = true WHERE NOT swept",
                            0, NULL, NULL, why)
            : class;
    if (class == POSTGRES_DONE) {
        logging_info("warehouse erasure=swept");
    }
    return class;
}
