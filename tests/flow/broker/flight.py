#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One tick is decided while the one before it is on its way to the disk. The one before is held where it is on no disk yet: what comes
then is judged by it (a conflict, a duplicate, another price for the customer), nothing of either is answered or shown before both
stores have it, and the answers come in the order of the sequences."""
import os
import stat
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire"), HERE]
from harness import House, wait_for  # noqa: E402
from wire import Publisher, pb, query  # noqa: E402
from events import make  # noqa: E402

OK, DUPLICATE, CONFLICT = 0, 1, 200
MANY = 200  # far over what is worth a thread of its own
KEYS = [("user_id", "ana")]


def codes(reply):
    found = {outcome.index: outcome.code for outcome in reply.outcomes}
    return [found.get(index, OK) for index in range(len(reply.sequences))]


def quote(event_id, quote_id, price):
    lines = [{"sku": "chair", "quantity": 1, "price": price}]
    data = {"quote_id": quote_id, "revision": 1, "currency": "EUR", "valid_until": "2199-01-01T00:00:00Z", "lines": lines}
    return make(pb, event_id, "quote.issued", data, keys=KEYS)


def send(publisher, events):
    publisher.request += 1
    publisher.send(pb.PublishRequest(request=publisher.request, events=[event.SerializeToString() for event in events]))


def main():
    with House() as house:
        hold = os.path.join(house.folder, "hold")
        house.start_broker(environment={"TOUCHBUS_HOLDPOINT": f"before-commits:{hold}"})
        first, second = Publisher(house.port), Publisher(house.port)
        begun = house.ask("log", "info")["next"]
        open(hold, "w", encoding="utf-8").close()
        send(first, [quote("q-1", "q-1", "19.90")] + [make(pb, f"e-{n}", keys=KEYS) for n in range(MANY)])
        wait_for("the first tick is on its way", lambda: not os.stat(hold).st_mode & stat.S_IWUSR)
        shown = query(house.port, "customer.show", key="user_id=ana")[-1]
        assert shown.code != 0 or shown.as_of < begun, shown
        send(second, [make(pb, "e-7", data={"url": "another"}, keys=KEYS), make(pb, "e-7", keys=KEYS),
                      quote("q-2", "q-2", "18.00"), quote("q-3", "q-3", "19.90"), make(pb, "new", keys=KEYS)])
        assert second.receive(0.3) is None and first.receive(0.3) is None, "answered before it was shown"
        os.unlink(hold)
        one, two = first.receive(), second.receive()
        assert codes(one) == [OK] * (MANY + 1), one
        judged = codes(two)
        assert judged[:2] == [CONFLICT, DUPLICATE] and judged[3:] == [OK, OK], two
        refusal = {outcome.index: outcome for outcome in two.outcomes}[2]
        assert b"q-1" in refusal.verdict, refusal
        assert two.sequences[1] == one.sequences[8] and two.customers[1] == one.customers[8], two
        assert two.sequences[4] > two.sequences[3] > max(one.sequences), two
        assert set(two.customers) - {0} == {one.customers[0]}, two
        shown = query(house.port, "customer.show", key="user_id=ana")[-1]
        assert shown.code == 0 and shown.as_of >= two.sequences[4], shown
        told = query(house.port, "log.get", sequence=str(begun), count=str(len(one.sequences)))
        assert told[-1].code == OK, told[-1]  # what was sealed ahead is opened
        house.touchbus("view", "verify")
        assert house.broker.stop() == 0
    print("one tick on its way, the next judged by it, both answered in order")


main()
