#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The scorecard's figures, from what `touchbus log export` printed and nothing else: plain sums, no cells, no fold.

Usage: recompute.py POLICY.json EXPORT.jsonl...

Several exports may overlap (one from before a trim, one from after): an event counts once, by its sequence, as the first export
has it. POLICY.json has currency, contacts (types), costs (by channel), margin and resolved_days. The tier a customer had comes from
the event's own `scores`, and so does everything of an event whose data is gone (redacted). Prints one JSON object a line: hour, channel,
tier, and sums.
"""
import collections
import datetime
import decimal
import json
import sys

D = decimal.Decimal
MICRO = D("0.000001")
OUTWARDS = {"call.placed", "message.sent", "contact.requested"}
UNANSWERED = {"abandoned", "missed", "no-answer", "no_answer", "unanswered", "busy"}
BEGINS, ANSWERS, ENDS = {"waiting", "started", "requested"}, {"answered", "accepted", "joined"}, {"ended", "closed", "abandoned"}


def micro(number):
    return number.quantize(MICRO, rounding=decimal.ROUND_HALF_UP)


def seconds(text):
    """RFC 3339 in UTC as exact seconds since 1970."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return D(int(moment.timestamp())) + (D("0." + fraction) if fraction else 0)


class Row(collections.Counter):
    """Sums of one hour, channel and tier; times as lists."""

    def __init__(self):
        super().__init__()
        self.times = collections.defaultdict(list)
        self.reasons = collections.Counter()


class Recompute:
    def __init__(self, policy):
        self.policy = policy
        self.rows = collections.defaultdict(Row)
        self.joined = {}  # leaf -> what it was merged into
        self.touches = collections.defaultdict(list)  # leaf -> (time, sequence, channel)
        self.live, self.mails, self.orders, self.cases = {}, {}, {}, {}

    def whole(self, leaf):
        while leaf in self.joined:
            leaf = self.joined[leaf]
        return leaf

    def event(self, event):
        stamped = json.loads(event.get("scores", "[]"))
        if "data" not in event:
            for score in stamped:
                self.stamped(score)
            return
        self.type = event["type"].removeprefix("org.touchbus.").removesuffix(".v1")
        self.data, self.channel, self.sequence = event["data"], event.get("channel", ""), int(event["sequence"])
        self.customer = event.get("customer")
        received = seconds(event["received"])
        self.time = min(seconds(event.get("time", event["received"])), received + 300)
        self.hour = int(self.time) // 3600
        # The event's own score is the last one; what an earlier one adds to elsewhere says the tier of that.
        self.tiers = [score["tier"] for score in stamped]
        self.tier = self.tiers[-1] if self.tiers else None
        contact = self.type in self.policy["contacts"]
        if self.type == "chat.state":
            contact = contact and self.data["state"] in BEGINS and self.data["conversation_id"] not in self.live
        self.cost(event, contact)
        if contact:
            self.row()["contacts"] += 1
        getattr(self, self.type.replace(".", "_"), lambda: None)()
        if contact and self.type not in OUTWARDS or self.type == "chat.state":
            if self.type in self.policy["contacts"]:
                self.touches[self.customer].append((self.time, self.sequence, self.channel))

    def stamped(self, score):
        row = self.rows[(int(seconds(score["hour"])) // 3600, score["channel"], score["tier"])]
        for name in ("contacts", "handled", "abandoned", "resolved", "reopened", "orders", "unconverted"):
            row[name] += score.get(name, 0)
        for name in ("cost", "revenue", "margin"):
            row[name] += D(score.get(name, "0"))
        for name in ("waiting", "handling", "response"):
            if name + "_us" in score:
                row.times[name].append(D(score[name + "_us"]) / 1000000)
        if "satisfaction" in score:
            row["ratings"] += 1
            row["satisfaction"] += D(score["satisfaction"])
        if "reasons" in score:
            row["suppressed"] += 1
            row.reasons.update(score["reasons"])

    def row(self, channel=None):
        return self.rows[(self.hour, self.channel if channel is None else channel, self.tier)]

    def cost(self, event, contact):
        own = event.get("cost")
        if own:
            amount, _, currency = own.partition(" ")
            if currency in ("", self.policy["currency"]):
                self.row()["cost"] += D(amount)
                return
            self.row()["unconverted"] += 1
        if contact:
            self.row()["cost"] += D(self.policy["costs"].get(self.channel, "0"))

    # ---- times

    def call_received(self):
        self.live.setdefault(self.data["call_id"], {"since": self.time})

    def call_answered(self):
        self.answered(self.live.get(self.data["call_id"]))

    def answered(self, live):
        if live is not None and "answered" not in live:
            live["answered"] = self.time
            self.row().times["waiting"].append(max(self.time - live["since"], D(0)))

    def call_ended(self):
        live = self.live.pop(self.data["call_id"], {})
        duration = D(str(self.data["duration_s"]))
        if (duration > 0 or "answered" in live) and self.data["outcome"] not in UNANSWERED:
            self.row()["handled"] += 1
            self.row().times["handling"].append(duration)
        else:
            self.row()["abandoned"] += 1

    def chat_state(self):
        chat, state = self.data["conversation_id"], self.data["state"]
        if state in BEGINS:
            self.live.setdefault(chat, {"since": self.time})
        elif state in ANSWERS:
            self.answered(self.live.get(chat))
        elif state in ENDS and chat in self.live:
            live = self.live.pop(chat)
            if "answered" in live:
                self.row()["handled"] += 1
                self.row().times["handling"].append(max(self.time - live["answered"], D(0)))
            else:
                self.row()["abandoned"] += 1

    def message_received(self):
        self.mails.setdefault(self.data["ref"], self.time)

    def message_sent(self):
        if self.data.get("in_reply_to") in self.mails:
            self.row()["handled"] += 1
            self.row().times["response"].append(max(self.time - self.mails.pop(self.data["in_reply_to"]), D(0)))

    def visit_recorded(self):
        self.row()["handled"] += 1

    kiosk_session_ended = fieldservice_completed = visit_recorded

    # ---- cases, satisfaction, contacts

    def case_resolved(self):
        case = self.cases.setdefault(self.data["case_id"], {"leaf": self.customer, "kind": None})
        if "row" not in case:
            case["row"], case["time"] = self.row(), self.time
            self.row()["resolved"] += 1

    def case_opened(self):
        for case in self.cases.values():
            recent = "row" in case and 0 <= self.time - case["time"] <= self.policy["resolved_days"] * 86400
            if recent and case["kind"] == self.data["kind"] and self.whole(case["leaf"]) == self.whole(self.customer):
                case.pop("row")["reopened"] += 1
        self.cases.setdefault(self.data["case_id"], {"leaf": self.customer})["kind"] = self.data["kind"]

    def feedback_given(self):
        self.row()["ratings"] += 1
        self.row()["satisfaction"] += micro(D(str(self.data["score"])) / D(str(self.data["scale"])))

    def contact_decided(self):
        if self.data["verdict"] == "suppressed":
            row = self.row(self.data.get("channel") or None)
            row["suppressed"] += 1
            row.reasons.update(self.data["reasons"])

    # ---- money

    def last_touch(self):
        touches = [touch for leaf, some in self.touches.items() if self.whole(leaf) == self.whole(self.customer) for touch in some
                   if touch[0] <= self.time]
        return max(touches)[2] if touches else self.channel

    def order_placed(self):
        if self.data["order_id"] in self.orders:
            return
        row = self.row(self.last_touch())
        revenue = margin = D(0)
        for line in self.data["lines"]:
            amount = micro(D(str(line["quantity"])) * D(line["price"]))
            revenue += amount
            own = line.get("margin")
            margin += micro(D(str(line["quantity"])) * D(own)) if own else micro(amount * D(self.policy["margin"]))
        row["orders"] += 1
        if self.data["currency"] != self.policy["currency"]:
            row["unconverted"] += 1
            revenue = margin = D(0)
        row["revenue"] += revenue
        row["margin"] += margin
        self.orders[self.data["order_id"]] = (row, revenue, margin)

    def order_changed(self):
        if self.data["status"] == "cancelled":
            row, revenue, margin = self.orders.get(self.data["order_id"]) or (None, 0, 0)
            if row is not None:
                row["orders"] -= 1
                row["revenue"] -= revenue
                row["margin"] -= margin
            self.orders[self.data["order_id"]] = None

    def cost_recorded(self):
        self.hour = int(seconds(self.data["period"] + "-01T00:00:00")) // 3600
        self.tier = ""
        self.row(self.data["channel"])["cost"] += D(self.data["amount"])

    # ---- who is whom

    def identity_changed(self):
        if self.data["kind"] == "merged":
            for leaf in self.data["from"]:
                self.joined[leaf] = self.data["to"]
        elif self.data["kind"] == "split":
            for leaf in self.data["from"]:
                self.joined.pop(leaf, None)

    def answer(self):
        for (hour, channel, tier), row in sorted(self.rows.items()):
            times = {name: {"number": len(row.times[name]), "sum_us": int(sum(row.times[name]) * 1000000)}
                     for name in ("waiting", "handling", "response")}
            moment = datetime.datetime.fromtimestamp(hour * 3600, datetime.timezone.utc).strftime("%Y-%m-%dT%H:00:00Z")
            yield {"hour": moment, "channel": channel, "tier": tier, **{name: str(value) for name, value in row.items() if value},
                   **{name: value for name, value in times.items() if value["number"]}, "reasons": dict(row.reasons)}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        recompute = Recompute(json.load(file))
    events = {}
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            for line in file:
                event = json.loads(line)
                events.setdefault(int(event["sequence"]), event)
    for _, event in sorted(events.items()):
        recompute.event(event)
    for row in recompute.answer():
        print(json.dumps(row))


if __name__ == "__main__":
    main()
