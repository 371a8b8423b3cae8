-- SPDX-License-Identifier: Apache-2.0
-- Who was merged with whom, as the broker says it (identity.changed). No row of anybody moves: whoever asks about a
-- customer reads all the leaves, and a split gives each side back what it had. No personal data.
CREATE TABLE merges (
    leaf INTEGER PRIMARY KEY,
    into_customer INTEGER, -- NULL: it was split off again
    customer INTEGER NOT NULL, -- whom it is a part of now, over all merges; itself after a split
    sequence INTEGER NOT NULL
) STRICT;
CREATE INDEX merges_into ON merges (into_customer);
CREATE INDEX merges_customer ON merges (customer);

-- One row a customer number: the customer it is a part of now, mostly itself.
CREATE VIEW leaves AS
SELECT c.customer AS leaf, coalesce(m.customer, c.customer) AS customer
FROM customers c LEFT JOIN merges m ON m.leaf = c.customer;

-- What people look at: one row a customer, all its leaves in it.
DROP VIEW profiles;
CREATE VIEW profiles AS
SELECT c.customer,
       (SELECT value FROM attributes WHERE name = 'name' AND customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer)
        ORDER BY rank DESC, time_us DESC, event DESC LIMIT 1) AS name,
       coalesce((SELECT value FROM attributes WHERE name = 'email' AND customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer)
        ORDER BY rank DESC, time_us DESC, event DESC LIMIT 1),
                (SELECT min(value) FROM keys WHERE kind = 'email' AND customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer))) AS email,
       coalesce((SELECT value FROM attributes WHERE name = 'phone' AND customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer)
        ORDER BY rank DESC, time_us DESC, event DESC LIMIT 1),
                (SELECT min(value) FROM keys WHERE kind = 'phone' AND customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer))) AS phone,
       (SELECT sum(interactions) FROM customers WHERE customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer)) AS interactions,
       (SELECT min(first_time) FROM customers WHERE customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer)) AS first_time,
       (SELECT max(last_time) FROM customers WHERE customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer)) AS last_time,
       (SELECT count(*) FROM orders WHERE customer IN (SELECT c.customer UNION ALL SELECT leaf FROM merges WHERE customer = c.customer)) AS orders
FROM customers c
WHERE NOT EXISTS (SELECT 1 FROM merges m WHERE m.leaf = c.customer AND m.customer <> m.leaf);
