#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A deferred contact, an abandoned checkout and a demotion happen once each: while the broker runs, when it was down at the due time,
and not at all because a clock jumped. The broker's wall clock is told by libfaketime, its boot clock is the machine's."""
import datetime
import glob
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, wait_for  # noqa: E402

DAY = 86400
EVENING = datetime.datetime(2026, 3, 2, 22, 0, tzinfo=datetime.timezone.utc).timestamp()
LIBRARY = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
POLICY = """organisation: {zone: Etc/UTC, region: DE, currency: EUR}
standing: {checkout: %s, mvc_value: "100", mvc_keep: 0.8, mvc_grace: %s}
contact: {quiet_from: "21:00", quiet_until: "08:00"}
"""
LINES = [{"sku": "s", "quantity": 1, "price": "100"}]


class Clock(House):
    """A house whose broker has a wall clock of its own."""

    def __init__(self):
        super().__init__()
        self.file = os.path.join(self.folder, "wall")
        self.policy = os.path.join(self.folder, "policy.yaml")

    def set_wall(self, at):
        """The wall clock shows `at` and goes on from there."""
        with open(self.file + ".new", "w", encoding="ascii") as file:
            file.write(f"{at - time.time():+.3f}\n")
        os.rename(self.file + ".new", self.file)

    def write_policy(self, checkout, grace):
        with open(self.policy, "w", encoding="utf-8") as file:
            file.write(POLICY % (checkout, grace))

    def start_at(self, wall):
        self.set_wall(wall)
        self.start_broker("--policy", self.policy, environment={
            "LD_PRELOAD": LIBRARY[0], "FAKETIME_TIMESTAMP_FILE": self.file, "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})

    def say(self, name, kind, data):
        self.touchbus("pub", kind, "-i", f"user_id={name}", "-i", f"email={name}@klant.example", "-d", json.dumps(data), "-a", "time=2026-03-02T21:00:00Z")

    def arm(self, name):
        """A cart, a contact in the quiet hours, and one of the most valuable whose order is cancelled."""
        self.say(name, "customer.identified", {"traits": {"name": name}})
        self.say(name, "order.placed", {"order_id": f"o-{name}", "currency": "EUR", "lines": LINES})
        self.say(name, "order.changed", {"order_id": f"o-{name}", "status": "cancelled", "revision": 2})
        self.say(name, "cart.changed", {"cart_id": f"c-{name}", "lines": LINES})
        done = self.touchbus("-j", "contact", f"user_id={name}", "--content", "offer", "--purpose", "service", "--channel", "email", "--contact-id", f"k-{name}",
                             check=False)
        assert json.loads(done.stdout)["verdict"] == "deferred", done

    def came(self, name):
        """What came of the three, in the order of the log."""
        done = self.touchbus("-j", "log", "export").stdout.splitlines()
        found = []
        for event in map(json.loads, done):
            data = event.get("data") or {}
            kind = event.get("type", "").removeprefix("org.touchbus.").removesuffix(".v1")
            if kind == "checkout.abandoned" and data["cart_id"] == f"c-{name}":
                found.append("checkout")
            if kind == "contact.decided" and data["contact_id"] == f"k-{name}" and data["verdict"] == "approved":
                found.append("contact")
            if kind == "standing.changed" and data["what"] == "tier" and data["old"] == "mvc" and data["new"] != "mvc" and event["customer"] == self.number(name):
                found.append("demotion")
        return sorted(found)

    def number(self, name):
        return self.ask("customer", "show", f"user_id={name}")["customer"]

    def turn(self):
        """The loop goes round, and the tick has something to do."""
        for _ in range(2):
            self.touchbus("pub", "page.viewed", "-i", "user_id=other", "-d", '{"url":"/"}')
            time.sleep(0.1)


ALL = ["checkout", "contact", "demotion"]


def test_no_jump_fires_what_is_not_due(house):
    house.write_policy("30m", "30d")
    house.start_at(EVENING)
    house.arm("ana")
    house.turn()
    house.set_wall(EVENING + 40 * DAY)
    house.turn()
    assert house.came("ana") == [], house.came("ana")
    house.set_wall(EVENING - 40 * DAY)
    house.turn()
    house.set_wall(EVENING + 10)
    house.turn()
    assert house.came("ana") == [], house.came("ana")


def test_what_was_due_while_the_broker_was_down_comes_once(house):
    house.broker.kill()
    house.start_at(EVENING + 40.5 * DAY)  # in the morning
    wait_for("all three", lambda: house.came("ana") == ALL)
    house.turn()
    house.broker.kill()
    house.start_at(EVENING + 80.5 * DAY)
    house.turn()
    assert house.came("ana") == ALL, house.came("ana")


def test_each_comes_once_while_it_runs(house):
    house.broker.stop()
    house.write_policy("2s", "2s")
    house.start_at(EVENING + 100 * DAY + 10 * 3600 - 25)  # shortly before eight, and what may take long with a slow disk comes before it
    house.arm("ben")
    wait_for("all three", lambda: house.came("ben") == ALL)
    house.turn()
    assert house.came("ben") == ALL and house.came("ana") == ALL, (house.came("ben"), house.came("ana"))
    house.touchbus("view", "verify")


def test_no_start_with_a_clock_years_ahead_fires_anything(house):
    house.broker.stop()
    house.write_policy("30m", "30d")
    house.start_at(EVENING + 120 * DAY)
    house.arm("cleo")
    house.broker.kill()
    house.start_at(EVENING + 20 * 365 * DAY)
    house.turn()
    assert house.came("cleo") == [], house.came("cleo")


def main():
    if not LIBRARY:
        print("timers: SKIP: faketime is not installed")
        sys.exit(77)
    with Clock() as house:
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(house)
                print(f"ok   {name}", flush=True)


main()
