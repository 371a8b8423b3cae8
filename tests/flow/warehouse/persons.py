#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A customer who is merged, split and erased is merged, split and erased in the warehouse: the whole is read over its leaves, a split gives
each side back exactly what it had, and of the erased nothing is readable any more, in no table, partition, statistic, nor in what people
wrote for them; the broker's receipt says so only afterwards. Others keep every row."""
import json
import subprocess

from desk import Desk
from warehouse import House, Postgres, cloud, connect, drained, publish, wait_for

CANARY = "Kanarie"
ANA, BEN, CLEO, DORA = "user_id=ana-kanarie", "account=ben", "loyalty=cleo", "user_id=dora"
MAIL, PHONE = "ana.kanarie@klant.example", "+31612345678"
LINES = [{"sku": "A-1", "quantity": 2, "price": "19.90", "name": f"{CANARY} engraved"}]


def history(name, keys, mark):
    """Everything that a person can leave in a table; mark stands in each of it."""
    def event(kind, data, **more):
        return cloud(f"{name}-{kind}-{len(said)}", kind, data, keys, **more)
    said = []
    said.append(event("customer.identified", {"traits": {"name": f"{mark} {name}", "city": f"{mark}stad", "tags": [mark]}}))
    said.append(event("page.viewed", {"url": f"https://shop.example/{mark}/{name}"}))
    said.append(event("order.placed", {"order_id": f"o-{name}-{mark}", "currency": "EUR", "lines": LINES if mark == CANARY else [
        {"sku": "B-1", "quantity": 1, "price": "5.00"}]}))
    said.append(event("quote.issued", {"quote_id": f"q-{name}-{mark}", "revision": 1, "lines": LINES if mark == CANARY else [
        {"sku": "B-1", "quantity": 1, "price": "5.00"}], "valid_until": "2099-01-01T00:00:00Z", "currency": "EUR"}))
    said.append(event("case.opened", {"case_id": f"k-{name}-{mark}", "kind": f"{mark}", "severity": 1}, channel="web"))
    said.append(event("consent.changed", {"purpose": "marketing", "address": f"{mark}.{name}@klant.example", "state": "granted", "text_version": "v1"}))
    said.append(event("contact.requested", {"contact_id": f"t-{name}-{mark}", "content_id": "c", "purpose": "service", "channels": ["email"]}))
    said.append(event("promise.made", {"promise_id": f"p-{name}", "text": f"call {mark}", "due": "2099-01-01T00:00:00Z"}, actor=f"{mark}.agent"))
    return said


def number(house, key):
    return int(house.ask("customer", "show", key)["customer"][1:])


def tables(server):
    """Every relation with rows of its own, whatever its schema, and what the server learned of them."""
    found = server.rows("SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                        "WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')")
    return [row[0] for row in found] + ["pg_catalog.pg_stats"]


def readable(server, text=CANARY):
    """Where the text stands, in whatever capitals."""
    counts = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table} t WHERE t::text ILIKE '%{text}%'" for table in tables(server))
    return [row[0] for row in server.rows(counts) if row[1] != "0"]


TABLES = ["customers", "keys", "attributes", "interactions", "orders", "quotes", "consents", "contacts", "cases", "standings"]


def rows_of(server, customer):
    """All that is kept under this number, in order."""
    return {table: [row[0] for row in server.rows(f"SELECT t::text FROM {table} t WHERE customer = {customer} ORDER BY 1")] for table in TABLES}


def whole(server, customer):
    return [int(row[0]) for row in server.rows(f"SELECT leaf FROM leaves WHERE customer = {customer} ORDER BY 1")]


def test_merged_ones_are_one(house, server, desk, ana, ben):
    before = {who: rows_of(server, who) for who in (ana, ben)}
    row = desk.ask("merge.requested", None, {"customers": [f"c{ana}", f"c{ben}"], "reason": "same passport"})
    assert row["outcome"] == "accepted", row
    drained(house, "crm")
    shown = house.ask("customer", "show", f"c{ben}")
    assert whole(server, ana) == [ana, ben] == [int(leaf["customer"][1:]) for leaf in shown["leaves"]], shown["leaves"]
    assert whole(server, ben) == []
    orders = {row[0] for row in server.rows(f"SELECT order_id FROM orders o JOIN leaves l ON l.leaf = o.customer WHERE l.customer = {ana}")}
    assert orders == {row["order_id"] for row in shown["orders"]} and len(orders) == 2, orders
    keys = {tuple(row) for row in server.rows(f"SELECT kind, value FROM key_history WHERE customer = {ana}")}
    assert keys == {(key["kind"], key["value"]) for key in shown["keys"]}, keys
    return before


def test_a_split_gives_each_side_back(house, server, desk, before, ana, ben):
    row = desk.ask("split.requested", None, {"customers": [f"c{ben}"], "reason": "two passports"})
    assert row["outcome"] == "accepted", row
    drained(house, "crm")
    assert (whole(server, ana), whole(server, ben)) == ([ana], [ben])
    for who in (ana, ben):
        after = rows_of(server, who)
        for table in set(TABLES) - {"customers", "interactions", "standings"}:
            assert after[table] == before[who][table], (who, table)
        assert set(before[who]["interactions"]) <= set(after["interactions"]), who
    changes = server.rows(f"SELECT kind, into_customer FROM merge_history WHERE leaf = {ben} ORDER BY sequence")
    assert changes == [["merged", str(ana)], ["split", ""]], changes


def written_for(desk, ana, cleo):
    """Rows that people wrote for the person: by number, by key, in other letters, malformed, as a wish."""
    ids = desk.write(("customer.changed", ana, {"fields": {"note": f"{CANARY} likes tea"}}),
                     ("customer.changed", ("email", MAIL.upper()), {"fields": {"note": "x"}}),
                     ("order.placed", ("phone", "0031 6 1234 5678"), {"about": "malformed"}),
                     ("customer.changed", None, {"fields": {"said": MAIL.title()}}),
                     ("contact.requested", cleo, {"content_id": CANARY, "purpose": "service", "channels": []}),
                     ("merge.requested", None, {"customers": [f"c{cleo}", f"c{ana}"], "reason": f"{CANARY} married"}))
    desk.answered(*ids)
    return ids


def hold(server, customer):
    """A session that holds the customer's row: nothing can be deleted of it meanwhile."""
    session = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-h", server.folder, "-p", str(server.port), "-U", "postgres", "-d", "crm"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    session.stdin.write(f"BEGIN; SELECT 'held' FROM touchbus.customers WHERE customer = {customer} FOR UPDATE;\n")
    session.stdin.flush()
    assert session.stdout.readline().strip() == "held"
    return session


def state_of(house, customer):
    return {row["name"]: row["state"] for row in house.ask("customer", "receipt", customer)["connectors"]}["crm"]


def test_an_erased_one_is_erased(house, server, desk, ana, cleo, others):
    ids = written_for(desk, ana, cleo)
    drained(house, "crm")
    assert whole(server, ana) == [ana, cleo]
    server.run("ANALYZE")
    assert {"touchbus.outgoing", "touchbus.attributes", "touchbus.keys", "touchbus.order_lines", "pg_catalog.pg_stats"} <= set(readable(server))
    kept = {who: rows_of(server, who) for who in others}
    session = hold(server, ana)
    try:
        house.ask("customer", "erase", f"c{ana}", "--yes")
        wait_for("the sink waits for the row", lambda: server.one("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        assert state_of(house, f"c{ana}") == "pending" and readable(server)
    finally:
        session.stdin.write("ROLLBACK;\n")
        session.communicate()
    wait_for("it is confirmed", lambda: state_of(house, f"c{ana}") == state_of(house, f"c{cleo}") == "confirmed")
    assert not readable(server), readable(server)
    assert server.one(f"SELECT count(*) FROM outgoing WHERE id IN ({', '.join(map(str, ids))})") == 0
    for who in (ana, cleo):
        assert not any(rows_of(server, who).values()), rows_of(server, who)
    assert [int(row[0]) for row in server.rows("SELECT customer FROM erasures WHERE swept ORDER BY 1")] == sorted([ana, cleo])
    for who, rows in kept.items():
        assert rows_of(server, who) == rows, who


def test_what_comes_later_of_them_stays_nowhere(house, server, desk, ana):
    """Rows that were waiting while the connector was off, and rows written afterwards."""
    rows = desk.answered(*desk.write(("customer.changed", ana, {"fields": {"note": CANARY}}), ("customer.changed", ("email", MAIL.upper()), {"fields": {"note": CANARY}}),
                                     ("consent.changed", ("account", "nobody-known"), {"purpose": "marketing", "address": MAIL, "state": "granted"}),
                                     ("customer.changed", ("phone", PHONE), {"fields": {"note": CANARY}})))
    assert [row["outcome"] for row in rows] == ["erased"] * 4, rows
    assert all(row["data"] == {} and row["key_value"] is None for row in rows), rows
    rows = server.one("SELECT count(*) FROM interactions WHERE id LIKE 'late%'")
    publish(house, history("late", f"{ANA}&email={MAIL.replace('@', '%40')}", CANARY + "laat"))
    drained(house, "crm")
    assert server.one("SELECT count(*) FROM interactions WHERE id LIKE 'late%'") == rows == 0, "a row of an event that came too late"
    assert not readable(server), readable(server)


def main():
    with House() as house, Postgres(fsync="off") as server:
        house.start_broker()
        process = connect(house, server)
        wait_for("the tables are there", lambda: server.one("SELECT count(*) FROM pg_class WHERE relname = 'outgoing'"))
        desk = Desk(server)
        publish(house, history("ana", f"{ANA}&email={MAIL.replace('@', '%40')}&phone=%2B31612345678", CANARY) + history("ben", BEN, "Bens") +
                history("cleo", CLEO, CANARY) + history("dora", DORA, "Doras"))
        ana, ben, cleo, dora = (number(house, key) for key in (ANA, BEN, CLEO, DORA))
        drained(house, "crm")
        before = test_merged_ones_are_one(house, server, desk, ana, ben)
        test_a_split_gives_each_side_back(house, server, desk, before, ana, ben)
        house.ask("customer", "merge", f"c{ana}", f"c{cleo}")
        test_an_erased_one_is_erased(house, server, desk, ana, cleo, [ben, dora])
        test_what_comes_later_of_them_stays_nowhere(house, server, desk, ana)
        assert process.stop() == 0, process.tail()
        print(json.dumps({"erased": [ana, cleo], "kept": [ben, dora]}))


main()
