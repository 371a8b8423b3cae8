#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What people write into the table outgoing comes back as events, each row once whoever is killed, and the answer stands in the row: what
was taken, what was decided about a contact and why, what was refused and why. What the sink writes does not come back."""
import json
import os
import shutil

from desk import Desk, events_of
from warehouse import House, Postgres, cloud, connect, drained, publish, wait_for

POLICY = """
organisation: {zone: UTC}
contact:
  cap_day: 20
  cap_week: 20
  marketing: [marketing]
  quiet_from: "%s"
  quiet_until: "%s"
"""
MAIL = {"content_id": "spring", "purpose": "marketing", "channels": ["email"]}


def own(house):
    """The events of the table outgoing in the log, by id."""
    return {e["id"]: e for e in events_of(house) if e["source"] == "/crm"}


def number(house, key):
    return int(house.ask("customer", "show", key)["customer"][1:])


def test_a_change_becomes_an_event(house, desk, ana):
    row = desk.ask("customer.changed", ana, {"fields": {"name": "Ana de Vries", "owner": "bo"}})
    assert (row["outcome"], row["attached"], row["reason"]) == ("accepted", ana, None), row
    event = own(house)[row["event"]]
    assert int(event["sequence"]) == row["sequence"] and event["customer"] == f"c{ana}" and event["actor"] == "ana.agent", event
    assert event["data"]["fields"] == {"name": "Ana de Vries", "owner": "bo"} and event["channel"] == "crm", event
    shown = house.ask("customer", "show", f"c{ana}", "--min-seq", str(row["sequence"]))
    assert shown["attributes"]["name"]["value"] == "Ana de Vries" and shown["owner"] == "bo", shown["attributes"]


def test_a_flag_makes_a_most_valuable_customer(house, desk, ana):
    row = desk.ask("mvc", ana, {"mvc": True})
    shown = house.ask("customer", "show", f"c{ana}", "--min-seq", str(row["sequence"]))
    assert shown["attributes"]["mvc"]["value"] is True and shown["tier"] == "mvc", shown["tier"]


def test_contacts_are_decided_in_the_row(house, desk, ana):
    row = desk.ask("contact.requested", ana, MAIL)
    assert (row["outcome"], row["verdict"], row["reason"]) == ("accepted", "suppressed", "consent-unknown"), row
    address = "ana@klant.example"
    row = desk.ask("consent.changed", ana, {"purpose": "marketing", "address": address, "channel": "email", "state": "granted", "text_version": "v1"})
    assert (row["outcome"], row["attached"]) == ("accepted", ana), row
    row = desk.ask("contact.requested", ("email", address), {**MAIL, "content_id": "summer"})
    assert (row["verdict"], row["channel"], row["reason"]) == ("approved", "email", None) and row["until"], row
    decided = [e for e in events_of(house) if e["type"] == "org.touchbus.contact.decided.v1" and e["data"]["contact_id"] == row["event"]]
    assert [int(e["sequence"]) for e in decided] == [row["decided"]], decided
    row = desk.ask("contact.requested", ana, {**MAIL, "content_id": "summer"})
    assert (row["verdict"], row["reason"].split(", ")[0]) == ("suppressed", "same-content"), row


def test_a_later_decision_is_told_as_well(house, desk, ana, policy):
    write_policy(policy, "00:00", "23:59")
    house.touchbus("config", "reload")
    row = desk.ask("contact.requested", ana, {"content_id": "call", "purpose": "service", "channels": ["email"]})
    assert (row["verdict"], row["reason"]) == ("deferred", "quiet-hours") and row["until"], row
    write_policy(policy, "00:00", "00:00")
    house.touchbus("config", "reload")
    house.touchbus("pub", "contact.requested", "--data", json.dumps({"contact_id": row["event"], "customer": f"c{ana}", "content_id": "call",
                                                                    "purpose": "service", "channels": ["email"]}))
    later = wait_for("the row knows", lambda: (lambda r: r if r["verdict"] != "deferred" else None)(desk.row(row["id"])))
    assert later["decided"] > row["decided"] and later["reason"] != "quiet-hours", later


def test_wishes_are_carried_out_or_refused(house, desk, ana, ben):
    both = {"customers": [f"c{ana}", f"c{ben}"], "reason": "same passport"}
    row = desk.ask("merge.requested", None, both)
    assert row["outcome"] == "accepted", row
    assert house.ask("customer", "show", f"c{ben}", "--min-seq", str(row["sequence"]))["customer"] == f"c{ana}"
    row = desk.ask("split.requested", None, {"customers": [f"c{ben}"], "reason": "two passports"})
    assert row["outcome"] == "accepted", row
    row = desk.ask("merge.requested", None, both)
    assert row["outcome"] == "refused" and row["reason"].startswith("merge-refused: they may not be one"), row


def test_a_bad_row_disturbs_no_other(house, desk, ana):
    ids = desk.write(("customer.changed", ana, {"fields": {"first": 1}}), ("order.placed", ana, {}), ("customer.changed", ana, {"name": "x"}),
                     ("customer.changed", None, {"fields": {"a": 1}}), ("mvc", ana, "[]"), ("customer.changed", ana, {"fields": {"big": "x" * (300 << 10)}}),
                     ("consent.changed", ana, {"purpose": "p", "address": "a@b.example", "state": "granted", "text_version": "v", "expires": "soon"}),
                     ("customer.changed", 9000000, {"fields": {"nobody": 1}}), ("customer.changed", ana, {"fields": {"last": 1}}))
    rows = desk.answered(*ids)
    said = [(row["outcome"], (row["reason"] or "").split(":")[0]) for row in rows]
    assert said[:7] == [("accepted", ""), ("malformed", "kind"), ("malformed", "data.fields"), ("malformed", "who? expected customer, or a key"),
                        ("malformed", "data"), ("malformed", "data"), ("quarantined", "quarantined")], said
    assert said[7:] == [("accepted", "nobody"), ("accepted", "")], said
    shown = house.ask("customer", "show", f"c{ana}", "--min-seq", str(rows[8]["sequence"]))
    assert {"first", "last"} <= set(shown["attributes"]), shown["attributes"]


def test_the_sink_does_not_come_back(house, server, ana):
    server.run("""CREATE FUNCTION touchbus.crm_says() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO touchbus.outgoing (kind, customer, data) VALUES ('customer.changed', NEW.customer, jsonb_build_object('fields',
            jsonb_build_object(NEW.name, NEW.value))); RETURN NULL; END $$;
        CREATE TRIGGER crm_says AFTER INSERT OR UPDATE ON touchbus.attributes FOR EACH ROW EXECUTE FUNCTION touchbus.crm_says();
        GRANT INSERT ON touchbus.outgoing TO crm""")
    before = server.one("SELECT count(*) FROM outgoing"), len(own(house))
    publish(house, [cloud("echo", "customer.identified", {"traits": {"city": "Utrecht"}}, "user_id=ana")])
    drained(house, "crm")
    assert server.one(f"SELECT value FROM attributes WHERE customer = {ana} AND name = 'city'") == "Utrecht"
    assert (server.one("SELECT count(*) FROM outgoing"), len(own(house))) == before
    server.run("DROP TRIGGER crm_says ON touchbus.attributes")


def test_the_desk_may_ask_and_no_more(desk):
    for statement in ("UPDATE touchbus.outgoing SET outcome = 'accepted'", "DELETE FROM touchbus.outgoing", "SELECT * FROM touchbus.customers",
                      "INSERT INTO touchbus.outgoing (kind, settled) VALUES ('mvc', now())"):
        done = desk.sql(statement, check=False)
        assert done.returncode != 0 and "permission denied" in done.stderr, (statement, done)


def test_without_notices_the_table_is_looked_at(server, desk, ana):
    server.run("ALTER TABLE outgoing DISABLE TRIGGER outgoing_told")
    assert desk.ask("customer.changed", ana, {"fields": {"polled": True}})["outcome"] == "accepted"
    server.run("ALTER TABLE outgoing ENABLE TRIGGER outgoing_told")


def changes(count, ana):
    return [("customer.changed", ana, {"fields": {f"f{n}": n}}) for n in range(count)]


def test_each_row_is_one_event_whoever_is_killed(house, server, desk, process, ana):
    """Killed while rows are on their way: the connector, the server, the broker."""
    ids = desk.write(*changes(400, ana))
    process.kill()
    process = connect(house, server)
    ids += desk.write(*changes(400, ana))
    server.kill()
    server.start()
    ids += desk.write(*changes(400, ana))
    house.broker.kill()
    house.start_broker("--policy", os.path.join(house.folder, "policy.yaml"))
    rows = desk.answered(*ids[-1:], seconds=120)
    assert server.one("SELECT count(*) FROM outgoing WHERE settled IS NULL") == 0
    rows = server.rows("SELECT event, sequence FROM outgoing WHERE outcome = 'accepted'")
    said = [(e["id"], int(e["sequence"])) for e in events_of(house) if e["source"] == "/crm"]
    assert len(said) == len(dict(said)) and dict(said) == {event: int(sequence) for event, sequence in rows}, (len(said), len(rows))
    return process


def test_two_instances_never_read_at_once(house, server, desk, process, ana):
    """The other one waits for the lock, and has it when the first is gone."""
    other = house.start("touchbus-crm", "--broker", house.address, "--state", os.path.join(house.folder, "other"), "--postgres", server.uri,
                        "--password-file", server.password_file)
    wait_for("two sessions", lambda: server.sessions("touchbus-crm-outgoing") == 2)
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 1953461603"
    for _ in range(3):
        desk.answered(*desk.write(*changes(50, ana)))
        assert server.one(locks) == 1
    process.kill()
    desk.answered(*desk.write(*changes(50, ana)))
    assert server.one(locks) == 1 and other.alive()
    assert other.stop() == 0, other.tail()


def test_in_another_log_a_number_is_somebody_else(house, server, desk):
    """The broker's log is made anew while rows wait: those that name a customer by number are refused, those with a key go to the new log."""
    house.broker.stop()
    ids = desk.write(("customer.changed", 1, {"fields": {"meant": "the old log's"}}), ("merge.requested", None, {"customers": ["c1", "c2"], "reason": "x"}),
                     ("customer.changed", ("account", "ben"), {"fields": {"meant": "ben"}}))
    shutil.rmtree(house.state)
    house.start_broker()
    publish(house, [cloud(f"n-{n}", "page.viewed", {"url": "/"}, f"account=new-{n}") for n in range(3)])
    process = connect(house, server)
    rows = desk.answered(*ids)
    assert [row["outcome"] for row in rows] == ["refused", "refused", "accepted"], rows
    assert rows[0]["reason"].startswith("the log is another one"), rows
    assert [e["data"]["fields"] for e in own(house).values()] == [{"meant": "ben"}], own(house)
    assert desk.ask("customer.changed", 1, {"fields": {"meant": "the new log's"}})["outcome"] == "accepted"
    assert process.stop() == 0, process.tail()


def write_policy(path, quiet_from, quiet_until):
    with open(path, "w", encoding="utf-8") as file:
        file.write(POLICY % (quiet_from, quiet_until))


def main():
    with House() as house, Postgres(fsync="off") as server:
        policy = os.path.join(house.folder, "policy.yaml")
        write_policy(policy, "00:00", "00:00")
        house.start_broker("--policy", policy)
        publish(house, [cloud("a", "page.viewed", {"url": "/"}, "user_id=ana&email=ana%40klant.example"), cloud("b", "page.viewed", {"url": "/"}, "account=ben")])
        ana, ben = number(house, "user_id=ana"), number(house, "account=ben")
        process = connect(house, server)
        wait_for("the table is there", lambda: server.one("SELECT count(*) FROM pg_class WHERE relname = 'outgoing'"))
        desk = Desk(server)
        test_a_change_becomes_an_event(house, desk, ana)
        test_a_flag_makes_a_most_valuable_customer(house, desk, ana)
        test_contacts_are_decided_in_the_row(house, desk, ana)
        test_a_later_decision_is_told_as_well(house, desk, ana, policy)
        test_wishes_are_carried_out_or_refused(house, desk, ana, ben)
        test_a_bad_row_disturbs_no_other(house, desk, ana)
        test_the_sink_does_not_come_back(house, server, ana)
        test_the_desk_may_ask_and_no_more(desk)
        test_without_notices_the_table_is_looked_at(server, desk, ana)
        process = test_each_row_is_one_event_whoever_is_killed(house, server, desk, process, ana)
        test_two_instances_never_read_at_once(house, server, desk, process, ana)
        test_in_another_log_a_number_is_somebody_else(house, server, desk)
        print(server.one("SELECT count(*) FROM outgoing"), "rows, each answered once")


main()
