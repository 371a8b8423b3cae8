#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Acks out of order survive a restart of the broker, and a kill -9: what was settled does not come again, the rest does, once."""
from common import PATIENT, House, Stream, Subscriber, ask, show, take, wait_for

EVENTS = 1000


def hold_all(house, count):
    subscriber = Subscriber(house.port, "erp", credit=count)
    seen = []
    while len(seen) < count:
        events = take(subscriber)
        if not events:
            break
        seen += [e.sequence for e, _ in events]
    return subscriber, seen


def main():
    with House() as house:
        house.start_broker(*PATIENT)
        stream = Stream(house.port)
        sequences = stream.publish(EVENTS, lambda n: f"u-{n}")  # all of different customers
        Subscriber(house.port, "erp", types=["page.viewed"], beginning=True).leave()
        left = sequences
        for how in ("stop", "kill"):
            wait_for("nobody", lambda: show(house.port, "erp")["members"] == 0)
            subscriber, seen = hold_all(house, len(left))
            assert seen == left, f"after {how}: {len(seen)} of {len(left)}"
            done = [s for s in seen if s % 3 != 1]
            settled = show(house.port, "erp")["settled"] + len(done)
            subscriber.settle(delivered=done[::-1])
            wait_for("it is settled", lambda: show(house.port, "erp")["settled"] == settled)  # noqa: B023
            assert ask(house.port, "subscription.resume", name="erp")[0] == 0  # answered once all of it is written
            before = show(house.port, "erp")
            assert before["cursor"] < left[1] and before["ranges"] > 0, before
            if how == "stop":
                assert house.broker.stop() == 0
            else:
                house.broker.kill()
            subscriber.close()
            house.start_broker(*PATIENT)
            after = show(house.port, "erp")
            assert after["cursor"] == before["cursor"] and after["ranges"] == before["ranges"], (before, after)
            left = [s for s in left if s not in set(done)]
        subscriber, seen = hold_all(house, len(left))
        assert seen == left and take(subscriber, 1) is None
        subscriber.settle(delivered=seen)
        wait_for("the cursor", lambda: show(house.port, "erp")["cursor"] >= sequences[-1])
        assert house.broker.stop() == 0
        print(f"settled out of order, stopped and killed: {EVENTS} events once each")


main()
