#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A subscription that was away for 100,000 events catches up in order and goes on live, without a gap or a double."""
from common import House, Stream, Subscriber, show, take, wait_for

AWAY, USERS, LIVE = 100000, 3000, 5000


def main():
    with House() as house:
        house.start_broker()
        stream = Stream(house.port)
        subscriber = Subscriber(house.port, "crm", credit=2000, beginning=True)
        first = stream.publish(100, lambda n: f"u-{n % 50}")
        seen = []
        while len(seen) < 60:
            events = take(subscriber)
            seen += [e.sequence for e, _ in events]
            subscriber.settle(delivered=[e.sequence for e, _ in events])
        subscriber.leave()
        stream.publish(AWAY, lambda n: f"u-{n % USERS}")
        assert wait_for("the lag", lambda: show(house.port, "crm")["lag"]) >= AWAY
        subscriber = Subscriber(house.port, "crm", credit=2000)
        assert subscriber.subscribed.cursor < first[-1] + AWAY
        again, expected, live = [], 0, 0
        while True:
            events = take(subscriber)
            assert events, f"nothing after {again[-1] if again else 0}"
            again += [e.sequence for e, _ in events]
            subscriber.settle(delivered=[e.sequence for e, _ in events])
            if live < LIVE and again[-1] > AWAY // 2:  # it goes on live while it catches up
                live += len(stream.publish(500, lambda n: f"u-{n % USERS}"))
            expected = stream.next - 1
            if live >= LIVE and again[-1] >= expected:
                break
        assert again == sorted(again), "order"
        assert len(again) == len(set(again)), "doubles"
        new = [s for s in again if s > max(seen)]
        assert new == list(range(max(seen) + 1, expected + 1)), "gaps"
        assert set(range(1, expected + 1)) <= set(seen) | set(again)
        wait_for("the cursor", lambda: show(house.port, "crm")["cursor"] == expected)
        assert house.broker.stop() == 0
        print(f"caught up with {len(again)} events in order, {live} of them live")


main()
