# SPDX-License-Identifier: Apache-2.0
"""What the flows of erasure share: events of a few people as CloudEvents lines, and the questions asked of the broker."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
from harness import House, wait_for  # noqa: E402,F401
from wire import Subscriber, pb  # noqa: E402,F401

LINES = [{"sku": "s-1", "quantity": 1, "price": "1.00"}]


def event(ident, kind, keys, data, **more):
    return {"specversion": "1.0", "id": ident, "source": "/flow", "type": f"org.touchbus.{kind}.v1", "keys": keys, "data": data, **more}


def page(ident, keys, **more):
    return event(ident, "page.viewed", keys, {"url": f"https://shop.example/{ident}"}, **more)


def order(ident, keys, order_id, broken=False):
    data = {"order_id": order_id, "currency": "EUR"}
    return event(ident, "order.placed", keys, data if broken else {**data, "lines": LINES})


def shipped(ident, order_id):
    return event(ident, "order.changed", "", {"order_id": order_id, "status": "shipped", "revision": 2})


def publish(house, *events):
    """All of them; what was quarantined or refused makes no failure here."""
    text = "".join(json.dumps({k: v for k, v in each.items() if v != ""}) + "\n" for each in events)
    done = house.touchbus("-j", "pub", "--from", "-", text=text, check=False)
    assert done.returncode in (0, 1), done
    return json.loads(done.stdout.splitlines()[-1])


def refused(house, *arguments):
    """The reason that a command is refused with."""
    done = house.touchbus("-j", *arguments, check=False)
    assert done.returncode == 1, done
    return json.loads(done.stderr.splitlines()[-1])["error"]


def lines(house, *arguments):
    return [json.loads(line) for line in house.touchbus("-j", *arguments).stdout.splitlines()]


def log(house):
    """Every event of the log as it is handed out, by id."""
    return {row["id"]: row for row in lines(house, "replay", "-o", "json")}


def receipt(house, customer):
    return house.ask("customer", "receipt", customer)


def broker_is_done(house, customer):
    found = receipt(house, customer)
    return found if not found["waiting"] else None


def view_is_equal(house):
    return house.ask("view", "verify")["equal"]
