#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an event costs a customer with a million events, against one with a hundred. Usage: heavy.py [EVENTS [TYPE...]]

The processor time of the broker from frame to ack, without sockets (driver.c), per event, in ticks of BATCH events: the heavy customer and
light ones take turns, in one run; the median of ROUNDS each. The light ones are a crowd that has as many events as the heavy one, a hundred
each: both lie in tables of one size, and a tick of either goes to as many pages. By hand, some minutes; prints one line a kind of event.
"""
import collections
import json
import random
import statistics
import sys

from driver import Driver
from generator import START_US, WORDS, rfc3339

BATCH, ROUNDS, LIGHT, LAG = 1000, 5, 100, 5
AHEAD = rfc3339(START_US + 400 * 86_400_000_000)
LINES = [{"sku": "s-1", "quantity": 1, "price": "10.00"}]


def quote(user, i):
    # Each takes the place of the one before: what is open stays what it was.
    return {"quote_id": f"q-{user}-{i}", "revision": 1, "lines": LINES, "valid_until": AHEAD, "currency": "EUR", "supersedes": f"q-{user}-{i - 1}"}


# What the user's i-th event of a kind says.
KINDS = {
    "page.viewed": lambda user, i: {"url": f"https://shop.example/{i % 100}"},
    "product.viewed": lambda user, i: {"sku": f"s-{i % 50}"},
    "customer.identified": lambda user, i: {"traits": {"name": f"n-{i}"}},
    "call.received": lambda user, i: {"from": "+493012345", "to": "+4930999", "call_id": f"call-{user}-{i}"},
    "call.ended": lambda user, i: {"call_id": f"call-{user}-{i}", "duration_s": 60, "outcome": "resolved"},
    "chat.state": lambda user, i: {"conversation_id": f"chat-{user}-{i // 2}", "state": ("requested", "ended")[i % 2]},
    "order.placed": lambda user, i: {"order_id": f"o-{user}-{i}", "cart_id": f"cart-{user}-{i % 10}", "lines": LINES, "currency": "EUR"},
    "order.changed": lambda user, i: {"order_id": f"o-{user}-{i}", "revision": 1, "status": "packed"},
    "case.opened": lambda user, i: {"case_id": f"case-{user}-{i}", "kind": "question", "severity": 1},
    "case.resolved": lambda user, i: {"case_id": f"case-{user}-{i - LAG}", "outcome": "done"},
    "cart.changed": lambda user, i: {"cart_id": f"cart-{user}-{i % 10}", "lines": LINES},
    "answer.recorded": lambda user, i: {"question": f"question-{i % 20}", "answer": "yes"},
    "quote.issued": quote,
    "quote.closed": lambda user, i: {"quote_id": f"q-{user}-{i - LAG}", "outcome": "rejected"},
    "consent.changed": lambda user, i: {"address": f"{user}@klant.example", "channel": "email", "purpose": f"purpose-{i}" if i > 1 else "marketing", "state": "granted", "text_version": "1"},
    "promise.made": lambda user, i: {"promise_id": f"p-{user}-{i}", "text": "later", "due": AHEAD},
    "contact.requested": lambda user, i: {"contact_id": f"k-{user}-{i}", "content_id": f"content-{i}", "purpose": ("service", "marketing")[i % 2], "channels": ["email", "phone"]},
}
# So that both kinds of people tell of things that are there.
BEFORE = {"call.ended": "call.received", "order.changed": "order.placed", "case.resolved": "case.opened", "quote.closed": "quote.issued"}
MIX = [kind for kind in KINDS for _ in range(10 if kind in ("page.viewed", "product.viewed") else 1)]


class Bench:
    def __init__(self):
        self.driver, self.n, self.now_us = Driver(), 0, START_US
        self.of_kind = collections.Counter()
        self.driver.open(self.now_us, None, [*WORDS, "--log-map", "16G", "--view-map", "16G", "--restore-events", "0"])

    def event(self, user, kind):
        self.n += 1
        self.of_kind[user, kind] += 1
        return {"specversion": "1.0", "id": f"e-{self.n}", "source": "/web/shop", "type": f"org.touchbus.{kind}.v1", "channel": "web",
                "keys": f"user_id={user}&email!={user}%40klant.example", "data": KINDS[kind](user, self.of_kind[user, kind])}

    def tick(self, events):
        self.now_us += 1_000_000
        self.driver.clock(self.now_us)
        answer = self.driver.publish(events)
        if not all(answer["sequences"]):
            sys.exit(f"heavy: refused: {json.dumps(answer)[:500]}")
        return answer["took_us"] / len(events)


def main():
    size = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    bench = Bench()
    crowd = [f"light-{i}" for i in range(max(size // LIGHT, BATCH // LIGHT))]
    for first in range(0, len(crowd), BATCH // LIGHT):
        bench.tick([bench.event("heavy", MIX[i % len(MIX)]) for i in range(BATCH)])
        bench.tick([bench.event(user, MIX[i % len(MIX)]) for user in crowd[first:first + BATCH // LIGHT] for i in range(LIGHT)])
    print(f"heavy customer: {size} events; {len(crowd)} light ones: {LIGHT} each; ticks of {BATCH}, median of {ROUNDS}")
    dice = random.Random(1)
    worst = 0
    for kind in sys.argv[2:] or KINDS:
        heavy, light = [], []
        for turn in range(ROUNDS):
            people = dice.sample(crowd, min(BATCH, len(crowd))) * (BATCH // min(BATCH, len(crowd)))
            if kind in BEFORE:
                bench.tick([bench.event(user, BEFORE[kind]) for user in people])
                bench.tick([bench.event("heavy", BEFORE[kind]) for _ in people])
            light.append(bench.tick([bench.event(user, kind) for user in people]))
            heavy.append(bench.tick([bench.event("heavy", kind) for _ in people]))
        ratio = statistics.median(heavy) / statistics.median(light)
        worst = max(worst, ratio)
        print(f"{kind:22} heavy {statistics.median(heavy):7.2f} us/event  light {statistics.median(light):7.2f} us/event  ratio {ratio:.2f}")
    print(f"worst ratio {worst:.2f}")
    bench.driver.close()
    bench.driver.end()


main()
