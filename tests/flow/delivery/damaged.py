#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A flipped bit in the log is never skipped in silence: what comes before it is delivered, then reading stops there by name, until an
operator moves the subscription on."""
import os

from common import House, Stream, Subscriber, ask, pb, show, take

DAMAGED = 304
BLOCK = 100


def flip(house, text):
    """Changes one byte of the running broker's log, where this text stands."""
    path = os.path.join(house.state, "log", "data.mdb")
    with open(path, "rb") as file:
        at = file.read().find(text)
    assert at > 0
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, b"X", at + len(text) - 2)
    os.close(descriptor)


def read_until_refused(subscriber, named):
    sequences = []
    for _ in range(60):
        message = subscriber.receive(0.5)
        if message is None:
            continue
        kind = message.WhichOneof("body")
        if kind == "refused":
            return sequences, message.refused
        if kind == "delivery":
            events = [pb.Event.FromString(data).sequence for data in message.delivery.events]
            sequences += events
            if named:
                subscriber.settle(delivered=events)
    raise AssertionError(f"not refused after {len(sequences)} events")


def main():
    with House() as house:
        house.start_broker()
        stream = Stream(house.port)
        for _ in range(6):
            stream.publish(BLOCK, lambda n: f"u-{n}")
        flip(house, b"e-350")
        for name in ("crm", ""):
            sequences, refusal = read_until_refused(Subscriber(house.port, name, credit=1000, beginning=True), bool(name))
            assert sequences == list(range(1, 301)), (name, len(sequences))
            assert refusal.code == DAMAGED and "301" in refusal.detail, refusal
        state = show(house.port, "crm")
        assert state["state"] == "damaged" and state["damaged"] == 301 and state["cursor"] == 300, state
        assert ask(house.port, "subscription.reset", name="crm", **{"from": "401"})[0] == 0
        assert [e.sequence for e, _ in take(Subscriber(house.port, "crm", credit=1000))][0] == 401
        assert show(house.port, "crm")["state"] == "active"
        assert house.broker.stop() == 0
        house.start_broker()  # what is damaged lies below the restore point: it starts, and says which ids it does not know
        with open(house.broker.log, encoding="utf-8") as file:
            assert "log=damaged first=301 last=400" in file.read()
        house.broker.kill()
        print("stopped at the damage, by name; moved on by an operator")


main()
