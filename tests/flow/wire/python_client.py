#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that shares no code with us publishes, subscribes and asks: the wire is what touchbus.proto says it is."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House  # noqa: E402
from wire import Publisher, Subscriber, pb, query  # noqa: E402

DUPLICATE, BAD_FRAME, BAD_VERSION, CONFLICT, NUMBER_GAP, FENCED = 1, 100, 101, 200, 201, 202
N_EVENTS = 5


def order(number, user="u-1"):
    # data is msgpack: {"order_id": "o-<nnn>", "currency": "EUR", "lines": []}
    data = b"\x83\xa8order_id\xa5o-%03d\xa8currency\xa3EUR\xa5lines\x90" % number
    event = pb.Event(id=f"e-{number}", source="/python", type="order.placed", channel="web", data=data, time_us=1767225600000000, has_time=True)
    event.identities.add(kind="user_id", value=user)
    return event


def publishes_with_numbers(port):
    publisher = Publisher(port, "python", epoch=1)
    hello = publisher.ask()
    assert hello.code == 0 and hello.expected == 1 and hello.credit > 0 and len(hello.incarnation) == 16, hello
    reply = publisher.ask([order(n) for n in range(1, N_EVENTS + 1)], number=1)
    assert reply.code == 0 and not reply.outcomes and reply.expected == N_EVENTS + 1, reply
    assert list(reply.sequences) == sorted(set(reply.sequences)) and reply.sequences[0] > 0, reply
    assert len(set(reply.customers)) == 1 and reply.customers[0] > 0, reply
    again = publisher.ask([order(n) for n in range(1, N_EVENTS + 1)], number=1)
    assert [o.code for o in again.outcomes] == [DUPLICATE] * N_EVENTS, again
    assert again.sequences == reply.sequences, again
    gap = publisher.ask([order(99)], number=50)
    assert [o.code for o in gap.outcomes] == [NUMBER_GAP] or gap.code == NUMBER_GAP, gap
    assert gap.expected == N_EVENTS + 1, gap
    newer = Publisher(port, "python", epoch=2)
    assert newer.ask().expected == 1
    other = order(98, user="u-3")
    other.type = "python.other"  # a type that the catalogue does not know
    taken = newer.ask([other], number=1)  # from now on the name is this process's
    assert taken.code == 0 and taken.sequences[0] > 0, taken
    fenced = publisher.ask([order(100)], number=N_EVENTS + 1)
    assert FENCED in [fenced.code, *(o.code for o in fenced.outcomes)], fenced
    publisher.close()
    newer.close()
    return list(reply.sequences), hello.incarnation


def is_protected_without_numbers(port, sequences):
    publisher = Publisher(port)
    reply = publisher.ask([order(1)])
    assert [o.code for o in reply.outcomes] == [DUPLICATE] and reply.sequences[0] == sequences[0], reply
    reply = publisher.ask([order(1, user="u-2")])
    assert [o.code for o in reply.outcomes] == [CONFLICT], reply
    publisher.close()


def is_refused_by_name(port):
    publisher = Publisher(port)
    reply = publisher.ask([b"\xff\xff\xff", order(6, user="u-6")])
    assert [o.code for o in reply.outcomes] == [BAD_FRAME] and reply.sequences[0] == 0 and reply.sequences[1] > 0, reply
    request = pb.PublishRequest(version=9, request=77)
    publisher.send_bytes(request.SerializeToString())
    reply = publisher.receive()
    assert reply is not None and reply.code == BAD_VERSION, reply
    publisher.close()


def replays_unnamed(port, sequences, incarnation):
    subscriber = Subscriber(port, credit=2, until=sequences[-1], beginning=True)
    assert subscriber.incarnation == incarnation
    seen = [(event.sequence, event.id) for event, _ in subscriber.events() if event.source != "/touchbus"]
    assert seen == [(s, f"e-{n}") for n, s in enumerate(sequences, 1)], seen
    assert subscriber.ended.position >= sequences[-1]
    subscriber.close()


def delivers_named(port, sequences):
    """Settles two, lets the third fail once; a second connection goes on behind what was settled."""
    subscriber = Subscriber(port, "python-crm", types=["order.*"], beginning=True)
    assert subscriber.subscribed.created
    events = subscriber.events()
    held = []
    while len(held) < 1:
        held.append(next(events)[0])
    assert held[0].sequence == sequences[0] and held[0].customer > 0 and held[0].received_us > 0, held
    subscriber.settle(delivered=[held[0].sequence])
    second, _ = next(events)  # in order per customer: the next one comes when the first is settled
    assert second.sequence == sequences[1], second
    subscriber.settle(failures=[(second.sequence, False, "try me again")])
    again, attempt = next(events)
    assert again.sequence == second.sequence and attempt == 2, (again, attempt)
    subscriber.settle(delivered=[again.sequence])
    third, _ = next(events)
    assert third.sequence == sequences[2], third
    subscriber.leave()  # holding the third

    subscriber = Subscriber(port, "python-crm")
    assert not subscriber.subscribed.created
    rest = []
    for event, _ in subscriber.events():
        rest.append(event.sequence)
        subscriber.settle(delivered=[event.sequence])
        if event.sequence >= sequences[-1]:
            break
    assert rest == sequences[2:], (rest, sequences)
    subscriber.leave()


def asks(port):
    answer = query(port, "customer.show", key="user_id=u-1")[-1]
    assert answer.code == 0 and answer.as_of > 0 and answer.body, answer
    assert query(port, "customer.show", key="user_id=nobody")[-1].code == 300
    assert query(port, "no.such.verb")[-1].code == 104


def main():
    with House() as house:
        house.start_broker()
        sequences, incarnation = publishes_with_numbers(house.port)
        is_protected_without_numbers(house.port, sequences)
        replays_unnamed(house.port, sequences, incarnation)
        delivers_named(house.port, sequences)
        is_refused_by_name(house.port)
        asks(house.port)
        assert house.broker.stop() == 0
    print(f"published, replayed and settled {len(sequences)} events, from Python")


main()
