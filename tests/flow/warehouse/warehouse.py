# SPDX-License-Identifier: Apache-2.0
"""What the flows of the warehouse share: a server, the connector on it, and how its rows are held against the log."""
import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "servers"), os.path.join(HERE, "..", "sinks")]
from harness import SLOW, House, program, wait_for  # noqa: E402,F401
from names import Names, NamesError  # noqa: E402,F401
from postgres import Postgres  # noqa: E402,F401
from sinks import cloud, drained, publish, start  # noqa: E402,F401


def connect(house, server, *arguments):
    """touchbus-crm on the warehouse."""
    return start(house, "crm", "--postgres", server.uri, "--password-file", server.password_file, *arguments)


def says(process, text, after=0):
    """What the connector's log says from `after` on; the place behind it."""
    def found():
        with open(process.log, encoding="utf-8") as file:
            log = file.read()
        place = log.find(text, after)
        return place + len(text) if place >= 0 else None
    return wait_for(f"the log says {text!r}", found)


def log_end(process):
    return os.path.getsize(process.log)


def mix(first, count):
    """Events of several types: a thousand customers who tell and buy, many who look, a few busy ones; the same arguments give the same events."""
    draw = random.Random(first)
    for number in range(first, first + count):
        kind = draw.randrange(50)
        who = draw.randrange(40) if draw.randrange(50) == 0 else 100 + draw.randrange(1000 if kind < 12 else 50000)
        keys = f"user_id=u-{who}"
        if kind < 8:
            yield cloud(number, "customer.identified", {"traits": {"name": f"Name {who}", "visits": number}}, keys)
        elif kind < 11:
            lines = [{"sku": f"A-{draw.randrange(9)}", "quantity": 1 + draw.randrange(3), "price": "19.90"}]
            yield cloud(number, "order.placed", {"order_id": f"o-{number}", "currency": "EUR", "lines": lines}, keys)
        elif kind < 12:
            yield cloud(number, "case.opened", {"case_id": f"k-{number}", "kind": "complaint", "severity": draw.randrange(4)}, keys)
        else:
            yield cloud(number, "page.viewed", {"url": f"https://shop.example/{number}?said=\"{who}\\"}, keys)


def log_of(house):
    """Sequence -> (id, type, customer) of every event of the log, and the ids of orders placed; read as a stream."""
    log, orders = {}, set()
    with subprocess.Popen([program("touchbus"), "--broker", house.address, "replay", "-o", "json"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as replay:
        for line in replay.stdout:
            event = json.loads(line)
            name = event["type"].removeprefix("org.touchbus.").removesuffix(".v1")
            log[int(event["sequence"])] = (event["id"], name, event.get("customer") or "")
            if name == "order.placed" and "data" in event:
                orders.add(event["data"]["order_id"])
    assert replay.returncode == 0, replay.returncode
    return log, orders


def agrees(house, server):
    """The rows of the warehouse are the events of the log: each once, with its customer and type; and what is counted fits."""
    log, orders = log_of(house)
    rows = server.rows("SELECT sequence, id, type, customer FROM interactions")
    kept = {int(sequence): (event_id, name, customer and f"c{customer}") for sequence, event_id, name, customer in rows}
    assert len(rows) == len(kept) == len(log), f"{len(rows)} rows, {len(kept)} sequences, {len(log)} events"
    assert kept == log, [(s, kept.get(s), log[s]) for s in log if kept.get(s) != log[s]][:5]
    wrong = server.rows("SELECT c.customer, c.interactions, i.n FROM customers c FULL JOIN (SELECT customer, count(*) AS n FROM interactions "
                        "WHERE customer IS NOT NULL GROUP BY customer) i USING (customer) WHERE c.interactions IS DISTINCT FROM i.n LIMIT 5")
    assert not wrong, wrong
    assert {row[0] for row in server.rows("SELECT order_id FROM orders WHERE placed IS NOT NULL")} == orders
    lines = server.rows("SELECT order_id FROM orders LEFT JOIN order_lines l USING (order_id) GROUP BY order_id HAVING count(l.order_id) <> 1 LIMIT 5")
    assert not lines, f"of {lines} the lines are not there once"
    return len(rows)
