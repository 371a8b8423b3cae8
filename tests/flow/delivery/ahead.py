#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Events of one lane go ahead of the ack to a member that says it takes them so. It fails the first of three: the other two, and
what was on its way, are taken back and come again behind the first, in order; other lanes are not touched. A member that does
not say so gets one at a time."""
from common import PATIENT, House, Stream, Subscriber, show, take, wait_for

LANES = {"e-1": "a", "e-2": "a", "e-3": "b", "e-4": "a", "e-5": "a"}


def deliver(subscriber, seconds=30):
    """Ids with their attempts of the next delivery, by id the sequences, and how many failures it had heard of."""
    heard = []
    receive = subscriber.receive

    def listen(*arguments):
        message = receive(*arguments)
        if message is not None and message.WhichOneof("body") == "delivery":
            heard.append(message.delivery.failures)
        return message

    subscriber.receive = listen
    events = take(subscriber, seconds)
    subscriber.receive = receive
    return [(e.id, n) for e, n in events or []], {e.id: e.sequence for e, _ in events or []}, heard[-1] if heard else None


def test_one_at_a_time(house):
    older = Subscriber(house.port, "older", credit=100, beginning=True)
    ids, sequences, heard = deliver(older)
    assert ids == [("e-1", 1)] and heard == 0, ids
    older.settle(delivered=sequences.values())
    ids, sequences, _ = deliver(older)
    assert ids == [("e-2", 1), ("e-3", 1)], ids
    older.leave()


def test_the_first_of_three_fails(house):
    sink = Subscriber(house.port, "ahead", credit=100, lane_ahead=3, beginning=True)
    assert sink.subscribed.lane_ahead == 3
    ids, sequences, heard = deliver(sink)
    assert ids == [("e-1", 1), ("e-2", 1), ("e-3", 1), ("e-4", 1)] and heard == 0, ids  # three of a lane, and e-5 is the fourth
    sink.settle(failures=[(sequences["e-1"], False, "not now")])
    sink.settle(delivered=[sequences["e-2"], sequences["e-3"], sequences["e-4"]])  # of a's later ones it is not to be believed
    ids, again, heard = deliver(sink)
    assert ids == [("e-1", 2)] and heard == 1, (ids, heard)  # alone, as it has failed
    sink.settle(delivered=again.values())
    ids, again, heard = deliver(sink)
    assert ids == [("e-2", 1), ("e-4", 1), ("e-5", 1)] and heard == 1, (ids, heard)
    sink.settle(delivered=again.values())
    wait_for("all of it", lambda: show(house.port, "ahead")["cursor"] >= max(again.values()))
    sink.leave()


def main():
    with House() as house:
        house.start_broker("--retry-min", "300ms", "--retry-max", "300ms", *PATIENT)
        stream = Stream(house.port)
        stream.publish(len(LANES), lambda n: LANES[f"e-{n}"])
        test_one_at_a_time(house)
        test_the_first_of_three_fails(house)
        assert house.broker.stop() == 0
        print("three of a lane went ahead; behind the one that failed they came again, in order")


main()
