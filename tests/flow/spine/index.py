#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One customer's events are found by index: the blocks read do not grow with the log (10^4 and 10^5 events, 10^6 with TOUCHBUS_SLOW)."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import SLOW, House  # noqa: E402

FIRST = 10_000
LAST = 1_000_000 if SLOW else 100_000
STEP = 10_000
EVERY = 250  # of the first ten thousand, one event in so many is hers


def batch(first, count):
    def one(n):
        hers = n < FIRST and n % EVERY == 0
        return {"specversion": "1.0", "id": f"e-{n}", "source": "/index", "type": "org.touchbus.page.viewed.v1", "channel": "web",
                "keys": "user_id=ana" if hers else f"user_id=u-{n % 5000}", "data": {"url": f"https://shop.example/{n}"}}
    return "\n".join(json.dumps(one(n)) for n in range(first, first + count)) + "\n"


def replay(house, customer):
    done = house.touchbus("replay", "--customer", customer, "-o", "json", "--stats")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(event["customer"] == customer for event in events), "an event of somebody else"
    ids = [event["id"] for event in events]
    assert ids == [f"e-{n}" for n in range(0, FIRST, EVERY)], ids[:5]
    return json.loads(done.stderr.strip().splitlines()[-1])["blocks_read"]


def main():
    with House() as house:
        house.start_broker()
        house.touchbus("pub", "--from", "-", text=batch(0, FIRST), seconds=300)
        customer = house.ask("customer", "show", "user_id=ana")["customer"]
        small = replay(house, customer)
        for first in range(FIRST, LAST, STEP):
            house.touchbus("pub", "--from", "-", text=batch(first, STEP), seconds=300)
        large = replay(house, customer)
        assert 0 < small <= FIRST // EVERY, small
        assert small == large, f"{small} blocks read with {FIRST} events in the log, {large} with {LAST}"
        print(f"{small} blocks for {FIRST // EVERY} events, with {FIRST} and with {LAST} events in the log")


main()
