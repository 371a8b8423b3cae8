#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A poison event parks its lane only; others flow; the parked lane survives a restart; retry releases it in order; drop gives its
first event up. Lanes without a customer park and drain too."""
from common import PATIENT, House, Publisher, Stream, Subscriber, ask, pb, query, show, take, unpack, viewed, wait_for

USERS, POISON = 20, "e-45"  # of u-5


def run(subscriber, poison, until, rejects=False):
    """Settles everything, failing the poison, until `until` (an id that was settled, or a condition). Events settled, in order."""
    settled = []
    done = until if callable(until) else lambda: any(e.id == until for e in settled)
    for _ in range(2000):
        if done():
            return settled
        for event, _ in take(subscriber, 0.2 if callable(until) else 20) or []:
            if event.id in poison:
                subscriber.settle(failures=[(event.sequence, rejects, "cannot book it")])
            else:
                settled.append(event)
                subscriber.settle(delivered=[event.sequence])
    raise AssertionError(f"nothing more after {[e.id for e in settled[-3:]]}")


def lane_of(house, name="crm"):
    """The parked lanes of a subscription; the list may come in parts."""
    rows = []
    for part in query(house.port, "parked.ls", name=name):
        assert part.code == 0, part
        rows += (unpack(part.body) if part.body else {}).get("rows", [])
    return rows


def test_parks_one_lane(house, stream, subscriber):
    stream.publish(400, lambda n: f"u-{n % USERS}")
    held = {f"e-{n}" for n in range(1, 401) if n % USERS == 5 and n >= 45}
    settled = run(subscriber, {POISON}, "e-400")
    settled += run(subscriber, {POISON}, lambda: show(house.port, "crm")["parked"] == 1)
    settled += run(subscriber, set(), lambda: show(house.port, "crm")["cursor"] == 400)
    assert {e.id for e in settled} == {f"e-{n}" for n in range(1, 401)} - held
    (row,) = lane_of(house)
    assert row["waiting"] == len(held) and row["detail"] == "cannot book it" and row["state"] == "parked", row
    wait_for("the cursor", lambda: show(house.port, "crm")["cursor"] == 400)
    return row["lane"], sorted(held, key=lambda i: int(i[2:]))


def test_survives_a_restart(house, subscriber, lane):
    assert wait_for("written", lambda: show(house.port, "crm")["cursor"] == 400)
    assert house.broker.stop() == 0
    subscriber.close()
    house.start_broker(*PATIENT)
    (row,) = lane_of(house)
    assert row["lane"] == lane, row


def test_retry_releases_in_order(house, stream, lane, held):
    subscriber = Subscriber(house.port, "crm", credit=500)
    stream_ids = stream.publish(40, lambda n: f"u-{n % USERS}")
    held += [f"e-{n}" for n in range(401, 441) if n % USERS == 5]
    run(subscriber, set(), "e-440")
    code, body = ask(house.port, "parked.retry", name="crm", lane=lane)
    assert code == 0 and body["released"] == 1, (code, body)
    ids = []
    while len(ids) < len(held):
        events = take(subscriber)
        assert events, f"only {len(ids)} of {len(held)} were released"
        ids += [e.id for e, _ in events if e.source == "/flow"]  # what operators do is in the log too
        subscriber.settle(delivered=[e.sequence for e, _ in events])
    assert ids == held, (ids, held)
    wait_for("nothing parked", lambda: show(house.port, "crm")["parked"] == 0)
    stream.publish(20, lambda n: f"u-{n % USERS}")
    live = run(subscriber, set(), "e-460")
    assert [e.id for e in live if e.source == "/flow" and int(e.id[2:]) % USERS == 5] == ["e-445"], live
    return subscriber, stream_ids


def test_reject_parks_at_once_and_drop_gives_up_one(house, stream, subscriber):
    stream.publish(60, lambda n: f"u-{n % USERS}")
    settled = run(subscriber, {"e-467"}, "e-520", rejects=True)
    assert "e-487" not in [e.id for e in settled]
    (row,) = wait_for("parked", lambda: lane_of(house))
    assert row["rejected"] and row["failures"] == 1, row
    code, body = ask(house.port, "parked.drop", name="crm", lane=row["lane"])
    assert code == 0 and body["dropped"] == 1, (code, body)
    rest = run(subscriber, set(), "e-507")
    assert [e.id for e in rest if e.source == "/flow" and int(e.id[2:]) % USERS == 7] == ["e-487", "e-507"], rest
    wait_for("nothing parked", lambda: show(house.port, "crm")["parked"] == 0)


def test_lanes_of_nobody(house, subscriber):
    publisher = Publisher(house.port)
    events = []
    for n in range(10):
        event = pb.Event.FromString(viewed(90000 + n, "x"))
        del event.identities[:]
        event.source = "/nobody"
        events.append(event)
    reply = publisher.ask(events)
    assert reply.code == 0 and not reply.outcomes, reply
    first = []
    while not first:
        events = take(subscriber)
        first = [(e, n) for e, n in events if e.source == "/nobody"]
        subscriber.settle(delivered=[e.sequence for e, _ in events if e.source != "/nobody"])
    assert [e.id for e, _ in first] == ["e-90000"] and first[0][0].customer == 0
    subscriber.settle(failures=[(first[0][0].sequence, True, "nobody's")])
    (row,) = wait_for("parked", lambda: [r for r in lane_of(house) if r["waiting"] == 10])
    assert len(row["lane"]) == 16, row
    assert ask(house.port, "parked.retry", name="crm", lane=row["lane"])[0] == 0
    ids = [e.id for e in run(subscriber, set(), "e-90009") if e.source == "/nobody"]
    assert ids == [f"e-{90000 + n}" for n in range(10)], ids
    publisher.close()


def main():
    with House() as house:
        house.start_broker("--retry-min", "20ms", "--retry-max", "100ms", "--retry-attempts", "3", *PATIENT)
        stream = Stream(house.port)
        subscriber = Subscriber(house.port, "crm", credit=500, beginning=True)
        lane, held = test_parks_one_lane(house, stream, subscriber)
        test_survives_a_restart(house, subscriber, lane)
        subscriber, _ = test_retry_releases_in_order(house, stream, lane, held)
        test_reject_parks_at_once_and_drop_gives_up_one(house, stream, subscriber)
        test_lanes_of_nobody(house, subscriber)
        subscriber.leave()
        assert house.broker.stop() == 0
        print(f"parked {len(held)} events of {lane}, the others flowed, released in order")


main()
