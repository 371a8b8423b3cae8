# SPDX-License-Identifier: Apache-2.0
"""No two open revisions with different prices for one customer and sku: who quotes otherwise is refused, with the open one; who does not is
accepted."""
import judge
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
        """Goes through what was said. quotes: customer -> {quote: its data}, as it was accepted. doubted: quotes of which the model does not
        say what stands: closed and issued at one time, or issued again without a higher revision."""
        quotes, closed_at, doubted, highest = {}, {}, set(), {}
        for row in self.published:
            event, data = row["event"], row["event"]["data"]
            if event["type"].endswith("quote.closed.v1"):
                quotes.get(row["customer"], {}).pop(data["quote_id"], None)
                closed_at[data["quote_id"]] = row["received_us"]
            if not event["type"].endswith("quote.issued.v1"):
                continue
            customer = self.customer(event["keys"].replace("%40", "@").replace("%2B", "+"))
            ours = quotes.setdefault(customer, {})
            price = {line["sku"]: float(line["price"]) for line in data["lines"]}
            against = []
            for quote, other in ours.items():
                if quote in (data["quote_id"], data.get("supersedes")) or judge.time_us(other["valid_until"]) <= row["received_us"]:
                    continue
                against += [quote for line in other["lines"] if price.get(line["sku"], float(line["price"])) != float(line["price"])]
            against = [quote for quote in against if quote not in doubted]
            refused = row["reason"] == "quote-conflict"
            before = ours.get(data["quote_id"])
            # silent: whether a revision prices differently than the one of its own quote that it follows, and what a late, lower one is.
            unsure = before is not None or any(quote in doubted for quote in ours) or row["customer"] and row["customer"] != customer
            if refused and not against and not unsure:
                self.complain("quote", f"{data} is refused, and nothing open speaks against it: {ours}")
            if not refused and against:
                self.complain("quote", f"{data} is accepted beside the open {[ours[quote] for quote in against]}")
            if refused and not row["verdict"]:
                self.complain("quote", f"{data} is refused without the open revision")
            if not refused:
                ours.pop(data.get("supersedes"), None)
                quote = data["quote_id"]
                if closed_at.get(quote) == row["received_us"] or data["revision"] <= highest.get(quote, 0):
                    doubted.add(quote)
                else:
                    doubted.discard(quote)
                highest[quote] = max(highest.get(quote, 0), data["revision"])
                if before is None or data["revision"] > before["revision"]:
                    ours[data["quote_id"]] = data
