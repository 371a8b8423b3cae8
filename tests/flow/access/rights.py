#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each right at work: what a key may not do is refused as forbidden, event by event, and what it may do goes on."""
import os
import sys

from certificates import BUSY, FORBIDDEN, HERE, KeyHouse, hear, pb, refused

sys.path.insert(0, os.path.join(HERE, "..", "delivery"))
from common import unpack  # noqa: E402
from events import make, order  # noqa: E402

ROLES = [
    "shop publish=order.*,page.viewed receive=order.* subscribe=%n,%n/*",
    "desk read=keys,attributes.tier,timeline",
    "slow publish=* quota=50",
    "mover publish=* subscribe=%n receive=*",
]
ADMINISTRATIVE = ["customer.erase", "customer.receipt", "log.get", "log.verify", "log.trim", "customer.export", "subscription.pause", "subscription.resume", "subscription.reset",
                  "subscription.rm", "subscription.replay", "parked.retry", "parked.drop", "quarantine.ls", "quarantine.show", "quarantine.fix",
                  "quarantine.drop", "view.verify", "view.rebuild", "connector.reload", "configuration.reload",
                  "backup"]
WATCHED = ["status", "log.info", "subscription.ls", "connector.ls", "configuration.show"]
ARGUMENTS = {"log.get": {"sequence": "1"}, "log.trim": {"before": "1"}, "customer.export": {"customer": "c1"}, "backup": {"dir": "/tmp/none"},
             "parked.drop": {"name": "crm", "lane": "c1"}, "customer.erase": {"customer": "c1"}, "customer.receipt": {"customer": "c1"}, "parked.retry": {"name": "crm"}, "subscription.reset": {"name": "crm", "from": "end"},
             "quarantine.show": {"id": "x"}, "quarantine.fix": {"id": "x"}, "quarantine.drop": {"id": "x"}, "connector.reload": {"name": "crm"},
             **{f"subscription.{verb}": {"name": "crm"} for verb in ("pause", "resume", "rm", "replay")}}


def codes(reply):
    found = {outcome.index: outcome.code for outcome in reply.outcomes}
    return [found.get(index, 0) for index in range(len(reply.sequences))]


def body(answer):
    return unpack(answer.body)


def test_a_verdict_is_of_one_event(house):
    shop = house.publisher("shop", "shop-0a0b0c0d", 1)
    reply = shop.ask([make(pb, "r-1", source="/shop"), make(pb, "r-2", "quote.issued", source="/shop"), make(pb, "r-3", source="/crm"),
                      order(pb, "r-4", "o-1", source="shop", keys=[("user_id", "u-1")])], number=1)
    assert codes(reply) == [0, FORBIDDEN, FORBIDDEN, 0] and reply.expected == 5, reply
    again = shop.ask([make(pb, "r-2", "quote.issued", source="/shop")], number=2)  # its number is settled, its answer stays
    assert codes(again) == [FORBIDDEN] and again.expected == 5, again
    assert codes(house.publisher("shop").ask([make(pb, "r-5", "admin.acted", source="/shop")])) == [FORBIDDEN]
    assert codes(house.publisher("boss").ask([make(pb, "r-6", "admin.acted", source="/shop")])) == [FORBIDDEN]
    assert codes(house.publisher("boss").ask([make(pb, "r-7", source="/touchbus")])) == [FORBIDDEN]
    assert codes(house.publisher("mover").ask([make(pb, "r-8", "merge.requested", source="/mover")])) == [FORBIDDEN]


def test_a_producer_is_its_keys(house):
    for producer in ("crm", "shop2", "shop-", "shop-0a0b0c0d0", "Shop"):
        reply = house.publisher("shop", producer, 9).ask([make(pb, "p-1", source="/shop")], number=1)
        assert reply.code == FORBIDDEN and not reply.sequences and not reply.expected, (producer, reply)
    for producer in ("shop", "shop/2", "shop.eu"):
        assert house.publisher("shop", producer, 9).ask([], number=1).expected == 1, producer


def test_a_subscription_is_its_keys(house):
    line, message = house.subscribe("crm", "crm", beginning=True)
    assert message.subscribed.created
    for key, name, types, expected in [
            ("shop", "crm", [], True), ("shop", "shop", [], True), ("shop", "shop", ["*"], True), ("shop", "shop", ["order.*", "case.*"], True),
            ("shop", "", [], True), ("shop", "", ["page.viewed"], True), ("desk", "", ["order.*"], True), ("shop", "other", ["order.*"], True),
            ("shop", "shop", ["order.*"], False), ("shop", "shop/2", ["order.placed"], False), ("shop", "", ["order.p*"], False)]:
        other, message = house.subscribe(key, name, types, beginning=True)
        assert refused(message) == expected, (key, name, types, message)
        other.close()
    line.close()


def test_the_stored_filter_is_judged(house):
    line, message = house.subscribe("mover", "mover", ["case.*"], beginning=True)
    assert message.subscribed.created
    line.send(pb.SubscriberMessage(leave=True))
    line.close()
    line, message = house.subscribe("sneak", "mover", [])  # an empty filter takes it as it is
    assert refused(message), message
    line.close()


def test_verbs_are_for_whom_they_are(house):
    for verb in ADMINISTRATIVE:
        for key in ("shop", "desk", "crm", "eye"):
            assert house.query(key, verb, **ARGUMENTS.get(verb, {})).code == FORBIDDEN, (verb, key)
    for verb in WATCHED:
        assert house.query("shop", verb).code == FORBIDDEN, verb
        assert house.query("eye", verb).code == 0, verb
    assert house.query("crm", "subscription.show", name="crm").code == 0
    assert house.query("shop", "subscription.show", name="crm").code == FORBIDDEN
    assert house.query("shop", "parked.ls", name="crm").code == FORBIDDEN
    assert house.query("shop", "parked.ls").code == FORBIDDEN
    report = {"kind": "source", "state": "running"}
    assert house.query("shop", "connector.report", name="shop", **report).code == 0
    assert house.query("shop", "connector.report", name="crm", **report).code == FORBIDDEN
    assert house.query("boss", "log.get", sequence="1").code == 0


def test_fields_are_withheld(house):
    assert house.query("shop", "customer.show", customer="c1").code == FORBIDDEN
    assert house.query("shop", "customer.find", customer="c1").code == FORBIDDEN
    assert house.query("desk", "customer.timeline", customer="c1").code == 0
    assert house.query("crm", "customer.timeline", customer="c1").code == FORBIDDEN
    names = set(body(house.query("boss", "customer.show", customer="c1")))
    seen = body(house.query("desk", "customer.show", customer="c1"))
    assert {"keys", "attributes", "counters", "recent", "orders", "quotes"} <= names, names
    assert {"keys", "attributes", "recent", "withheld"} <= set(seen) and not {"counters", "orders", "quotes"} & set(seen), seen
    assert set(seen["attributes"]) == {"tier"} and set(seen["withheld"]) >= {"attributes", "counters", "orders", "quotes"}, seen
    assert not body(house.query("boss", "customer.show", customer="c1")).get("withheld")


def test_a_quota_makes_busy(house):
    slow = house.publisher("slow")
    reply = slow.ask([make(pb, f"q-{n}", source="slow") for n in range(200)])
    verdicts = codes(reply)
    assert 50 <= verdicts.count(0) < 200 and set(verdicts) == {0, BUSY}, verdicts
    first = verdicts.index(BUSY)
    assert 0 not in verdicts[first:first + 10], verdicts


def test_who_acts_is_the_key(house):
    assert house.query("boss", "subscription.pause", name="crm", actor="somebody").code == 0
    line, _ = house.subscribe("boss", "", ["admin.acted"], beginning=True)
    event = pb.Event.FromString(hear(line).delivery.events[-1])
    line.close()
    assert event.actor == "boss" and b"somebody" not in event.data and b"boss" in event.data, event


def main():
    with KeyHouse(shop="shop", crm="sink", desk="desk", slow="slow", eye="monitor", boss="admin", mover="mover") as house:
        sneak = house.add("sneak", "sneak")
        house.start_keyed(*[word for role in [*ROLES, f"{sneak.role} subscribe=mover receive=order.*"] for word in ("--role", role)])
        traits = {"traits": {"tier": "gold", "email": "ana@klant.example"}}
        who = make(pb, "who", "customer.identified", traits, source="mover", keys=[("user_id", "u-1")])
        assert list(house.publisher("mover").ask([who]).customers) == [1]
        for name, test in sorted(globals().items()):
            if name.startswith("test_"):
                test(house)
                print(name, flush=True)
        assert house.broker.stop() == 0


main()
