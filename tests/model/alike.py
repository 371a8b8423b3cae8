# SPDX-License-Identifier: Apache-2.0
"""What has to come out alike: one strong key's events in any order, a customer before a merge and after the split. And what must not become
one: people who share a bad address. Nothing here needs the model; the broker is compared with itself."""
import random

import judge
from generator import DAY, MINUTE, START_US, World, form, rfc3339

# Events that say what they say whatever was there before them: no rule refuses them for what came earlier.
ORDERLESS = ["customer.identified", "customer.changed", "customer.registered", "preference.set", "page.viewed", "need.selected",
             "product.viewed", "cart.changed", "greeting.shown", "content.shown", "call.received", "call.ended", "callback.requested",
             "message.received", "chat.state", "visit.recorded", "fieldservice.completed", "delivery.completed", "credit.changed",
             "payment.changed", "quote.closed", "promise.made", "answer.recorded", "order.placed", "order.changed", "return.requested",
             "case.opened", "case.resolved", "feedback.given", "consent.changed", "privacy.changed", "lead.changed", "opportunity.changed",
             "offer.answered", "customer.grouped", "acme.thing", "supply.changed"]
# What says when something came, and so may differ.
ARRIVAL = ("sequence", "recent", "timeline", "dropped", "events", "received", "as_of", "set_by", "customer", "leaf", "interactions", "leaves",
           "merges", "standing_sequence", "state_sequence")


def plain(shown, without=()):
    """What is shown of a customer, without what says when it came; lists of things in the order of their ids."""
    if isinstance(shown, dict):
        return {name: plain(value, without) for name, value in shown.items()
                if not name.endswith("sequence") and name not in ARRIVAL and name not in without}
    if isinstance(shown, list):
        return sorted((plain(value, without) for value in shown if not (isinstance(value, dict) and value.get("type") in judge.SYSTEM)), key=repr)
    return shown


def difference(one, other, path=""):
    """The first places where they differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [found for name in sorted({*one, *other}) for found in difference(one.get(name), other.get(name), f"{path}.{name}")]
    return [] if one == other else [f"{path[1:]}: {one} or {other}"]


def show(driver, customer):
    answer = driver.query("customer.show", customer=customer) if customer[0] == "c" and customer[1:].isdigit() else \
        driver.query("customer.show", key=customer)
    return answer["parts"][0] if answer["reason"] == "ok" else {"refused": answer["reason"]}


class Shuffled:
    """Events of one strong key, from sources with stamped ranks, in any order."""

    @staticmethod
    def make(seed):
        world = World(seed, "shuffled")
        key = [("user_id", "u-1", False)]
        steps = []
        for _ in range(world.dice.randint(2, 25)):
            event = world.event(world.some(ORDERLESS), key)
            # All of it happened before any of it arrives, so that no receipt clamps a time. Now and then at the same moment.
            event["time"] = rfc3339(START_US - world.some([DAY, DAY, MINUTE, 0, world.dice.randint(0, 9 * DAY)]))
            steps.append({"do": "events", "events": [event], "after_us": 0})
        return [{"do": "shuffle", "seed": seed, "after_us": 0}, *steps]

    @staticmethod
    def run(driver, steps):
        seed = next((step["seed"] for step in steps if step["do"] == "shuffle"), 0)
        events = [step for step in steps if step["do"] == "events"]
        if not events:
            return []
        shown, findings = [], []
        for turn in range(2):
            order = list(events)
            if turn == 1:
                random.Random(seed).shuffle(order)
            run = judge.Run(driver).play(order)
            shown.append(plain(show(driver, "user_id=u-1")))
            findings += run.end()
        return findings + [("shuffled", text) for text in difference(*shown)]


class Split:
    """A and B merge, C joins, B is split off: B is as before, A and C intact."""

    @staticmethod
    def make(seed):
        world = World(seed, "split")
        keys = {"A": [("user_id", "u-1", False)], "B": [("crm_id", "crm-2", False)], "C": [("loyalty", "loy-3", False)]}
        steps = []
        for _ in range(world.dice.randint(3, 25)):
            name = world.some("ABC")
            event = world.event(world.some([*ORDERLESS, "quote.issued"]), keys[name])
            if event["type"].endswith("quote.issued.v1"):
                event["data"] = {**event["data"], "quote_id": f"q-{name}-{world.events}",
                                 "lines": [{"sku": f"s-{name}-{world.events}", "quantity": 1, "price": "1.00"}]}
            for field, value in event["data"].items():  # nobody refers to another's things
                if field.endswith("_id") and isinstance(value, str):
                    event["data"][field] = f"{value}-{name}"
            event.pop("time", None)
            steps.append({"do": "events", "of": name, "events": [event], "after_us": world.some([0, MINUTE])})
        for name, key in world.dice.sample(list(keys.items()), 3):
            steps.insert(0, {"do": "events", "of": name, "events": [world.event("page.viewed", key)], "after_us": 0})
        return [*steps, {"do": "merges", "asked": world.one_in(2), "after_us": MINUTE}]

    @staticmethod
    def run(driver, steps):
        asked = all(step.get("asked", True) for step in steps)
        run = judge.Run(driver)
        run.play([step for step in steps if step["do"] == "events"])
        keys = {"A": "user_id=u-1", "B": "crm_id=crm-2", "C": "loyalty=loy-3"}
        number = {name: run.customer(key) for name, key in keys.items()}
        if 0 in number.values():
            run.end()
            return []
        before = {name: show(driver, key) for name, key in keys.items()}
        if asked:  # by an agent: of nobody's own
            run.do_merge({"keys": [keys["A"], keys["B"]]})
            run.do_merge({"keys": [keys["A"], keys["C"]]})
        else:  # by an event that names both
            for one, other in ("AB", "AC"):
                run.do_events({"events": [{"specversion": "1.0", "id": f"link-{one}{other}", "source": "/crm/main", "channel": "crm",
                                           "type": "org.touchbus.page.viewed.v1", "data": {"url": "/"}, "keys": f"{keys[one]}&{keys[other]}"}]})
        joined = {run.customer(key) for key in keys.values()}
        if len(joined) != 1:
            run.complain("merged", f"A, B and C are {joined} after their merge ({'asked for' if asked else 'by events'})")
            return run.end()
        # Off with whatever was merged into B, and with B from what it was merged into.
        into = {row["from"]: row["into"] for row in show(driver, keys["B"])["merged"] if row["kind"] == "merged"}
        b = f"c{number['B']}"
        cuts = [leaf for leaf, other in into.items() if other == b] + ([b] if b in into else [])
        for leaf in cuts:
            run.do_split({"customers": [int(leaf[1:])]})
        now = {name: run.customer(key) for name, key in keys.items()}
        if now["B"] in (now["A"], now["C"]) or now["B"] != number["B"] or cuts == [b] and now["A"] != now["C"]:
            run.complain("split", f"were {number}, merged {joined}, after the split of {cuts} they are {now}")
            return run.end()
        without = ("counters", "last", "merged", "parts")
        for text in difference(plain(before["B"], without), plain(show(driver, keys["B"]), without)):
            run.complain("split", f"B: {text}")
        # A and C intact: as if only they had merged.
        for name in ("A", "C"):
            shown = plain(show(driver, keys[name]), without)
            for field in ("keys", "orders", "quotes"):
                missing = [row for row in plain(before[name], without)[field] if row not in shown[field]]
                if missing:
                    run.complain("split", f"{name}: {field} lost {missing}")
        # They are never merged again: a veto stands.
        run.do_events({"events": [{"specversion": "1.0", "id": "again", "source": "/crm/main", "type": "org.touchbus.page.viewed.v1",
                                   "channel": "crm", "data": {"url": "/"}, "keys": f"{keys['A']}&{keys['B']}"}]})
        if run.customer(keys["A"]) == run.customer(keys["B"]):
            run.complain("veto", "an event that names both merged A and B again")
        return run.end()


class Address:
    """People who share one bad e-mail address do not become one; beyond ten of them it is nobody's."""

    @staticmethod
    def make(seed):
        dice = random.Random(f"address-{seed}")
        people = 1000 if seed % 500 == 0 else dice.randint(2, 40)
        steps, n = [], 0
        numbers = list(range(people))
        while numbers:
            events = []
            for number in numbers[:dice.randint(1, 100 if people == 1000 else 5)]:
                n += 1
                keys = [("user_id", f"u-{number}", False), ("email", "info@firma.example", dice.randrange(2) == 0)]
                events.append({"specversion": "1.0", "id": f"e-{n}", "source": "/web/shop", "type": "org.touchbus.page.viewed.v1",
                               "channel": "web", "data": {"url": "/"}, "keys": form(keys)})
            numbers = numbers[len(events):]
            steps.append({"do": "events", "events": events, "after_us": dice.choice([0, MINUTE])})
        return steps

    @staticmethod
    def run(driver, steps):
        run = judge.Run(driver).play(steps)
        seen = {}
        for row in run.published:
            user = row["event"]["keys"].split("&")[0]
            if row["customer"] in seen and seen[row["customer"]] != user:
                run.complain("address", f"{user} and {seen[row['customer']]} are both c{row['customer']}")
            seen[row["customer"]] = user
        for user in set(seen.values()):
            if run.customer(user) not in seen or seen[run.customer(user)] != user:
                run.complain("address", f"{user} leads to c{run.customer(user)}")
        if len(seen) > 12 and run.customer("email=info@firma.example"):
            run.complain("shared", f"{len(seen)} people came with the address, and it still leads to c{run.customer('email=info@firma.example')}")
        return run.end()


class Erased:
    """What an erased person said is nowhere to be read, and what still comes for them changes nothing."""

    @staticmethod
    def make(seed):
        world = World(seed, "erased")
        other = world.people[-1]
        keys = [("user_id", "CANARYu-1", False), ("email", "canary-one@klant.example", True), ("crm_id", "CANARYcrm-1", False)]
        steps = [{"do": "events", "events": [canaries(world.event("customer.identified", keys))], "after_us": 0}]
        for _ in range(world.dice.randint(2, 15)):
            event = world.event(world.some(ORDERLESS), world.dice.sample(keys, world.dice.randint(1, 2)))
            steps.append({"do": "events", "events": [canaries(event)], "after_us": world.some([0, MINUTE])})
            if world.one_in(3):
                steps.append({"do": "events", "events": [world.event("page.viewed", world.keys(other))], "after_us": 0})
        erase = {"do": "erase", "key": "user_id=CANARYu-1", "after_us": MINUTE}
        late = [{"do": "events", "late": True, "after_us": 0, "events": [canaries(world.event(world.some(
            [kind for kind in ORDERLESS if kind != "customer.registered"]), [world.some(keys)]))]} for _ in range(3)]
        more = [{"do": world.some(["trim", "restart"]), "share": 1.0, "clean": True, "after_us": 0}] if world.one_in(2) else []
        return [*steps, erase, *more, *late]

    @staticmethod
    def run(driver, steps):
        run = judge.Run(driver)
        erased, living = set(), True
        keys = ("user_id=CANARYu-1", "email=canary-one@klant.example", "crm_id=CANARYcrm-1")
        for step in steps:
            if step["do"] == "erase":
                erased = set(map(run.customer, keys))
            n = len(run.published)
            run.play([step])
            if step["do"] == "erase":
                if run.customer(step["key"]):
                    run.complain("erased", f"{step['key']} still leads to c{run.customer(step['key'])}")
                living = any(map(run.customer, keys)) or len(erased) != 1 or erased == {0}
            for row in run.published[n:]:
                if step.get("late") and not living and row["customer"]:
                    run.complain("late", f"{row['event']['id']} ({row['event']['keys']}) came late and is c{row['customer']}'s")
        if living:  # some of the keys were somebody else's: another story
            return run.end()
        for number in erased:
            shown = show(driver, f"c{number}")
            if "refused" not in shown and ("CANARY" in repr(shown) or "canary" in repr(shown)):
                run.complain("erased", f"c{number} still shows {shown}")
        told = repr(driver.log(driver.broker.call("hash")["applied"] - 3))
        if "CANARY" in told or "canary" in told:
            run.complain("erased", f"the log still tells: {told[:500]}")
        for path, found in files_with(driver.state, [b"CANARY", b"canary-one"]):
            run.complain("erased", f"{path} holds {found}")
        return run.end()


def canaries(event):
    data = {name: f"CANARY{value}" if isinstance(value, str) and name in ("answer", "reason", "text", "url", "name") else value
            for name, value in event["data"].items()}
    if "traits" in data:
        data["traits"] = {"name": "CANARYname"}
    return {**event, "data": data}


def files_with(folder, words):
    import os
    for root, _, names in os.walk(folder):
        for name in names:
            with open(f"{root}/{name}", "rb") as file:
                content = file.read()
            for word in words:
                if word in content:
                    yield f"{root}/{name}".removeprefix(folder), word
