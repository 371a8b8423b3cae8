-- SPDX-License-Identifier: Apache-2.0
-- What people change in the CRM and the connector publishes. The CRM inserts rows; everything from `settled` on is the
-- connector's answer. README.md beside this folder says who may write what.
CREATE TABLE outgoing (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE, -- the event's id: a row that is read twice is one event
    kind text NOT NULL,        -- customer.changed, mvc, consent.changed, contact.requested, merge.requested, split.requested
    customer bigint,           -- whom it is about: the number of a customer,
    key_kind text,             -- or a key of one
    key_value text,
    data jsonb NOT NULL DEFAULT '{}',
    actor text NOT NULL DEFAULT session_user,
    created timestamptz NOT NULL DEFAULT now(),
    settled timestamptz,       -- NULL: not answered yet
    sequence bigint,           -- of the event in the log
    outcome text,              -- accepted, quarantined, refused, malformed, erased
    verdict text,              -- of contact.requested: approved, deferred, suppressed
    channel text,              -- approved: by which
    until timestamptz,         -- deferred: it is decided again then; approved: the place lapses then
    reason text,               -- why not
    decided bigint,            -- the sequence of the decision that the verdict is from
    attached bigint            -- the customer that the broker took it for
);
-- Small whatever the table's size: only what waits is in it.
CREATE INDEX outgoing_waiting ON outgoing (id) WHERE settled IS NULL;
CREATE INDEX outgoing_contact ON outgoing ((coalesce(data ->> 'contact_id', event::text))) WHERE kind = 'contact.requested';
CREATE INDEX outgoing_customer ON outgoing (customer) WHERE customer IS NOT NULL;
CREATE INDEX outgoing_attached ON outgoing (attached) WHERE attached IS NOT NULL;
CREATE INDEX outgoing_sequence ON outgoing (sequence) WHERE sequence IS NOT NULL;
-- What stands in these is no statistic: it would be read in pg_stats after its row is gone.
ALTER TABLE outgoing ALTER data SET STATISTICS 0, ALTER key_value SET STATISTICS 0, ALTER actor SET STATISTICS 0;
ALTER INDEX outgoing_contact ALTER COLUMN 1 SET STATISTICS 0;

-- Told at the commit, once a transaction: the connector looks at the table then, and once a second anyway.
CREATE FUNCTION outgoing_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('touchbus_outgoing', '');
    RETURN NULL;
END $$;
CREATE TRIGGER outgoing_told AFTER INSERT ON outgoing FOR EACH STATEMENT EXECUTE FUNCTION outgoing_tell();

-- No echo: what a CRM's own triggers on the warehouse's tables say while the connector writes there is not said by a
-- person, and would come back for ever.
CREATE FUNCTION outgoing_listen_to_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('touchbus.sink', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER outgoing_no_echo BEFORE INSERT ON outgoing FOR EACH ROW EXECUTE FUNCTION outgoing_listen_to_people();

-- A contact that is decided again (it was deferred, or asked for elsewhere) tells the row that asked.
CREATE FUNCTION outgoing_decide() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE touchbus.outgoing o SET verdict = NEW.verdict, channel = nullif(NEW.channel, ''), decided = NEW.sequence,
        until = (SELECT (i.data ->> 'until')::timestamptz FROM touchbus.interactions i WHERE i.sequence = NEW.sequence),
        reason = (SELECT nullif(string_agg(r, ', '), '') FROM jsonb_array_elements_text(
                  CASE WHEN jsonb_typeof(NEW.reasons) = 'array' THEN NEW.reasons ELSE '[]' END) r)
    WHERE o.kind = 'contact.requested' AND coalesce(o.data ->> 'contact_id', o.event::text) = NEW.contact_id
      AND coalesce(o.decided, 0) < NEW.sequence AND o.outcome IS DISTINCT FROM 'erased';
    RETURN NULL;
END $$;
CREATE TRIGGER outgoing_decided AFTER INSERT OR UPDATE OF verdict, sequence ON contacts
    FOR EACH ROW WHEN (NEW.verdict IS NOT NULL) EXECUTE FUNCTION outgoing_decide();

-- The rows of somebody who is erased go: those that name the customer, whose event was theirs, and those that say one of
-- their keys anywhere, however it is written there (capitals, spaces in a number). To be called while keys and
-- interactions are still there. What comes later is emptied when it is answered (outcome erased).
CREATE FUNCTION outgoing_erase(erased bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM touchbus.outgoing o
    WHERE o.customer = erased OR o.attached = erased
       OR o.sequence IN (SELECT i.sequence FROM touchbus.interactions i WHERE i.customer = erased)
       OR jsonb_exists(CASE WHEN jsonb_typeof(o.data -> 'customers') = 'array' THEN o.data -> 'customers' ELSE '[]' END, 'c' || erased)
       OR EXISTS (
           SELECT FROM touchbus.keys k,
               LATERAL (SELECT o.key_value AS said UNION ALL
                        SELECT v #>> '{}' FROM jsonb_path_query(o.data, 'strict $.** ? (@.type() == "string")') v) s
           WHERE k.customer = erased AND (
               lower(s.said) = lower(k.value)
               OR k.kind IN ('phone', 'fax') AND length(regexp_replace(s.said, '\D', '', 'g')) >= 6
                  AND regexp_replace(k.value, '\D', '', 'g') LIKE '%' || ltrim(regexp_replace(s.said, '\D', '', 'g'), '0')));
$$;

-- Another log: its customers have other numbers. What waits and names one by number cannot be meant any more; what is
-- answered already names sequences of the old log.
CREATE FUNCTION outgoing_other_log() RETURNS void LANGUAGE sql AS $$
    UPDATE touchbus.outgoing SET settled = now(), outcome = 'refused', reason = 'the log is another one: customers have other numbers there'
    WHERE settled IS NULL AND (customer IS NOT NULL OR jsonb_exists(data, 'customers'));
    UPDATE touchbus.outgoing SET sequence = NULL, decided = NULL, attached = NULL WHERE sequence IS NOT NULL OR attached IS NOT NULL;
$$;
CREATE FUNCTION outgoing_note_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM touchbus.outgoing_other_log();
    RETURN NULL;
END $$;
CREATE TRIGGER outgoing_log AFTER UPDATE ON log FOR EACH ROW WHEN (OLD.incarnation <> NEW.incarnation) EXECUTE FUNCTION outgoing_note_log();
