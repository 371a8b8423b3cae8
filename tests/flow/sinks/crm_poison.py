#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A poison event parks its lane only, the others flow; released in order, and the CRM's fence takes the late ones though far newer
sequences are in the file. One of the late ones stands right behind the poison and reaches the connector with it. The poison is a trigger of the administrator's own that refuses one event."""
from sinks import Crm, House, agrees, cloud, day, drained, log_of, publish, start, wait_for

POISON = "CREATE TRIGGER poison BEFORE INSERT ON interactions WHEN new.id = 'poison' BEGIN SELECT RAISE(ABORT, 'no such article'); END"

OTHERS = "SELECT count(*) FROM interactions WHERE customer <> (SELECT customer FROM keys WHERE kind = 'user_id' AND value = 'u-7')"


def others(house):
    log = log_of(house)
    poisoned = next(event["customer"] for event in log if event["id"] == "poison")
    return sum(event["customer"] != poisoned for event in log)


def shown_first(house):
    return next(int(event["sequence"]) for event in log_of(house) if event["id"] == "poison")


def main():
    with House() as house:
        house.start_broker()
        crm = Crm(house)
        process = start(house, "crm")
        publish(house, day(1, 200))
        drained(house, "crm")
        crm.change(POISON)

        keys = "user_id=u-7"
        late = ["poison", "late-1", "late-2", "late-3"]
        publish(house, [*(cloud(i, "page.viewed", {"url": "/"}, keys) for i in late[:2]), *day(1001, 500), *(cloud(i, "page.viewed", {"url": "/"}, keys) for i in late[2:])])
        shown = wait_for("the lane is parked", lambda: [p for p in [house.ask("subscription", "show", "crm")] if p["parked"] == 1])[0]
        print(f"parked: {shown['parked']}, lag {shown['lag']}")
        wait_for("the others flow", lambda: crm.one(OTHERS) == others(house))
        assert crm.one("SELECT count(*) FROM interactions WHERE id = 'poison' OR id LIKE 'late%'") == 0

        # And on they flow, also over a restart of the connector and of the broker.
        publish(house, day(5001, 500))
        assert process.stop() == 0, process.tail()
        house.broker.stop()
        house.start_broker()
        process = start(house, "crm")
        wait_for("the others flow on", lambda: crm.one(OTHERS) == others(house))
        assert house.ask("subscription", "show", "crm")["parked"] == 1

        parked = house.ask("parked", "ls", "crm")
        print("parked ls:", parked)
        assert parked["rejected"] and parked["first"] == shown_first(house) and parked["since"] > "2026", parked
        crm.change("DROP TRIGGER poison")
        house.touchbus("parked", "retry", "crm", "--yes")
        drained(house, "crm")
        order = [row[0] for row in crm.rows("SELECT id FROM interactions WHERE id = 'poison' OR id LIKE 'late%' ORDER BY rowid")]
        assert order == late, order
        print(f"{agrees(house, crm)} rows, as many as events in the log, each once")
        assert process.stop() == 0, process.tail()


main()
