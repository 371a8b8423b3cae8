// SPDX-License-Identifier: Apache-2.0
// The table's rows as a batch. The rows stay as they were read until they are written back, so that
// what was answered is written to the very rows that asked.
#include "connectors/crm/outgoing_batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connectors/crm/outgoing_row.h"
#include "schemas/base/cleanup.h"
#include "schemas/base/guards.h"
#include "schemas/base/logging.h"
#include "schemas/limits.h"

enum { NAMES_MAX = OUTGOING_ROWS_MAX * OUTGOING_NAMES_MAX };
_Static_assert((int)NAMES_MAX <= (int)KIT_TOMBSTONED_MAX,
               "a batch's names are asked about at once");

// A customer's number means somebody else in another log: such rows wait until the warehouse's log
// is known to be the broker's (or are refused when it is not: outgoing_other_log).
static const char fetch[] =
    "SELECT id, event, kind, customer, key_kind, key_value, "
    "CASE WHEN octet_length(data::text) <= $2::int THEN data::text END, actor, "
    "to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
    "FROM outgoing WHERE settled IS NULL AND (customer IS NULL AND NOT jsonb_exists(data, "
    "'customers') OR EXISTS (SELECT FROM log WHERE incarnation = $3)) ORDER BY id LIMIT $1::int";
// The verdict of a later decision may stand there already (the trigger of contacts); of somebody
// who was erased nothing stays but that there was something.
static const char settle[] =
    "WITH answered AS (SELECT r.*, r.gone OR EXISTS (SELECT FROM erasures e WHERE e.customer = "
    "n.customer) AS erased FROM jsonb_to_recordset($1::jsonb) AS r (id bigint, outcome text, "
    "sequence bigint, attached bigint, reason text, verdict text, channel text, until timestamptz, "
    "decided bigint, gone boolean) JOIN outgoing n ON n.id = r.id) "
    "UPDATE outgoing o SET settled = now(), sequence = a.sequence, attached = a.attached, "
    "outcome = CASE WHEN a.erased THEN 'erased' ELSE a.outcome END, "
    "verdict = CASE WHEN o.decided > coalesce(a.decided, 0) THEN o.verdict ELSE a.verdict END, "
    "channel = CASE WHEN o.decided > coalesce(a.decided, 0) THEN o.channel ELSE a.channel END, "
    "until = CASE WHEN o.decided > coalesce(a.decided, 0) THEN o.until ELSE a.until END, "
    "reason = CASE WHEN a.erased THEN 'this person was erased' "
    "WHEN o.decided > coalesce(a.decided, 0) THEN o.reason ELSE a.reason END, "
    "decided = greatest(o.decided, a.decided), "
    "data = CASE WHEN a.erased THEN '{}' ELSE o.data END, "
    "key_kind = CASE WHEN a.erased THEN NULL ELSE o.key_kind END, "
    "key_value = CASE WHEN a.erased THEN NULL ELSE o.key_value END "
    "FROM answered a WHERE o.id = a.id AND o.settled IS NULL";

void outgoing_batch_forget(struct outgoing_batch *batch) {
    for (size_t i = 0; i < batch->n_rows; i++) {
        json_decref(batch->slots[i].answer);
        batch->slots[i].answer = NULL;
    }
    PQclear(batch->rows);
    batch->rows = NULL;
    batch->n_rows = 0;
}

// ---- reading and publishing

enum { COLUMN_ID, COLUMN_FIRST };

static struct outgoing_row row_at(const struct outgoing_batch *batch, size_t index) {
    struct outgoing_row row;
    const char **const members[] = {&row.event,     &row.kind, &row.customer, &row.key_kind,
                                    &row.key_value, &row.data, &row.actor,    &row.created};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        int column = (int)(COLUMN_FIRST + i);
        bool none = PQgetisnull(batch->rows, (int)index, column) != 0;
        *members[i] = none ? NULL : PQgetvalue(batch->rows, (int)index, column);
    }
    return row;
}

// 0: it is on its way, or cannot go; else nothing goes now.
static int publish(struct outgoing_batch *batch, size_t index) {
    struct outgoing_slot *slot = &batch->slots[index];
    const struct outgoing_row row = row_at(batch, index);
    touchbus_event *event = NULL;
    char why[OUTGOING_WHY_BYTES];
    *slot = (struct outgoing_slot){.batch = batch};
    int r = outgoing_event(&row, batch->source, &event, why);
    if (r > 0) {
        slot->answer = outgoing_malformed(why);
        return slot->answer == NULL ? -ENOMEM : 0;
    }
    r = r == 0 ? kit_publish(batch->kit, event, slot) : r;
    if (r != 0) {
        touchbus_event_free(event);
        return r;
    }
    batch->n_open++;
    return 0;
}

enum postgres_class outgoing_batch_read(struct outgoing_batch *batch, char *why) {
    char limit[16], bytes[16], log[2 * INCARNATION_BYTES + 1];
    const char *const values[] = {limit, bytes, log};
    const uint8_t *incarnation = kit_incarnation(batch->kit);
    for (size_t i = 0; i < INCARNATION_BYTES; i++) {
        snprintf(log + 2 * i, 3, "%02x", incarnation[i]);
    }
    snprintf(limit, sizeof(limit), "%d", OUTGOING_ROWS_MAX);
    snprintf(bytes, sizeof(bytes), "%d", OUTGOING_DATA_BYTES_MAX);
    enum postgres_class class = postgres_exec(batch->postgres, fetch, 3, values, &batch->rows, why);
    size_t n = class == POSTGRES_DONE ? (size_t)PQntuples(batch->rows) : 0;
    while (batch->n_rows < n && publish(batch, batch->n_rows) == 0) {
        batch->n_rows++;
    }
    if (batch->n_rows == 0) {
        outgoing_batch_forget(batch);
    }
    return class;
}

// ---- writing back

// Marks the rows of persons who were erased: what came after their erasure stays nowhere. Only
// those that the broker gave to nobody can be. False: the broker does not say now.
static bool mark_gone(struct outgoing_batch *batch) {
    struct kit_identity names[NAMES_MAX];
    size_t of[NAMES_MAX], n_names = 0;
    bool gone[NAMES_MAX] = {false};
    json_t *parsed[OUTGOING_ROWS_MAX] = {NULL};
    for (size_t i = 0; i < batch->n_rows; i++) {
        json_t *answer = batch->slots[i].answer;
        if (answer == NULL || json_is_integer(json_object_get(answer, "attached"))) {
            continue;
        }
        struct outgoing_row row = row_at(batch, i);
        parsed[i] = row.data != NULL ? json_loads(row.data, 0, NULL) : NULL;
        size_t n = outgoing_names(&row, parsed[i], &names[n_names]);
        for (size_t j = 0; j < n; j++) {
            of[n_names++] = i;
        }
    }
    bool told = n_names == 0 || (kit_connected(batch->kit) &&
                                 kit_tombstoned(batch->kit, names, n_names, gone) == 0);
    for (size_t i = 0; told && i < n_names; i++) {
        if (gone[i] && GUARD(outgoing_gone)) {
            json_object_set_new(batch->slots[of[i]].answer, "gone", json_true());
        }
    }
    for (size_t i = 0; i < batch->n_rows; i++) {
        json_decref(parsed[i]);
    }
    return told;
}

static void count(struct outgoing_batch *batch, const json_t *answer) {
    const char *outcome = json_string_value(json_object_get(answer, "outcome"));
    bool accepted = outcome != NULL && strcmp(outcome, "accepted") == 0;
    kit_count(batch->kit, batch->first_counter + (accepted ? 0 : 1), 1);
}

// Rows [first, next) in one transaction.
static enum postgres_class write_some(struct outgoing_batch *batch, size_t first, size_t next,
                                      char *why) {
    json_t *list = json_array();
    for (size_t i = first; list != NULL && i < next; i++) {
        json_t *answer = batch->slots[i].answer;
        if (answer != NULL) {
            json_object_set_new(
                answer, "id",
                json_integer(strtoll(PQgetvalue(batch->rows, (int)i, COLUMN_ID), NULL, 10)));
            if (json_object_get(answer, "gone") == NULL) {
                json_object_set_new(answer, "gone", json_false());
            }
            json_array_append(list, answer);
        }
    }
    _cleanup_free_ char *text = json_dumps(list, JSON_COMPACT);
    const char *const values[] = {text};
    enum postgres_class class = POSTGRES_AGAIN;
    snprintf(why, POSTGRES_WHY_BYTES, "%s", "out of memory");
    for (int i = 0; text != NULL && class == POSTGRES_AGAIN && i < OUTGOING_AGAIN_MAX; i++) {
        class = postgres_exec(batch->postgres, settle, 1, values, NULL, why);
    }
    for (size_t i = first; class == POSTGRES_DONE && i < next; i++) {
        count(batch, batch->slots[i].answer);
    }
    json_decref(list);
    return class;
}

// One that the table does not take (a trigger of the operator's) takes no other with it: it is
// named, and comes again as the same event.
static enum postgres_class write_each(struct outgoing_batch *batch, char *why) {
    enum postgres_class class = POSTGRES_DONE;
    for (size_t i = 0; i < batch->n_rows && class == POSTGRES_DONE; i++) {
        class = write_some(batch, i, i + 1, why);
        if (class == POSTGRES_REFUSED) {
            logging_warning("outgoing=unsettled id=%s why=\"%s\"",
                            PQgetvalue(batch->rows, (int)i, COLUMN_ID), why);
            class = POSTGRES_DONE;
        }
    }
    return class;
}

enum postgres_class outgoing_batch_write(struct outgoing_batch *batch, bool *ret_stuck, char *why) {
    *ret_stuck = false;
    if (!mark_gone(batch)) {
        return POSTGRES_DONE;
    }
    enum postgres_class class = write_some(batch, 0, batch->n_rows, why);
    *ret_stuck = class == POSTGRES_REFUSED;
    class = *ret_stuck ? write_each(batch, why) : class;
    if (class == POSTGRES_DONE) {
        outgoing_batch_forget(batch);
    }
    return class;
}

void outgoing_batch_answered(struct outgoing_batch *batch, void *item, const struct kit_ack *ack) {
    struct outgoing_slot *slot = item;
    // What may be over later is asked again; without memory for the answer it is, too.
    slot->answer = ack->retryable ? NULL : outgoing_answer(ack);
    batch->n_open--;
}
