#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long until a broker serves again (the first ack and the first query answered) after it was killed at the worst moments under full
load, and after a simulated power cut: the files out of the page cache, the restore point torn, or everything but base and log gone.

Usage: recovery.py [--events N] [--customers N] [--judge]
Prints the figures. Only --judge asserts them: 10 s after a kill, 60 s after a power cut.
"""
import argparse
import json
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, wait_for  # noqa: E402

KILL_S, CUT_S = 10.0, 60.0
BATCH = 20000
LOADERS = 3
SERVE_S = 600
INTERVAL_S, POINT_EVENTS = 5.0, 200000  # between restore points: the defaults of --restore-interval and --restore-events


def event(n, customers):
    kind, who = n % 5, n * 7919 % customers
    body = {"specversion": "1.0", "id": f"e-{n}", "source": "/recovery", "channel": "web", "keys": f"user_id=u-{who}"}
    if kind == 0:
        return {**body, "type": "org.touchbus.order.placed.v1",
                "data": {"order_id": f"o-{n}", "currency": "EUR", "lines": [{"sku": "A-1", "quantity": 1, "price": "19.90", "name": "Lamp"}]}}
    if kind == 1:
        return {**body, "type": "org.touchbus.customer.identified.v1", "data": {"traits": {"name": f"Name {who}", "city": f"City {n % 90}"}}}
    if kind == 2:
        return {**body, "type": "org.touchbus.call.received.v1", "data": {"call_id": f"c-{n}", "from": f"+3161{who:07d}", "to": "+31800"}}
    return {**body, "type": "org.touchbus.page.viewed.v1", "data": {"url": f"https://shop.example/category/{n % 999}/product/{n}"}}


def fill(house, events, customers):
    for first in range(0, events, BATCH):
        text = "\n".join(json.dumps(event(n, customers)) for n in range(first, min(events, first + BATCH))) + "\n"
        summary = json.loads(house.touchbus("-j", "--timeout", "300s", "pub", "--from", "-", text=text, seconds=600).stdout)
        assert summary["accepted"] == min(events, first + BATCH) - first, summary


def point_age(house):
    try:
        return time.time() - os.stat(os.path.join(house.state, "view", "restore-point")).st_mtime
    except FileNotFoundError:
        return 0.0


class NearlyDue:
    """Whether the next restore point is about to be taken: by time, or, on a fast machine, by events."""

    def __init__(self, house):
        self.house, self.age, self.begun = house, 0.0, next_sequence(house)

    def __call__(self):
        age, following = point_age(self.house), next_sequence(self.house)
        if age < self.age:  # a new one
            self.begun = following
        self.age = age
        return age > INTERVAL_S * 0.9 or following - self.begun > POINT_EVENTS * 0.8


def next_sequence(house):
    return house.ask("log", "info")["next"]


class Load:
    """Publishers as fast as they are acked, in a log of their own each time."""

    def __init__(self, house, customers):
        self.house, self.customers, self.lives, self.processes = house, customers, 0, []

    def begin(self):
        self.lives += 1
        self.processes = [self.house.start("touchbus-test-load", "publish", self.house.address, f"load-{self.lives}-{n}", "1", str(self.customers),
                                           stdout=open(os.path.join(self.house.folder, f"load-{self.lives}-{n}.tsv"), "wb"))
                          for n in range(LOADERS)]

    def end(self):
        for process in self.processes:
            process.kill()
        self.processes = []


def serve(house, environment=None):
    """Starts the broker; seconds until the first ack and until the first answer to a query. The loaders publish meanwhile."""
    began = time.monotonic()
    house.start_broker(environment=environment, wait=False)
    times = {}
    questions = {"ack": ("pub", "page.viewed", "--identity", "user_id=u-1", "--attr", "url=https://shop.example/first"),
                 "query": ("customer", "show", "user_id=u-1")}
    while len(times) < len(questions) and time.monotonic() - began < SERVE_S:
        assert house.broker.alive(), house.broker.tail()
        for name in [n for n in questions if n not in times]:
            if house.touchbus("-j", "--timeout", "300ms", *questions[name], check=False).returncode == 0:
                times[name] = time.monotonic() - began
    assert len(times) == len(questions), f"it does not serve within {SERVE_S} s:\n{house.broker.tail()}"
    return max(times.values())


def cool(house):
    """Everything synced and out of the page cache, as after a power cut."""
    os.sync()
    for folder, _, names in os.walk(house.state):
        for name in [n for n in names if os.path.isfile(os.path.join(folder, n))]:
            with open(os.path.join(folder, name), "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# ---- what happens between the kill and the start; each returns what serve gets

def kill_late(house):
    """Just before the next restore point: the longest catch-up that a kill leaves."""
    wait_for("a restore point is nearly due", NearlyDue(house), 60, 0.01)
    house.broker.kill()


def kill_in_point(house):
    """The point's pages are synced and it is not in force yet: two intervals are to be caught up."""
    house.broker.kill()
    serve(house, {"TOUCHBUS_FAULTPOINT": "in-restore-point:2"})
    wait_for("it dies in a restore point", lambda: not house.broker.alive(), 120, 0.01)
    house.broker.kill()


def kill_catching_up(house):
    """Again and again while it comes up."""
    kill_late(house)
    for _ in range(4):
        house.start_broker(wait=False)
        time.sleep(0.4)
        house.broker.kill()


def cut_power(house):
    kill_late(house)
    cool(house)


def cut_and_tear(house):
    """The commits behind the restore point are lost in part: later meta pages are torn, pages that were not synced are older or garbage."""
    kill_late(house)
    data = os.path.join(house.state, "view", "data.mdb")
    with open(os.path.join(house.state, "view", "restore-point"), "rb") as point, open(data, "r+b") as file:
        # A copy needs nothing of the file. A steady point's meta page names its last page; what the file has beyond came later, and a
        # power cut may leave anything there.
        is_copy = os.fstat(point.fileno()).st_size > 2 * 4096
        point.seek(48 + 136)
        end = 0 if is_copy else (int.from_bytes(point.read(8), "little") + 1) * 4096
        file.seek(0, os.SEEK_END)
        for at in range(end, file.tell(), 4096):
            if random.random() < 0.5:
                file.seek(at)
                file.write(os.urandom(4096))
    cool(house)


def cut_without_point(house):
    """No restore point that can be used: the view is folded anew from base and log."""
    kill_late(house)
    os.unlink(os.path.join(house.state, "view", "restore-point"))
    cool(house)


def cut_without_view(house):
    kill_late(house)
    shutil.rmtree(os.path.join(house.state, "view"))
    cool(house)


CASES = [("kill just before a restore point", kill_late, KILL_S), ("kill in a restore point", kill_in_point, KILL_S),
         ("kill while it catches up, four times", kill_catching_up, KILL_S), ("power cut, cold", cut_power, CUT_S),
         ("power cut, the view torn behind its point", cut_and_tear, CUT_S), ("power cut, no restore point", cut_without_point, CUT_S),
         ("power cut, no view", cut_without_view, CUT_S)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50000)
    parser.add_argument("--customers", type=int, default=5000)
    parser.add_argument("--judge", action="store_true")
    arguments = parser.parse_args()
    over = []
    with House() as house:
        load = Load(house, arguments.customers)
        house.start_broker()
        began = time.monotonic()
        fill(house, arguments.events, arguments.customers)
        print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
        for name, break_it, bound in CASES:
            first = next_sequence(house)
            load.begin()
            wait_for("full load", lambda: next_sequence(house) > first + 1000)
            break_it(house)
            seconds = serve(house)
            load.end()
            caught = [line for line in house.broker.tail(200).splitlines() if "view=caught-up" in line]
            print(f"{seconds:6.2f} s of {bound:.0f}: {name}; log of {next_sequence(house) - 1} events; {caught[-1].split('view=')[1] if caught else ''}",
                  flush=True)
            over += [name] if seconds > bound else []
        verify = house.ask("view", "verify", seconds=1200)
        assert verify["equal"], verify
        assert house.broker.stop() == 0
    assert not (over and arguments.judge), f"over the bound: {over}"


main()
