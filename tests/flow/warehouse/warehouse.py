# SPDX-License-Identifier: Apache-2.0
"""What the flows of the warehouse share: a server, the connector on it, and how its rows are held against the log."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "servers"), os.path.join(HERE, "..", "sinks")]
from harness import SLOW, House, wait_for  # noqa: E402,F401
from postgres import Postgres  # noqa: E402,F401
from sinks import cloud, day, drained, log_of, publish, start  # noqa: E402,F401


def connect(house, server, *arguments):
    """touchbus-crm on the warehouse."""
    return start(house, "crm", "--postgres", server.uri, "--password-file", server.password_file, *arguments)


def health(house, name="crm"):
    return house.ask("connector", "show", name)


def agrees(house, server):
    """The rows of the warehouse are the events of the log: each once, with its customer and type; and what is counted fits."""
    log = {int(e["sequence"]): (e["id"], e["type"].removeprefix("org.touchbus.").removesuffix(".v1"), e.get("customer") or "") for e in log_of(house)}
    rows = server.rows("SELECT sequence, id, type, customer FROM interactions")
    kept = {int(sequence): (event_id, name, customer and f"c{customer}") for sequence, event_id, name, customer in rows}
    assert len(rows) == len(kept) == len(log), f"{len(rows)} rows, {len(kept)} sequences, {len(log)} events"
    assert kept == log, [(s, kept.get(s), log[s]) for s in log if kept.get(s) != log[s]][:5]
    wrong = server.rows("SELECT c.customer, c.interactions, i.n FROM customers c FULL JOIN (SELECT customer, count(*) AS n FROM interactions "
                        "WHERE customer IS NOT NULL GROUP BY customer) i USING (customer) WHERE c.interactions IS DISTINCT FROM i.n LIMIT 5")
    assert not wrong, wrong
    orders = {e["data"]["order_id"] for e in log_of(house) if e["type"] == "org.touchbus.order.placed.v1"}
    assert {row[0] for row in server.rows("SELECT order_id FROM orders WHERE placed IS NOT NULL")} == orders
    return len(rows)


def dump(value):
    return json.dumps(value)
