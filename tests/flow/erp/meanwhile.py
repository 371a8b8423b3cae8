#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What others do in Tryton between the connector's look at a sale and its write: somebody writes into it, cancels it, does so again and
again; trytond stands still in the middle of a call, and goes on or is killed. No word of anybody is overwritten (423), a change is made
once, an order is one confirmed sale, and the connector is one process from beginning to end."""
import os
import signal

from desk import CONFIRMED, House, Tryton, amount, change, counted, drained, order, publish, sale, sales, skip_without_tryton, start_erp, wait_for
from front import Front

LAMP, DESK = ("LAMP-1", 1, "19.90"), ("DESK-1", 1, "249.00")
WRITE, CONFIRM = "model.sale.sale.write", "model.sale.sale.confirm"
RETRY = ("--retry-attempts", "20", "--retry-min", "100ms", "--retry-max", "200ms")
TIMEOUT_S = 2


class Person:
    """Somebody at a desk in Tryton."""

    def __init__(self, server, order_id):
        self.server, self.order_id, self.words = server, order_id, []

    def writes(self):
        """A line into the sale's comment, below what stands there."""
        one = sale(self.server, self.order_id)
        self.words.append(f"call back {len(self.words) + 1}")
        self.server.call(WRITE, [one["id"]], {"comment": "\n".join(filter(None, [one["comment"], self.words[-1]]))})

    def cancels(self):
        self.server.call("model.sale.sale.cancel", [sale(self.server, self.order_id)["id"]])


def amended(server, house, front, order_id, does, times):
    """The lines of a sale are exchanged while a person is at it."""
    publish(house, [order(order_id, [LAMP], "user_id=ana")])
    drained(house, "erp")
    person = Person(server, order_id)
    front.before(WRITE, lambda: does(person), times)
    publish(house, [change(order_id, "placed", 2, "user_id=ana", [LAMP, DESK])])
    drained(house, "erp")
    assert front.trouble is None and not front.meanwhile[WRITE], (front.trouble, front.meanwhile)
    return person, sale(server, order_id)


def written(server, house, front):
    """Once, and so often that the connector leaves it for later."""
    for order_id, times in (("o-1", 1), ("o-2", 6)):
        person, one = amended(server, house, front, order_id, Person.writes, times)
        lines = one["comment"].splitlines()
        assert (one["state"], amount(one["untaxed_amount"])) == ("confirmed", "268.90"), one
        assert lines == [*person.words, "touchbus: lines of revision 2 (ordered)"], lines
        assert len(person.words) == times
    counted(house, "tryton_changes", 2)


def cancelled(server, house, front):
    """What a person has cancelled stays so, as it was."""
    _, one = amended(server, house, front, "o-3", Person.cancels, 1)
    assert (one["state"], amount(one["untaxed_amount"]), one["comment"]) == ("cancelled", "19.90", None), one
    publish(house, [order("o-4", [LAMP], "user_id=ben")])
    drained(house, "erp")
    person = Person(server, "o-4")
    front.before(CONFIRM, person.cancels)
    publish(house, [change("o-4", "placed", 2, "user_id=ben", [DESK])])
    drained(house, "erp")
    assert sale(server, "o-4")["state"] == "cancelled"


def too_late(server, house, front):
    """A change that comes too late is noted below what a person writes at that moment, once."""
    server.restart()
    publish(house, [order("o-5", [LAMP], "user_id=carl")])
    drained(house, "erp")
    person = Person(server, "o-5")
    front.before(WRITE, person.writes)
    publish(house, [change("o-5", "cancelled", 3, "user_id=carl")])
    drained(house, "erp")
    one = sale(server, "o-5")
    assert one["state"] == "processing" and one["comment"].splitlines() == [*person.words,
                                                                            "touchbus: revision 3 asked to cancel, which came too late"], one
    counted(house, "tryton_changes_refused", 1)


def frozen(server, house, front, process, order_id, ends):
    """trytond stands still as it is to confirm."""
    before = silences(process)
    front.before(CONFIRM, lambda: os.kill(server.process.pid, signal.SIGSTOP))
    publish(house, [order(order_id, [LAMP], "user_id=dora")])
    wait_for("it is said", lambda: silences(process) > before)
    shown = house.ask("subscription", "show", "erp")
    assert shown["parked"] == 0 and shown["lag"] > 0, shown
    ends()
    drained(house, "erp")
    found = [one["state"] for one in sales(server, order_id)]
    assert len(found) == 1 and found[0] in CONFIRMED, found


def silences(process):
    """How often its log says that the sink was away, as no answer came."""
    with open(process.log, encoding="utf-8") as file:
        return sum("sink=away" in line and "timed out" in line for line in file)


def killed(server):
    server.kill()
    server.start()


def main():
    skip_without_tryton()
    with Tryton() as server, House() as house, Front(server.port) as front:
        server.restart(worker=True)  # a sale waits confirmed for somebody to work on it
        house.start_broker(*RETRY)
        process = start_erp(house, server, "--tryton-timeout", f"{TIMEOUT_S}s", url=front.url())
        written(server, house, front)
        cancelled(server, house, front)
        too_late(server, house, front)
        frozen(server, house, front, process, "o-6", lambda: os.kill(server.process.pid, signal.SIGCONT))
        frozen(server, house, front, process, "o-7", lambda: killed(server))
        assert process.stop() == 0, process.tail()
        print("written, cancelled and frozen meanwhile: each change once, each word kept")


main()
