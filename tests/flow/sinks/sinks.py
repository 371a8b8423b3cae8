# SPDX-License-Identifier: Apache-2.0
"""What the tests of the sinks share: events to publish, the log to compare with, the customer file to ask."""
import json
import os
import random
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, wait_for  # noqa: E402,F401

DRAIN_S = 120


def cloud(event_id, name, data, keys=None, source="/test", **more):
    """One CloudEvent as a JSON line."""
    event = {"specversion": "1.0", "id": str(event_id), "source": source, "type": f"org.touchbus.{name}.v1", "data": data, **more}
    if keys:
        event["keys"] = keys
    return json.dumps(event)


def day(first, count):
    """Events of several types, half of them for a few busy customers; the same arguments give the same events."""
    draw = random.Random(first)
    for number in range(first, first + count):
        who = draw.randrange(40) if draw.randrange(2) else 100 + draw.randrange(5000)
        keys = f"user_id=u-{who}"
        kind = draw.randrange(5)
        if kind == 0:
            yield cloud(number, "customer.identified", {"traits": {"name": f"Name {who}", "visits": number}}, keys)
        elif kind == 1:
            lines = [{"sku": f"A-{draw.randrange(9)}", "quantity": 1 + draw.randrange(3), "price": "19.90"}]
            yield cloud(number, "order.placed", {"order_id": f"o-{number}", "currency": "EUR", "lines": lines}, keys)
        else:
            yield cloud(number, "page.viewed", {"url": f"https://shop.example/{number}"}, keys)


def publish(house, lines):
    done = house.ask("pub", "--from", "-", text="\n".join(lines) + "\n")
    assert not done.get("refused") and not done.get("pending"), done
    return done


def log_of(house):
    """Every event of the log, in order."""
    return [json.loads(line) for line in house.touchbus("replay", "-o", "json").stdout.splitlines()]


class Crm:
    """The customer file, read as anyone reads it."""

    def __init__(self, house):
        self.path = os.path.join(house.state, "crm", "crm.sqlite")

    def rows(self, query, *arguments):
        connection = sqlite3.connect(self.path, timeout=30)
        try:
            return connection.execute(query, arguments).fetchall()
        finally:
            connection.close()

    def one(self, query, *arguments):
        return self.rows(query, *arguments)[0][0]

    def change(self, statement):
        connection = sqlite3.connect(self.path, timeout=30)
        with connection:
            connection.execute(statement)
        connection.close()


def start(house, name, *arguments, **options):
    process = house.start(f"touchbus-{name}", "--broker", house.address, "--state", house.state, *arguments, **options)
    wait_for(f"the subscription of {name}", lambda: house.touchbus("subscription", "show", name, check=False).returncode == 0)
    return process


def drained(house, name, parked=0, seconds=DRAIN_S):
    """Waits until the subscription has nothing to take but what is parked."""
    def done():
        shown = house.ask("subscription", "show", name)
        return shown if shown["parked"] == parked and shown["lag"] == 0 else None
    return wait_for(f"{name} takes everything", done, seconds)


def agrees(house, crm):
    """The rows of the customer file are the events of the log: each once, with its customer and type."""
    log = {int(e["sequence"]): (e["id"], e["type"].removeprefix("org.touchbus.").removesuffix(".v1"), e.get("customer")) for e in log_of(house)}
    rows = crm.rows("SELECT sequence, id, type, customer FROM interactions")
    kept = {sequence: (event_id, name, customer and f"c{customer}") for sequence, event_id, name, customer in rows}
    assert len(rows) == len(kept) == len(log), f"{len(rows)} rows, {len(log)} events"
    assert kept == log, [(s, kept.get(s), log[s]) for s in log if kept.get(s) != log[s]][:5]
    orders = {e["data"]["order_id"] for e in log_of(house) if e["type"] == "org.touchbus.order.placed.v1"}
    assert {row[0] for row in crm.rows("SELECT order_id FROM orders WHERE placed IS NOT NULL")} == orders
    counted = crm.rows("SELECT customer, interactions FROM customers")
    assert dict(counted) == dict(crm.rows("SELECT customer, count(*) FROM interactions WHERE customer IS NOT NULL GROUP BY customer"))
    return len(rows)
