// SPDX-License-Identifier: Apache-2.0
// The statements in SQLite's words, and the rules of the model: upserts that keep what is newer.
// statements.c has the same rules for PostgreSQL.
#include "connectors/crm/sqlite.h"

const char *const sqlite_statements[N_SQLITE] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_EVENT_BEGIN] = "SAVEPOINT event",
    [SQL_EVENT_KEEP] = "RELEASE event",
    [SQL_EVENT_UNDO] = "ROLLBACK TO event",
    [SQL_LOG_GET] = "SELECT incarnation FROM log",
    [SQL_LOG_SET] = "INSERT INTO log (one, incarnation) VALUES (1, ?1)",
    [SQL_COPY_ASIDE] = "VACUUM INTO ?1",
    // No row changes where the lane has this sequence or a later one: the event is a repeat.
    [SQL_FENCE] = "INSERT INTO fences (lane, sequence) VALUES (?1, ?2) ON CONFLICT (lane) "
                  "DO UPDATE SET sequence = excluded.sequence WHERE sequence < excluded.sequence",
    [SQL_INTERACTION] =
        "INSERT INTO interactions (sequence, customer, type, channel, direction, source, id, time, "
        "received, data, actor, cause, cost) VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, "
        "?9, "
        "?10, ?11, ?12, ?13)",
    [SQL_CUSTOMER] =
        "INSERT INTO customers (customer, first_sequence, last_sequence, first_time, last_time, "
        "interactions) VALUES (?1, ?2, ?2, ?3, ?3, 1) ON CONFLICT (customer) DO UPDATE SET "
        "first_sequence = min(first_sequence, excluded.first_sequence), "
        "last_sequence = max(last_sequence, excluded.last_sequence), "
        "first_time = min(first_time, excluded.first_time), "
        "last_time = max(last_time, excluded.last_time), interactions = interactions + 1",
    [SQL_KEY] = "INSERT INTO keys (kind, value, customer, first_sequence, last_sequence) "
                "VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (kind, value, customer) DO UPDATE SET "
                "first_sequence = min(first_sequence, excluded.first_sequence), "
                "last_sequence = max(last_sequence, excluded.last_sequence)",
    [SQL_ATTRIBUTE] =
        "INSERT INTO attributes (customer, name, rank, time_us, event, source, sequence, value) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (customer, name) DO UPDATE SET "
        "value = excluded.value, rank = excluded.rank, time_us = excluded.time_us, "
        "event = excluded.event, source = excluded.source, sequence = excluded.sequence "
        "WHERE (excluded.rank, excluded.time_us, excluded.event) > (rank, time_us, event)",
    // A change that is here already keeps its status; of two placements the first counts.
    [SQL_ORDER_PLACED] =
        "INSERT INTO orders (order_id, customer, status, revision, currency, total, quote_id, "
        "placed, sequence) VALUES (?1, nullif(?2, 0), 'placed', 0, ?3, ?4, ?5, ?6, ?7) "
        "ON CONFLICT (order_id) DO UPDATE SET customer = excluded.customer, "
        "currency = excluded.currency, total = excluded.total, quote_id = excluded.quote_id, "
        "placed = excluded.placed, sequence = excluded.sequence WHERE placed IS NULL",
    [SQL_ORDER_CHANGED] =
        "INSERT INTO orders (order_id, customer, status, revision, changed, sequence, total) "
        "VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7) ON CONFLICT (order_id) DO UPDATE SET "
        "status = excluded.status, revision = excluded.revision, changed = excluded.changed, "
        "sequence = excluded.sequence, total = coalesce(excluded.total, total) "
        "WHERE excluded.revision >= revision",
    [SQL_ORDER_ETA] = "UPDATE orders SET eta = ?2, sequence = ?3 WHERE order_id = ?1",
    [SQL_ORDER_LINES_CLEAR] =
        "DELETE FROM order_lines WHERE order_id = ?1 AND EXISTS (SELECT 1 FROM orders WHERE "
        "order_id = ?1 AND sequence = ?2)",
    [SQL_ORDER_LINE] =
        "INSERT INTO order_lines (order_id, line, sku, name, quantity, price, amount) "
        "SELECT order_id, ?2, ?3, ?4, ?5, ?6, ?7 FROM orders WHERE order_id = ?1 AND sequence = ?8",
    [SQL_QUOTE_ISSUED] =
        "INSERT INTO quotes (quote_id, customer, status, revision, currency, total, valid_until, "
        "sequence) VALUES (?1, nullif(?2, 0), 'open', ?3, ?4, ?5, ?6, ?7) "
        "ON CONFLICT (quote_id) DO UPDATE SET customer = excluded.customer, "
        "revision = excluded.revision, currency = excluded.currency, total = excluded.total, "
        "valid_until = excluded.valid_until, sequence = excluded.sequence "
        "WHERE excluded.revision >= revision",
    [SQL_QUOTE_CLOSED] =
        "INSERT INTO quotes (quote_id, customer, status, outcome, revision, sequence) "
        "VALUES (?1, nullif(?2, 0), 'closed', ?3, 0, ?4) ON CONFLICT (quote_id) DO UPDATE SET "
        "status = 'closed', outcome = excluded.outcome, sequence = excluded.sequence",
    [SQL_QUOTE_LINES_CLEAR] =
        "DELETE FROM quote_lines WHERE quote_id = ?1 AND EXISTS (SELECT 1 FROM quotes WHERE "
        "quote_id = ?1 AND sequence = ?2)",
    [SQL_QUOTE_LINE] =
        "INSERT INTO quote_lines (quote_id, line, sku, name, quantity, price, amount) "
        "SELECT quote_id, ?2, ?3, ?4, ?5, ?6, ?7 FROM quotes WHERE quote_id = ?1 AND sequence = ?8",
    // The later event counts; of two at one time the refusal.
    [SQL_CONSENT] =
        "INSERT INTO consents (customer, purpose, channel, address, state, text_version, time_us, "
        "sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
        "ON CONFLICT (customer, purpose, channel, address) DO UPDATE SET state = excluded.state, "
        "text_version = excluded.text_version, time_us = excluded.time_us, "
        "sequence = excluded.sequence WHERE excluded.time_us > time_us OR "
        "(excluded.time_us = time_us AND state NOT IN ('denied', 'withdrawn'))",
    // The first request says what for; the decision and the outcome may be here before it.
    [SQL_CONTACT] = "INSERT INTO contacts (contact_id, customer, content_id, purpose, requested, "
                    "sequence) VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6) "
                    "ON CONFLICT (contact_id) DO UPDATE SET purpose = excluded.purpose, "
                    "content_id = excluded.content_id, requested = excluded.requested "
                    "WHERE contacts.requested IS NULL",
    [SQL_CONTACT_DECIDED] =
        "INSERT INTO contacts (contact_id, customer, content_id, verdict, channel, reasons, "
        "decided, sequence) VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8) "
        "ON CONFLICT (contact_id) DO UPDATE SET customer = excluded.customer, "
        "content_id = coalesce(excluded.content_id, contacts.content_id), "
        "verdict = excluded.verdict, channel = excluded.channel, reasons = excluded.reasons, "
        "decided = excluded.decided, sequence = excluded.sequence "
        "WHERE contacts.decided IS NULL OR contacts.sequence < excluded.sequence",
    [SQL_CONTACT_OUTCOME] = "UPDATE contacts SET outcome = ?2, outcome_sequence = ?3 "
                            "WHERE contact_id = ?1 AND coalesce(outcome_sequence, 0) < ?3",
    [SQL_CASE_OPENED] =
        "INSERT INTO cases (case_id, customer, state, kind, severity, opened, sequence) "
        "VALUES (?1, nullif(?2, 0), 'open', ?3, ?4, ?5, ?6) ON CONFLICT (case_id) DO UPDATE SET "
        "customer = excluded.customer, kind = excluded.kind, severity = excluded.severity, "
        "opened = excluded.opened WHERE cases.opened IS NULL",
    [SQL_CASE_RESOLVED] =
        "INSERT INTO cases (case_id, customer, state, outcome, resolved, sequence) "
        "VALUES (?1, nullif(?2, 0), 'resolved', ?3, ?4, ?5) ON CONFLICT (case_id) DO UPDATE SET "
        "state = 'resolved', outcome = excluded.outcome, resolved = excluded.resolved, "
        "sequence = excluded.sequence WHERE cases.sequence < excluded.sequence",
    [SQL_MERGE_HISTORY] =
        "INSERT INTO merge_history (sequence, leaf, kind, into_customer, other, reason, time) "
        "VALUES (?1, ?2, ?3, nullif(?4, 0), ?5, ?6, ?7)",
    [SQL_STANDING] = "INSERT INTO standings (customer, what, value, since, sequence) "
                     "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (customer, what) DO UPDATE SET "
                     "value = excluded.value, since = excluded.since, "
                     "sequence = excluded.sequence WHERE standings.sequence < excluded.sequence",
    // Amounts in millionths: SQLite has no exact decimals.
    [SQL_SCORE] =
        "INSERT INTO scorecard (day, channel, tier, contacts, handled, abandoned, resolved, "
        "reopened, suppressed, orders, unconverted, ratings, satisfaction_micro, cost_micro, "
        "revenue_micro, margin_micro, waiting_number, waiting_us, handling_number, "
        "handling_us, response_number, response_us) SELECT substr(json_extract(value, "
        "'$.hour'), 1, 10), json_extract(value, '$.channel'), json_extract(value, '$.tier'), "
        "ifnull(json_extract(value, '$.contacts'), 0), ifnull(json_extract(value, "
        "'$.handled'), 0), ifnull(json_extract(value, '$.abandoned'), 0), "
        "ifnull(json_extract(value, '$.resolved'), 0), ifnull(json_extract(value, "
        "'$.reopened'), 0), json_type(value, '$.reasons') IS NOT NULL, "
        "ifnull(json_extract(value, '$.orders'), 0), ifnull(json_extract(value, "
        "'$.unconverted'), 0), json_type(value, '$.satisfaction') IS NOT NULL, "
        "CAST(round(ifnull(json_extract(value, '$.satisfaction'), 0) * 1000000) AS INTEGER), "
        "CAST(round(ifnull(json_extract(value, '$.cost'), 0) * 1000000) AS INTEGER), "
        "CAST(round(ifnull(json_extract(value, '$.revenue'), 0) * 1000000) AS INTEGER), "
        "CAST(round(ifnull(json_extract(value, '$.margin'), 0) * 1000000) AS INTEGER), "
        "json_type(value, '$.waiting_us') IS NOT NULL, ifnull(json_extract(value, "
        "'$.waiting_us'), 0), json_type(value, '$.handling_us') IS NOT NULL, "
        "ifnull(json_extract(value, '$.handling_us'), 0), json_type(value, '$.response_us') IS "
        "NOT NULL, ifnull(json_extract(value, '$.response_us'), 0) FROM json_each(?1) WHERE "
        "true ON CONFLICT (day, channel, tier) DO UPDATE SET contacts = contacts + "
        "excluded.contacts, handled = handled + excluded.handled, abandoned = abandoned + "
        "excluded.abandoned, resolved = resolved + excluded.resolved, reopened = reopened + "
        "excluded.reopened, suppressed = suppressed + excluded.suppressed, orders = orders + "
        "excluded.orders, unconverted = unconverted + excluded.unconverted, ratings = ratings "
        "+ excluded.ratings, satisfaction_micro = satisfaction_micro + "
        "excluded.satisfaction_micro, cost_micro = cost_micro + excluded.cost_micro, "
        "revenue_micro = revenue_micro + excluded.revenue_micro, margin_micro = margin_micro + "
        "excluded.margin_micro, waiting_number = waiting_number + excluded.waiting_number, "
        "waiting_us = waiting_us + excluded.waiting_us, handling_number = handling_number + "
        "excluded.handling_number, handling_us = handling_us + excluded.handling_us, "
        "response_number = response_number + excluded.response_number, response_us = "
        "response_us + excluded.response_us",
    // The pointer that the latest event left.
    [SQL_MERGE] = "INSERT INTO merges (leaf, into_customer, customer, sequence) "
                  "VALUES (?1, nullif(?2, 0), ?1, ?3) ON CONFLICT (leaf) DO UPDATE SET "
                  "into_customer = excluded.into_customer, sequence = excluded.sequence "
                  "WHERE excluded.sequence > sequence",
    // For a leaf and all below it, whose they are now. A customer has 20 leaves at most.
    [SQL_MERGED] =
        "WITH RECURSIVE up (customer, depth) AS (SELECT ?1, 0 UNION ALL SELECT m.into_customer, "
        "depth + 1 FROM up JOIN merges m ON m.leaf = up.customer WHERE m.into_customer IS NOT NULL "
        "AND depth < 20), below (leaf, depth) AS (SELECT ?1, 0 UNION ALL SELECT m.leaf, depth + 1 "
        "FROM below JOIN merges m ON m.into_customer = below.leaf WHERE depth < 20) "
        "UPDATE merges SET customer = (SELECT customer FROM up ORDER BY depth DESC LIMIT 1) "
        "WHERE leaf IN (SELECT leaf FROM below)",
    [SQL_ERASURE] = "INSERT INTO erasures (customer, sequence, received, swept) "
                    "VALUES (?1, ?2, ?3, 0) ON CONFLICT (customer) DO NOTHING",
    [SQL_ERASURES_OPEN] = "SELECT 1 FROM erasures WHERE swept = 0 LIMIT 1",
    [SQL_ERASURES_SWEPT] = "UPDATE erasures SET swept = 1 WHERE swept = 0",
    // Lines before the rows that say whose they are.
    [SQL_ERASE_FIRST] = "DELETE FROM order_lines WHERE order_id IN "
                        "(SELECT order_id FROM orders WHERE customer = ?1)",
    [SQL_ERASE_FIRST + 1] = "DELETE FROM orders WHERE customer = ?1",
    [SQL_ERASE_FIRST + 2] = "DELETE FROM quote_lines WHERE quote_id IN "
                            "(SELECT quote_id FROM quotes WHERE customer = ?1)",
    [SQL_ERASE_FIRST + 3] = "DELETE FROM quotes WHERE customer = ?1",
    [SQL_ERASE_FIRST + 4] = "DELETE FROM consents WHERE customer = ?1",
    [SQL_ERASE_FIRST + 5] = "DELETE FROM attributes WHERE customer = ?1",
    [SQL_ERASE_FIRST + 6] = "DELETE FROM keys WHERE customer = ?1",
    [SQL_ERASE_FIRST + 7] = "DELETE FROM interactions WHERE customer = ?1",
    [SQL_ERASE_FIRST + 8] = "DELETE FROM merges WHERE leaf = ?1",
    [SQL_ERASE_FIRST + 9] = "DELETE FROM contacts WHERE customer = ?1",
    [SQL_ERASE_FIRST + 10] = "DELETE FROM cases WHERE customer = ?1",
    [SQL_ERASE_FIRST + 11] = "DELETE FROM standings WHERE customer = ?1",
    [SQL_ERASE_FIRST + 12] = "DELETE FROM merge_history WHERE leaf = ?1",
    [SQL_ERASE_LAST] = "DELETE FROM customers WHERE customer = ?1",
};
