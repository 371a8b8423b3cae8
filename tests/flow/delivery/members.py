#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two members of one subscription, one customer's events slow: each takes at least 30 % and every customer's order holds, though
they are handed a customer's events ahead of the ack. One member is then killed with -9 while it holds events: none is lost."""
import os
import subprocess
import sys
import threading
import time

from common import House, Stream, Subscriber, show, take, wait_for

EVENTS, USERS, SLOW_S, AHEAD = 20000, 200, 0.01, 256
ROUNDS_MAX = 3  # two threads of this process share the events: who of them runs when is the machine's business

HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
from common import Subscriber, take
subscriber = Subscriber(int(sys.argv[2]), "pair", credit=500, lane_ahead=8)
events = []
while len(events) < 50:
    events += take(subscriber) or []
print(*[e.sequence for e, _ in events], flush=True)
take(subscriber, 600)
"""


def work(port, name, total, slow, results, lock, own):
    subscriber = Subscriber(port, "pair", credit=500, lane_ahead=AHEAD, beginning=True)
    while True:
        with lock:
            if len(results) >= total:
                break
        events = take(subscriber, 1)
        for event, _ in events or []:
            if event.customer == slow:
                time.sleep(SLOW_S)
            with lock:
                results.append((event.sequence, event.customer, name))
            own.append(event.sequence)
            subscriber.settle(delivered=[event.sequence])
    subscriber.leave()


def slow_customer(house):
    slow = None
    reader = Subscriber(house.port, credit=100, until=40, beginning=True)
    for event, _ in reader.events():
        if event.id == "e-20":
            slow = event.customer
    reader.close()
    return slow


def share(house, stream):
    """The smaller one, of EVENTS more. Nothing is missing, doubled or out of its customer's order."""
    sequences = stream.publish(EVENTS, lambda n: "slow" if n % 20 == 0 else f"u-{n % USERS}")
    slow = slow_customer(house)
    results, lock, own = [], threading.Lock(), {"a": [], "b": []}
    threads = [threading.Thread(target=work, args=(house.port, name, EVENTS, slow, results, lock, own[name])) for name in own]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
        assert not thread.is_alive()
    assert sorted(s for s, _, _ in results) == sequences, "gaps or doubles"
    last = {}
    for sequence, customer, _ in results:
        assert sequence > last.get(customer, 0), "order of a customer"
        last[customer] = sequence
    return min(len(own["a"]), len(own["b"])) / EVENTS


def shares(house, stream):
    found = []
    while len(found) < ROUNDS_MAX and max(found, default=0) < 0.3:
        found.append(share(house, stream))
    assert found[-1] >= 0.3, f"one member took {', '.join(f'{least:.0%}' for least in found)}"
    return found[-1]


def killed(house, stream):
    wait_for("the members' leaving", lambda: show(house.port, "pair")["members"] == 0)
    sequences = stream.publish(1000, lambda n: f"u-{n % USERS}")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, os.path.dirname(os.path.abspath(__file__)), str(house.port)], stdout=subprocess.PIPE, text=True)
    try:
        held = [int(s) for s in holder.stdout.readline().split()]
        assert len(held) >= 50
        other = Subscriber(house.port, "pair", credit=2000)
        assert show(house.port, "pair")["members"] == 2
    finally:
        holder.kill()
        holder.wait()
    began, seen = time.monotonic(), set()
    while len(seen) < 1000 and time.monotonic() - began < 60:
        events = take(other, 15) or []
        seen |= {e.sequence for e, _ in events}
        other.settle(delivered=[e.sequence for e, _ in events])
    assert seen == set(sequences), f"lost {sorted(set(held) - seen)[:10]}"
    other.leave()
    return time.monotonic() - began


def main():
    with House() as house:
        house.start_broker()
        stream = Stream(house.port)
        maker = Subscriber(house.port, "pair", beginning=True)
        maker.leave()
        least = shares(house, stream)
        seconds = killed(house, stream)
        assert house.broker.stop() == 0
        print(f"the smaller share was {least:.0%}; all came {seconds:.1f} s after the kill")


main()
