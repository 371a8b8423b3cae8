#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Verdicts of a running broker: an operator changes a cap, the next verdict uses it, old verdicts stay, and the change is in the log
with its actor. What is told about an erased person; what the timers of a broker that was down make of a deferred contact."""
import datetime
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, wait_for  # noqa: E402

OPEN = 'contact:\n  quiet_from: "00:00"\n  quiet_until: "00:00"\n'
EXIT = {"approved": 0, "deferred": 4, "suppressed": 5}


class Caps(House):
    def write_policy(self, text):
        path = os.path.join(self.folder, "policy.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def contact(self, customer, content, *more):
        done = self.touchbus("-j", "contact", customer, "--content", content, "--purpose", "service", *more, check=False)
        verdict = json.loads(done.stdout)
        assert done.returncode == EXIT[verdict["verdict"]], (done, verdict)
        return verdict

    def decided(self):
        done = self.touchbus("-j", "replay", "--type", "contact.decided", "--from", "beginning")
        return [json.loads(line) for line in done.stdout.splitlines() if '"data"' in line]


def know(house, number):
    house.ask("pub", "customer.identified", "-i", f"user_id=u{number}", "-i", f"email=u{number}@klant.example", "-i", f"phone=+4930222{number:04}",
              "-d", '{"traits":{"name":"Ana"}}')
    return f"user_id=u{number}"


def test_the_next_verdict_uses_a_new_cap_and_old_ones_stay(house):
    ana = know(house, 1)
    first = house.contact(ana, "offer-1", "--channel", "email", "--contact-id", "k-1")
    assert first["verdict"] == "approved", first
    second = house.contact(ana, "offer-2", "--channel", "phone", "--contact-id", "k-2")
    assert second["reasons"] == ["cap-day"] and second["decided_by"] == [first["sequence"]], second
    house.write_policy(OPEN + "  cap_day: 2\n")
    change = house.ask("config", "reload", "--actor", "ana")["sequence"]
    third = house.contact(ana, "offer-3", "--channel", "phone", "--contact-id", "k-3")
    assert third["verdict"] == "approved", third
    for verdict, number in ((first, 1), (second, 2)):
        again = house.contact(ana, f"offer-{number}", "--channel", "email", "--contact-id", f"k-{number}")
        assert again == verdict, (again, verdict)
    event = json.loads(house.touchbus("-j", "log", "get", str(change)).stdout)
    assert event["type"].endswith("configuration.changed.v1") and event["actor"] == "ana", event
    assert event["data"]["changes"] == [{"section": "contact", "path": "contact.cap_day", "old": "1", "new": "2"}], event


def test_a_contact_that_failed_frees_its_place(house):
    ben = know(house, 2)
    first = house.contact(ben, "offer-1", "--channel", "email", "--contact-id", "b-1")
    assert house.contact(ben, "offer-1", "--channel", "phone")["decided_by"] == [first["sequence"]]
    house.ask("pub", "message.outcome", "--channel", "email", "-d", '{"outcome":"failed","contact_id":"b-1"}')
    assert house.contact(ben, "offer-1", "--channel", "phone")["verdict"] == "approved"


def test_a_customer_by_number(house):
    cid = house.ask("customer", "show", know(house, 3))["customer"]
    assert house.contact(cid, "offer-1", "--channel", "email")["verdict"] == "approved"
    assert house.contact("user_id=u3", "offer-1", "--channel", "phone")["reasons"] == ["same-content"]


def test_an_erased_person_is_not_contacted(house):
    dan = know(house, 4)
    assert house.contact(dan, "offer-1", "--channel", "email", "--contact-id", "d-1")["verdict"] == "approved"
    house.touchbus("--yes", "customer", "erase", dan)
    verdict = house.contact(dan, "offer-2", "--channel", "email")
    assert verdict["reasons"] == ["erased"], verdict


def test_what_is_deferred_is_decided_once_when_it_is_due_also_after_a_stop(house):
    now = datetime.datetime.now(datetime.timezone.utc)
    until = now + datetime.timedelta(seconds=90)
    quiet = f'contact:\n  quiet_from: "{now - datetime.timedelta(minutes=5):%H:%M}"\n  quiet_until: "{until:%H:%M}"\n'
    house.write_policy(quiet)
    house.ask("config", "reload")
    eve = know(house, 5)
    house.ask("pub", "customer.changed", "-i", eve, "--channel", "crm", "-d", '{"fields":{"timezone":"Etc/UTC"}}')
    verdict = house.contact(eve, "offer-1", "--channel", "email", "--contact-id", "e-1")
    assert verdict["verdict"] == "deferred" and verdict["reasons"] == ["quiet-hours"], verdict
    assert house.broker.stop() == 0
    wait_for("the quiet hours end", lambda: datetime.datetime.now(datetime.timezone.utc).isoformat() > verdict["until"], 200, 0.5)
    house.start_broker("--policy", os.path.join(house.folder, "policy.yaml"))

    def answers():
        return [event["data"]["verdict"] for event in house.decided() if event["data"]["contact_id"] == "e-1"]
    wait_for("it is decided again", lambda: len(answers()) > 1)
    assert answers() == ["deferred", "approved"], answers()
    again = house.contact(eve, "offer-1", "--channel", "email", "--contact-id", "e-1")
    assert again["verdict"] == "approved", again
    assert answers() == ["deferred", "approved"], answers()


def main():
    tests = [test_the_next_verdict_uses_a_new_cap_and_old_ones_stay, test_a_contact_that_failed_frees_its_place, test_a_customer_by_number,
             test_an_erased_person_is_not_contacted]
    if os.environ.get("TOUCHBUS_SLOW"):  # it waits for a minute to end
        tests.append(test_what_is_deferred_is_decided_once_when_it_is_due_also_after_a_stop)
    with Caps() as house:
        house.start_broker("--policy", house.write_policy(OPEN))
        for test in tests:
            test(house)
            print(f"{test.__name__}: ok", flush=True)
        assert house.ask("view", "verify")["equal"] is True
        assert house.broker.stop() == 0


main()
