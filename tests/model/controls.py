#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the judge can say no: each row lies to it, and it has to notice within a few histories. Usage: controls.py [ROW...]

A lie is a broker under another policy than the one that is judged by, a broker that was not told something, or an answer that was changed on
its way. Controls of the broker itself, a guard left out at a time, are rows of tests/mutants.
"""
import re
import sys
import time

from driver import Died, Driver
from kinds import KINDS

SEEDS_MAX = 150  # of a row, before it counts as missed


class Liar:
    """The driver, but for what a row replaces."""

    def __init__(self, driver, lies):
        self.driver, self.lies = driver, lies

    def __getattr__(self, name):
        if name in self.lies:
            return lambda *arguments, **named: self.lies[name](self.driver, *arguments, **named)
        return getattr(self.driver, name)


def under(more):
    """The broker under this policy, whatever the history's own is."""
    def lie(driver, now_us, policy, words):
        driver.open(now_us, re.sub(r"\s+", " ", more), words)
    return {"open": lie}


def without(kind, field=None, value=None):
    """Events of a type (with that value in that field) never reach the broker; something harmless comes instead."""
    def lie(driver, events):
        told = [{**event, "type": "acme.nothing"} if kind in event["type"] and (field is None or event["data"].get(field) == value) else event
                for event in events]
        return driver.publish(told)
    return {"publish": lie}


def one_price(driver, events):
    """Whatever is quoted, the broker hears the same price."""
    return driver.publish([event if "quote.issued" not in event["type"] else {**event, "data": {
        **event["data"], "lines": [{**line, "price": "1.00"} for line in event["data"]["lines"]]}} for event in events])


def stale(driver):
    """The rebuilt view lacks the last event."""
    live = driver.broker.call("hash")
    rebuilt = driver.rebuilder.call("rebuild", state=driver.state, scratch=f"{driver.folder}/scratch", applied=live["applied"] - 1)
    return live["hash"] == rebuilt["hash"], (live["hash"], rebuilt["hash"])


def ranks_of_arrival(driver, now_us, policy, words):
    """Ranks by which the second play of a history is not the first's."""
    driver.turned = not getattr(driver, "turned", False)
    driver.open(now_us, policy, [word if not word.startswith("/") or driver.turned else word.split("=")[0] + f"={len(word) * 7 % 50}" for word in words])


ROWS = {
    # name: (kind, the property that has to fail, lies)
    "an event is not rebuilt": ("mixed", "rebuilt", {"equal": stale}),
    "addresses merge like user ids": ("who", "whose", under("{identity: {kinds: [{kind: crm_id, class: strong}, {kind: user_id, class: strong}, "
                                      "{kind: account, class: strong}, {kind: loyalty, class: strong}, {kind: email, class: strong}, "
                                      "{kind: phone, class: strong}, {kind: cookie, class: weak}, {kind: device, class: weak}, "
                                      "{kind: anonymous_id, class: weak}]}}")),
    "no source may merge": ("who", "whose", under("{identity: {merge_sources: [\"/nobody\"]}}")),
    "merges without end": ("limits", "keys", under("{identity: {merges_a_day: 20}}")),
    "keys without end": ("limits", "keys", under("{identity: {limits: [{class: strong, keys: 1}, {class: medium, keys: 100, within: 365d}, "
                                                 "{class: weak, keys: 100, within: 30d}, {class: partner, keys: 1}]}}")),
    "a bad address stays": ("address", "shared", under("{identity: {contested_max: 60}}")),
    "ranks by arrival": ("shuffled", "shuffled", {"open": ranks_of_arrival}),
    "three a day": ("contacts", "approved", under("{organisation: {zone: Europe/Berlin}, contact: {cap_day: 3, cap_week: 21, "
                                                  "quiet_from: \"21:00\", quiet_until: \"08:00\", marketing: [marketing]}}")),
    "calls at night": ("contacts", "approved", under("{organisation: {zone: Europe/Berlin}, contact: {quiet_from: \"00:00\", "
                                                     "quiet_until: \"00:00\", marketing: [marketing]}}")),
    "consent is not asked": ("contacts", "approved", under("{contact: {quiet_from: \"21:00\", quiet_until: \"08:00\", marketing: [other]}}")),
    "a withdrawal is lost": ("contacts", "approved", without("consent.changed", "state", "withdrawn")),
    "a restriction is lost": ("contacts", "approved", without("privacy.changed", "kind", "restriction")),
    "a complaint is lost": ("contacts", "approved", without("case.opened")),
    "a deferred one is forgotten": ("contacts", "deferred", {"turn": lambda driver: None}),
    "a closed quote stays open": ("quotes", "quote", without("quote.closed")),
    "quotes are not compared": ("quotes", "quote", {"publish": one_price}),
    "left too early": ("carts", "timers", under("{standing: {checkout: 5m}}")),
    "never left": ("carts", "timers", under("{standing: {checkout: 300h}}")),
    "a client at the second order": ("standing", "standing", under("{standing: {mvc_value: 0, client_orders: 2}}")),
    "nobody is erased": ("erased", "erased", {"query": lambda driver, verb, body=None, **named: {"reason": "ok"} if verb == "customer.erase"
                                              else driver.query(verb, body=body, **named)}),
}


def control(driver, row):
    """The seed with which the judge noticed; 0: it did not."""
    kind, name, lies = ROWS[row]
    for seed in range(1, SEEDS_MAX + 1):
        try:
            found = KINDS[kind].run(Liar(driver, lies), KINDS[kind].make(seed))
        except Died:
            raise
        except (KeyError, IndexError, TypeError):
            continue
        if any(property_ == name for property_, _ in found):
            return seed
    return 0


def main():
    driver, missed, began = Driver(), 0, time.monotonic()
    for row in sys.argv[1:] or ROWS:
        seed = control(driver, row)
        missed += not seed
        print(f"{row:32} {ROWS[row][0]:10} {'noticed with seed ' + str(seed) if seed else 'NOT NOTICED'}")
    driver.end()
    print(f"controls: {len(sys.argv[1:] or ROWS)} lies, {missed} not noticed, {time.monotonic() - began:.0f} s")
    sys.exit(1 if missed else 0)


main()
