-- SPDX-License-Identifier: Apache-2.0
-- What the broker counted, by day (UTC), channel and tier: every event says what it added to the scorecard, and here it is
-- summed in the transaction that takes the event. Nothing personal; it stays when somebody is erased.
CREATE TABLE scorecard (
    day date NOT NULL,
    channel text COLLATE "C" NOT NULL,
    tier text COLLATE "C" NOT NULL, -- the customer's when it happened; '': nobody's
    contacts bigint NOT NULL,
    handled bigint NOT NULL,
    abandoned bigint NOT NULL,
    resolved bigint NOT NULL,       -- cases
    reopened bigint NOT NULL,
    suppressed bigint NOT NULL,     -- contacts
    orders bigint NOT NULL,         -- less those cancelled
    unconverted bigint NOT NULL,    -- amounts in another currency than the organisation's: in no sum
    ratings bigint NOT NULL,
    satisfaction numeric NOT NULL,  -- the sum of the ratings, each 0 to 1
    cost numeric NOT NULL,
    revenue numeric NOT NULL,
    margin numeric NOT NULL,
    waiting_number bigint NOT NULL,
    waiting_us numeric NOT NULL,
    handling_number bigint NOT NULL,
    handling_us numeric NOT NULL,
    response_number bigint NOT NULL,
    response_us numeric NOT NULL,
    PRIMARY KEY (day, channel, tier)
) WITH (fillfactor = 60);

-- As before, and the scorecard with the others.
CREATE OR REPLACE FUNCTION begin_log(new_incarnation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    old text;
    aside text;
    name text;
    names text[] := ARRAY['fences', 'customers', 'keys', 'attributes', 'interactions', 'orders', 'order_lines', 'quotes', 'quote_lines',
                          'consents', 'contacts', 'cases', 'standings', 'merges', 'merge_history', 'erasures', 'scorecard'];
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
