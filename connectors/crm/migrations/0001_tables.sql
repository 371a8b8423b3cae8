-- SPDX-License-Identifier: Apache-2.0
-- The customer file as it is first made. Times are RFC 3339 in UTC, money is a decimal string, a customer is the
-- number that the broker writes as c<number>. README.md beside this folder explains the tables.

-- The log that everything here comes from: sequences and customers mean nothing in another one.
CREATE TABLE log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    incarnation TEXT NOT NULL
) STRICT;

-- Per lane the last sequence that is in here, moved in the transaction that applies the event.
CREATE TABLE fences (
    lane INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE customers (
    customer INTEGER PRIMARY KEY,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    first_time TEXT NOT NULL,
    last_time TEXT NOT NULL,
    interactions INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    customer INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    PRIMARY KEY (kind, value, customer)
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_customer ON keys (customer);

-- The last writer wins, by the source's rank, then the event's time, then its id. NULL: deleted by that event.
CREATE TABLE attributes (
    customer INTEGER NOT NULL,
    name TEXT NOT NULL,
    value ANY,
    rank INTEGER NOT NULL,
    time_us INTEGER NOT NULL,
    event TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (customer, name)
) STRICT, WITHOUT ROWID;

-- One row an event. data is its JSON.
CREATE TABLE interactions (
    sequence INTEGER PRIMARY KEY,
    customer INTEGER,
    type TEXT NOT NULL,
    channel TEXT,
    direction TEXT,
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    time TEXT,
    received TEXT NOT NULL,
    data TEXT
) STRICT;
CREATE INDEX interactions_customer ON interactions (customer, sequence) WHERE customer IS NOT NULL;

CREATE TABLE orders (
    order_id TEXT PRIMARY KEY,
    customer INTEGER,
    status TEXT NOT NULL,
    revision INTEGER NOT NULL,
    currency TEXT,
    total TEXT,
    quote_id TEXT,
    eta TEXT,
    placed TEXT,
    changed TEXT,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX orders_customer ON orders (customer);

CREATE TABLE order_lines (
    order_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    sku TEXT NOT NULL,
    name TEXT,
    quantity TEXT NOT NULL,
    price TEXT NOT NULL,
    amount TEXT NOT NULL,
    PRIMARY KEY (order_id, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE quotes (
    quote_id TEXT PRIMARY KEY,
    customer INTEGER,
    status TEXT NOT NULL,
    outcome TEXT,
    revision INTEGER NOT NULL,
    currency TEXT,
    total TEXT,
    valid_until TEXT,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX quotes_customer ON quotes (customer);

CREATE TABLE quote_lines (
    quote_id TEXT NOT NULL,
    line INTEGER NOT NULL,
    sku TEXT NOT NULL,
    name TEXT,
    quantity TEXT NOT NULL,
    price TEXT NOT NULL,
    amount TEXT NOT NULL,
    PRIMARY KEY (quote_id, line)
) STRICT, WITHOUT ROWID;

CREATE TABLE consents (
    customer INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    channel TEXT NOT NULL,
    address TEXT NOT NULL,
    state TEXT NOT NULL,
    text_version TEXT,
    time_us INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (customer, purpose, channel, address)
) STRICT, WITHOUT ROWID;

-- What people look at: one row a customer.
CREATE VIEW profiles AS
SELECT c.customer,
       (SELECT value FROM attributes a WHERE a.customer = c.customer AND a.name = 'name') AS name,
       coalesce((SELECT value FROM attributes a WHERE a.customer = c.customer AND a.name = 'email'),
                (SELECT min(value) FROM keys k WHERE k.customer = c.customer AND k.kind = 'email')) AS email,
       coalesce((SELECT value FROM attributes a WHERE a.customer = c.customer AND a.name = 'phone'),
                (SELECT min(value) FROM keys k WHERE k.customer = c.customer AND k.kind = 'phone')) AS phone,
       c.interactions, c.first_time, c.last_time,
       (SELECT count(*) FROM orders o WHERE o.customer = c.customer) AS orders
FROM customers c;
