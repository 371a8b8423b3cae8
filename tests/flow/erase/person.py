#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A person is erased: nothing hands them out any more, what still comes is redacted, who registers anew is somebody new, the receipt
waits for every sink, and the rebuilt view is the live one, also after retention has trimmed past all of it."""
import json
import threading

from common import (House, Subscriber, broker_is_done, event, lines, log, order, page, publish, receipt, refused, shipped, view_is_equal,
                    pb, wait_for)

ANA, BOB = "user_id=u-ana&email=ana%40klant.example", "user_id=u-bob"
POISON = "ana-order"


class Sink(threading.Thread):
    """A named subscriber that takes everything but the poison; what it took, in order."""

    def __init__(self, port, name):
        super().__init__(daemon=True)
        self.subscriber, self.taken, self.ended = Subscriber(port, name, beginning=True), [], False
        self.start()

    def run(self):
        while not self.ended:
            message = self.subscriber.receive(0.2)
            if message is None or message.WhichOneof("body") != "delivery":
                self.subscriber.send(pb.SubscriberMessage(beat=True))
                continue
            for data in message.delivery.events:
                each = pb.Event.FromString(data)
                if each.id == POISON:
                    self.subscriber.settle(failures=[(each.sequence, True, "cannot book it")])
                else:
                    self.taken.append(each)
                    self.subscriber.settle(delivered=[each.sequence])

    def end(self):
        self.ended = True
        self.join()
        self.subscriber.leave()


def fill(house):
    publish(house, page("ana-1", ANA), page("bob-1", BOB), order(POISON, ANA, "o-1"), page("ana-2", ANA), order("bob-order", BOB, "o-2"),
            order("ana-broken", ANA, "o-3", broken=True), order("early-broken", "phone=%2B31612345678", "o-4", broken=True),
            order("bob-broken", BOB, "o-5", broken=True),
            page("both", f"{BOB}&phone=%2B31600000009"), page("box", f"{BOB}&email=ana%40klant.example"),
            page("ana-phone", f"{ANA}&phone=%2B31612345678"))
    shown = house.ask("customer", "show", "user_id=u-ana")
    assert [key["kind"] for key in shown["keys"]] == ["user_id", "email", "phone"], shown
    assert len(lines(house, "quarantine", "ls")) == 3
    return shown["customer"]


def test_export_is_everything(house, ana):
    def export():
        document = json.loads(house.touchbus("customer", "export", "user_id=u-ana").stdout)
        return document if "parked" in document else None
    document = wait_for("the parked lane is on disk", export)
    assert [key["value"] for key in document["profile"]["keys"]] == ["u-ana", "ana@klant.example", "+31612345678"], document["profile"]
    assert [row["order_id"] for row in document["orders"]] == ["o-1"], document["orders"]
    own = [row["id"] for row in document["events"] if row["source"] != "/touchbus"]  # beside what the broker says of its own
    assert own == ["ana-1", POISON, "ana-2", "ana-phone"], document["events"]
    assert {row["event"]["id"] for row in document["quarantined"]} == {"ana-broken", "early-broken"}, document["quarantined"]
    assert [(row["subscription"], row["detail"]) for row in document["parked"]] == [("crm", "cannot book it")], document["parked"]
    counts = document["counts"]
    assert (counts["customer"], counts["events"], counts["quarantined"], counts["parked"]) == (ana, len(document["events"]), 2, 1), counts
    rows = lines(house, "customer", "export", ana)
    assert [name for row in rows for name in row if name in ("order", "quarantined", "parked")].count("quarantined") == 3  # and the count


def test_erase_asks_first(house, ana):
    assert house.touchbus("customer", "erase", ana, check=False, text="").returncode == 2
    assert house.ask("customer", "show", ana)["customer"] == ana


def test_erasing(house, ana):
    found = house.ask("customer", "erase", "email=ana@klant.example", "--yes")
    assert found["customer"] == ana and found["state"] == "pending" and found["sequence"] > 0, found
    again = house.ask("customer", "erase", ana, "--yes")
    assert again["sequence"] == found["sequence"], again
    for command in ("show", "timeline", "export"):
        assert refused(house, "customer", command, ana) == "erased"
    assert refused(house, "customer", "show", "email=ana@klant.example") == "erased"
    assert refused(house, "customer", "receipt", "user_id=u-bob") == "not-found"
    return found["sequence"]


def test_nothing_hands_the_person_out(house, ana, sequence):
    found = log(house)
    for ident in ("ana-1", "ana-2", POISON, "ana-phone"):
        assert found[ident]["redacted"] and "data" not in found[ident] and "keys" not in found[ident], found[ident]
    assert found["bob-1"]["keys"] == BOB and "redacted" not in found["bob-1"]
    assert found["box"]["keys"] == BOB, found["box"]  # another's event that named her
    assert found["both"]["keys"].endswith("phone=%2B31600000009")
    got = lines(house, "log", "get", str(found["box"]["sequence"]))[0]
    assert got["keys"] == BOB, got
    assert refused(house, "replay", "--customer", ana) == "erased"
    by_index = Subscriber(house.port, until=sequence, customer=int(ana[1:]), beginning=True)
    assert [each.sequence for each, _ in by_index.events()] == [sequence]
    by_index.close()
    acted = [row for row in found.values() if row["type"] == "org.touchbus.admin.acted.v1"]
    assert acted and all(row["data"] == {"actor": "operator", "what": "customer.erase", "customer": ana} for row in acted), acted


def test_quarantine_forgets_the_person(house, ana):
    wait_for("the broker's own steps", lambda: broker_is_done(house, ana))
    left = lines(house, "quarantine", "ls")
    assert len(left) == 1, left
    assert lines(house, "quarantine", "show", left[0]["id"])[0]["event"]["id"] == "bob-broken"


def test_late_events_find_nobody(house, ana):
    before = house.ask("status")["customers"]
    publish(house, page("late-key", "email=Ana%40klant.example"), page("late-mixed", "cookie=never-seen&email=ana%40klant.example"),
            order("late-broken", ANA, "o-6", broken=True), shipped("late-reference", "o-1"), page("late-box", f"{BOB}&{ANA}"),
            event("late-registration", "customer.registered", ANA, {"user_id": "u-ana"}, time="2020-01-01T00:00:00Z"))
    found = log(house)
    for ident in ("late-key", "late-mixed", "late-broken", "late-reference", "late-registration"):
        assert found[ident]["redacted"] and "customer" not in found[ident] and "data" not in found[ident], found[ident]
    assert found["late-box"]["keys"] == BOB and "data" in found["late-box"], found["late-box"]
    assert house.ask("status")["customers"] == before
    assert len(lines(house, "quarantine", "ls")) == 1
    assert house.ask("status")["counters"]["redacted"] == 5
    assert publish(house, page("ana-1", ANA))["duplicates"] == 1  # a repeat of what was logged before
    assert refused(house, "customer", "show", ana) == "erased"


def test_parked_lane_lets_the_erasure_through(house, sink, ana, sequence):
    wait_for("the sink has it", lambda: sequence in [each.sequence for each in sink.taken], seconds=30)
    assert wait_for("nothing parked", lambda: not lines(house, "parked", "ls")) is True
    (taken,) = [each for each in sink.taken if each.sequence == sequence]
    assert taken.type == "privacy.changed" and f"c{taken.customer}" == ana and b"erasure" in taken.data


def test_receipt_waits_for_every_sink(house, ana):
    states = {row["name"]: row["state"] for row in wait_for("confirmed by one", lambda: [
        row for row in receipt(house, ana)["connectors"] if any(
            each["name"] == "crm" and each["state"] == "confirmed" for each in receipt(house, ana)["connectors"])])}
    assert states == {"crm": "confirmed", "away": "pending"}, states
    assert receipt(house, ana)["state"] == "pending"
    away = Sink(house.port, "away")
    found = wait_for("all confirmed", lambda: (lambda found: found if found["state"] == "done" else None)(receipt(house, ana)))
    assert found["waiting"] == [] and {row["state"] for row in found["connectors"]} == {"confirmed"}, found
    taken = {each.id: each for each in away.taken}
    assert taken["ana-1"].redacted and not taken["ana-1"].data and not taken["ana-1"].identities
    away.end()


def test_who_registers_anew_is_somebody_new(house, ana):
    publish(house, event("anew", "customer.registered", ANA, {"user_id": "u-ana"}, time="2100-01-01T00:00:00Z"), page("anew-1", ANA))
    shown = house.ask("customer", "show", "email=ana@klant.example")
    assert shown["customer"] != ana and shown["events"] == 3 and len(shown["keys"]) == 2, shown  # one says the tier
    assert refused(house, "customer", "show", ana) == "erased"


def test_trimmed_past_it_the_view_is_the_same(house, ana):
    assert view_is_equal(house)
    head = house.ask("log", "info")["next"]
    for n in range(20):
        publish(house, page(f"after-{n}", BOB))
    for name in ("crm", "away"):
        house.touchbus("subscription", "rm", name, "--yes")
    assert house.ask("log", "trim", "--before", str(head), "--yes")["first"] == head
    assert view_is_equal(house)
    document = json.loads(house.touchbus("customer", "export", "user_id=u-bob").stdout)
    assert len(document["events"]) == 20 and len(document["interactions"]) == document["counts"]["trimmed"] > 0, document["counts"]
    assert receipt(house, ana)["state"] == "done"
    assert house.broker.stop() == 0
    house.start_broker()
    assert view_is_equal(house) and refused(house, "customer", "show", ana) == "erased"


def main():
    with House() as house:
        house.start_broker("--retry-min", "20ms", "--retry-max", "100ms", "--restore-interval", "1s")
        sink = Sink(house.port, "crm")
        Subscriber(house.port, "away", beginning=True).leave()
        ana = fill(house)
        wait_for("her lane is parked", lambda: lines(house, "parked", "ls"))
        test_export_is_everything(house, ana)
        test_erase_asks_first(house, ana)
        sequence = test_erasing(house, ana)
        test_nothing_hands_the_person_out(house, ana, sequence)
        test_quarantine_forgets_the_person(house, ana)
        test_late_events_find_nobody(house, ana)
        test_parked_lane_lets_the_erasure_through(house, sink, ana, sequence)
        test_receipt_waits_for_every_sink(house, ana)
        test_who_registers_anew_is_somebody_new(house, ana)
        sink.end()
        test_trimmed_past_it_the_view_is_the_same(house, ana)
        assert house.broker.stop() == 0
        print(f"{ana} erased at {sequence}; late events redacted, receipt confirmed, view equal after trimming")


main()
