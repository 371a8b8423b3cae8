// SPDX-License-Identifier: Apache-2.0
// The rules are those of sqlite_statements.c, statement by statement; see there for what they mean.
#include "connectors/crm/statements.h"

#define BULK(n, ...)                                                                               \
    { .text = __VA_ARGS__, .n_values = (n), .bulk = true }
#define ROW(n, ...)                                                                                \
    { .text = __VA_ARGS__, .n_values = (n) }

const struct statement statements[N_STATEMENTS] = {
    [STATEMENT_LOG] = ROW(1, "SELECT 1 FROM log WHERE incarnation = $1 FOR SHARE"),
    // In the order of lanes, so that two that write at once never wait for each other in a ring.
    [STATEMENT_FENCES] =
        ROW(2, "INSERT INTO fences AS f (lane, sequence) SELECT * FROM unnest($1::bigint[], "
               "$2::bigint[]) AS r (lane, sequence) ORDER BY lane ON CONFLICT (lane) DO UPDATE "
               "SET sequence = excluded.sequence WHERE f.sequence < excluded.sequence "
               "RETURNING lane"),
    [SQL_INTERACTION] =
        BULK(13, "INSERT INTO interactions (sequence, customer, type, channel, direction, source, "
                 "id, time, received, data, actor, cause, cost) SELECT a, nullif(b, 0), c, d, e, "
                 "f, g, h, i, j::jsonb, k, l, m FROM unnest($1::bigint[], $2::bigint[], "
                 "$3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], "
                 "$9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::text[]) "
                 "AS r (a, b, c, d, e, f, g, h, i, j, k, l, m)"),
    [SQL_CUSTOMER] =
        BULK(3, "INSERT INTO customers AS t (customer, first_sequence, last_sequence, first_time, "
                "last_time, interactions) SELECT a, min(b), max(b), min(c), max(c), count(*) "
                "FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS r (a, b, c) "
                "GROUP BY a ORDER BY a ON CONFLICT (customer) DO UPDATE SET "
                "first_sequence = least(t.first_sequence, excluded.first_sequence), "
                "last_sequence = greatest(t.last_sequence, excluded.last_sequence), "
                "first_time = least(t.first_time, excluded.first_time), "
                "last_time = greatest(t.last_time, excluded.last_time), "
                "interactions = t.interactions + excluded.interactions"),
    [SQL_KEY] =
        BULK(4, "INSERT INTO keys AS t (kind, value, customer, first_sequence, last_sequence) "
                "SELECT a, b, c, min(d), max(d) FROM unnest($1::text[], $2::text[], "
                "$3::bigint[], $4::bigint[]) AS r (a, b, c, d) GROUP BY a, b, c ORDER BY a, b, c "
                "ON CONFLICT (kind, value, customer) DO UPDATE SET "
                "first_sequence = least(t.first_sequence, excluded.first_sequence), "
                "last_sequence = greatest(t.last_sequence, excluded.last_sequence)"),
    [SQL_ATTRIBUTE] =
        BULK(8, "INSERT INTO attributes AS t (customer, name, rank, time_us, event, source, "
                "sequence, value) SELECT DISTINCT ON (a, b COLLATE \"C\") a, b, c, d, e, f, g, h "
                "FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::bigint[], $5::text[], "
                "$6::text[], $7::bigint[], $8::text[]) AS r (a, b, c, d, e, f, g, h) "
                "ORDER BY a, b COLLATE \"C\", c DESC, d DESC, e COLLATE \"C\" DESC "
                "ON CONFLICT (customer, name) DO UPDATE SET value = excluded.value, "
                "rank = excluded.rank, time_us = excluded.time_us, event = excluded.event, "
                "source = excluded.source, sequence = excluded.sequence "
                "WHERE (excluded.rank, excluded.time_us, excluded.event) > "
                "(t.rank, t.time_us, t.event)"),
    [SQL_ORDER_PLACED] =
        ROW(7, "INSERT INTO orders AS t (order_id, customer, status, revision, currency, total, "
               "quote_id, placed, sequence) VALUES ($1, nullif($2::bigint, 0), 'placed', 0, $3, "
               "$4, $5, $6, $7) ON CONFLICT (order_id) DO UPDATE SET "
               "customer = excluded.customer, currency = excluded.currency, "
               "total = excluded.total, quote_id = excluded.quote_id, placed = excluded.placed, "
               "sequence = excluded.sequence WHERE t.placed IS NULL"),
    [SQL_ORDER_CHANGED] =
        ROW(7, "INSERT INTO orders AS t (order_id, customer, status, revision, changed, sequence, "
               "total) VALUES ($1, nullif($2::bigint, 0), $3, $4, $5, $6, $7) "
               "ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, "
               "revision = excluded.revision, changed = excluded.changed, "
               "sequence = excluded.sequence, total = coalesce(excluded.total, t.total) "
               "WHERE excluded.revision >= t.revision"),
    [SQL_ORDER_ETA] = ROW(3, "UPDATE orders SET eta = $2, sequence = $3 WHERE order_id = $1"),
    [SQL_ORDER_LINES_CLEAR] =
        ROW(2, "DELETE FROM order_lines WHERE order_id = $1 AND EXISTS (SELECT 1 FROM orders "
               "WHERE order_id = $1 AND sequence = $2)"),
    [SQL_ORDER_LINE] =
        ROW(8, "INSERT INTO order_lines (order_id, line, sku, name, quantity, price, amount) "
               "SELECT order_id, $2::integer, $3::text, $4::text, $5::numeric, $6::numeric, "
               "$7::numeric FROM orders WHERE order_id = $1 AND sequence = $8"),
    [SQL_QUOTE_ISSUED] =
        ROW(7, "INSERT INTO quotes AS t (quote_id, customer, status, revision, currency, total, "
               "valid_until, sequence) VALUES ($1, nullif($2::bigint, 0), 'open', $3, $4, $5, $6, "
               "$7) ON CONFLICT (quote_id) DO UPDATE SET customer = excluded.customer, "
               "revision = excluded.revision, currency = excluded.currency, "
               "total = excluded.total, valid_until = excluded.valid_until, "
               "sequence = excluded.sequence WHERE excluded.revision >= t.revision"),
    [SQL_QUOTE_CLOSED] =
        ROW(4, "INSERT INTO quotes (quote_id, customer, status, outcome, revision, sequence) "
               "VALUES ($1, nullif($2::bigint, 0), 'closed', $3, 0, $4) ON CONFLICT (quote_id) "
               "DO UPDATE SET status = 'closed', outcome = excluded.outcome, "
               "sequence = excluded.sequence"),
    [SQL_QUOTE_LINES_CLEAR] =
        ROW(2, "DELETE FROM quote_lines WHERE quote_id = $1 AND EXISTS (SELECT 1 FROM quotes "
               "WHERE quote_id = $1 AND sequence = $2)"),
    [SQL_QUOTE_LINE] =
        ROW(8, "INSERT INTO quote_lines (quote_id, line, sku, name, quantity, price, amount) "
               "SELECT quote_id, $2::integer, $3::text, $4::text, $5::numeric, $6::numeric, "
               "$7::numeric FROM quotes WHERE quote_id = $1 AND sequence = $8"),
    [SQL_CONSENT] =
        ROW(8, "INSERT INTO consents AS t (customer, purpose, channel, address, state, "
               "text_version, time_us, sequence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) "
               "ON CONFLICT (customer, purpose, channel, address) DO UPDATE SET "
               "state = excluded.state, text_version = excluded.text_version, "
               "time_us = excluded.time_us, sequence = excluded.sequence "
               "WHERE excluded.time_us > t.time_us OR (excluded.time_us = t.time_us AND "
               "t.state NOT IN ('denied', 'withdrawn'))"),
    [SQL_CONTACT] =
        ROW(6, "INSERT INTO contacts AS t (contact_id, customer, content_id, purpose, requested, "
               "sequence) VALUES ($1, nullif($2::bigint, 0), $3, $4, $5, $6) "
               "ON CONFLICT (contact_id) DO UPDATE SET purpose = excluded.purpose, "
               "content_id = excluded.content_id, requested = excluded.requested "
               "WHERE t.requested IS NULL"),
    [SQL_CONTACT_DECIDED] =
        ROW(8, "INSERT INTO contacts AS t (contact_id, customer, content_id, verdict, channel, "
               "reasons, decided, sequence) VALUES ($1, nullif($2::bigint, 0), $3, $4, $5, $6, "
               "$7, $8) ON CONFLICT (contact_id) DO UPDATE SET customer = excluded.customer, "
               "content_id = coalesce(excluded.content_id, t.content_id), "
               "verdict = excluded.verdict, channel = excluded.channel, "
               "reasons = excluded.reasons, decided = excluded.decided, "
               "sequence = excluded.sequence "
               "WHERE t.decided IS NULL OR t.sequence < excluded.sequence"),
    [SQL_CONTACT_OUTCOME] =
        ROW(3, "UPDATE contacts SET outcome = $2, outcome_sequence = $3 WHERE contact_id = $1 "
               "AND coalesce(outcome_sequence, 0) < $3"),
    [SQL_CASE_OPENED] =
        ROW(6, "INSERT INTO cases AS t (case_id, customer, state, kind, severity, opened, "
               "sequence) VALUES ($1, nullif($2::bigint, 0), 'open', $3, $4, $5, $6) "
               "ON CONFLICT (case_id) DO UPDATE SET customer = excluded.customer, "
               "kind = excluded.kind, severity = excluded.severity, opened = excluded.opened "
               "WHERE t.opened IS NULL"),
    [SQL_CASE_RESOLVED] =
        ROW(5, "INSERT INTO cases AS t (case_id, customer, state, outcome, resolved, sequence) "
               "VALUES ($1, nullif($2::bigint, 0), 'resolved', $3, $4, $5) "
               "ON CONFLICT (case_id) DO UPDATE SET state = 'resolved', "
               "outcome = excluded.outcome, resolved = excluded.resolved, "
               "sequence = excluded.sequence WHERE t.sequence < excluded.sequence"),
    [SQL_MERGE] = ROW(3, "INSERT INTO merges AS t (leaf, into_customer, customer, sequence) "
                         "VALUES ($1, nullif($2::bigint, 0), $1, $3) ON CONFLICT (leaf) "
                         "DO UPDATE SET into_customer = excluded.into_customer, "
                         "sequence = excluded.sequence WHERE excluded.sequence > t.sequence"),
    [SQL_MERGED] =
        ROW(1, "WITH RECURSIVE up (customer, depth) AS (SELECT $1::bigint, 0 UNION ALL "
               "SELECT m.into_customer, depth + 1 FROM up JOIN merges m ON m.leaf = up.customer "
               "WHERE m.into_customer IS NOT NULL AND depth < 20), below (leaf, depth) AS "
               "(SELECT $1::bigint, 0 UNION ALL SELECT m.leaf, depth + 1 FROM below JOIN merges m "
               "ON m.into_customer = below.leaf WHERE depth < 20) UPDATE merges SET customer = "
               "(SELECT customer FROM up ORDER BY depth DESC LIMIT 1) "
               "WHERE leaf IN (SELECT leaf FROM below)"),
    [SQL_MERGE_HISTORY] =
        ROW(7, "INSERT INTO merge_history (sequence, leaf, kind, into_customer, other, reason, "
               "time) VALUES ($1, $2, $3, nullif($4::bigint, 0), $5, $6, $7)"),
    [SQL_STANDING] =
        ROW(5, "INSERT INTO standings AS t (customer, what, value, since, sequence) "
               "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (customer, what) DO UPDATE SET "
               "value = excluded.value, since = excluded.since, sequence = excluded.sequence "
               "WHERE t.sequence < excluded.sequence"),
    [STATEMENT_QUARANTINED] =
        BULK(6, "INSERT INTO quarantined (id, type, source, producer, detail, received) "
                "SELECT a, b, c, d, e, f FROM unnest($1::text[], $2::text[], $3::text[], "
                "$4::text[], $5::text[], $6::timestamptz[]) AS r (a, b, c, d, e, f) "
                "ON CONFLICT (id) DO UPDATE SET detail = excluded.detail"),
    // In the order of the rows' keys, so that two that count at once never wait in a ring.
    [SQL_SCORE] =
        BULK(1, "INSERT INTO scorecard AS t (day, channel, tier, contacts, handled, abandoned, "
                "resolved, reopened, suppressed, orders, unconverted, ratings, satisfaction, "
                "cost, revenue, margin, waiting_number, waiting_us, handling_number, "
                "handling_us, response_number, response_us) SELECT (s.hour AT TIME ZONE "
                "'UTC')::date, s.channel, s.tier, coalesce(sum(s.contacts), 0), "
                "coalesce(sum(s.handled), 0), coalesce(sum(s.abandoned), 0), "
                "coalesce(sum(s.resolved), 0), coalesce(sum(s.reopened), 0), count(s.reasons), "
                "coalesce(sum(s.orders), 0), coalesce(sum(s.unconverted), 0), "
                "count(s.satisfaction), coalesce(sum(s.satisfaction), 0), "
                "coalesce(sum(s.cost), 0), coalesce(sum(s.revenue), 0), "
                "coalesce(sum(s.margin), 0), count(s.waiting_us), coalesce(sum(s.waiting_us), "
                "0), count(s.handling_us), coalesce(sum(s.handling_us), 0), "
                "count(s.response_us), coalesce(sum(s.response_us), 0) FROM unnest($1::text[]) "
                "AS r (scores), jsonb_to_recordset(r.scores::jsonb) AS s (hour timestamptz, "
                "channel text, tier text, contacts bigint, handled bigint, abandoned bigint, "
                "resolved bigint, reopened bigint, orders bigint, unconverted bigint, reasons "
                "jsonb, satisfaction numeric, cost numeric, revenue numeric, margin numeric, "
                "waiting_us bigint, handling_us bigint, response_us bigint) GROUP BY 1, 2, 3 "
                "ORDER BY 1, 2, 3 ON CONFLICT (day, channel, tier) DO UPDATE SET contacts = "
                "t.contacts + excluded.contacts, handled = t.handled + excluded.handled, "
                "abandoned = t.abandoned + excluded.abandoned, resolved = t.resolved + "
                "excluded.resolved, reopened = t.reopened + excluded.reopened, suppressed = "
                "t.suppressed + excluded.suppressed, orders = t.orders + excluded.orders, "
                "unconverted = t.unconverted + excluded.unconverted, ratings = t.ratings + "
                "excluded.ratings, satisfaction = t.satisfaction + excluded.satisfaction, cost "
                "= t.cost + excluded.cost, revenue = t.revenue + excluded.revenue, margin = "
                "t.margin + excluded.margin, waiting_number = t.waiting_number + "
                "excluded.waiting_number, waiting_us = t.waiting_us + excluded.waiting_us, "
                "handling_number = t.handling_number + excluded.handling_number, handling_us = "
                "t.handling_us + excluded.handling_us, response_number = t.response_number + "
                "excluded.response_number, response_us = t.response_us + excluded.response_us"),
    [STATEMENT_ERASURE] = ROW(3, "INSERT INTO erasures (customer, sequence, received, swept) "
                                 "VALUES ($1, $2, $3, false) ON CONFLICT (customer) DO NOTHING"),
    // What people wrote for the person, by keys and interactions, which go behind it.
    [STATEMENT_ERASE_FIRST] = ROW(1, "SELECT touchbus.outgoing_erase($1)"),
    // Lines before the rows that say whose they are.
    [STATEMENT_ERASE_FIRST + 1] = ROW(1, "DELETE FROM order_lines WHERE order_id IN "
                                         "(SELECT order_id FROM orders WHERE customer = $1)"),
    [STATEMENT_ERASE_FIRST + 2] = ROW(1, "DELETE FROM orders WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 3] = ROW(1, "DELETE FROM quote_lines WHERE quote_id IN "
                                         "(SELECT quote_id FROM quotes WHERE customer = $1)"),
    [STATEMENT_ERASE_FIRST + 4] = ROW(1, "DELETE FROM quotes WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 5] = ROW(1, "DELETE FROM consents WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 6] = ROW(1, "DELETE FROM attributes WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 7] = ROW(1, "DELETE FROM keys WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 8] = ROW(1, "DELETE FROM interactions WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 9] = ROW(1, "DELETE FROM merges WHERE leaf = $1"),
    [STATEMENT_ERASE_FIRST + 10] = ROW(1, "DELETE FROM contacts WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 11] = ROW(1, "DELETE FROM cases WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 12] = ROW(1, "DELETE FROM standings WHERE customer = $1"),
    [STATEMENT_ERASE_FIRST + 13] = ROW(1, "DELETE FROM merge_history WHERE leaf = $1"),
    [STATEMENT_ERASE_LAST] = ROW(1, "DELETE FROM customers WHERE customer = $1"),
};
