# SPDX-License-Identifier: Apache-2.0
"""Who is whose, and the profile that follows, as the model says."""
import judge
import model
from generator import DAY, HOUR, SECOND, World
from judge import SYSTEM, time_us

ATTRIBUTES = {"name", "city", "language", "owner", "preference.channel", "preference.language", "preference.hours"}


def make(seed):
    """Who is whose: keys of every class in every company, merges, splits, erasures; what the model can say of all of it."""
    world = World(seed, "who")
    dice = world.dice
    steps = []
    target = dice.randint(10, 40)
    orders = {person.number: [] for person in world.people}

    def keys(person):
        shape = dice.randrange(12)
        strong, medium, weak = (dice.choice(pool) for pool in (person.strong, person.medium, person.weak))
        other = world.some(world.people)
        verified = lambda key: (*key, world.one_in(2))
        plain = lambda key: (*key, False)
        if shape < 2:
            return [plain(strong)]
        if shape == 2:
            return [verified(medium)]
        if shape == 3:
            return [plain(weak)]
        if shape < 6:
            return [plain(strong), verified(medium)]
        if shape < 8:
            return [plain(strong), plain(weak)]
        if shape == 8:
            return [verified(medium), plain(weak)]
        if shape == 9:
            return [plain(key) for key in dice.sample(person.strong, 2)]
        if shape == 10:
            return [plain(dice.choice(other.strong)), verified(medium)]
        return [plain(strong), plain(dice.choice(other.weak))]

    while world.events < target:
        pause = world.pause()
        world.clock_us += pause
        person = world.some(world.people)
        act = dice.randrange(40)
        if act == 0 and len(steps) > 5:
            step = {"do": "erase", "key": "=".join(world.some(person.strong))}
        elif act < 3:
            step = {"do": "split" if world.one_in(2) else "merge",
                    "keys": ["=".join(world.some(world.some([one.strong, one.medium]))) for one in (person, world.some(world.people))]}
        elif act == 3:
            step = {"do": "trim", "share": world.some([0.3, 1.0])}
        elif act == 4:
            step = {"do": "restart", "clean": world.one_in(2)}
        else:
            events = []
            for _ in range(world.some([1, 1, 1, 3])):
                kind = world.some(["page.viewed", "customer.identified", "customer.changed", "customer.registered", "preference.set",
                                   "order.placed", "order.changed"])
                more = {}
                who_keys = keys(person)
                if kind == "customer.registered":
                    more = {"data": {"user_id": person.strong[0][1]}}
                    who_keys = [(*person.strong[0], False)]
                elif kind == "order.placed":
                    order = f"o-{person.number}-{world.events}"
                    orders[person.number].append(order)
                    more = {"data": {"order_id": order, "lines": world.lines(), "currency": "EUR"}}
                elif kind == "order.changed":
                    order = world.some(orders[person.number] or ["o-unheard-of"])
                    more = {"data": {"order_id": order, "status": world.some(["packed", "sent"]), "revision": dice.randint(1, 3)}}
                    who_keys = []
                events.append(world.event(kind, who_keys, **more))
            step = {"do": "events", "events": events}
        steps.append({**step, "after_us": pause})
    return steps


class Who(judge.Modelled):
    make = staticmethod(make)

    @classmethod
    def run(cls, driver, steps):
        run = cls(driver).play(steps)
        run.compare()
        return run.end()

    def compare(self):
        registry = self.model.registry()
        for row in self.published:
            said = row.get("said")
            if said is None:
                continue
            expected = 0 if said.came_to is None else said.came_to.number
            if row["customer"] != expected:
                self.complain("whose", f"{said.id} ({row['event'].get('keys', 'no keys')}, {said.type}): c{row['customer']}, "
                                       f"the model says c{expected}{' (refused: ' + said.refused + ')' if said.refused else ''}")
        if self.findings:
            return
        seen = set()
        for key in {key for row in self.published if "said" in row for key in row["said"].keys}:
            owner = registry.owner.get(key)
            expected = 0 if owner is None or owner.erased_us is not None else registry.survivor(owner).number
            got = self.customer("=".join(key))
            if got != expected:
                self.complain("leads", f"{'='.join(key)} leads to c{got}, the model says c{expected}")
            if expected and expected not in seen:
                seen.add(expected)
                self.compare_profile(registry, registry.survivor(owner))

    def compare_profile(self, registry, customer):
        shown = self.driver.query("customer.show", customer=f"c{customer.number}")["parts"][0]
        got = {(key["kind"], key["value"]) for key in shown["keys"]}
        if got != set(registry.keys(customer)):
            self.complain("keys", f"c{customer.number} has {sorted(got)}, the model says {sorted(registry.keys(customer))}")
        expected = model.attributes(registry, customer)
        got = {name: (row["value"], row["sequence"]) for name, row in shown["attributes"].items() if name in ATTRIBUTES}
        if got != expected:
            self.complain("attributes", f"c{customer.number} has {got}, the model says {expected}")
        expected = model.counters(registry, customer)
        got = {(row["channel"], row["type"]): (row["number"], time_us(row["first"]), time_us(row["last"]))
               for row in shown["counters"] if row["type"] not in SYSTEM}
        if got != expected:
            self.complain("counters", f"c{customer.number} has {sorted(set(got.items()) - set(expected.items()))}, "
                                      f"the model says {sorted(set(expected.items()) - set(got.items()))}")


def make_limits(seed):
    """One person with more of everything than one may have: cookies, addresses, merges; over days, so that some limits open again."""
    world = World(seed, "limits")
    dice = world.dice
    user = [("user_id", "u-1", False)]
    steps, n = [], 0
    steps.append({"do": "events", "events": [world.event("page.viewed", user)], "after_us": 0})
    for _ in range(dice.randint(5, 60)):
        n += 1
        act = dice.randrange(8)
        key = world.some([("cookie", f"ck-{n}", False), ("device", f"dev-{n}", False), ("email", f"e{n}@klant.example", dice.randrange(2) == 0)])
        if act < 3:
            events = [world.event("page.viewed", [*user, key])]
        elif act < 7:  # a customer of its own first, which is merged then
            events = [world.event("page.viewed", [key]), world.event("page.viewed", [*user, (*key[:2], True)])]
        else:
            events = [world.event("page.viewed", [("crm_id", f"crm-{n}", False), *user])]
        steps.append({"do": "events", "events": events, "after_us": world.some([0, 0, 0, 0, SECOND, HOUR, DAY, DAY, 31 * DAY])})
    return steps


class Limits(Who):
    make = staticmethod(make_limits)

    def compare(self):
        super().compare()
        registry = self.model.registry()
        for customer in {registry.survivor(leaf) for leaf in registry.leaves}:
            shown = self.driver.query("customer.show", customer=f"c{customer.number}")["parts"]
            for one in shown:
                strong = [key["kind"] for key in one.get("keys", []) if model.CLASS[key["kind"]] == "strong"]
                if len(one.get("keys", [])) > 200 or len(one.get("leaves", [])) > 20 or len(set(strong)) != len(strong):
                    self.complain("limits", f"c{customer.number}: {len(one['keys'])} keys, {len(one['leaves'])} leaves, strong {strong}")
