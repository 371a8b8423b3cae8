#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A sink's system that is away is no poison: with a broker that parks after the second attempt, a locked customer file and an outbox that
cannot be written hold their events, however few, and lose and park nothing."""
import os
import shutil
import sqlite3
import time

from sinks import Crm, House, agrees, cloud, drained, publish, start

HOLD_S = 3


def page(number):
    return cloud(number, "page.viewed", {"url": "/"}, "user_id=u-1")


def order(number):
    lines = [{"sku": "A", "quantity": 1, "price": "1.00"}]
    return cloud(number, "order.placed", {"order_id": f"o-{number}", "currency": "EUR", "lines": lines}, "user_id=u-1")


def held(house, name):
    time.sleep(HOLD_S)
    shown = house.ask("subscription", "show", name)
    assert shown["parked"] == 0 and shown["lag"] > 0, shown


def main():
    with House() as house:
        house.start_broker("--retry-attempts", "2", "--retry-min", "50ms", "--retry-max", "100ms")
        crm = Crm(house)
        processes = {name: start(house, name) for name in ("crm", "erp")}
        publish(house, [page(1)])
        drained(house, "crm")

        other = sqlite3.connect(crm.path, timeout=30, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        publish(house, [page(2), page(3)])
        held(house, "crm")
        other.execute("ROLLBACK")
        other.close()
        drained(house, "crm")

        outbox = os.path.join(house.state, "erp", "outbox")
        shutil.rmtree(outbox)
        publish(house, [order(4)])
        held(house, "erp")
        assert processes["erp"].stop() == 0, processes["erp"].tail()
        processes["erp"] = start(house, "erp")  # makes its folder
        drained(house, "erp")
        assert os.listdir(outbox) == ["o-4.json"]
        drained(house, "crm")
        print(f"{agrees(house, crm)} rows, nothing parked")
        for process in processes.values():
            assert process.stop() == 0, process.tail()


main()
