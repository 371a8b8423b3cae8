#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""History goes into a subscription once more: what matches comes again in order, before what follows; a restart in between goes on.
A sink that is away for everybody is an outage, not poison: nothing parks. A subscriber that is stopped slows nobody else."""
import os
import signal
import subprocess
import sys
import time

from common import House, Stream, Subscriber, ask, show, take, wait_for

USERS, BEAT = 50, b"\x08\x01\x20\x01"
SETTINGS = ("--retry-min", "10ms", "--retry-max", "50ms", "--retry-attempts", "3", "--member-lapse", "30s")  # for who publishes to a slow disk

SLEEPER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from common import Subscriber
subscriber = Subscriber(int(sys.argv[2]), "stuck", credit=10000, beginning=True)
print("here", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def settle_until(subscriber, done, seconds=30):
    """Settles what comes until done() of the ids so far, in order."""
    ids, limit = [], time.monotonic() + seconds
    while not done(ids):
        assert time.monotonic() < limit, ids[-5:]
        events = take(subscriber, 0.3) or []
        subscriber.settle(delivered=[e.sequence for e, _ in events])
        ids += [e.id for e, _ in events if e.source == "/flow"]
    return ids


def test_history_comes_again(house, stream):
    subscriber = Subscriber(house.port, "crm", credit=100, beginning=True)
    stream.publish(300, lambda n: f"u-{n % USERS}", kind="page.viewed")
    stream.publish(200, lambda n: f"u-{n % USERS}", kind="track.seen")
    settle_until(subscriber, lambda ids: "e-500" in ids)
    code, body = ask(house.port, "subscription.replay", name="crm", type="track.*", **{"from": "1", "until": "450"})
    assert code == 0 and body["until"] == 450, (code, body)
    stream.publish(20, lambda n: f"u-{n % USERS}")
    half = settle_until(subscriber, lambda ids: len(ids) >= 60)
    wait_for("written", lambda: show(house.port, "crm").get("replay", {"position": 1000})["position"] >= 300 + len(half))
    time.sleep(0.5)
    subscriber.leave()
    assert house.broker.stop() == 0
    house.start_broker(*SETTINGS)
    subscriber = Subscriber(house.port, "crm", credit=100)
    rest = settle_until(subscriber, lambda ids: "e-520" in ids)
    both = half + [i for i in rest if i not in half]
    expected = [f"e-{n}" for n in range(301, 451)] + [f"e-{n}" for n in range(501, 521)]
    assert both == expected, (both[:5], len(both), len(expected))
    wait_for("its end", lambda: "replay" not in show(house.port, "crm"))
    return subscriber


def test_an_outage_parks_nothing(house, stream, subscriber):
    stream.publish(100, lambda n: f"u-{n % USERS}")
    limit, refused = time.monotonic() + 30, 0
    while refused < 60 and time.monotonic() < limit:
        for event, _ in take(subscriber, 0.3) or []:
            subscriber.settle(failures=[(event.sequence, False, "the sink is away")])
            refused += 1
    state = wait_for("it is an outage", lambda: [s for s in [show(house.port, "crm")] if s["state"] == "outage"])[0]
    assert state["parked"] == 0, state
    ids = settle_until(subscriber, lambda ids: len(set(ids)) >= 100)
    assert {f"e-{n}" for n in range(521, 621)} <= set(ids)
    wait_for("it is over", lambda: show(house.port, "crm")["state"] == "active")
    return refused


def test_a_stopped_subscriber_slows_nobody(house, stream, subscriber):
    here = os.path.dirname(os.path.abspath(__file__))
    sleeper = subprocess.Popen([sys.executable, "-c", SLEEPER, here, str(house.port)], stdout=subprocess.PIPE, text=True)
    try:
        assert sleeper.stdout.readline().strip() == "here"
        began = time.monotonic()
        for _ in range(10):
            stream.publish(2000, lambda n: f"u-{n % 5000}")
            subscriber.send_bytes(BEAT)
        last = f"e-{stream.next - 1}"
        settle_until(subscriber, lambda ids: last in ids[-3000:])
        seconds = time.monotonic() - began
        assert show(house.port, "stuck")["lag"] >= 20000
        wait_for("it lapses", lambda: (subscriber.send_bytes(BEAT), show(house.port, "stuck")["members"] == 0)[1])
        return seconds
    finally:
        sleeper.send_signal(signal.SIGKILL)
        sleeper.wait()


def main():
    with House() as house:
        house.start_broker(*SETTINGS)
        stream = Stream(house.port)
        subscriber = test_history_comes_again(house, stream)
        refused = test_an_outage_parks_nothing(house, stream, subscriber)
        seconds = test_a_stopped_subscriber_slows_nobody(house, stream, subscriber)
        subscriber.leave()
        assert house.broker.stop() == 0
        print(f"again in order across a restart; {refused} failures of an outage parked nothing; 20000 events in {seconds:.1f} s beside a stopped one")


main()
