#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a sink holds of a person while that person is erased: what it then refuses is given up instead of parked, a lane that is being
released ends with the erasing event, and the erasing event itself may be refused, parked and retried like any other."""
from common import House, Subscriber, lines, page, pb, publish, receipt, wait_for


def events_of(subscriber, count, seconds=30):
    """The next `count` events."""
    found = []

    def take():
        message = subscriber.receive(0.2)
        if message is None:
            subscriber.send(pb.SubscriberMessage(beat=True))
        elif message.WhichOneof("body") == "delivery":
            found.extend(pb.Event.FromString(data) for data in message.delivery.events)
        return len(found) >= count
    wait_for(f"{count} events", take, seconds, pause=0)
    assert len(found) == count, found
    return found


def customer_of(house, user):
    return house.ask("customer", "show", f"user_id={user}")["customer"]


def state_of(house, customer):
    (row,) = receipt(house, customer)["connectors"]
    return row["state"]


def test_what_is_refused_after_the_erasure_is_given_up(house, sink):
    publish(house, page("held", "user_id=u-held"), page("behind", "user_id=u-held"))
    (held,) = events_of(sink, 1)
    customer = customer_of(house, "u-held")
    sequence = house.ask("customer", "erase", customer, "--yes")["sequence"]
    assert state_of(house, customer) == "pending"
    sink.settle(failures=[(held.sequence, True, "no")])
    (behind,) = events_of(sink, 1)
    assert behind.id == "behind" and behind.redacted and not behind.identities, behind
    sink.settle(failures=[(behind.sequence, True, "what is this")])
    (erasing,) = events_of(sink, 1)
    assert erasing.sequence == sequence and erasing.type == "privacy.changed" and not erasing.redacted, erasing
    sink.settle(delivered=[sequence])
    wait_for("confirmed", lambda: state_of(house, customer) == "confirmed")
    assert not lines(house, "parked", "ls")


def test_a_lane_under_release_ends_with_the_erasure(house, sink):
    publish(house, *(page(f"lane-{n}", "user_id=u-lane") for n in range(5)))
    customer = customer_of(house, "u-lane")
    (first,) = events_of(sink, 1)
    sink.settle(failures=[(first.sequence, True, "not yet")])
    wait_for("parked", lambda: [row for row in lines(house, "parked", "ls") if row["waiting"] == 5])
    house.ask("parked", "retry", "sink", customer)
    (again,) = events_of(sink, 1)
    assert again.id == "lane-0" and not again.redacted, again
    sequence = house.ask("customer", "erase", customer, "--yes")["sequence"]
    sink.settle(failures=[(again.sequence, True, "still not")])
    last = again
    while last.sequence != sequence:  # what was looked up before comes out redacted
        (last,) = events_of(sink, 1)
        assert last.redacted or last.sequence == sequence, last
        sink.settle(delivered=[last.sequence])
    wait_for("confirmed", lambda: state_of(house, customer) == "confirmed")
    wait_for("nothing parked", lambda: not lines(house, "parked", "ls"))


def test_the_erasing_event_may_park_and_comes_again(house, sink):
    publish(house, page("late", "user_id=u-late"))
    (only,) = events_of(sink, 1)
    sink.settle(delivered=[only.sequence])
    customer = customer_of(house, "u-late")
    sequence = house.ask("customer", "erase", customer, "--yes")["sequence"]
    (erasing,) = events_of(sink, 1)
    sink.settle(failures=[(erasing.sequence, True, "the disk is full")])
    (row,) = wait_for("parked", lambda: lines(house, "parked", "ls"))
    assert row["first"] == row["last"] == sequence, row
    assert state_of(house, customer) == "pending"
    other = house.ask("customer", "erase", customer_of(house, "u-other"), "--yes")  # somebody else's drops nothing of it
    (erasing,) = events_of(sink, 1)
    sink.settle(delivered=[other["sequence"]])
    wait_for("it is taken", lambda: state_of(house, other["customer"]) == "confirmed")
    assert house.broker.stop() == 0
    house.start_broker()
    assert [row["first"] for row in lines(house, "parked", "ls")] == [sequence] and state_of(house, customer) == "pending"
    sink = Subscriber(house.port, "sink", credit=1)
    house.ask("parked", "retry", "sink", customer)
    (erasing,) = events_of(sink, 1)
    assert erasing.sequence == sequence, erasing
    sink.settle(delivered=[sequence])
    wait_for("confirmed", lambda: state_of(house, customer) == "confirmed")
    sink.leave()


def main():
    with House() as house:
        house.start_broker()
        publish(house, page("other", "user_id=u-other"))
        sink = Subscriber(house.port, "sink", credit=1, types=["page.viewed", "privacy.changed"])
        test_what_is_refused_after_the_erasure_is_given_up(house, sink)
        test_a_lane_under_release_ends_with_the_erasure(house, sink)
        test_the_erasing_event_may_park_and_comes_again(house, sink)
        assert house.broker.stop() == 0
        print("held, released and parked lanes of erased persons end with the erasing event")


main()
