# SPDX-License-Identifier: Apache-2.0
"""A history from a seed: some people with their keys, what they and the systems around them do, and what operators do meanwhile.

A history is a list of steps, each a map that says everything about itself, so that any of them can be left out and the rest still
means something (shrinking). Steps name people by their keys, never by numbers that the broker gave.
"""
import random

START_US = 1_767_600_000_000_000  # 2026-01-05T08:00:00Z, a Monday
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000

SOURCES = {"/web/shop": 10, "/mail/inbox": 20, "/pbx/berlin": 20, "/erp/orders": 40, "/crm/main": 60}
WORDS = [word for source, rank in SOURCES.items() for word in ("--rank", f"{source}={rank}")] + ["--log-level", "error"]
SKUS = ["s-1", "s-2", "s-3"]
CHANNELS = ["web", "email", "phone", "callcentre", "letter", "sms", "shop", "chat", "kiosk"]
PURPOSES = ["marketing", "service", "transactional"]


class Person:
    def __init__(self, dice, number):
        self.number = number
        self.strong = [("user_id", f"u-{number}"), ("crm_id", f"crm-{number}"), ("loyalty", f"loy-{number}"),
                       ("account", f"acc-{number}")]
        self.medium = [("email", f"p{number}@klant.example"), ("phone", f"+4930123{number:05d}"),
                       ("email", f"p{number}.work@firma.example")]
        self.weak = [("cookie", f"ck-{number}"), ("anonymous_id", f"an-{number}"), ("device", f"dev-{number}")]
        self.favourite = dice.choice(self.strong[:2])


class World:
    """The dice and what was said so far, for events that refer to earlier ones."""

    def __init__(self, seed, profile):
        self.dice = random.Random(f"{profile}-{seed}")
        self.people = [Person(self.dice, number) for number in range(1, self.dice.randint(2, 6) + 1)]
        self.events = 0
        self.clock_us = START_US

    def some(self, choices):
        return self.dice.choice(choices)

    def one_in(self, sides):
        return self.dice.randrange(sides) == 0

    def thing(self, kind, number=4):
        return f"{kind}-{self.dice.randint(1, number)}"

    def price(self):
        return self.some(["10.00", "10.00", "12.50", "99.99"])

    def lines(self):
        skus = self.dice.sample(SKUS, self.dice.randint(1, 2))
        return [{"sku": sku, "quantity": self.dice.randint(1, 3), "price": self.price()} for sku in skus]

    # ---- who it is

    def keys(self, person):
        """[(kind, value, verified)]: mostly one person's, now and then somebody else's too."""
        dice = self.dice
        pools = [person.strong, person.medium, person.weak]
        keys = []
        shape = dice.randrange(10)
        if shape < 4:
            keys.append(person.favourite)
        if shape in (0, 4, 5):
            keys.append(dice.choice(person.medium))
        if shape in (1, 6):
            keys.append(dice.choice(person.weak))
        if shape == 7:
            keys += dice.sample(person.strong, 2)
        if shape == 8:
            keys += [dice.choice(pool) for pool in pools]
        if shape == 9:
            other = self.some(self.people)
            keys += [dice.choice(dice.choice(pools)), dice.choice(dice.choice([other.strong, other.medium, other.weak]))]
        return [(kind, value, kind in ("email", "phone") and dice.randrange(3) == 0) for kind, value in dict.fromkeys(keys)]

    # ---- what happens

    def data(self, kind):
        dice, thing = self.dice, self.thing
        at = lambda days: rfc3339(self.clock_us + days * DAY)
        address = lambda: self.some(["p1@klant.example", "+493012300001", "p2@klant.example"])
        makers = {
            "customer.identified": lambda: {"traits": {self.some(["name", "city", "language"]): self.some(["a", "b", "", None, 3])}},
            "customer.changed": lambda: {"fields": {self.some(["name", "city", "owner"]): self.some(["x", "y", "", None])}},
            "customer.registered": lambda: {"user_id": self.some(self.people).strong[0][1]},
            "customer.grouped": lambda: {"group_id": thing("g")},
            "preference.set": lambda: self.some([{"channel": "email"}, {"language": "de"}, {"hours": {"from": "09:00", "until": "17:00"}}]),
            "page.viewed": lambda: {"url": f"https://shop.example/{thing('page')}"},
            "need.selected": lambda: {"term": thing("need")},
            "product.viewed": lambda: {"sku": self.some(SKUS)},
            "cart.changed": lambda: {"cart_id": thing("cart"), "lines": self.some([[], self.lines()])},
            "greeting.shown": lambda: {"variant": thing("v")},
            "content.shown": lambda: {"content_id": thing("content")},
            "kiosk.session.ended": lambda: {"device": thing("kiosk"), "outcome": "left"},
            "call.received": lambda: {"from": f"+4930123{dice.randint(1, 4):05d}", "to": "+4930999", "call_id": thing("call")},
            "call.answered": lambda: {"call_id": thing("call"), "actor": thing("agent")},
            "call.ended": lambda: {"call_id": thing("call"), "duration_s": dice.randint(1, 600), "outcome": "done"},
            "call.placed": lambda: {"to": "+493012300001", "purpose": self.some(PURPOSES), "contact_id": thing("k")},
            "callback.requested": lambda: {"number": "+493012300002"},
            "message.received": lambda: {"from": "p1@klant.example", "ref": thing("ref")},
            "message.sent": lambda: {"to": "p1@klant.example", "contact_id": thing("k"), "content_id": thing("content")},
            "message.outcome": lambda: {"outcome": self.some(["delivered", "bounced", "opened"]), "contact_id": thing("k")},
            "chat.state": lambda: {"conversation_id": thing("conv"), "state": self.some(["started", "ended"])},
            "chat.message": lambda: {"conversation_id": thing("conv"), "text": "hello"},
            "visit.recorded": lambda: {"kind": "shop", "place": "berlin", "actor": thing("agent")},
            "fieldservice.completed": lambda: {"job_id": thing("job"), "asset": thing("asset"), "outcome": "repaired"},
            "delivery.completed": lambda: {"order_id": thing("o"), "outcome": "handed over"},
            "credit.changed": lambda: {"application_id": thing("app"), "state": self.some(["open", "granted"]), "amount": "100.00"},
            "payment.changed": lambda: {"invoice_id": thing("inv"), "state": self.some(["open", "paid"]), "amount": "20.00", "currency": "EUR"},
            "quote.issued": lambda: {"quote_id": thing("q"), "revision": dice.randint(1, 3), "lines": self.lines(),
                                     "valid_until": at(dice.randint(1, 20)), "currency": "EUR"},
            "quote.closed": lambda: {"quote_id": thing("q"), "outcome": "declined"},
            "promise.made": lambda: {"promise_id": thing("pr"), "text": "we call back", "due": at(1)},
            "answer.recorded": lambda: {"question": thing("question"), "answer": self.some(["yes", "no", 7])},
            "order.placed": lambda: {"order_id": thing("o"), "lines": self.lines(), "currency": "EUR"},
            "order.changed": lambda: {"order_id": thing("o"), "status": self.some(["packed", "sent", "cancelled"]), "revision": dice.randint(1, 4)},
            "supply.changed": lambda: self.some([{"order_id": thing("o"), "eta": at(3)}, {"sku": self.some(SKUS), "quantity": 5}]),
            "price.changed": lambda: {"sku": self.some(SKUS), "price": self.price(), "currency": "EUR", "valid_from": at(0)},
            "partner.message": lambda: {"partner_id": thing("partner"), "subject": "delivery"},
            "return.requested": lambda: {"order_id": thing("o"), "reason": "too small"},
            "case.opened": lambda: {"case_id": thing("case"), "kind": self.some(["complaint", "question"]), "severity": 2},
            "case.resolved": lambda: {"case_id": thing("case"), "outcome": "solved"},
            "feedback.given": lambda: {"score": dice.randint(1, 5), "scale": 5},
            "consent.changed": lambda: {"purpose": "marketing", "address": address(), "state": self.some(["granted", "withdrawn", "denied"]),
                                        "text_version": "v1"},
            "privacy.changed": lambda: {"kind": self.some(["objection", "restriction"]), "state": self.some(["done", "lifted"])},
            "contact.requested": lambda: {"contact_id": thing("k", 8), "content_id": thing("content"), "purpose": self.some(PURPOSES),
                                          "channels": dice.sample(["email", "phone", "letter"], dice.randint(1, 3))},
            "agent.state": lambda: {"actor": thing("agent"), "state": self.some(["available", "busy"]), "skills": ["de"]},
            "lead.changed": lambda: {"lead_id": thing("lead"), "state": self.some(["new", "qualified"]), "value": "50.00"},
            "opportunity.changed": lambda: {"opportunity_id": thing("opp"), "state": "open", "value": "70.00"},
            "offer.answered": lambda: {"offer_id": thing("offer"), "answer": self.some(["yes", "no"])},
            "cost.recorded": lambda: {"channel": self.some(CHANNELS), "period": "2026-01", "amount": "100.00"},
            "acme.thing": lambda: {"anything": thing("x")},
        }
        return makers[kind]() if kind in makers else None

    NOBODY = ("price.changed", "agent.state", "cost.recorded")

    def event(self, kind=None, keys=None, **more):
        """A CloudEvent."""
        kind = kind or self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self.events += 1
        event = {"specversion": "1.0", "id": f"e-{self.events}", "source": self.some(list(SOURCES)),
                 "type": f"org.touchbus.{kind}.v1" if kind != "acme.thing" else kind,
                 "channel": self.some(CHANNELS), "data": self.data(kind), **more}
        if keys is None:
            keys = [] if kind in self.NOBODY or self.one_in(12) else self.keys(self.some(self.people))
        if keys:
            event["keys"] = form(keys)
        lateness = self.dice.randrange(8)
        if lateness == 0:
            event["time"] = rfc3339(self.clock_us - self.dice.randint(1, 3 * DAY))  # late
        elif lateness == 1:
            event["time"] = rfc3339(self.clock_us + self.dice.randint(1, 2 * HOUR))  # a clock that is ahead
        elif lateness < 5:
            event["time"] = rfc3339(self.clock_us)
        return event

    def pause(self):
        return self.some([0, 0, SECOND, MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, DAY])


WEIGHTS = {
    "customer.identified": 8, "customer.changed": 6, "customer.registered": 3, "customer.grouped": 1, "preference.set": 2,
    "page.viewed": 5, "need.selected": 2, "product.viewed": 2, "cart.changed": 2, "greeting.shown": 1, "content.shown": 1,
    "kiosk.session.ended": 1, "call.received": 2, "call.answered": 1, "call.ended": 1, "call.placed": 1, "callback.requested": 1,
    "message.received": 1, "message.sent": 1, "message.outcome": 1, "chat.state": 1, "chat.message": 1, "visit.recorded": 2,
    "fieldservice.completed": 1, "delivery.completed": 1, "credit.changed": 1, "payment.changed": 1, "quote.issued": 4,
    "quote.closed": 1, "promise.made": 1, "answer.recorded": 1, "order.placed": 4, "order.changed": 3, "supply.changed": 2,
    "price.changed": 1, "partner.message": 1, "return.requested": 1, "case.opened": 2, "case.resolved": 1, "feedback.given": 1,
    "consent.changed": 4, "privacy.changed": 2, "contact.requested": 6, "agent.state": 1, "lead.changed": 1,
    "opportunity.changed": 1, "offer.answered": 1, "cost.recorded": 1, "acme.thing": 1,
}


def form(keys):
    from urllib.parse import quote
    return "&".join(f"{kind}{'!' if verified else ''}={quote(value, safe='')}" for kind, value, verified in keys)


def rfc3339(time_us):
    import datetime
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=time_us)
    return at.isoformat(timespec="microseconds") + "Z"
