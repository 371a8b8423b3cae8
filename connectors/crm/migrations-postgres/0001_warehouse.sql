-- SPDX-License-Identifier: Apache-2.0
-- The warehouse as it is first made, in the schema touchbus. A customer is the number that the broker writes as
-- c<number>; rows say whose they were when they came, merges says whose they are now. README.md explains the tables.

-- The log that everything here comes from: sequences and customers mean nothing in another one.
CREATE TABLE log (
    one integer PRIMARY KEY CHECK (one = 1),
    incarnation text NOT NULL
);

-- Per lane the last sequence that is in here, moved in the transaction that applies the event.
CREATE TABLE fences (
    lane bigint PRIMARY KEY,
    sequence bigint NOT NULL
) WITH (fillfactor = 60);

CREATE TABLE customers (
    customer bigint PRIMARY KEY,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    first_time timestamptz NOT NULL,
    last_time timestamptz NOT NULL,
    interactions bigint NOT NULL
) WITH (fillfactor = 60);

CREATE TABLE keys (
    kind text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    customer bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    PRIMARY KEY (kind, value, customer)
) WITH (fillfactor = 60);
CREATE INDEX keys_customer ON keys (customer);

-- The last writer wins, by the source's rank, then the event's time, then its id. NULL: deleted by that event.
CREATE TABLE attributes (
    customer bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text,
    rank integer NOT NULL,
    time_us bigint NOT NULL,
    event text COLLATE "C" NOT NULL,
    source text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (customer, name)
) WITH (fillfactor = 60);

-- One row an event, in a partition a month of its receipt (interactions_2026_11), made as needed.
CREATE TABLE interactions (
    sequence bigint NOT NULL,
    customer bigint,
    type text NOT NULL,
    channel text,
    direction text,
    source text NOT NULL,
    id text NOT NULL,
    time timestamptz,
    received timestamptz NOT NULL,
    data jsonb,
    actor text,
    cause text,
    cost text, -- "1.20 EUR"
    PRIMARY KEY (sequence, received)
) PARTITION BY RANGE (received);
CREATE INDEX interactions_customer ON interactions (customer, sequence) WHERE customer IS NOT NULL;

CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    customer bigint,
    status text NOT NULL,
    revision bigint NOT NULL,
    currency text,
    total numeric,
    quote_id text,
    eta timestamptz,
    placed timestamptz,
    changed timestamptz,
    sequence bigint NOT NULL
);
CREATE INDEX orders_customer ON orders (customer);

CREATE TABLE order_lines (
    order_id text COLLATE "C" NOT NULL,
    line integer NOT NULL,
    sku text NOT NULL,
    name text,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE quotes (
    quote_id text COLLATE "C" PRIMARY KEY,
    customer bigint,
    status text NOT NULL,
    outcome text,
    revision bigint NOT NULL,
    currency text,
    total numeric,
    valid_until timestamptz,
    sequence bigint NOT NULL
);
CREATE INDEX quotes_customer ON quotes (customer);

CREATE TABLE quote_lines (
    quote_id text COLLATE "C" NOT NULL,
    line integer NOT NULL,
    sku text NOT NULL,
    name text,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (quote_id, line)
);

CREATE TABLE consents (
    customer bigint NOT NULL,
    purpose text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    state text NOT NULL,
    text_version text,
    time_us bigint NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (customer, purpose, channel, address)
);

CREATE TABLE contacts (
    contact_id text COLLATE "C" PRIMARY KEY,
    customer bigint,
    content_id text,
    purpose text,
    verdict text,
    channel text,
    reasons jsonb, -- a list
    outcome text,
    requested timestamptz,
    decided timestamptz,
    sequence bigint NOT NULL,
    outcome_sequence bigint
);
CREATE INDEX contacts_customer ON contacts (customer);

CREATE TABLE cases (
    case_id text COLLATE "C" PRIMARY KEY,
    customer bigint,
    state text NOT NULL,
    kind text,
    severity text,
    outcome text,
    opened timestamptz,
    resolved timestamptz,
    sequence bigint NOT NULL
);
CREATE INDEX cases_customer ON cases (customer);

-- tier and phase of the relationship, as the broker judges them.
CREATE TABLE standings (
    customer bigint NOT NULL,
    what text NOT NULL,
    value text NOT NULL,
    since timestamptz NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (customer, what)
);

-- Whom a leaf is a part of now. No row of anybody moves: a split gives each side back what it had.
CREATE TABLE merges (
    leaf bigint PRIMARY KEY,
    into_customer bigint, -- NULL: it was split off again
    customer bigint NOT NULL, -- over all merges; itself after a split
    sequence bigint NOT NULL
);
CREATE INDEX merges_into ON merges (into_customer);
CREATE INDEX merges_customer ON merges (customer);

-- Every merge and split there was.
CREATE TABLE merge_history (
    sequence bigint PRIMARY KEY,
    leaf bigint NOT NULL,
    kind text NOT NULL,
    into_customer bigint, -- NULL: a split
    other bigint NOT NULL,
    reason text,
    time timestamptz NOT NULL
);
CREATE INDEX merge_history_leaf ON merge_history (leaf);

-- Who was erased, and whether what their rows left behind was vacuumed since. No personal data.
CREATE TABLE erasures (
    customer bigint PRIMARY KEY,
    sequence bigint NOT NULL,
    received timestamptz NOT NULL,
    swept boolean NOT NULL
);

-- One row a customer number: the customer it is a part of now, mostly itself.
CREATE VIEW leaves AS
SELECT c.customer AS leaf, coalesce(m.customer, c.customer) AS customer
FROM customers c LEFT JOIN merges m ON m.leaf = c.customer;

-- By which keys a customer is known now, and over which merges and splits each of them came there.
CREATE VIEW key_history AS
SELECT k.kind, k.value, coalesce(m.customer, k.customer) AS customer, k.customer AS leaf, k.first_sequence, k.last_sequence,
       h.kind AS change, h.other, h.reason, h.time, h.sequence
FROM keys k LEFT JOIN merges m ON m.leaf = k.customer LEFT JOIN merge_history h ON h.leaf = k.customer;

-- Another log begins: what the log fills is copied into a schema of its own and emptied, in one transaction. The name of
-- that schema; NULL where this log is in here already.
CREATE FUNCTION begin_log(new_incarnation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    old text;
    aside text;
    name text;
    names text[] := ARRAY['fences', 'customers', 'keys', 'attributes', 'interactions', 'orders', 'order_lines', 'quotes', 'quote_lines',
                          'consents', 'contacts', 'cases', 'standings', 'merges', 'merge_history', 'erasures'];
BEGIN
    INSERT INTO touchbus.log (one, incarnation) VALUES (1, new_incarnation) ON CONFLICT DO NOTHING;
    SELECT incarnation INTO old FROM touchbus.log FOR UPDATE;
    IF old = new_incarnation THEN
        RETURN NULL;
    END IF;
    aside := 'touchbus_' || old || '_' || floor(extract(epoch FROM clock_timestamp()))::bigint;
    EXECUTE format('CREATE SCHEMA %I', aside);
    FOREACH name IN ARRAY names LOOP
        EXECUTE format('CREATE TABLE %I.%I AS TABLE touchbus.%I', aside, name, name);
        EXECUTE format('TRUNCATE touchbus.%I', name);
    END LOOP;
    UPDATE touchbus.log SET incarnation = new_incarnation;
    RETURN aside;
END $$;
