#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Unnamed subscriptions: filters, bounds, a customer's events by index (as many blocks read whatever the log holds), and what is
refused with which code."""
from common import House, Publisher, Stream, Subscriber, pb, show, take, wait_for

BAD_ARGUMENT, BAD_CURSOR, NOT_FOUND, EXISTS = 103, 105, 300, 301
FEW, MANY = 10000, 100000


def ids_of(subscriber):
    ids = [event.id for event, _ in subscriber.events()]
    subscriber.close()
    return ids


def refused(port, name="", types=(), **start):
    try:
        Subscriber(port, name, types=types, **start)
    except AssertionError as error:
        return error.args[0].refused.code
    raise AssertionError("was not refused")


def by_index(house, customer, until):
    """Ids and blocks read of a customer's replay."""
    line = Subscriber.__new__(Subscriber)
    super(Subscriber, line).__init__(house.port + 1, pb.BrokerMessage)
    line.named = False
    subscribe = pb.Subscribe(credit=1000, until_sequence=until, start=pb.Start(beginning=True), filter=pb.Filter(customer=customer))
    line.send(pb.SubscriberMessage(subscribe=subscribe))
    assert line.await_body().WhichOneof("body") == "subscribed"
    ids = [event.id for event, _ in line.events()]
    line.close()
    return ids, line.ended.blocks_read


def main():
    with House() as house:
        house.start_broker()
        stream = Stream(house.port)
        publisher = stream.publisher
        stream.publish(2000, lambda n: "ana" if n % 40 == 0 else f"u-{n % 300}")
        stream.publish(FEW - 2000, lambda n: f"u-{n % 300}")
        reader = Subscriber(house.port, credit=100, until=40, beginning=True)
        ana = [event.customer for event, _ in reader.events() if event.id == "e-40"][0]
        reader.close()

        expected = [f"e-{n}" for n in range(40, 2001, 40)]
        ids, few = by_index(house, ana, FEW)
        assert ids == expected, ids[:5]
        stream.publish(MANY - FEW, lambda n: f"u-{n % 300}")
        ids, many = by_index(house, ana, MANY)
        assert ids == expected and many == few, (few, many)
        assert few <= len(expected), few

        stream.publish(10, lambda n: f"u-{n}", channel="kiosk", kind="track.seen")
        head = stream.next - 1
        last = [f"e-{n}" for n in range(head - 9, head + 1)]
        assert ids_of(Subscriber(house.port, types=["track.*"], until=head, beginning=True)) == last
        assert ids_of(Subscriber(house.port, until=head, sequence=head - 4)) == last[5:]
        assert ids_of(Subscriber(house.port, types=["*.seen", "x"], until=head, time_us=0)) == last

        tail = Subscriber(house.port, types=["track.*"], end=True)
        stream.publish(3, lambda n: "live", kind="track.seen")
        stream.publish(3, lambda n: "live")
        assert [e.id for e, _ in take(tail)] == [f"e-{head + n}" for n in (1, 2, 3)]
        assert take(tail, 1) is None
        tail.close()

        assert refused(house.port, sequence=head + 100) == BAD_CURSOR
        assert refused(house.port, sequence=1 << 63) == BAD_CURSOR
        assert refused(house.port, "crm", until=5) == BAD_ARGUMENT
        Subscriber(house.port, "crm", types=["order.*", "page.*"]).leave()
        assert refused(house.port, "crm", types=["page.*"]) == EXISTS
        Subscriber(house.port, "crm", types=["page.*", "order.*"]).leave()
        stranger = Publisher(house.port)  # any DEALER: here to speak before subscribing
        stranger.socket.connect(f"tcp://127.0.0.1:{house.port + 1}")
        stranger.close()
        line = Subscriber(house.port, end=True)
        line.leave()
        silent = Subscriber.__new__(Subscriber)
        super(Subscriber, silent).__init__(house.port + 1, pb.BrokerMessage)
        silent.send(pb.SubscriberMessage(beat=True))
        assert silent.receive().refused.code == NOT_FOUND
        silent.close()
        wait_for("nobody", lambda: show(house.port, "crm")["members"] == 0)
        publisher.close()
        assert house.broker.stop() == 0
        print(f"{len(expected)} events of one customer in {few} blocks, of {FEW} and of {MANY} events")


main()
