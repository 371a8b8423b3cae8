#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""POST /v1/contact: the policy's verdict by HTTP, from keys that may ask for it, and never for later."""
import json
import os

import webhouse
from webhouse import harness

CONF = """broker = {broker}
state = {state}
write-key = public
write-key = campaigns mailer
role = mailer contact
spool-after = 20s
"""
POLICY = """contact: {{cap_day: {day}, cap_week: 10, quiet_from: "00:00", quiet_until: "00:00"}}
channels:
  - {{name: email, contact: true, lapse: 1h, needs: email}}
  - {{name: phone, contact: true, lapse: 15m, needs: phone}}
  - {{name: web}}
"""


def ask(house, body, key="campaigns"):
    return house.post("/v1/contact", body, {"Authorization": f"Bearer {key}"})


def service(contact_id, content_id="news", **more):
    return {"contact_id": contact_id, "content_id": content_id, "purpose": "service", "keys": {"user_id": "u-1"}, **more}


def write_policy(house, day):
    with open(house.policy, "w", encoding="utf-8") as file:
        file.write(POLICY.format(day=day))


def test_a_connector_that_never_saw_the_broker_says_so(house):
    for _ in range(2):
        status, headers, text = house.http("POST", "/v1/contact", json.dumps(service("early")), {"Authorization": "Bearer campaigns"})
        assert status == 503 and int(headers["Retry-After"]) > 0 and "away" in text, (status, text)
    status, _, text = house.http("GET", "/v1/customer?user_id=u-1", None, {"Authorization": "Bearer campaigns"})
    assert status == 503 and "away" in text, text
    house.start_broker("--policy", house.policy)
    harness.wait_for("the connector finds it", lambda: house.http("GET", "/v1/customer?user_id=u-1", None, {"Authorization": "Bearer public"})[0] == 200)
    assert not [event for event in house.events() if event["type"].endswith("contact.requested.v1")], "kept for later"


def test_the_verdict_is_the_answer(house):
    house.touchbus("pub", "customer.identified", "--identity", "user_id=u-1", "--attr",
                   'traits:={"email": "ana@klant.example"}', "--identity", "email=ana@klant.example")
    status, first = ask(house, service("k-1"))
    assert status == 200 and first["verdict"] == "approved" and first["channel"] == "email" and first["contact_id"] == "k-1", first
    assert ask(house, service("k-1")) == (200, first), "asked again, the same answer"
    status, second = ask(house, service("k-2", "other"))
    assert status == 200 and second["verdict"] == "suppressed" and second["reasons"], second


def test_the_next_verdict_goes_by_the_policy_that_was_reloaded(house):
    write_policy(house, 5)
    house.touchbus("config", "reload", "--actor", "ana")
    assert ask(house, service("k-3", "third"))[1]["verdict"] == "approved"
    assert ask(house, service("k-1"))[1]["verdict"] == "approved" and ask(house, service("k-2", "other"))[1]["verdict"] == "suppressed", "old verdicts stay"


def test_who_may_not_ask_is_told_so(house):
    assert ask(house, service("k-9"), key="public")[0] == 403
    assert ask(house, service("k-9"), key="stolen")[0] == 401
    assert house.http("GET", "/v1/contact")[0] == 405


def test_what_is_no_request_is_told_so(house):
    for body in ("", "[]", {"content_id": "c", "purpose": "p"}, {"purpose": "p", "keys": {"user_id": "u-1"}}, service("k", keys={}),
                 service("k", keys={"a": "b", "c": "d"}), service("k", keys={"user_id": 7}), service("k", channels="email"), service("k", channels=[1]),
                 service("k", priority="high"), service("k", colour="blue"), service("k", channels=["x"] * 33), service("k" * 300), service(7)):
        status, answer = ask(house, body)
        assert status == 400 and answer["error"], (body, status, answer)
    status, answer = ask(house, service("k-bad", not_after="soon"))
    assert status == 400, answer


def test_an_event_of_the_other_paths_is_judged_too(house):
    """contact.requested as a CloudEvent: its verdict is in its ack, and it takes the same right."""
    event = {"specversion": "1.0", "id": "ce-1", "source": "/web", "type": "org.touchbus.contact.requested.v1", "keys": "user_id=u-1",
             "data": {"contact_id": "k-4", "content_id": "fourth", "purpose": "service", "channels": []}}
    status, answer = house.post("/events", event, {"Content-Type": "application/cloudevents+json", "Authorization": "Bearer public"})
    assert status == 200 and "not with this write key" in answer["quarantined"][0]["detail"], answer
    status, answer = house.post("/events", event, {"Content-Type": "application/cloudevents+json", "Authorization": "Bearer campaigns"})
    assert status == 200 and answer["success"], answer
    assert ask(house, service("k-4", "fourth"))[1]["verdict"] == "approved"


def main():
    with webhouse.WebHouse() as house:
        house.conf, house.policy = (os.path.join(house.folder, name) for name in ("web.conf", "policy.yaml"))
        write_policy(house, 1)
        with open(house.conf, "w", encoding="utf-8") as file:
            file.write(CONF.format(broker=house.address, state=house.state))
        os.chmod(house.conf, 0o600)
        house.start_web("--config", house.conf)
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(house)
                print(name, "ok", flush=True)
        assert house.web.stop() == 0
        house.touchbus("view", "verify")


main()
