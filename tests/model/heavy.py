#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an event costs a customer with a million events, against one with a hundred. Usage: heavy.py [EVENTS [TYPE...]]

The processor time of the broker from frame to ack, without sockets (driver.c), per event, in ticks of BATCH events: the heavy customer and
light ones take turns, in one run; the median of ROUNDS each. By hand, a few minutes; prints one line a kind of event.
"""
import json
import statistics
import sys

from driver import Driver
from generator import START_US, WORDS, rfc3339

BATCH, ROUNDS, LIGHT = 1000, 5, 100
AHEAD = rfc3339(START_US + 400 * 86_400_000_000)
LINES = [{"sku": "s-1", "quantity": 1, "price": "10.00"}]
KINDS = {
    "page.viewed": lambda n: {"url": f"https://shop.example/{n % 100}"},
    "product.viewed": lambda n: {"sku": f"s-{n % 50}"},
    "customer.identified": lambda n: {"traits": {"name": f"n-{n}"}},
    "call.received": lambda n: {"from": "+493012345", "to": "+4930999", "call_id": f"call-{n}"},
    "order.placed": lambda n: {"order_id": f"o-{n}", "lines": LINES, "currency": "EUR"},
    "case.opened": lambda n: {"case_id": f"case-{n}", "kind": "question", "severity": 1},
    "cart.changed": lambda n: {"cart_id": f"cart-{n % 10}", "lines": LINES},
    "answer.recorded": lambda n: {"question": f"question-{n % 20}", "answer": "yes"},
    "quote.issued": lambda n: {"quote_id": f"q-{n}", "revision": 1, "lines": LINES, "valid_until": AHEAD, "currency": "EUR"},
    "contact.requested": lambda n: {"contact_id": f"k-{n}", "content_id": f"content-{n}", "purpose": "service", "channels": ["email", "phone"]},
}
MIX = [kind for kind in KINDS for _ in range(10 if kind in ("page.viewed", "product.viewed") else 1)]


class Bench:
    def __init__(self):
        self.driver, self.n, self.now_us = Driver(), 0, START_US
        self.driver.open(self.now_us, None, [*WORDS, "--log-map", "16G", "--view-map", "16G", "--restore-events", "0"])

    def event(self, user, kind):
        self.n += 1
        return {"specversion": "1.0", "id": f"e-{self.n}", "source": "/web/shop", "type": f"org.touchbus.{kind}.v1", "channel": "web",
                "keys": f"user_id={user}&email!={user}%40klant.example", "data": KINDS[kind](self.n)}

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
    while bench.n < size:
        bench.tick([bench.event("heavy", MIX[i % len(MIX)]) for i in range(BATCH)])
    print(f"heavy customer: {bench.n} events; ticks of {BATCH}, median of {ROUNDS}")
    worst = 0
    for kind in sys.argv[2:] or KINDS:
        heavy, light = [], []
        for turn in range(ROUNDS):
            # A light one has its hundred events in the same tick size: ten people with a hundred each.
            people = [f"light-{kind}-{turn}-{i}" for i in range(BATCH // LIGHT)]
            bench.tick([bench.event(user, MIX[i % len(MIX)]) for user in people for i in range(LIGHT)])
            light.append(bench.tick([bench.event(user, kind) for user in people for _ in range(LIGHT)]))
            heavy.append(bench.tick([bench.event("heavy", kind) for _ in range(BATCH)]))
        ratio = statistics.median(heavy) / statistics.median(light)
        worst = max(worst, ratio)
        print(f"{kind:22} heavy {statistics.median(heavy):7.2f} us/event  light {statistics.median(light):7.2f} us/event  ratio {ratio:.2f}")
    print(f"worst ratio {worst:.2f}")
    bench.driver.close()
    bench.driver.end()


main()
