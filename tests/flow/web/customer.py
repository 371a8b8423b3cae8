#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""GET /v1/customer: what a site is told of who is there, by write key, and when it is told nothing."""
import base64
import json
import os
import signal
import threading
import urllib.parse

import webhouse
from webhouse import harness

CONF = """broker = {broker}
state = {state}
write-key = public
write-key = shop desk
write-key = backend all
role = desk read=greeting,tier,name,ans*
role = all read=* contact
allow-origin = https://shop.example
spool-after = 20s
"""

POLICY = """greetings:
  - {variant: hello, texts: {en: "Hello, {name}.", de: "Hallo, {name}."}}
offers:
  - {id: welcome, texts: {en: Welcome!, de: Willkommen!}, channels: [web]}
  - {id: by-phone, texts: Call us, channels: [phone]}
"""


def ask(house, key="public", headers=None, seconds=30, **query):
    authorization = {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()} if key else {}
    status, answered, text = house.http("GET", "/v1/customer?" + urllib.parse.urlencode(query), None, {**authorization, **(headers or {})}, seconds)
    return status, json.loads(text), answered


def publish(house, call, **members):
    status, answer = house.post(f"/v1/{call}", {**members, "writeKey": "public"})
    assert status == 200 and not answer["quarantined"], answer
    return int(answer["sequence"])


def test_who_is_not_known_is_greeted_as_a_guest(house):
    status, answer, headers = ask(house, anonymous_id="nobody-yet")
    assert status == 200 and answer["known"] is False, answer
    assert answer["tier"] == "guest" and answer["greeting"] == {"variant": "hello", "text": "Hello."}, answer
    assert [offer["offer_id"] for offer in answer["offers"]] == ["welcome"], answer
    assert headers["Cache-Control"] == "no-store", headers


def test_a_site_reads_its_own_write(house):
    sequence = publish(house, "identify", userId="u-1", traits={"name": "Ana", "email": "ana@klant.example", "language": "de"})
    house.touchbus("pub", "answer.recorded", "--identity", "user_id=u-1", "--attr", "question=colour", "--attr", "answer=blue")
    status, answer, _ = ask(house, key="backend", user_id="u-1", min_sequence=sequence)
    assert status == 200 and answer["known"] and answer["as_of"] >= sequence, answer
    assert answer["tier"] == "guest" and answer["name"] == "Ana" and answer["language"] == "de", answer
    assert answer["greeting"] == {"variant": "hello", "text": "Hallo, Ana."}, answer
    assert answer["offers"] == [{"offer_id": "welcome", "text": "Willkommen!"}], answer
    assert [(row["question"], row["answer"]) for row in answer["answers"]] == [("colour", "blue")], answer


def test_a_key_reads_what_its_role_names(house):
    public, desk = ask(house, user_id="u-1")[1], ask(house, key="shop", email="ANA@klant.example")[1]
    assert set(public) == {"known", "as_of", "greeting", "tier", "offers"}, public
    assert set(desk) == {"known", "as_of", "greeting", "tier", "name", "answers"}, desk
    # A greeting without the name, where the name is not read.
    assert public["greeting"]["text"] == "Hallo." and desk["greeting"]["text"] == "Hallo, Ana.", (public, desk)


def test_what_is_no_question_is_told_so(house):
    for key, query, expected in ((None, {"user_id": "u-1"}, 401), ("stolen", {"user_id": "u-1"}, 401), ("public", {}, 400),
                                 ("public", {"user_id": "u-1", "email": "a@b.example"}, 400), ("public", {"user_id": ""}, 400),
                                 ("public", {"user_id": "x" * 300}, 400), ("public", {"user_id": "u-1", "min_sequence": "soon"}, 400),
                                 ("public", {"user_id": "u-1", "min_sequence": str(2 ** 63)}, 503)):
        status, answer, headers = ask(house, key=key, **query)
        assert status == expected, (query, status, answer)
        assert ("Retry-After" in headers) == (expected == 503), headers
    assert house.http("POST", "/v1/customer", "{}")[0] == 405


def test_a_script_of_an_origin_that_is_allowed_reads_it(house):
    status, _, headers = ask(house, headers={"Origin": "https://shop.example"}, user_id="u-1")
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://shop.example", headers
    status, headers, _ = house.http("OPTIONS", "/v1/customer", None, {"Origin": "https://shop.example", "Access-Control-Request-Method": "GET"})
    assert status == 204 and "Authorization" in headers["Access-Control-Allow-Headers"], headers
    for origin in ("https://evil.example", "https://shop.example.evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in ask(house, headers={"Origin": origin}, user_id="u-1")[2]
        assert house.http("OPTIONS", "/v1/customer", None, {"Origin": origin})[0] == 405


def test_many_ask_at_once_and_each_gets_its_own(house):
    for number in range(8):
        publish(house, "identify", userId=f"many-{number}", traits={"name": f"N{number}"})
    wrong = []

    def client(number):
        for _ in range(12):
            status, answer, _ = ask(house, key="backend", user_id=f"many-{number}")
            if status != 200 or answer["name"] != f"N{number}":
                wrong.append((number, status, answer))
    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


def reload(house, text):
    with open(house.conf, "w", encoding="utf-8") as file:
        file.write(text.format(broker=house.address, state=house.state))
    os.chmod(house.conf, 0o600)
    os.kill(house.web.pid, signal.SIGHUP)


def test_a_role_may_shrink_while_it_serves(house):
    reload(house, CONF.replace("read=greeting,tier,name,ans*", "read=tier"))
    harness.wait_for("the smaller role", lambda: set(ask(house, key="shop", user_id="u-1")[1]) == {"known", "as_of", "tier"})
    reload(house, CONF + "write-key = other nobody\n")  # refused: what was in force stays
    harness.wait_for("the refusal", lambda: "there is none called nobody" in house.web.tail())
    assert set(ask(house, key="shop", user_id="u-1")[1]) == {"known", "as_of", "tier"}


def test_a_key_that_asks_too_often_is_held_back_alone(house):
    reload(house, CONF + "question-rate = 5\n")
    harness.wait_for("the bound", lambda: 429 in {ask(house, user_id="u-1")[0] for _ in range(20)})
    statuses = [ask(house, user_id="u-1") for _ in range(10)]
    refused = [row for row in statuses if row[0] == 429]
    assert refused and all("Retry-After" in headers for _, _, headers in refused), statuses
    assert ask(house, key="backend", user_id="u-1")[0] == 200
    assert house.post("/v1/track", {"userId": "u-1", "event": "E", "writeKey": "public"})[0] == 200  # publishing is no question
    reload(house, CONF)
    harness.wait_for("no bound", lambda: {ask(house, user_id="u-1")[0] for _ in range(20)} == {200})


def test_an_erased_person_is_a_guest_again(house):
    house.touchbus("--yes", "customer", "erase", "user_id=u-1")
    status, answer, _ = ask(house, key="backend", user_id="u-1")
    assert status == 200 and answer["known"] is False and "name" not in answer, answer


def test_without_the_broker_nothing_is_promised_or_kept(house):
    house.broker.stop()
    status, answer, headers = ask(house, user_id="many-1")
    assert status == 503 and int(headers["Retry-After"]) > 0, (status, answer)
    house.start_broker("--policy", house.policy)
    harness.wait_for("it is back", lambda: ask(house, key="backend", user_id="many-1")[0] == 200)


def test_a_connector_s_own_key_bounds_them_all():
    """What the broker lets the connector's role read is the most that any write key reads."""
    class KeyedWebHouse(webhouse.WebHouse, harness.KeyedHouse):
        pass
    with KeyedWebHouse() as house:
        house.admit("web", "reader")
        house.admit("mute", "source")
        house.start_broker("--role", "reader publish=* source=* read=orders,quotes")
        house.touchbus("pub", "customer.identified", "--identity", "user_id=u-1", "--attr", 'traits:={"name": "Ana"}')
        web = house.start_web("--source", "/web", *house.key_options("web"))
        answer = harness.wait_for("an answer", lambda: (lambda row: row[0] == 200 and row[1])(ask(house, user_id="u-1")))
        assert set(answer) == {"known", "as_of", "customer", "orders", "quotes"}, answer
        web.stop()
        house.start_web("--source", "/web", *house.key_options("mute"))
        harness.wait_for("a refusal", lambda: ask(house, user_id="u-1")[0] == 403)


def main():
    with webhouse.WebHouse() as house:
        house.conf = os.path.join(house.folder, "web.conf")
        house.policy = os.path.join(house.folder, "policy.yaml")
        with open(house.policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        house.start_broker("--policy", house.policy)
        with open(house.conf, "w", encoding="utf-8") as file:
            file.write(CONF.format(broker=house.address, state=house.state))
        os.chmod(house.conf, 0o600)
        house.start_web("--config", house.conf)
        harness.wait_for("the broker is known", lambda: ask(house, anonymous_id="x")[0] == 200)
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(*([house] if test.__code__.co_argcount else []))
                print(name, "ok", flush=True)
        assert house.web.stop() == 0


main()
