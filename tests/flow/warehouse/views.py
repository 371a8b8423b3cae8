#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What analysts read in the views agrees with figures made of `touchbus log export` by plain sums, with the scorecard and with what the broker
shows of each customer: customer 360, funnel by phase, cost and ROI by channel, contact history; also after a merge, a split and an
erasure. The seed is printed; TOUCHBUS_SEED repeats it."""
import collections
import datetime
import decimal
import json
import os
import random
import sys

from warehouse import HERE, SLOW, House, Postgres, cloud, connect, drained, publish, wait_for

sys.path.insert(0, os.path.join(HERE, "..", "scorecard"))
import scorecard as cards  # noqa: E402

D = decimal.Decimal
STEPS = 1500 if SLOW else 200
PHASES = ["acquisition", "enhancement", "retention"]
MEETINGS = {"call.received", "call.answered", "call.ended", "call.placed", "callback.requested", "message.received", "message.sent", "message.outcome",
            "chat.state", "visit.recorded", "kiosk.session.ended", "fieldservice.completed", "content.shown", "contact.decided", "feedback.given",
            "case.opened", "case.resolved"}


def more_of_each():
    """What the scorecard's history has not: names, consents, quotes, contacts, each for some."""
    for who in range(1, cards.CUSTOMERS + 1):
        keys = cards.key(who).replace("@", "%40")
        yield cloud(f"n-{who}", "customer.identified", {"traits": {"name": f"Name {who}", "language": "nl" if who % 3 else "de", "mvc": who == 5}}, keys)
        yield cloud(f"q-{who}", "quote.issued", {"quote_id": f"q-{who}", "revision": 1, "currency": "EUR", "valid_until": "2099-01-01T00:00:00Z",
                                                 "lines": [{"sku": f"v-{who}", "quantity": 1, "price": "7.00"}]}, keys)
        if who % 2:
            yield cloud(f"z-{who}", "quote.closed", {"quote_id": f"q-{who}", "outcome": "accepted"}, keys)
        state = ["granted", "denied", "withdrawn"][who % 3]
        yield cloud(f"s-{who}", "consent.changed", {"purpose": "marketing", "address": f"u-{who}@klant.example", "state": state, "text_version": "1"}, keys)
        yield cloud(f"r-{who}", "contact.requested", {"contact_id": f"t-{who}", "content_id": "spring", "purpose": "marketing", "channels": ["email"]}, keys)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class Log:
    """Sums of an export: nothing of the warehouse's is known here."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.events = [json.loads(line) for line in file]
        self.into, self.of = {}, collections.defaultdict(list)
        for event in self.events:
            event["name"] = event["type"].removeprefix("org.touchbus.").removesuffix(".v1")
            event["when"] = moment(event.get("time", event["received"]))
            if event["name"] == "identity.changed" and "data" in event:
                for leaf in event["data"]["from"]:
                    self.into[leaf] = event["data"]["to"] if event["data"]["kind"] == "merged" else leaf
        erased = {event.get("customer") for event in self.events if event["name"] == "privacy.changed" and event["data"]["kind"] == "erasure"}
        for event in self.events:
            if "customer" in event and "data" in event and event["customer"] not in erased:
                self.of[self.whole(event["customer"])].append(event)

    def whole(self, leaf):
        while self.into.get(leaf, leaf) != leaf:
            leaf = self.into[leaf]
        return leaf

    def last(self, customer, what):
        """The standing of the surviving leaf."""
        said = [e["data"]["new"] for e in self.of[customer] if e["name"] == "standing.changed" and e["data"]["what"] == what and e["customer"] == customer]
        return said[-1] if said else None


def lines_total(lines):
    return sum(D(str(line["quantity"])) * D(line["price"]) for line in lines)


def orders_of(events):
    orders = {}
    for event in events:
        if event["name"] == "order.placed":
            orders.setdefault(event["data"]["order_id"], [lines_total(event["data"]["lines"]), event["data"]["currency"], "placed"])
    for event in events:
        if event["name"] == "order.changed" and event["data"]["order_id"] in orders:
            orders[event["data"]["order_id"]][2] = event["data"]["status"]
    return orders


def check_360(house, server, log):
    columns = ["customer", "leaves", "name", "language", "mvc", "tier", "phase", "interactions", "first_time", "last_time", "orders", "cancelled", "revenue",
               "open_quotes", "open_cases", "contacts_approved", "contacts_suppressed", "refused_purposes"]
    rows = json.loads(server.run(f"SELECT json_agg(v) FROM (SELECT {', '.join(columns)} FROM customer_360 ORDER BY customer) v").strip().strip('"').replace('""', '"'))
    assert {f"c{row['customer']}" for row in rows} == set(log.of), (len(rows), set(log.of))
    for row in rows:
        customer = f"c{row['customer']}"
        events, shown = log.of[customer], house.ask("customer", "show", customer)
        assert row["leaves"] == sorted({int(e["customer"][1:]) for e in events}) == sorted(int(leaf["customer"][1:]) for leaf in shown["leaves"]), row
        assert row["name"] == shown["attributes"].get("name", {}).get("value"), row
        assert row["language"] == shown["attributes"].get("language", {}).get("value"), row
        assert row["mvc"] == bool(shown["attributes"].get("mvc", {}).get("value")), row
        assert (row["tier"], row["phase"]) == (shown["tier"], shown["phase"]), (row, shown["tier"], shown["phase"])
        assert row["interactions"] == len(events) == shown["events"], (row, len(events), shown["events"])
        assert moment(row["first_time"]) == min(e["when"] for e in events) and moment(row["last_time"]) == max(e["when"] for e in events), row
        orders = orders_of(events)
        assert row["cancelled"] == sum(status == "cancelled" for _, _, status in orders.values()), row
        assert row["orders"] == len(orders) - row["cancelled"], row
        revenue = collections.defaultdict(D)
        for total, currency, status in orders.values():
            revenue[currency] += total if status != "cancelled" else 0
        assert {k: D(str(v)) for k, v in row["revenue"].items() if v} == {k: v for k, v in revenue.items() if v}, (row, revenue)
        names = collections.Counter(e["name"] for e in events)
        assert row["open_quotes"] == names["quote.issued"] - names["quote.closed"], row
        cases = {e["data"]["case_id"]: e["name"] for e in events if e["name"] in ("case.opened", "case.resolved")}
        assert row["open_cases"] == list(cases.values()).count("case.opened"), row
        verdicts = {e["data"]["contact_id"]: e["data"]["verdict"] for e in events if e["name"] == "contact.decided"}
        assert row["contacts_approved"] == list(verdicts.values()).count("approved"), row
        assert row["contacts_suppressed"] == list(verdicts.values()).count("suppressed"), row
        refused = {e["data"]["purpose"] for e in events if e["name"] == "consent.changed" and e["data"]["state"] != "granted"}
        assert row["refused_purposes"] == sorted(refused), row
    return len(rows)


def check_funnel(server, log):
    now = collections.Counter(log.last(customer, "phase") or "acquisition" for customer in log.of)
    ever = {"acquisition": set(log.of)}
    for customer, events in log.of.items():
        for e in events:
            if e["name"] == "standing.changed" and e["data"]["what"] == "phase":
                ever.setdefault(e["data"]["new"], set()).add(customer)
    rows = server.rows("SELECT phase, customers, reached, part_of_before FROM funnel_by_phase ORDER BY step")
    assert [row[0] for row in rows] == PHASES, rows
    before = None
    for phase, customers, reached, part in rows:
        assert (int(customers), int(reached)) == (now[phase], len(ever.get(phase, ()))), (rows, now, ever)
        assert (part == "") if not before else abs(D(part) - D(int(reached)) / before) < D("0.0001"), rows
        before = D(int(reached))
    assert sum(now.values()) == len(log.of)


def check_channels(house, server, export, before):
    """By recompute.py of the export, and by the scorecard verb."""
    cells, days = cards.recomputed(house, *before, export), collections.defaultdict(lambda: collections.defaultdict(D))
    totals = collections.defaultdict(lambda: collections.defaultdict(D))
    figures = ["contacts", "handled", "orders", "cost", "revenue", "margin"]
    for (hour, channel, tier), row in cells.items():
        for name in figures:
            days[(hour[:10], channel, tier)][name] += D(row.get(name, "0"))
            totals[channel][name] += D(row.get(name, "0"))
    kept = {(row[0], row[1], row[2]): [D(value) for value in row[3:]] for row in server.rows(f"SELECT day, channel, tier, {', '.join(figures)} FROM scorecard")}
    for key in set(kept) | set(days):
        assert kept.get(key, [D(0)] * 6) == [days[key][name] for name in figures], (key, kept.get(key), dict(days[key]))
    shown = {row["channel"]: row for row in cards.scorecard(house, "channel")}
    rows = server.rows(f"SELECT channel, {', '.join(figures)}, roi, cost_per_contact FROM channel_roi")
    assert {row[0] for row in rows} == set(shown), (rows, set(shown))
    for channel, *values, roi, per_contact in rows:
        assert [D(value) for value in values] == [totals[channel][name] for name in figures], (channel, values, dict(totals[channel]))
        assert [D(value) for value in values] == [D(shown[channel][name]) for name in figures], (channel, values, shown[channel])
        cost, margin = totals[channel]["cost"], totals[channel]["margin"]
        assert (roi == "") == (cost <= 0) and (cost <= 0 or abs(D(roi) - (margin - cost) / cost) < D("0.0001")), (channel, roi)
        assert (per_contact == "") == (totals[channel]["contacts"] == 0), (channel, per_contact)
    months = server.rows("SELECT channel, sum(cost), sum(revenue) FROM channel_roi_monthly GROUP BY 1")
    assert {row[0]: (D(row[1]), D(row[2])) for row in months} == {channel: (row["cost"], row["revenue"]) for channel, row in totals.items() if channel in shown}
    return sum(row["revenue"] for row in totals.values())


def check_history(server, log):
    rows = server.rows("SELECT sequence, customer, leaf, type, coalesce(channel, ''), coalesce(outcome, ''), coalesce(content_id, '') FROM contact_history")
    requested = {e["data"]["contact_id"]: e["data"]["content_id"] for events in log.of.values() for e in events if e["name"] == "contact.requested"}
    expected = set()
    for customer, events in log.of.items():
        for e in events:
            if e["name"] in MEETINGS:
                data = e["data"]
                outcome = data["verdict"] if e["name"] == "contact.decided" else data.get("outcome", data.get("state", ""))
                content = data.get("content_id", requested.get(data.get("contact_id"), ""))
                expected.add((e["sequence"], customer[1:], e["customer"][1:], e["name"], e.get("channel", ""), outcome, content))
    assert len(rows) == len(expected) and {tuple(row) for row in rows} == expected, sorted({tuple(row) for row in rows} ^ expected)[:6]
    return len(rows)


def check(house, server, what, *before):
    drained(house, "crm")
    export = cards.export(house, f"{what}.jsonl")
    log = Log(export)
    figures = check_360(house, server, log), check_history(server, log), check_channels(house, server, export, before)
    check_funnel(server, log)
    print(f"{what}: {figures[0]} customers, {figures[1]} contacts, revenue {figures[2]}", flush=True)
    return export


def main():
    seed = int(os.environ.get("TOUCHBUS_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}", flush=True)
    history = cards.History(seed)
    with House() as house, Postgres(fsync="off") as server:
        policy = os.path.join(house.folder, "policy.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(cards.policy_yaml())
        house.start_broker("--policy", policy)
        process = connect(house, server)
        wait_for("the views are there", lambda: server.one("SELECT count(*) FROM pg_class WHERE relname = 'contact_history'"))
        cards.publish(house, history.more(STEPS))
        publish(house, more_of_each())
        check(house, server, "first")
        one, two = cards.customer(house, 1), cards.customer(house, 2)
        cards.ask_for(house, "merge.requested", [one, two])
        cards.publish(house, history.more(STEPS // 4))
        check(house, server, "merged")
        cards.ask_for(house, "split.requested", [two])
        cards.publish(house, history.more(STEPS // 4))
        before = check(house, server, "split")
        house.touchbus("--yes", "customer", "erase", cards.key(3))
        cards.publish(house, history.more(STEPS // 4))
        check(house, server, "erased", before)
        assert process.stop() == 0, process.tail()


main()
