#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody who so far only used the web calls: what the agent sees of them, why it says so, and in which segment they are."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "tool"), os.path.join(HERE, "..", "wire")]
sys.dont_write_bytecode = True
from forms import differences, documented  # noqa: E402
from harness import House, KeyedHouse  # noqa: E402
from wire import Line, pb  # noqa: E402

PHONE = "+493012345678"
POLICY = """
segments:
  - name: borrowers
    all:
      - {field: needs.loan, at_least: 1}
  - name: nobody
    all:
      - {field: attributes.none, is: "1"}
offers:
  - {id: loan, needs: [loan], priority: 5, texts: {en: A loan?, pt: Um credito?}}
  - {id: seen, priority: 9, texts: {en: Seen}}
  - {id: declined, priority: 8, texts: {en: Declined}}
  - {id: web-only, priority: 7, channels: [web], texts: {en: Web}}
  - {id: borrower, segments: [borrowers], texts: {en: For borrowers}}
  - {id: card, needs: [card], texts: {en: A card?}}
greetings:
  - variant: plain
    texts: {en: "Hello, {name}.", pt: "Bom dia, {name}."}
"""
LINES = [{"sku": "L-1", "quantity": 2, "price": "9.95"}]
FORMS = documented()


def publish(house, kind, data, *identities, channel="web"):
    identities = [word for identity in identities for word in ("--identity", identity)]
    return house.ask("pub", kind, *identities, "--channel", channel, "--data", json.dumps(data))["sequence"]


def check_form(heading, value):
    found = differences(value, FORMS[heading])
    assert not found, f"{heading}: {found}"


def play_the_web(house):
    """A visit: known by a phone number that the site has verified, and a cookie."""
    def web(kind, data):
        return publish(house, kind, data, "anonymous_id=a-1")
    publish(house, "customer.identified", {"traits": {"name": "Ana Silva", "city": "Bonn"}}, f"phone!={PHONE}", "anonymous_id=a-1")
    web("page.viewed", {"url": "/loans"})
    web("need.selected", {"term": "loan"})
    web("preference.set", {"language": "pt", "channel": "email"})
    web("content.shown", {"content_id": "seen"})
    web("offer.answered", {"offer_id": "declined", "answer": "declined"})
    web("answer.recorded", {"question": "children", "answer": "2"})
    web("case.opened", {"case_id": "k-1", "kind": "complaint", "severity": "high"})
    web("case.opened", {"case_id": "k-2", "kind": "repair", "severity": "low"})
    publish(house, "case.resolved", {"case_id": "k-2", "outcome": "done"}, "anonymous_id=a-1", channel="crm")
    web("promise.made", {"promise_id": "p-1", "text": "send the papers", "due": "2030-01-01T00:00:00Z"})
    web("quote.issued", {"quote_id": "q-1", "revision": 1, "lines": LINES, "valid_until": "2030-01-01T00:00:00Z", "currency": "EUR"})
    web("quote.issued", {"quote_id": "q-2", "revision": 1, "lines": [{"sku": "X", "quantity": 1, "price": "1.00"}],
                         "valid_until": "2001-01-01T00:00:00Z", "currency": "EUR"})
    web("order.placed", {"order_id": "o-1", "lines": LINES, "currency": "EUR"})
    publish(house, "order.changed", {"order_id": "o-1", "status": "shipped", "revision": 1}, "anonymous_id=a-1", channel="erp")
    return web("consent.changed", {"purpose": "marketing", "address": "ana@klant.example", "channel": "email", "state": "withdrawn",
                                   "text_version": "1"})


def test_the_agent_sees_the_web_history_of_a_caller(house):
    last = play_the_web(house)
    called = publish(house, "call.received", {"from": PHONE, "to": "+493000000", "call_id": "x-1"}, f"phone={PHONE}", channel="phone")
    screen = house.ask("screen", f"phone={PHONE}", "--channel", "phone", "--min-seq", str(called))
    check_form("screen", screen)
    assert screen["as_of"] >= called > last and len(screen["candidates"]) == 1, screen
    sheet = screen["candidates"][0]
    assert sheet["name"] == "Ana Silva" and sheet["language"] == "pt", sheet
    assert sheet["preferences"] == {"channel": "email", "language": "pt"}, sheet["preferences"]
    assert [(o["order_id"], o["status"], o["total"]) for o in sheet["orders"]] == [("o-1", "shipped", "19.90")], sheet["orders"]
    assert [(q["quote_id"], q["total"]) for q in sheet["quotes"]] == [("q-1", "19.90")], "an expired quote is no open one"
    assert [c["call_id"] for c in sheet["calls"]] == ["x-1"] and [c["case_id"] for c in sheet["cases"]] == ["k-1"]
    assert [p["due"] for p in sheet["promises"]] == ["2030-01-01T00:00:00Z"]
    assert [(a["question"], a["answer"]) for a in sheet["answers"]] == [("children", "2")]
    # Minus what was seen or declined, and what is not for the phone.
    assert [(o["offer_id"], o["text"]) for o in sheet["fitting_offers"]] == [("loan", "Um credito?"), ("borrower", "For borrowers")]
    assert sheet["greeting"] == {"variant": "plain", "text": "Bom dia, Ana Silva."}
    types = [row["type"] for row in sheet["recent"]]
    assert "call.received" in types[:2] and "order.placed" in types and len(types) <= 10, types
    reasons = {(row["what"], row["why"]) for row in sheet["must_not"]}
    assert {("marketing", "an open complaint"), ("marketing", "consent withdrawn"), ("marketing", "consent unknown")} <= reasons, reasons
    withdrawn = next(row for row in sheet["must_not"] if row["why"] == "consent withdrawn")
    assert withdrawn["channels"] == ["email"] and withdrawn["sequence"] == last, withdrawn
    seen = house.touchbus("screen", f"phone={PHONE}").stdout
    assert "Bom dia, Ana Silva." in seen and "o-1  shipped  19.90" in seen and "Do not" in seen, seen
    return sheet["customer"]


def ask_raw(house, verb, **arguments):
    line = Line(house.port + 2, pb.Answer)
    message = pb.Query(request=9, verb=verb)
    for name, value in arguments.items():
        message.arguments.add(name=name, value=value)
    line.send(message)
    answer = line.receive()
    line.close()
    return answer


def test_a_shared_number_gives_candidates(house):
    number = "+493087654321"
    for user, name in (("u-21", "Cem"), ("u-22", "Dora")):
        last = publish(house, "customer.identified", {"traits": {"name": name}}, f"user_id={user}", f"phone={number}")
    sheets = house.ask("screen", f"phone={number}", "--min-seq", str(last))["candidates"]
    assert [sheet["name"] for sheet in sheets] == ["Dora", "Cem"], "who was there last is the likeliest"
    assert "2 customers may be meant" in house.touchbus("screen", f"phone={number}").stdout
    # A site that greets whoever comes by this key must not tell one the other's name.
    certain = ask_raw(house, "customer.screen", key="user_id=u-22", guest="true")
    shared = ask_raw(house, "customer.screen", key=f"phone={number}", guest="true")
    nobody = ask_raw(house, "customer.screen", key="user_id=u-99", guest="true")
    assert certain.code == shared.code == nobody.code == 0 and b"Dora" in certain.body
    assert b"Dora" not in shared.body and b"Cem" not in shared.body and b"guest" in shared.body and shared.body == nobody.body
    assert house.touchbus("screen", "user_id=u-99", check=False).returncode == 1


def test_a_customer_of_many_large_orders_can_be_shown(house):
    lines = [{"sku": f"sku-{i}", "quantity": 1, "price": "1.00", "name": "x" * 200} for i in range(200)]
    path = os.path.join(house.folder, "large.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for i in range(40):
            event = {"specversion": "1.0", "id": f"large-{i}", "source": "/shop", "type": "org.touchbus.order.placed.v1", "keys": "user_id=u-31",
                     "data": {"order_id": f"large-{i}", "lines": lines, "currency": "EUR"}}
            file.write(json.dumps(event) + "\n")
    last = house.ask("pub", "--from", path)["last_sequence"]
    shown = house.ask("customer", "show", "user_id=u-31", "--min-seq", str(last))
    assert [row["order_id"] for row in shown["orders"]] == [f"large-{i}" for i in reversed(range(40))]
    assert shown["orders"][0]["lines"] == lines and shown["orders"][-1]["lines_cut"] and shown["orders"][-1]["total"] == "200.00"
    assert shown["value"]["amount"] == "8000.00", shown["value"]
    document = json.loads(house.touchbus("customer", "export", "user_id=u-31").stdout)
    assert len(document["orders"]) == 40, len(document["orders"])


def test_a_refusal_of_one_part_holds_for_the_whole(house):
    def consent(state, *identities, **address):
        return publish(house, "consent.changed", {"purpose": "marketing", "channel": "email", "state": state, "text_version": "1", **address}, *identities)

    def says(sequence):
        sheet = house.ask("screen", "user_id=u-41", "--min-seq", str(sequence))["candidates"][0]
        asked = ("contact", "user_id=u-41", "--content", f"news-{sequence}", "--purpose", "marketing", "--channel", "email")
        suppressed = house.touchbus(*asked, check=False).returncode == 5
        rows = [row["why"] for row in sheet["must_not"] if row["what"] == "marketing" and "email" in row.get("channels", [])]
        assert suppressed == bool(rows), (suppressed, sheet["must_not"])
        return rows
    publish(house, "customer.identified", {"traits": {}}, "email!=eve@klant.example")
    consent("withdrawn", "email=eve@klant.example", address="eve@klant.example")
    consent("granted", "user_id=u-41", address="other@klant.example")
    merged = publish(house, "customer.identified", {"traits": {}}, "email!=eve@klant.example", "user_id=u-41")
    assert len(house.ask("customer", "show", "user_id=u-41", "--min-seq", str(merged))["leaves"]) == 2
    assert says(merged) == ["consent withdrawn"], "who granted need not have known of the other address"
    assert says(consent("granted", "user_id=u-41", address="eve@klant.example")) == []


def test_why_names_the_event(house, customer):
    why = house.ask("customer", "why", f"phone={PHONE}", "name")
    check_form("customer why", why)
    assert why["customer"] == customer and why["stands"]["value"] == "Ana Silva" and why["lost"] == []
    assert why["event"]["data"]["traits"]["name"] == "Ana Silva" and int(why["event"]["sequence"]) == why["stands"]["sequence"]
    status = house.ask("customer", "why", customer, "orders.o-1.status")
    assert status["stands"]["value"] == "shipped" and status["event"]["type"] == "org.touchbus.order.changed.v1"
    assert house.touchbus("customer", "why", customer, "attributes.none", check=False).returncode == 1
    assert house.touchbus("customer", "why", customer, "orders.o-9.status", check=False).returncode == 1


def test_a_segment_is_who_fits(house, customer):
    publish(house, "page.viewed", {"url": "/"}, "anonymous_id=other")
    # Two visitors who both want a loan turn out to be one: the part that was merged is nobody of its own.
    publish(house, "customer.identified", {"traits": {"name": "Bo"}}, "email!=bo@klant.example")
    publish(house, "need.selected", {"term": "loan"}, "email=bo@klant.example")
    publish(house, "need.selected", {"term": "loan"}, "user_id=u-9")
    merged = publish(house, "customer.identified", {"traits": {"name": "Bo"}}, "email!=bo@klant.example", "user_id=u-9")
    names = json.loads("[" + ",".join(house.touchbus("-j", "segment").stdout.splitlines()) + "]")
    assert [row["name"] for row in names] == ["borrowers", "nobody"] and names[0]["text"] == "needs.loan at least 1", names
    check_form("segment", names[0])
    rows = [json.loads(line) for line in house.touchbus("-j", "segment", "borrowers", "--min-seq", str(merged)).stdout.splitlines()]
    survivor = house.ask("customer", "show", "email=bo@klant.example")
    assert len(survivor["leaves"]) == 2 and [row["kind"] for row in survivor["merged"]] == ["merged"], survivor
    assert survivor["needs"][0]["number"] == 2 and survivor["events"] == sum(leaf["events"] for leaf in survivor["leaves"])
    assert house.ask("customer", "show", survivor["leaves"][1]["customer"])["customer"] == survivor["customer"]
    why = house.ask("customer", "why", "user_id=u-9", "name")
    leaves = [leaf["customer"] for leaf in survivor["leaves"]]
    assert [row["value"] for row in why["lost"]] == ["Bo"] and {why["stands"]["customer"], why["lost"][0]["customer"]} == set(leaves), why
    assert why["lost"][0]["time"] < why["stands"]["time"] and why["lost"][0]["rank"] == why["stands"]["rank"], why
    assert [row["customer"] for row in rows] == sorted([customer, survivor["customer"]]) and rows[0]["name"] == "Ana Silva", rows
    check_form("segment NAME", rows[0])
    assert house.touchbus("-j", "segment", "nobody").stdout == ""
    assert house.touchbus("segment", "no-such", check=False).returncode == 1


def test_a_contact_is_asked_for_each(house):
    asked = ("segment", "borrowers", "--contact", "spring", "--purpose", "service", "--channel", "email")
    answer = house.ask("--yes", *asked)
    check_form("segment NAME --contact", answer)
    assert answer["asked"] == 2 and sum(answer["verdicts"].values()) == 2, answer


def test_everything_is_exported(house, customer):
    document = json.loads(house.touchbus("customer", "export", customer).stdout)
    for name in ("orders", "quotes", "cases", "calls", "promises", "answers", "consents", "contents", "offers"):
        assert document[name], name
    assert [row["term"] for row in document["profile"]["needs"]] == ["loan"] and document["profile"]["leaves"]
    shown = house.ask("customer", "show", customer)
    assert [row["case_id"] for row in document["cases"]] and {row["case_id"] for row in shown["cases"]} == {"k-1", "k-2"}


def test_a_role_sees_its_fields_alone(policy):
    with KeyedHouse() as house:
        house.start_broker("--policy", policy, "--role", "site read=greeting,fitting_offers,tier publish=* source=*",
                           "--role", "admin admin publish=* source=* read=*")
        house.admit("site", "site")
        house.reload_broker()
        as_admin, as_site = house.key_options("admin"), house.key_options("site")
        identity = ("--identity", "user_id=u-1")
        house.ask(*as_admin, "pub", "customer.identified", *identity, "--data", json.dumps({"traits": {"name": "Ana Silva"}}))
        sheet = house.ask(*as_site, "screen", "user_id=u-1")["candidates"][0]
        assert set(sheet) == {"customer", "greeting", "fitting_offers", "tier", "withheld"}, sheet
        assert sheet["greeting"]["text"] == "Hello.", "who may not read the name is not told it by the greeting"
        assert {"attributes.name", "orders", "must_not"} <= set(sheet["withheld"]), sheet["withheld"]


def main():
    with House() as house:
        policy = os.path.join(house.folder, "policy.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        house.start_broker("--policy", policy)
        customer = test_the_agent_sees_the_web_history_of_a_caller(house)
        test_why_names_the_event(house, customer)
        test_a_segment_is_who_fits(house, customer)
        test_everything_is_exported(house, customer)
        test_a_contact_is_asked_for_each(house)
        test_a_shared_number_gives_candidates(house)
        test_a_customer_of_many_large_orders_can_be_shown(house)
        test_a_refusal_of_one_part_holds_for_the_whole(house)
        test_a_role_sees_its_fields_alone(policy)


main()
