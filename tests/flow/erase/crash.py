#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The broker is killed between a person's destroyed key and the event that says so: the next start says it, once. A mailbox full of
quarantined events is purged in the background, and again after a kill. Under load nobody else loses anything."""
import threading
import time

from common import (House, Subscriber, broker_is_done, lines, log, order, page, publish, receipt, refused, view_is_equal, wait_for)

ANA = "user_id=u-ana&email=ana%40klant.example"
MANY = 2000


def test_kill_between_key_and_event(house):
    house.start_broker(environment={"TOUCHBUS_FAULTPOINT": "in-erasure:1"})
    publish(house, page("ana-1", ANA), page("bob-1", "user_id=u-bob"))
    keeper = Subscriber(house.port, "keeper", types=["privacy.*"], beginning=True)
    ana = house.ask("customer", "show", "user_id=u-ana")["customer"]
    assert house.touchbus("--timeout", "2s", "customer", "erase", ana, "--yes", check=False).returncode == 3
    keeper.close()
    house.broker.wait()
    house.start_broker()
    found = wait_for("said at the start", lambda: (lambda found: found if found["sequence"] else None)(receipt(house, ana)),
                     seconds=30)
    assert refused(house, "customer", "show", "email=ana@klant.example") == "erased"
    row = log(house)["ana-1"]
    assert row["redacted"] and "data" not in row, row
    assert [row["name"] for row in found["connectors"]] == ["keeper"] and found["state"] == "pending", found
    assert view_is_equal(house)
    house.broker.stop()
    house.start_broker()
    assert receipt(house, ana)["sequence"] == found["sequence"]
    erasures = [row for row in log(house).values() if row["type"] == "org.touchbus.privacy.changed.v1"]
    assert len(erasures) == 1, erasures


def test_quarantine_of_many(house):
    """Half of them came before the person was known, and are sealed with nobody's key."""
    keys = "user_id=u-eva&phone=%2B31600000001"
    publish(house, *(order(f"early-{n}", keys, f"e-{n}", broken=True) for n in range(MANY // 2)))
    publish(house, page("eva-1", keys))
    publish(house, *(order(f"later-{n}", keys, f"l-{n}", broken=True) for n in range(MANY // 2)), order("bob-broken", "user_id=u-bob", "o-9", True))
    assert house.ask("status")["quarantined"] == MANY + 1
    eva = house.ask("customer", "show", "user_id=u-eva")["customer"]
    house.ask("customer", "erase", eva, "--yes")
    house.broker.kill()
    house.start_broker()
    wait_for("purged", lambda: house.ask("status")["quarantined"] == 1)
    wait_for("the broker's own steps", lambda: broker_is_done(house, eva))
    assert view_is_equal(house)


class Load(threading.Thread):
    """Publishes pages of many people, some of them erased meanwhile, until it is stopped."""

    def __init__(self, house):
        super().__init__(daemon=True)
        self.house, self.sent, self.stopped = house, 0, False
        self.start()

    def run(self):
        while not self.stopped:
            publish(self.house, *(page(f"load-{self.sent + n}", f"user_id=load-{(self.sent + n) % 40}") for n in range(400)))
            self.sent += 400


def test_under_load(house):
    load = Load(house)
    wait_for("under way", lambda: load.sent >= 800)
    erased = {}
    for n in range(0, 40, 4):
        found = house.ask("customer", "erase", f"user_id=load-{n}", "--yes")
        erased[found["customer"]] = found["sequence"]
        time.sleep(0.05)
    load.stopped = True
    load.join()
    found = [row for ident, row in log(house).items() if ident.startswith("load-")]
    assert len(found) == load.sent
    for row in found:
        number = int(row["id"][5:]) % 40
        late = number % 4 == 0
        assert row.get("redacted", False) == late and ("data" in row) != late, row
        if late and "customer" in row:
            assert int(row["sequence"]) < erased[row["customer"]], row
    for customer in erased:
        wait_for("the broker's own steps", lambda customer=customer: broker_is_done(house, customer))
    assert lines(house, "parked", "ls") == []
    assert view_is_equal(house)
    return len(found), len(erased)


def main():
    with House() as house:
        test_kill_between_key_and_event(house)
        test_quarantine_of_many(house)
        events, persons = test_under_load(house)
        assert house.broker.stop() == 0
        print(f"said after a kill; {MANY} quarantined events purged; {persons} persons erased under {events} events")


main()
