# SPDX-License-Identifier: Apache-2.0
"""Contact policy and consent: every contact.decided in the log, judged by what stood in the log before it.

For each thing that may speak against a contact the model says yes, no or maybe (where CUSTOMER.md leaves it open). An approval is wrong
where one says yes, a refusal or deferral is wrong where all say no. What the broker approved before is taken as it was approved.
"""
import zoneinfo
from datetime import datetime, timedelta, timezone

import judge
import model
from generator import DAY, HOUR, MINUTE, World, rfc3339

YES, NO, MAYBE = "yes", "no", "maybe"
LAPSE_US = {"phone": 15 * MINUTE, "email": HOUR, "letter": 7 * DAY}
ARRIVES_US = {"letter": 2 * DAY}
CAP_DAY, CAP_WEEK = 1, 3
CHANNEL_CAPS = {"phone": (1, 2), "letter": (1, 1)}
QUIET = (21, 8)
MARKETING, SKIP = ("marketing",), ("legal", "transactional")
NEEDS = {"phone": "phone", "email": "email"}
POLICY = """
organisation: {zone: Europe/Berlin}
contact: {cap_day: 1, cap_week: 3, quiet_from: "21:00", quiet_until: "08:00", skip: [legal, transactional], marketing: [marketing]}
"""
TALLY = {}  # (verdict, what the model said) -> number
REFUSALS = ("denied", "withdrawn")


def local(time_us, zone):
    return datetime.fromtimestamp(time_us / 1e6, timezone.utc).astimezone(zone)


def make(seed):
    """A few people who are all asked for often, consents that come and go, and merges."""
    world = World(seed, "contacts")
    dice = world.dice
    world.people = world.people[:3]
    steps = []
    for person in world.people:
        keys = [(*person.strong[0], False), (*person.medium[0], True), (*person.medium[1], True)]
        traits = {"address": "Hauptstr. 1, Berlin"}
        if world.one_in(3):
            traits["timezone"] = world.some(["America/New_York", "Asia/Tokyo", "Europe/Berlin"])
        steps.append({"do": "events", "after_us": 0, "events": [world.event("customer.identified", keys, data={"traits": traits})]})
    target = dice.randint(15, 45)
    while world.events < target:
        pause = world.some([0, 0, 0, MINUTE, 20 * MINUTE, 2 * HOUR, 7 * HOUR, DAY])
        world.clock_us += pause
        person = world.some(world.people)
        key = dice.choice([person.strong[0], person.strong[0], person.medium[0], person.strong[1]])
        address = world.some([person.medium[0][1], person.medium[1][1]])
        act = dice.randrange(25)
        if act < 11:
            step = {"do": "events", "events": [
                world.event("contact.requested", [(*dice.choice([key, person.strong[0], person.medium[1]]), False)], data={
                    "contact_id": f"k-{world.events}", "content_id": f"content-{dice.randint(1, 3)}",
                    "purpose": world.some(["marketing", "marketing", "service", "transactional"]),
                    "channels": dice.sample(["email", "phone", "letter"], dice.randint(1, 3))}, time=rfc3339(world.clock_us))
                for _ in range(world.some([1, 1, 2, 3]))]}
        elif act < 16:
            data = {"purpose": world.some(["marketing", "marketing", "marketing", "service"]), "address": address,
                    "state": world.some(["granted", "granted", "granted", "withdrawn", "denied"]), "text_version": "v1"}
            event = world.event("consent.changed", [(*key, False)], data=data)
            step = {"do": "events", "events": [event]}
        elif act == 16:
            step = {"do": "handover", "back": dice.randint(1, 2)}
        elif act == 17:
            step = {"do": "fail", "back": dice.randint(1, 2)}
        elif act == 18:
            step = {"do": "events", "events": [world.event("case.opened", [(*key, False)], data={
                "case_id": f"case-{person.number}", "kind": "complaint", "severity": 2})]}
        elif act == 19:
            step = {"do": "events", "events": [world.event("case.resolved", [(*key, False)], data={
                "case_id": f"case-{person.number}", "outcome": "solved"})]}
        elif act == 20:
            step = {"do": "events", "events": [world.event("privacy.changed", [(*key, False)], data={
                "kind": world.some(["objection", "restriction"]), "state": world.some(["requested", "lifted"])})]}
        elif act == 21 and len(world.people) > 1:
            one, other = dice.sample(world.people, 2)  # one has a crm_id, the other gets it: they are one
            step = {"do": "merge", "keys": ["=".join(one.strong[0]), "=".join(other.strong[0])]}
        elif act == 22:
            step = {"do": "split", "keys": ["=".join(person.strong[0])]}
        elif act == 23:  # the CRM knows them by another key, too: what was asked under each is one customer's from here on
            step = {"do": "events", "events": [world.event("customer.identified", [(*person.strong[0], False), (*person.strong[1], False)],
                                                           data={"traits": {"name": "x"}})]}
        else:
            step = {"do": "turn"}
        steps.append({**step, "after_us": pause})
    return steps


class Reservation:
    def __init__(self, decided, request, leaves):
        self.at_us, self.sequence, self.leaves = decided["received_us"], decided["sequence"], set(leaves)
        self.contact, self.content, self.channel = request["contact_id"], request["content_id"], decided["data"].get("channel")
        self.handed_us = self.failed_us = None
        self.skips = request["purpose"] in SKIP

    def counts(self, now_us):
        """YES, NO, or MAYBE at the very end of its life."""
        if self.failed_us is not None and (self.handed_us is None or self.failed_us < self.handed_us):
            return NO
        if self.handed_us is not None:
            return YES
        left_us = self.at_us + LAPSE_US[self.channel] - now_us
        return MAYBE if left_us == 0 else YES if left_us > 0 else NO

    def days(self, zone):
        at = [self.at_us] + ([self.at_us + ARRIVES_US[self.channel]] if self.channel in ARRIVES_US else [])
        return {local(one, zone).date() for one in at}


class Contacts(judge.Modelled):
    make = staticmethod(make)

    @classmethod
    def run(cls, driver, steps):
        run = cls(driver, POLICY).play([*steps, {"do": "turn", "after_us": 3 * DAY}])
        run.compare_answers()
        run.compare_deferred()
        run.compare()
        return run.end()

    # ---- steps that need to know what was approved

    def approved(self):
        """contact_id -> (request's event, verdict), of approved ones without a hand-over or failure so far."""
        done = {row["event"]["data"].get("contact_id") for row in self.published if "contact.requested" not in row["event"]["type"]}
        return [(row["event"], row["verdict"]) for row in self.published if (row["verdict"] or {}).get("verdict") == "approved"
                and row["event"]["data"]["contact_id"] not in done]

    def follow(self, step, make_event):
        for event, verdict in self.approved()[-step["back"]:][:1]:
            kind, channel, data = make_event(event, verdict)
            self.do_events({"events": [{
                "specversion": "1.0", "id": f"{kind}-{event['id']}", "source": "/mail/inbox", "type": f"org.touchbus.{kind}.v1",
                "channel": channel, "keys": event["keys"], "data": {**data, "contact_id": event["data"]["contact_id"]}}]})

    def do_handover(self, step):
        self.follow(step, lambda event, verdict: ("call.placed", "phone", {"to": "+4930", "purpose": event["data"]["purpose"]})
                    if verdict.get("channel") == "phone" else ("message.sent", verdict.get("channel"), {"to": "somewhere"}))

    def do_fail(self, step):
        self.follow(step, lambda event, verdict: ("message.outcome", verdict.get("channel"), {"outcome": "failed"}))

    # ---- judging

    def compare_answers(self):
        """The verdict is in the ack, in the log right behind its request, and the same for the same contact_id."""
        self.decided = []
        for event in self.driver.log(1):
            if event["type"] == "org.touchbus.contact.decided.v1":
                self.decided.append({"sequence": int(event["sequence"]), "cause": int(event.get("cause", 0)), "data": event["data"],
                                     "received_us": judge.time_us(event["received"]), "customer": int(event.get("customer", "c0")[1:])})
        by_cause = {row["cause"]: row for row in self.decided}
        for row in self.published:
            if "contact.requested" not in row["event"]["type"] or not row["customer"]:
                continue
            decided = by_cause.get(row["sequence"])
            if row["verdict"] is None or decided is None:
                self.complain("verdict", f"{row['event']['id']}: verdict {row['verdict']}, decided {decided}")
            elif row["verdict"].get("verdict") != decided["data"].get("verdict"):
                self.complain("verdict", f"{row['event']['id']}: the ack says {row['verdict']}, the log {decided['data']}")
            elif row["verdict"]["verdict"] == "suppressed" and not row["verdict"].get("reasons"):
                self.complain("reasons", f"{row['event']['id']}: suppressed without a reason: {row['verdict']}")

    def compare_deferred(self):
        """What was deferred is decided again when it is due, until it is decided otherwise; then never again."""
        verdicts = {}
        for row in self.decided:
            verdicts.setdefault(row["data"]["contact_id"], []).append(row)
        for contact, rows in verdicts.items():
            early = [row["data"] for row in rows[:-1] if row["data"]["verdict"] != "deferred"]
            if early:
                self.complain("deferred", f"{contact} was decided again after {early}: {[row['data'] for row in rows]}")
            for row, after in zip(rows, rows[1:]):
                if row["data"]["verdict"] == "deferred" and after["received_us"] < judge.time_us(row["data"]["until"]):
                    self.complain("deferred", f"{contact} was decided before it was due: {row['data']}, then {after['data']}")
            last = rows[-1]["data"]
            if last["verdict"] == "deferred" and judge.time_us(last["until"]) <= self.now_us:
                self.complain("deferred", f"{contact} is due since {last['until']} and was not decided again: {last}")

    def compare(self):
        if self.findings:
            return
        requests = {row["event"]["data"]["contact_id"]: row for row in self.published
                    if "contact.requested" in row["event"]["type"] and row["sequence"]}
        self.reservations = []
        for decided in self.decided:
            row = requests.get(decided["data"]["contact_id"])
            if row is None or not row["customer"]:
                continue
            self.judge_one(decided, row["event"]["data"])

    def judge_one(self, decided, request):
        registry = self.at(decided["sequence"])
        customer = next((registry.survivor(leaf) for leaf in registry.leaves if leaf.number == decided["customer"]), None)
        if customer is None:
            return
        self.spread(registry, decided["sequence"])
        ours = {leaf.number for leaf in registry.members(customer)}
        against = self.against(registry, customer, ours, decided, request)
        verdict = decided["data"]["verdict"]
        TALLY[verdict, worst(list(against.values()))] = TALLY.get((verdict, worst(list(against.values()))), 0) + 1
        what = f"{request} decided as {decided['data']} with {decided['sequence']} for c{customer.number}"
        if verdict == "approved":
            if YES in against.values():
                self.complain("approved", f"{what}: what speaks against it: {against}")
            channel = decided["data"].get("channel")
            if channel not in request["channels"]:
                self.complain("channel", f"{what}: not a channel that was asked for")
            else:
                self.reservations.append(Reservation(decided, request, ours))
        elif set(against.values()) == {NO}:
            self.complain("refused", f"{what}: nothing speaks against it")
        if verdict != "approved" and against["content"] == YES and set(against.values()) == {YES, NO} and \
                [name for name, one in against.items() if one == YES] == ["content"]:
            winners = [one.sequence for one in self.reservations if one.leaves & ours and one.content == request["content_id"]]
            named = decided["data"].get("decided_by") or []
            if not set(named) & set(winners) and not self.by_causes(named, winners):
                self.complain("names", f"{what}: decided_by does not name one of {winners}")

    def at(self, sequence):
        """Who is whose before it: kept, for it is asked again and again."""
        self.registries = getattr(self, "registries", {})
        if sequence not in self.registries:
            self.registries[sequence] = self.model.registry(before=sequence)
        return self.registries[sequence]

    def by_causes(self, named, winners):
        """The request stands for its decision."""
        causes = {row["sequence"]: row["cause"] for row in self.decided}
        return {causes.get(winner) for winner in winners} & set(named)

    def spread(self, registry, before):
        """Merging unites reservations: whoever was one customer while one stood has it from then on."""
        for one in self.reservations:
            for cut in [row["sequence"] for row in self.published if row["sequence"] and one.sequence < row["sequence"] < before] + [before]:
                at = self.at(cut)
                for leaf in at.leaves:
                    if leaf.number in one.leaves:
                        one.leaves |= {other.number for other in at.members(at.survivor(leaf))}
            for row in self.published:
                if row["sequence"] and row["sequence"] < before and row["event"]["data"].get("contact_id") == one.contact:
                    if row["event"]["type"].endswith(("message.sent.v1", "call.placed.v1")):
                        one.handed_us = one.handed_us or row["received_us"]
                    if row["event"]["type"].endswith("message.outcome.v1"):
                        one.failed_us = one.failed_us or row["received_us"]

    # ---- what speaks against a contact

    def against(self, registry, customer, ours, decided, request):
        now_us, purpose = decided["received_us"], request["purpose"]
        said = [one for leaf in registry.members(customer) for one in leaf.said]
        zone = zoneinfo.ZoneInfo(model.attributes(registry, customer).get("timezone", ("Europe/Berlin", 0))[0])
        marketing, skips = purpose in MARKETING, purpose in SKIP
        standing = [(one, one.counts(now_us)) for one in self.reservations if one.leaves & ours and one.contact != request["contact_id"]]
        standing = [(one, counts) for one, counts in standing if counts != NO]
        today = local(now_us, zone).date()
        return {
            "restriction": self.privacy(said, "restriction"),
            "objection": self.privacy(said, "objection") if marketing else NO,
            "consent": self.no_channel(registry, customer, said, request),
            "content": worst([counts for one, counts in standing if one.content == request["content_id"] and today in one.days(zone)]),
            "caps": NO if skips else self.caps(standing, now_us, today, zone, request),
            "complaint": self.complaint(said) if marketing else NO,
            "quiet": NO if skips else YES if is_quiet(local(now_us, zone)) else NO,
        }

    @staticmethod
    def privacy(said, kind):
        """It names the customer, so the latest word counts, whichever of their keys it was said for; at one time the restriction stands."""
        of_kind = [one for one in said if one.type == "privacy.changed" and one.data["kind"] == kind]
        last_us = max((one.time_us for one in of_kind), default=0)
        return YES if any(one.data["state"] != "lifted" for one in of_kind if one.time_us == last_us) else NO

    @staticmethod
    def complaint(said):
        """One that is open. silent: whether one that was resolved is open again when it is told late."""
        states = {}
        for one in said:
            if one.type == "case.opened" and one.data["kind"] == "complaint":
                states.setdefault(one.data["case_id"], set()).add("open")
            if one.type == "case.resolved":
                states.setdefault(one.data["case_id"], set()).add("resolved")
        if any(state == {"open"} for state in states.values()):
            return YES
        return MAYBE if any("open" in state for state in states.values()) else NO

    def no_channel(self, registry, customer, said, request):
        return best([self.channel_blocked(registry, customer, said, channel, request["purpose"]) for channel in request["channels"]])

    @staticmethod
    def channel_blocked(registry, customer, said, channel, purpose):
        values = [value for kind, value in registry.keys(customer) if kind == NEEDS.get(channel)]
        if channel in NEEDS and not values:
            return YES
        if channel == "letter" and not model.attributes(registry, customer).get("address", ("", 0))[0]:
            return YES
        consents = [one for one in said if one.type == "consent.changed" and one.data["purpose"] == purpose]
        if channel not in NEEDS:  # silent: which address a letter's consent names
            return MAYBE if purpose in MARKETING or consents else NO
        states = []
        for value in values:
            named = [one for one in consents if one.data["address"] == value]
            if not named:
                states.append(YES if purpose in MARKETING else NO)
                continue
            last = max(one.time_us for one in named)
            refused = any(one.data["state"] in REFUSALS for one in named if one.time_us == last)
            states.append(YES if refused else NO)
        state = best(states)
        if any(one.data["state"] in REFUSALS for one in consents) and state == NO:
            # Somebody said no, at another address, or before: after a merge that may count.
            refusals = [one for one in consents if one.data["state"] in REFUSALS and one.data["address"] not in values]
            others = [one for one in consents if one.data["state"] in REFUSALS and one.data["address"] in values]
            return MAYBE if refusals or len(values) > 1 and others or len(registry.members(customer)) > 1 else NO
        if state == YES and len(registry.members(customer)) > 1 and len(values) > 1:
            return MAYBE
        return state

    @staticmethod
    def caps(standing, now_us, today, zone, request):
        """silent: whether "in 7 days" is by the hour or by local days, and whether a contact that skips caps counts in them."""
        if not standing:
            return NO
        sure = [one for one, counts in standing if counts == YES]
        on_day = [one for one in sure if today in one.days(zone)]
        in_week = [one for one in sure if any(today - timedelta(days=6) < day <= today for day in one.days(zone))]
        maybe_week = [one for one, _ in standing if any(today - timedelta(days=8) < day for day in one.days(zone))]
        if len(on_day) >= CAP_DAY or len(in_week) >= CAP_WEEK:
            return MAYBE if any(one.skips for one in on_day + in_week) else YES
        if len(maybe_week) >= CAP_WEEK or any(counts == MAYBE for _, counts in standing):
            return MAYBE
        near = any(abs((today - day).days) <= 1 for one, _ in standing for day in one.days(zone))
        by_channel = any(one.channel in CHANNEL_CAPS for one, _ in standing)
        return MAYBE if near or by_channel else NO


def worst(answers):
    return YES if YES in answers else MAYBE if MAYBE in answers else NO


def best(answers):
    return NO if NO in answers else MAYBE if MAYBE in answers else YES


def is_quiet(at):
    return at.hour >= QUIET[0] or at.hour < QUIET[1]
