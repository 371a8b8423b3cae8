#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The scorecard agrees to the cent with what recompute.py makes of the exported log: over a history with everything that it counts, also
after a merge, a split, an erasure, a trim and a restart; and the view says the same as one built from the log.

The seed is printed; TOUCHBUS_SEED repeats it.
"""
import datetime
import decimal
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import SLOW, House, wait_for  # noqa: E402

D = decimal.Decimal
CUSTOMERS = 8
STEPS = 2000 if SLOW else 260
POLICY = {
    "currency": "EUR",
    "contacts": ["call.received", "message.received", "message.sent", "chat.state", "visit.recorded"],
    "costs": {"phone": "4.50", "email": "0.05", "chat": "2.50", "shop": "6.00", "web": "0.01"},
    "margin": "0.25",
    "resolved_days": 3,
}

def policy_yaml():
    channels = "".join(f'  - {{name: {name}, cost: "{cost}", live: {str(name in ("phone", "chat")).lower()}}}\n'
                       for name, cost in POLICY["costs"].items())
    return (f"channels:\n{channels}score:\n  contacts: [{', '.join(POLICY['contacts'])}]\n  margin: {POLICY['margin']}\n"
            f"  resolved: {POLICY['resolved_days']}d\n")


def key(who):
    """Half of them have a key that may be merged with the others'."""
    return f"user_id=u-{who}" if who % 2 else f"email=u-{who}@klant.example"


class History:
    """Events of a few customers over a day, in order."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.time = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - datetime.timedelta(days=5)
        self.n, self.calls, self.chats, self.mails, self.cases, self.orders = 0, {}, {}, {}, {}, {}
        self.lines = []

    def say(self, kind, who, channel, data, **attributes):
        self.n += 1
        self.time += datetime.timedelta(milliseconds=self.dice.randrange(1, 600_000 * 260 // STEPS))
        event = {"specversion": "1.0", "id": f"h-{self.n}", "source": "/history", "type": f"org.touchbus.{kind}.v1",
                 "time": self.time.isoformat().replace("+00:00", "Z"), "channel": channel, "data": data, **attributes}
        if who:
            event["keys"] = key(who)
        self.lines.append(json.dumps(event))

    def id(self, kind):
        return f"{kind}-{self.n}-{self.dice.randrange(1000)}"

    def call(self, who):
        call = self.id("c")
        self.say("call.received", who, "phone", {"from": "x", "to": "y", "call_id": call})
        if self.dice.random() < 0.7:
            self.say("call.answered", who, "phone", {"call_id": call, "actor": "a-1"})
            self.say("call.ended", who, "phone", {"call_id": call, "duration_s": self.dice.randrange(1, 900), "outcome": "done"})
        else:
            self.say("call.ended", who, "phone", {"call_id": call, "duration_s": 0, "outcome": "abandoned"})

    def chat(self, who):
        chat = self.id("v")
        self.say("chat.state", who, "chat", {"conversation_id": chat, "state": "waiting"})
        for state in ("accepted", "ended") if self.dice.random() < 0.8 else ("ended",):
            self.say("chat.state", who, "chat", {"conversation_id": chat, "state": state})

    def mail(self, who):
        ref = self.id("r")
        cost = self.dice.choice([{}, {"cost": "0.13 EUR"}, {"cost": "9 USD"}])
        self.say("message.received", who, "email", {"from": "x", "ref": ref}, **cost)
        if self.dice.random() < 0.6:
            self.say("message.sent", who, "email", {"to": "x", "in_reply_to": ref})

    def visit(self, who):
        self.say("visit.recorded", who, "shop", {"kind": "advice", "place": "p", "actor": "a-2"})

    def view(self, who):
        self.say("page.viewed", who, "web", {"url": "/"}, **self.dice.choice([{}, {"cost": "0.0123"}]))

    def case(self, who):
        case, kind = self.id("k"), self.dice.choice(["repair", "invoice"])
        self.say("case.opened", who, "web", {"case_id": case, "kind": kind, "severity": 1})
        if self.dice.random() < 0.8:
            self.say("case.resolved", who, "phone", {"case_id": case, "outcome": "done"})

    def feedback(self, who):
        scale = self.dice.choice([5, 10, 3])
        self.say("feedback.given", who, "web", {"score": self.dice.randrange(scale + 1), "scale": scale})

    def order(self, who):
        order = self.id("o")
        lines = [{"sku": f"s-{i}", "quantity": self.dice.choice([1, 2, 3, 0.5, 1.25]), "price": f"{self.dice.randrange(1, 99999) / 100:.2f}",
                  **self.dice.choice([{}, {}, {"margin": f"{self.dice.randrange(1, 900) / 100:.2f}"}])}
                 for i in range(self.dice.randrange(1, 4))]
        currency = self.dice.choice(["EUR"] * 5 + ["USD"])
        self.say("order.placed", who, "web", {"order_id": order, "currency": currency, "lines": lines})
        if self.dice.random() < 0.3:
            self.say("order.changed", who, "erp", {"order_id": order, "status": "cancelled", "revision": 2})

    def suppressed(self, who):
        self.say("contact.decided", who, "crm", {"contact_id": self.id("t"), "verdict": "suppressed", "reasons":
                                                 self.dice.sample(["cap-day", "quiet-hours", "no-consent"], 2)})

    def cost(self, _):
        self.say("cost.recorded", 0, "finance", {"channel": self.dice.choice(["phone", "shop"]), "period": self.time.strftime("%Y-%m"),
                                          "amount": f"{self.dice.randrange(1, 9999) / 100:.2f}"})

    def more(self, steps):
        """The lines of so many steps more."""
        self.lines = []
        for _ in range(steps):
            who = self.dice.randrange(CUSTOMERS + 1)  # 0 nobody
            step = self.dice.choice([self.call, self.chat, self.mail, self.visit, self.view, self.case, self.feedback, self.order,
                                     self.suppressed, self.cost])
            step(who if step not in (self.order, self.case) else max(who, 1))
        return "\n".join(self.lines) + "\n"


# ---- comparing

def export(house, name):
    path = os.path.join(house.folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(house.touchbus("log", "export").stdout)
    return path


def recomputed(house, *exports):
    policy = os.path.join(house.folder, "policy.json")
    with open(policy, "w", encoding="utf-8") as file:
        json.dump(POLICY, file)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "recompute.py")
    done = subprocess.run([script, policy, *exports], text=True, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {(row["hour"], row["channel"], row["tier"]): row for row in rows}


def scorecard(house, *by):
    lines = house.touchbus("-j", "scorecard", *(word for name in by for word in ("--by", name))).stdout.splitlines()
    *rows, rest = [json.loads(line) for line in lines]
    assert rest["given"] == len(rows) and rest["currency"] == "EUR", rest
    return rows


COUNTS = ["contacts", "handled", "abandoned", "resolved", "ratings", "orders", "unconverted", "suppressed"]


def compare(what, rows, expected):
    """Every figure of every row; rows that say nothing are none."""
    assert len(rows) == len({(row["hour"], row["channel"], row["tier"]) for row in rows})
    seen = set()
    for row in rows:
        key = row["hour"], row["channel"], row["tier"]
        want = expected.get(key, {})
        seen.add(key)
        for name in COUNTS:
            assert row[name] == int(want.get(name, 0)), (what, key, name, row[name], want)
        for name in ("cost", "revenue", "margin"):
            assert D(row[name]) == D(want.get(name, "0")), (what, key, name, row[name], want)
        for name in ("waiting", "handling", "response"):
            times = want.get(name)
            assert (row[name] is None) == (times is None), (what, key, name, row[name], times)
            if times:
                mean = times["sum_us"] // times["number"] // 1000
                assert row[name]["number"] == times["number"] and row[name]["mean_ms"] == mean, (what, key, name, row[name], times)
                assert row[name]["p50_ms"] <= row[name]["p90_ms"] <= row[name]["p99_ms"]
        if row["resolved"]:
            part = D(int(want["resolved"]) - int(want.get("reopened", 0))) / D(want["resolved"])
            assert abs(D(row["first_contact_resolution"]) - part) < D("0.0001"), (what, key, row, want)
        if row["ratings"]:
            part = D(want.get("satisfaction", "0")) / D(want["ratings"])
            assert abs(D(row["satisfaction"]) - part) < D("0.0001"), (what, key, row, want)
        if D(row["cost"]) > 0:
            roi = (D(row["margin"]) - D(row["cost"])) / D(row["cost"])
            assert abs(D(row["roi"]) - roi) < D("0.0001"), (what, key, row)
        assert row["reasons"] == want.get("reasons", {}), (what, key, row["reasons"], want)
    missing = {key: row for key, row in expected.items() if key not in seen and set(row) - {"hour", "channel", "tier", "reasons"}}
    assert not missing, (what, missing)


def check(house, what, *exports):
    rows = scorecard(house, "hour", "channel", "tier")
    compare(what, rows, recomputed(house, *exports))
    # The same sums, asked for by less.
    for by in ("channel", "tier", "hour"):
        for row in scorecard(house, by):
            of = [other for other in rows if other[by] == row[by]]
            for name in COUNTS:
                assert row[name] == sum(other[name] for other in of), (what, by, row)
            for name in ("cost", "revenue", "margin"):
                assert D(row[name]) == sum(D(other[name]) for other in of), (what, by, row)
    print(f"{what}: {len(rows)} cells agree, {sum(row['contacts'] for row in rows)} contacts, "
          f"revenue {sum(D(row['revenue']) for row in rows)}, cost {sum(D(row['cost']) for row in rows)}", flush=True)


def publish(house, lines):
    house.touchbus("pub", "--from", "-", text=lines)


def verify(house):
    assert house.ask("view", "verify")["equal"] is True


def ask_for(house, kind, customers):
    house.touchbus("pub", kind, "--source", "/desk", "--data", json.dumps({"customers": customers, "reason": "asked for"}))


def customer(house, who):
    return house.ask("customer", "show", key(who))["customer"]


def main():
    seed = int(os.environ.get("TOUCHBUS_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}", flush=True)
    history = History(seed)
    with House() as house:
        path = os.path.join(house.folder, "policy.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(policy_yaml())
        house.start_broker("--policy", path)
        publish(house, history.more(STEPS))
        check(house, "at first", export(house, "first.jsonl"))

        one, two = customer(house, 1), customer(house, 2)
        ask_for(house, "merge.requested", [one, two])
        publish(house, history.more(STEPS // 4))
        check(house, "merged", export(house, "merged.jsonl"))
        ask_for(house, "split.requested", [two])
        publish(house, history.more(STEPS // 4))
        before = export(house, "split.jsonl")
        check(house, "split", before)
        verify(house)

        house.touchbus("--yes", "customer", "erase", key(3))
        publish(house, history.more(STEPS // 8))
        after = export(house, "erased.jsonl")
        check(house, "erased, by the export from before", before, after)
        check(house, "erased, by what stands open", after)

        house.broker.stop()
        house.start_broker("--policy", path)
        info = house.ask("log", "info")
        wait_for("a trim", lambda: house.touchbus("--yes", "log", "trim", "--before", str(info["next"] // 2), check=False).returncode == 0)
        publish(house, history.more(STEPS // 8))
        assert house.ask("log", "info")["first"] > 1
        rest = export(house, "rest.jsonl")
        check(house, "trimmed", after, rest)
        verify(house)


if __name__ == "__main__":
    main()
