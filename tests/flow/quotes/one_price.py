#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two touchpoints quote one customer, under two keys, different prices for one sku: the second is refused with the open revision. What
is superseded, closed or expired is not in the way; and a restart changes nothing of it."""
import datetime
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, wait_for  # noqa: E402

NOW = datetime.datetime.now(datetime.timezone.utc)


def until(seconds):
    return (NOW + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Quotes(House):
    def quote(self, key, channel, quote_id, price, revision=1, sku="chair", valid_until=None, **more):
        data = {"quote_id": quote_id, "revision": revision, "currency": "EUR", "valid_until": valid_until or until(86400),
                "lines": [{"sku": "table", "quantity": 1, "price": "99.00"}, {"sku": sku, "quantity": 2, "price": price}], **more}
        return self.touchbus("-j", "pub", "quote.issued", "-i", key, "--channel", channel, "-d", json.dumps(data), check=False)

    def accepted(self, *arguments, **more):
        done = self.quote(*arguments, **more)
        assert done.returncode == 0, done
        return json.loads(done.stdout)["sequence"]

    def refused(self, *arguments, **more):
        done = self.quote(*arguments, **more)
        assert done.returncode == 1 and json.loads(done.stderr)["error"] == "quote-conflict", done
        return json.loads(done.stdout)["verdict"]

    def known(self, name):
        keys = [f"user_id={name}", f"email={name}@klant.example"]
        self.touchbus("pub", "customer.identified", "-i", keys[0], "-i", keys[1].replace("=", "!="), "-d", '{"traits":{}}')
        return keys


def test_the_second_price_is_refused_with_the_open_revision(house):
    user, email = house.known("ana")
    open_sequence = house.accepted(user, "web", "q-1", "19.90")
    verdict = house.refused(email, "shop", "q-2", "18.00")
    expected = {"quote_id": "q-1", "revision": 1, "sku": "chair", "price": "19.90", "currency": "EUR", "valid_until": until(86400),
                "channel": "web", "sequence": open_sequence}
    assert verdict == expected, verdict
    house.accepted(email, "shop", "q-2", "19.9")
    house.accepted(f"user_id=ben", "shop", "q-3", "18.00")  # another customer
    log = [json.loads(line) for line in house.touchbus("-j", "log", "export").stdout.splitlines()]
    assert sum(event.get("data", {}).get("quote_id") == "q-2" for event in log) == 1, log


def test_what_is_superseded_or_closed_is_not_in_the_way(house):
    user, email = house.known("cleo")
    house.accepted(user, "web", "c-1", "19.90")
    house.accepted(email, "phone", "c-2", "18.00", supersedes="c-1")
    house.refused(user, "web", "c-3", "19.90")
    house.accepted(user, "web", "c-2", "17.00", revision=2)
    house.refused(email, "shop", "c-2", "16.00", revision=1)
    house.touchbus("pub", "quote.closed", "-i", email, "-d", '{"quote_id":"c-2","outcome":"declined"}')
    house.accepted(user, "web", "c-3", "19.90")


def test_what_is_expired_is_not_in_the_way(house):
    user, email = house.known("dora")
    end = NOW + datetime.timedelta(seconds=3 + (datetime.datetime.now(datetime.timezone.utc) - NOW).total_seconds())
    house.accepted(user, "web", "d-1", "19.90", valid_until=end.strftime("%Y-%m-%dT%H:%M:%SZ"))
    wait_for("the quote's end", lambda: datetime.datetime.now(datetime.timezone.utc) > end, 30)
    house.accepted(email, "shop", "d-2", "18.00")


def test_the_price_list_changes_no_quote_and_neither_does_a_restart(house):
    user, email = house.known("emil")
    house.accepted(user, "web", "e-1", "19.90")
    house.touchbus("pub", "price.changed", "--channel", "erp", "-d",
                   json.dumps({"sku": "chair", "price": "18.00", "currency": "EUR", "valid_from": until(-60)}))
    house.broker.kill()
    house.start_broker()
    assert house.refused(email, "shop", "e-2", "18.00")["quote_id"] == "e-1"
    house.touchbus("view", "verify")


def main():
    with Quotes() as house:
        house.start_broker()
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(house)
                print(f"ok   {name}", flush=True)


main()
