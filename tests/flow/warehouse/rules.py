#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the warehouse promises, each in small: once each though two connectors take everything at the same time and everything is delivered
again; an event it refuses is found in its batch and alone is parked; migrations run once, and never over a newer one; another log's events
do not mix with these."""
import json
import shutil
import subprocess

from warehouse import House, Postgres, agrees, cloud, connect, drained, mix, publish, start, wait_for

RETRY = ("--retry-attempts", "2", "--retry-min", "50ms", "--retry-max", "100ms")


def page(name, who):
    return cloud(name, "page.viewed", {"url": "/"}, f"user_id={who}")


def another(house, server, name, uri):
    """A second connector, with a subscription of its own."""
    process = start(house, "crm", "--name", name, "--postgres", uri, "--password-file", server.password_file)
    wait_for(f"the subscription of {name}", lambda: house.touchbus("subscription", "show", name, check=False).returncode == 0)
    return process


def drained_whole(house, name):
    """Drained, and nothing parked on the way."""
    def done():
        shown = house.ask("subscription", "show", name)
        assert shown["parked"] == 0, shown
        return shown["lag"] == 0
    wait_for(f"{name} takes everything", done)


def one_makes_it(house, server):
    """Whoever is about to make the schema keeps the others from it: they wait, and find it made."""
    lock = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
    maker = subprocess.Popen(["psql", "-X", "-q", "-h", server.folder, "-p", str(server.port), "-U", "postgres", "-d", "crm", "-c",
                              "SELECT pg_advisory_lock(7400)", "-c", "SELECT pg_sleep(600)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("somebody has the lock", lambda: server.one(f"{lock} granted"))
    process = house.start("touchbus-crm", "--broker", house.address, "--state", house.state, "--postgres", server.uri, "--password-file",
                          server.password_file)
    wait_for("the connector waits for it", lambda: server.one(f"{lock} NOT granted"))
    assert server.one("SELECT count(*) FROM pg_tables WHERE tablename = 'migrations'") == 0, "made under another one's hands"
    server.run("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted")
    maker.wait()
    return process


def once(house, server):
    """A second connector, under another name, takes the same events into the same warehouse; then all are delivered again."""
    process = one_makes_it(house, server)
    publish(house, mix(1, 4000))
    processes = [process, another(house, server, "second", server.uri)]
    wait_for("its subscription", lambda: house.touchbus("subscription", "show", "crm", check=False).returncode == 0)
    for name in ("crm", "second"):
        drained_whole(house, name)
    assert processes[0].stop() == 0, processes[0].tail()
    house.touchbus("subscription", "reset", "crm", "--to", "beginning", "--yes")
    processes[0] = connect(house, server)
    drained_whole(house, "crm")
    print("once:", agrees(house, server), "rows")
    for process in processes:
        assert process.stop() == 0, process.tail()


def poison(house, server):
    """Three of a few hundred are refused, by a constraint and by a trigger of the administrator's; the others of the batch are in."""
    server.run("ALTER TABLE interactions ADD CONSTRAINT poison CHECK (id NOT LIKE 'poison%')")
    server.run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.value = 'u-poison-9' THEN RAISE EXCEPTION 'not %', "
               "new.value; END IF; RETURN new; END $$; CREATE TRIGGER refuse BEFORE INSERT ON keys FOR EACH ROW EXECUTE FUNCTION refuse()")
    lines = [page(f"fine-{number}", f"u-fine-{number}") for number in range(300)]
    lines[7], lines[150], lines[299] = page("poison-1", "u-poison-1"), page("poison-2", "u-poison-2"), page("by-trigger", "u-poison-9")
    publish(house, lines)
    process = connect(house, server)
    drained(house, "crm", parked=3)
    assert server.one("SELECT count(*) FROM interactions WHERE id LIKE 'fine-%'") == 297
    details = {json.loads(line)["detail"] for line in house.touchbus("-j", "parked", "ls", "crm").stdout.splitlines()}
    assert any("constraint poison" in detail for detail in details) and any("P0001" in detail for detail in details), details
    assert "u-poison" not in " ".join(details), "a detail quotes a row"
    server.run("ALTER TABLE interactions DROP CONSTRAINT poison; DROP TRIGGER refuse ON keys")
    house.touchbus("parked", "retry", "crm", "--yes")
    drained(house, "crm")
    print("poison:", agrees(house, server), "rows")
    assert process.stop() == 0, process.tail()


def quarantined(house, server):
    """What the broker has put aside is a table, and goes from it when it is mended or given up."""
    house.ask("pub", "--from", "-", text=cloud("bad", "order.placed", {"order_id": 7}, "user_id=u-bad") + "\n", check=False)
    waiting = json.loads(house.touchbus("-j", "quarantine", "ls").stdout.splitlines()[0])
    process = connect(house, server)
    rows = wait_for("the row", lambda: server.rows("SELECT id, type, source, detail FROM quarantined"))
    assert rows == [[waiting[name] for name in ("id", "type", "source", "detail")]], (rows, waiting)
    assert process.stop() == 0, process.tail()
    house.touchbus("quarantine", "drop", waiting["id"], "--yes")
    process = connect(house, server)
    wait_for("no row", lambda: server.one("SELECT count(*) FROM quarantined") == 0)
    assert process.stop() == 0, process.tail()


def partition(house, server):
    """The administrator takes a month away; rows that come make it anew."""
    name = server.one("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'interactions'::regclass")
    rows = server.one(f"SELECT count(*) FROM {name}")
    process = connect(house, server)
    publish(house, [page("before", "u-1")])
    drained(house, "crm")
    server.run(f"ALTER TABLE interactions DETACH PARTITION {name}; ALTER TABLE {name} RENAME TO archived")
    publish(house, [page("after", "u-late")])
    drained_whole(house, "crm")
    assert server.one("SELECT count(*) FROM interactions") == 1
    assert server.one("SELECT count(*) FROM archived") == rows + 1
    assert process.stop() == 0, process.tail()


def migrations(house, server):
    """Each is noted with its time and not run again; a warehouse of a newer program is refused."""
    before = server.rows("SELECT * FROM migrations ORDER BY number")
    process = connect(house, server)
    drained(house, "crm")
    assert process.stop() == 0, process.tail()
    assert server.rows("SELECT * FROM migrations ORDER BY number") == before
    server.run("INSERT INTO migrations (number) VALUES (9999)")
    process = house.start("touchbus-crm", "--broker", house.address, "--state", house.state, "--postgres", server.uri, "--password-file",
                          server.password_file)
    assert process.wait() == 1 and "newer program: migration 9999" in process.tail(), process.tail()
    server.run("DELETE FROM migrations WHERE number = 9999")


def other_log(house, server):
    """The broker's log is made anew: what there was is kept in a schema of its own, and its sequences count for nothing."""
    before = server.one("SELECT count(*) FROM interactions")
    house.broker.stop()
    shutil.rmtree(house.state)
    house.start_broker(*RETRY)
    publish(house, mix(1, 200))
    process = connect(house, server)
    drained_whole(house, "crm")
    print("other log:", agrees(house, server), "rows")
    aside = server.one("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'touchbus\\_%'")
    assert server.one(f"SELECT count(*) FROM {aside}.interactions") == before
    forget_there(house, server, aside)
    assert process.stop() == 0, process.tail()


def forget_there(house, server, aside):
    """Who is erased in this log leaves what was kept of the other one, found by a key; the others stay."""
    key = "kind = 'user_id' AND value = 'u-late'"
    publish(house, [page("again", "u-late"), cloud("again-order", "order.placed", {"order_id": "o-again", "currency": "EUR", "lines": [
        {"sku": "A", "quantity": 1, "price": "1.00"}]}, "user_id=u-late")])
    drained_whole(house, "crm")
    old, new = (server.one(f"SELECT customer FROM {schema}.keys WHERE {key}") for schema in (aside, "touchbus"))
    others = server.one(f"SELECT count(*) FROM {aside}.keys WHERE customer <> {old}")
    assert others > 1000 and server.one(f"SELECT count(*) FROM {aside}.interactions WHERE customer = {old}") > 0
    house.ask("customer", "erase", f"c{new}", "--yes")
    receipt = wait_for("the erasure is confirmed", lambda: [r for r in [house.ask("customer", "receipt", f"c{new}", check=False)] if is_confirmed(r)])
    print("erased:", receipt[0].get("state"))
    for schema, customer in ((aside, old), ("touchbus", new)):
        for table in ("keys", "interactions", "customers", "orders"):
            assert server.one(f"SELECT count(*) FROM {schema}.{table} WHERE customer = {customer}") == 0, (schema, table)
    assert server.one("SELECT count(*) FROM order_lines WHERE order_id = 'o-again'") == 0
    assert server.one(f"SELECT count(*) FROM {aside}.keys") == others
    fill_anew(house, server, new)


def fill_anew(house, server, erased):
    """A second warehouse, filled from the log's beginning: of who was erased no row is made."""
    server.run("CREATE DATABASE other OWNER crm")
    process = another(house, server, "third", server.uri.removesuffix("crm") + "other")
    drained_whole(house, "third")
    there = [int(server.run(query, database="other")) for query in (
        f"SELECT count(*) FROM interactions WHERE customer = {erased}", f"SELECT count(*) FROM customers WHERE customer = {erased}",
        "SELECT count(*) FROM interactions")]
    assert there == [0, 0, server.one("SELECT count(*) FROM interactions")], there
    assert process.stop() == 0, process.tail()


def is_confirmed(receipt):
    """By the warehouse's connector."""
    return any(row.get("name") == "crm" and row.get("state") == "confirmed" for row in receipt["connectors"])


def main():
    with House() as house, Postgres(fsync="off") as server:
        house.start_broker(*RETRY)
        once(house, server)
        poison(house, server)
        migrations(house, server)
        quarantined(house, server)
        partition(house, server)
        other_log(house, server)


main()
