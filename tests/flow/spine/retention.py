#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""After retention has trimmed most of the log the view still equals base + log: in another process, time zone and configuration."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, program, wait_for  # noqa: E402

EVENTS = 30000
SETTINGS = ("--retention-bytes", "1M", "--restore-interval", "500ms")


def batch(first, count):
    def one(n):
        kind = n % 4
        event = {"specversion": "1.0", "id": f"e-{n}", "source": "/retention", "channel": "web", "keys": f"user_id=u-{n % 700}",
                 "time": f"2026-03-{1 + n % 28:02d}T10:00:00Z"}
        if kind == 0:
            return {**event, "type": "org.touchbus.order.placed.v1",
                    "data": {"order_id": f"o-{n}", "currency": "EUR", "lines": [{"sku": "a", "quantity": 1, "price": "1.10"}]}}
        if kind == 1:
            return {**event, "type": "org.touchbus.customer.identified.v1", "data": {"traits": {"name": f"N {n}", "city": f"C{n % 9}"}}}
        if kind == 2:
            return {**event, "type": "org.touchbus.order.changed.v1", "data": {"order_id": f"o-{n - 2}", "status": "shipped", "revision": 1}}
        return {**event, "type": "com.example.own", "data": {"pad": "y" * 150}}
    return "\n".join(json.dumps(one(n)) for n in range(first, first + count)) + "\n"


def child_verify(house, zone, configuration):
    done = subprocess.run([program("touchbusd"), "--verify-view", "--state", house.state, "--config", configuration], text=True,
                          capture_output=True, timeout=300, env={**os.environ, "TZ": zone}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    with House() as house:
        house.start_broker(*SETTINGS)
        for first in range(0, EVENTS, 5000):
            house.touchbus("pub", "--from", "-", text=batch(first, 5000))
        info = wait_for("most of the log is trimmed", lambda: (lambda i: i if i["first"] > EVENTS * 0.6 else None)(house.ask("log", "info")))
        first_hash = house.ask("view", "verify", seconds=300)
        assert first_hash["equal"] is True and first_hash["live_hash"] == first_hash["rebuilt_hash"], first_hash
        other = os.path.join(house.folder, "other.conf")
        with open(other, "w", encoding="utf-8") as file:
            file.write("retention-bytes = 900M\nrestore-interval = 60s\ndedup-events = 1000\n")
        for zone in ("Asia/Tokyo", "America/St_Johns"):
            again = child_verify(house, zone, other)
            assert again["equal"] is True, again
            assert again["applied"] != first_hash["applied"] or again["live_hash"] == first_hash["live_hash"], (again, first_hash)
        # A late replay below the floor is refused with the floor, and the customer is still known from what was trimmed.
        show = house.ask("customer", "show", "user_id=u-0")
        assert sum(c["number"] if isinstance(c, dict) else c for c in show["counters"]) >= EVENTS // 700 - 1, show["counters"]
        assert house.broker.stop() == 0
        # The next start finds the same view.
        house.start_broker(*SETTINGS)
        last = house.ask("view", "verify", seconds=300)
        assert last["equal"] is True, last
        print(f"log {info['first']} to {info['next'] - 1}; view equal at {last['applied']}")


main()
