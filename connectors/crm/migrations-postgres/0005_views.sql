-- SPDX-License-Identifier: Apache-2.0
-- What analysts look at. A merged customer is read over all its leaves, whatever row came under which of them; README.md
-- beside this folder says what each column means and what the figures were compared with.

-- One row a customer.
CREATE VIEW customer_360 AS
SELECT c.customer, w.leaves,
       a.name, coalesce(a.email, (SELECT min(k.value) FROM keys k WHERE k.kind = 'email' AND k.customer = ANY (w.leaves))) AS email,
       coalesce(a.phone, (SELECT min(k.value) FROM keys k WHERE k.kind = 'phone' AND k.customer = ANY (w.leaves))) AS phone,
       a.language, a.owner, coalesce(a.mvc IN ('1', 'true'), false) AS mvc,
       coalesce((SELECT s.value FROM standings s WHERE s.customer = c.customer AND s.what = 'tier'), 'guest') AS tier,
       coalesce((SELECT s.value FROM standings s WHERE s.customer = c.customer AND s.what = 'phase'), 'acquisition') AS phase,
       e.interactions, e.first_time, e.last_time,
       coalesce(o.orders, 0) AS orders, coalesce(o.cancelled, 0) AS cancelled, o.first_order, o.last_order,
       coalesce((SELECT jsonb_object_agg(t.currency, t.total) FROM
                 (SELECT p.currency, sum(p.total) AS total FROM orders p WHERE p.customer = ANY (w.leaves) AND p.placed IS NOT NULL
                  AND p.status <> 'cancelled' AND p.currency IS NOT NULL GROUP BY p.currency) t), '{}') AS revenue,
       (SELECT count(*) FROM quotes q WHERE q.customer = ANY (w.leaves) AND q.status = 'open'
        AND (q.valid_until IS NULL OR q.valid_until >= now())) AS open_quotes,
       (SELECT count(*) FROM cases k WHERE k.customer = ANY (w.leaves) AND k.state = 'open') AS open_cases,
       (SELECT count(*) FROM contacts k WHERE k.customer = ANY (w.leaves) AND k.verdict = 'approved') AS contacts_approved,
       (SELECT count(*) FROM contacts k WHERE k.customer = ANY (w.leaves) AND k.verdict = 'suppressed') AS contacts_suppressed,
       coalesce((SELECT array_agg(DISTINCT n.purpose ORDER BY n.purpose) FROM consents n WHERE n.customer = ANY (w.leaves)
                 AND n.state IN ('denied', 'withdrawn')), '{}') AS refused_purposes
FROM customers c
CROSS JOIN LATERAL (SELECT array_agg(l.leaf ORDER BY l.leaf) AS leaves FROM
    (SELECT c.customer AS leaf UNION SELECT m.leaf FROM merges m WHERE m.customer = c.customer) l) w
CROSS JOIN LATERAL (SELECT sum(k.interactions)::bigint AS interactions, min(k.first_time) AS first_time, max(k.last_time) AS last_time
    FROM customers k WHERE k.customer = ANY (w.leaves)) e
CROSS JOIN LATERAL (SELECT max(v.value) FILTER (WHERE v.name = 'name') AS name, max(v.value) FILTER (WHERE v.name = 'email') AS email,
    max(v.value) FILTER (WHERE v.name = 'phone') AS phone, max(v.value) FILTER (WHERE v.name = 'language') AS language,
    max(v.value) FILTER (WHERE v.name = 'owner') AS owner, max(v.value) FILTER (WHERE v.name = 'mvc') AS mvc
    FROM (SELECT DISTINCT ON (t.name) t.name, t.value FROM attributes t WHERE t.customer = ANY (w.leaves)
          AND t.name IN ('name', 'email', 'phone', 'language', 'owner', 'mvc')
          ORDER BY t.name, t.rank DESC, t.time_us DESC, t.event DESC) v) a
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE p.status <> 'cancelled') AS orders, count(*) FILTER (WHERE p.status = 'cancelled') AS cancelled,
    min(p.placed) AS first_order, max(p.placed) AS last_order FROM orders p WHERE p.customer = ANY (w.leaves) AND p.placed IS NOT NULL) o
WHERE NOT EXISTS (SELECT FROM merges m WHERE m.leaf = c.customer AND m.customer <> m.leaf);

-- How far customers came: who is in a phase now, who ever was, and what part of those of the phase before that is.
CREATE INDEX interactions_standing ON interactions (customer) WHERE type = 'standing.changed';
CREATE VIEW funnel_by_phase AS
WITH steps (step, phase) AS (VALUES (1, 'acquisition'), (2, 'enhancement'), (3, 'retention')),
whole AS (SELECT c.customer, c.first_time FROM customers c WHERE NOT EXISTS (SELECT FROM merges m WHERE m.leaf = c.customer AND m.customer <> m.leaf)),
now_in AS (SELECT coalesce(s.value, 'acquisition') AS phase, count(*) AS customers
           FROM whole w LEFT JOIN standings s ON s.customer = w.customer AND s.what = 'phase' GROUP BY 1),
came AS (SELECT coalesce(m.customer, i.customer) AS customer, i.data ->> 'new' AS phase, min(coalesce(i.time, i.received)) AS since
         FROM interactions i LEFT JOIN merges m ON m.leaf = i.customer
         WHERE i.type = 'standing.changed' AND i.data ->> 'what' = 'phase' AND i.customer IS NOT NULL GROUP BY 1, 2),
ever AS (SELECT 'acquisition' AS phase, count(*) AS reached, NULL::numeric AS days FROM whole
         UNION ALL
         SELECT p.phase, count(*), (percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM p.since - w.first_time)) / 86400)::numeric(12, 1)
         FROM came p JOIN whole w ON w.customer = p.customer WHERE p.phase <> 'acquisition' GROUP BY p.phase)
SELECT s.step, s.phase, coalesce(n.customers, 0) AS customers, coalesce(e.reached, 0) AS reached,
       round(coalesce(e.reached, 0)::numeric / nullif(lag(coalesce(e.reached, 0)) OVER (ORDER BY s.step), 0), 4) AS part_of_before,
       e.days AS days_median
FROM steps s LEFT JOIN now_in n ON n.phase = s.phase LEFT JOIN ever e ON e.phase = s.phase
ORDER BY s.step;

-- What a channel costs and brings, a month and in all.
CREATE VIEW channel_roi_monthly AS
SELECT date_trunc('month', s.day)::date AS month, s.channel, sum(s.contacts)::bigint AS contacts, sum(s.handled)::bigint AS handled,
       sum(s.cost) AS cost, round(sum(s.cost) / nullif(sum(s.contacts), 0), 2) AS cost_per_contact, sum(s.orders)::bigint AS orders,
       sum(s.revenue) AS revenue, sum(s.margin) AS margin,
       round((sum(s.margin) - sum(s.cost)) / nullif(greatest(sum(s.cost), 0), 0), 4) AS roi
FROM scorecard s GROUP BY 1, 2;
CREATE VIEW channel_roi AS
SELECT s.channel, sum(s.contacts)::bigint AS contacts, sum(s.handled)::bigint AS handled,
       sum(s.cost) AS cost, round(sum(s.cost) / nullif(sum(s.contacts), 0), 2) AS cost_per_contact, sum(s.orders)::bigint AS orders,
       sum(s.revenue) AS revenue, sum(s.margin) AS margin,
       round((sum(s.margin) - sum(s.cost)) / nullif(greatest(sum(s.cost), 0), 0), 4) AS roi
FROM scorecard s GROUP BY 1;

-- Every time somebody and the organisation met, or were kept from it, newest last by sequence.
CREATE VIEW contact_history AS
SELECT coalesce(m.customer, i.customer) AS customer, i.customer AS leaf, i.sequence, coalesce(i.time, i.received) AS time, i.type, i.channel, i.direction,
       i.actor, coalesce(i.data ->> 'content_id', k.content_id) AS content_id, i.data ->> 'contact_id' AS contact_id, k.purpose,
       CASE WHEN i.type = 'contact.decided' THEN i.data ->> 'verdict' ELSE coalesce(i.data ->> 'outcome', i.data ->> 'state') END AS outcome,
       CASE WHEN i.type = 'contact.decided' THEN i.data -> 'reasons' END AS reasons, i.cost
FROM interactions i
LEFT JOIN merges m ON m.leaf = i.customer
LEFT JOIN contacts k ON k.contact_id = i.data ->> 'contact_id'
WHERE i.customer IS NOT NULL AND i.type IN (
    'call.received', 'call.answered', 'call.ended', 'call.placed', 'callback.requested', 'message.received', 'message.sent', 'message.outcome',
    'chat.state', 'visit.recorded', 'kiosk.session.ended', 'fieldservice.completed', 'content.shown', 'contact.decided', 'feedback.given',
    'case.opened', 'case.resolved');
