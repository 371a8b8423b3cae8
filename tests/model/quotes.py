# SPDX-License-Identifier: Apache-2.0
"""No two open revisions with different prices for one customer and sku: who quotes otherwise is refused, with the open one; who does not is
accepted."""
import judge
from contacts import MAYBE, NO, YES
from generator import DAY, HOUR, World, rfc3339


def make(seed):
    world = World(seed, "quotes")
    dice = world.dice
    world.people = world.people[:2]
    steps = []
    for person in world.people:
        keys = [(*person.strong[0], False), (*person.medium[0], True)]
        steps.append({"do": "events", "after_us": 0, "events": [world.event("page.viewed", keys)]})
    for _ in range(dice.randint(3, 25)):
        pause = world.some([0, 0, HOUR, DAY])
        world.clock_us += pause
        person = world.some(world.people)
        key = [(*world.some([person.strong[0], person.medium[0]]), False)]
        quote = f"q-{person.number}-{dice.randint(1, 4)}"
        act = dice.randrange(12)
        if act < 8:
            data = {"quote_id": quote, "revision": dice.randint(1, 4), "currency": "EUR", "valid_until": rfc3339(world.clock_us + dice.randint(1, 4) * DAY),
                    "lines": [{"sku": world.some(["s-1", "s-2"]), "quantity": 1, "price": world.some(["10.00", "10", "12.50"])}]}
            if world.one_in(6):
                data["supersedes"] = f"q-{person.number}-{dice.randint(1, 4)}"
            event = world.event("quote.issued", key, data=data)
            event.pop("time", None)
            steps.append({"do": "events", "events": [event], "after_us": pause})
        elif act < 10:
            event = world.event("quote.closed", key, data={"quote_id": quote, "outcome": "declined"})
            event.pop("time", None)
            steps.append({"do": "events", "events": [event], "after_us": pause})
        elif act == 10:
            steps.append({"do": "restart", "clean": False, "after_us": pause})
        else:
            steps.append({"do": "events", "after_us": pause, "events": [world.event("price.changed", [], data={
                "sku": "s-1", "price": "1.00", "currency": "EUR", "valid_from": rfc3339(world.clock_us)})]})
    return steps


class Quotes(judge.Run):
    make = staticmethod(make)

    @classmethod
    def run(cls, driver, steps):
        run = cls(driver).play(steps)
        run.compare()
        return run.end()

    def compare(self):
        """Goes through what was said. quotes: customer -> {quote: (YES it is open, NO, or MAYBE; its highest revision)}.

        silent: whether a quote is open that was closed or superseded before its issue came; then nothing is held for or against it.
        """
        quotes = {}
        for row in self.published:
            event, data = row["event"], row["event"]["data"]
            kind = event["type"].removeprefix("org.touchbus.").removesuffix(".v1")
            if not kind.startswith("quote."):
                continue
            customer = self.customer(event["keys"].replace("%40", "@").replace("%2B", "+"))
            ours = quotes.setdefault(customer, {})
            state, before = ours.get(data["quote_id"], (YES, None))
            if kind == "quote.closed":
                ours[data["quote_id"]] = (NO, before)
                continue
            against = self.against(ours, data, row["received_us"])
            refused = row["reason"] == "quote-conflict"
            unsure = data["quote_id"] in ours or any(other == MAYBE for other, _ in ours.values())
            if refused and not against and not unsure:
                self.complain("quote", f"{data} is refused, and nothing open speaks against it: {ours}")
            if refused and not row["verdict"]:
                self.complain("quote", f"{data} is refused without the open revision")
            if refused:
                continue
            if YES in against.values():
                self.complain("quote", f"{data} is accepted beside the open {[ours[quote] for quote in against]}")
            if data.get("supersedes", data["quote_id"]) != data["quote_id"]:
                # silent: whether a revision that was overtaken before it came supersedes anything.
                overtaken = before is not None and data["revision"] <= before["revision"]
                ours[data["supersedes"]] = (MAYBE if overtaken else NO, ours.get(data["supersedes"], (NO, None))[1])
            if before is None or data["revision"] > before["revision"]:
                ours[data["quote_id"]] = (YES if state == YES else MAYBE, data)
            elif state != YES:
                ours[data["quote_id"]] = (MAYBE, before)
            elif data["revision"] == before["revision"]:  # silent: which of two is the revision's
                ours[data["quote_id"]] = (MAYBE, before if judge.time_us(before["valid_until"]) > judge.time_us(data["valid_until"]) else data)

    @staticmethod
    def against(ours, data, now_us):
        """{quote: YES or MAYBE}: what is open and prices a line otherwise."""
        price = {line["sku"]: float(line["price"]) for line in data["lines"]}
        found = {}
        for quote, (state, other) in ours.items():
            if state == NO or other is None or quote in (data["quote_id"], data.get("supersedes")) or \
                    judge.time_us(other["valid_until"]) <= now_us:
                continue
            if any(price.get(line["sku"], float(line["price"])) != float(line["price"]) for line in other["lines"]):
                found[quote] = state
        return found
