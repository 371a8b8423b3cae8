# SPDX-License-Identifier: Apache-2.0
"""Tier and phase as the model says, and standing.changed exactly when they change, with what they were and what they are."""
import judge
import model
from generator import DAY, HOUR, World

POLICY = "{standing: {mvc_value: 0, client_orders: 1, client_visit_days: 3, retention_orders: 2}}"


def make(seed):
    world = World(seed, "standing")
    dice = world.dice
    steps = []
    people = world.people[:3]
    for _ in range(dice.randint(3, 30)):
        # Whole days apart or not at all: nobody's midnight, in whatever zone, lies between two events of a day.
        pause = world.some([0, 0, 0, DAY, 2 * DAY])
        world.clock_us += pause
        person = world.some(people)
        key = [(*world.some(person.strong[:2] if world.one_in(3) else person.strong[:1]), False)]
        kind = world.some(["page.viewed", "page.viewed", "page.viewed", "order.placed", "customer.registered", "customer.changed", "call.received"])
        more = {"customer.registered": {"data": {"user_id": person.strong[0][1]}, "channel": "web"},
                "customer.changed": {"data": {"fields": world.some([{"mvc": True}, {"name": "x"}, {"name": "y"}])}, "channel": "crm", "source": "/crm/main"},
                "order.placed": {"data": {"order_id": f"o-{person.number}-{dice.randint(1, 3)}", "lines": world.lines(), "currency": "EUR"}},
                "page.viewed": {"channel": "web"}}.get(kind, {})
        event = world.event(kind, key, **more)
        event.pop("time", None)
        act = dice.randrange(20)
        if act == 0:
            steps.append({"do": "events", "after_us": pause, "events": [
                world.event("customer.identified", [(*person.strong[0], False), (*person.strong[1], False)], data={"traits": {"name": "x"}})]})
        elif act == 1:
            steps.append({"do": "restart", "clean": False, "after_us": pause})
        elif act == 2:
            steps.append({"do": "turn", "after_us": pause})
        else:
            steps.append({"do": "events", "events": [event], "after_us": pause})
    return steps


def standing(registry, customer):
    """(tier, phase) of what was said of a customer."""
    said = model.said_of(registry, customer)
    orders = {one.data["order_id"] for one in said if one.type == "order.placed"}
    days = {one.time_us // DAY for one in said if one.type == "page.viewed"}
    if model.attributes(registry, customer).get("mvc", (False, 0))[0]:
        tier = "mvc"
    elif orders or len(days) >= 3:
        tier = "client"
    elif any(one.type == "customer.registered" for one in said):
        tier = "registered"
    else:
        tier = "guest"
    return {"tier": tier, "phase": ["acquisition", "enhancement", "retention"][min(len(orders), 2)]}


class Standing(judge.Modelled):
    make = staticmethod(make)

    @classmethod
    def run(cls, driver, steps):
        run = cls(driver, POLICY).play(steps)
        run.compare()
        return run.end()

    def compare(self):
        changed = {}
        for event in self.driver.log(1):
            if event["type"].endswith("standing.changed.v1"):
                changed.setdefault(int(event.get("cause", 0)), []).append((event["data"], int(event["customer"][1:])))
        known = {}  # customer -> (tier, phase) after the event before
        for row in self.published:
            if not row["sequence"] or not row["customer"]:
                continue
            registry = self.model.registry(before=row["sequence"] + 1)
            said = row["said"]
            new = standing(registry, said.customer)
            merged = len(registry.merges) > known.get("merges", 0)
            known["merges"] = len(registry.merges)
            old = known.get(said.customer.number, {"tier": "guest", "phase": "acquisition"})
            told = self.caused(changed, row["sequence"], said.customer.number)
            for what in ("tier", "phase"):
                mine = [data for data, _ in told if data["what"] == what]
                wanted = [] if old[what] == new[what] else [{"old": old[what], "new": new[what]}]
                got = [{"old": data["old"], "new": data["new"]} for data in mine]
                if not merged and got != wanted:
                    self.complain("standing", f"{said.id} ({said.type}) with {said.sequence} changes the {what} of c{said.customer.number} from {old[what]} "
                                              f"to {new[what]}, said is {got}")
            known[said.customer.number] = new
        registry = self.model.registry()
        for customer in {registry.survivor(leaf) for leaf in registry.leaves}:
            shown = self.driver.query("customer.show", customer=f"c{customer.number}")["parts"][0]
            expected = standing(registry, customer)
            got = {what: shown.get(what) or {"tier": "guest", "phase": "acquisition"}[what] for what in expected}
            if got != expected:
                self.complain("standing", f"c{customer.number} is shown as {got}, the model says {expected}")

    @staticmethod
    def caused(changed, sequence, customer):
        """What was said to have changed because of an event."""
        return [row for row in changed.get(sequence, []) if row[1] == customer]
