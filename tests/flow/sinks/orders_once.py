#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ERP and SCM are killed again and again while orders come: each order is one whole document at the ERP, and one for each of its
suppliers, with what the log says of it. The connectors run on their sample configurations."""
import argparse
import json
import os
import random
import time
import xml.etree.ElementTree as ElementTree

from sinks import House, cloud, drained, publish, start, wait_for

SOURCE = os.environ.get("TOUCHBUS_SOURCE", ".")
ORDERS = 120
CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
SUPPLIER_OF = {"LAMP": "lumen", "A": "acme", "C": "main-supplier"}  # as connectors/scm/sample.conf has it


def configured(house, name):
    return start(house, name, "--config", os.path.join(SOURCE, "connectors", name, "sample.conf"))


def orders(first, draw):
    for number in range(first, first + ORDERS):
        skus = draw.sample(list(SUPPLIER_OF), 1 + draw.randrange(3))
        lines = [{"sku": f"{sku}-1", "quantity": 1 + draw.randrange(5), "price": f"{draw.randrange(100)}.{draw.randrange(100):02}"} for sku in skus]
        keys = f"user_id=u-{draw.randrange(60)}"
        yield cloud(f"p{number}", "order.placed", {"order_id": f"o-{number}", "currency": "EUR", "lines": lines}, keys)
        if draw.randrange(2):
            yield cloud(f"c{number}", "order.changed", {"order_id": f"o-{number}", "status": "packed", "revision": 1}, keys)


def cents(lines):
    return sum(int(line["price"].replace(".", "")) * line["quantity"] for line in lines)


def account(house, wanted, changed):
    erp, scm = (os.path.join(house.state, name, "outbox") for name in ("erp", "scm"))
    assert sorted(os.listdir(erp)) == sorted(f"{order_id}.json" for order_id in wanted)
    expected = sorted(f"{o}.{SUPPLIER_OF[line['sku'].split('-')[0]]}.order.xml" for o, lines in wanted.items() for line in lines)
    assert sorted(os.listdir(scm)) == expected
    for order_id, lines in wanted.items():
        with open(os.path.join(erp, f"{order_id}.json"), encoding="utf-8") as file:
            document = json.load(file)
        assert document["status"] == ("packed" if order_id in changed else "placed"), document
        assert document["complete"] and document["total"] == f"{cents(lines) // 100}.{cents(lines) % 100:02}", document
    for name in expected:
        assert ElementTree.parse(os.path.join(scm, name)).getroot().find(f"{CBC}ID").text == name.split(".")[0]
    return len(wanted), len(expected)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    print(f"seed {arguments.seed}", flush=True)
    wanted, changed = {}, set()
    with House() as house:
        house.start_broker()
        for number in range(arguments.rounds):
            events = list(orders(number * ORDERS, draw))
            for event in map(json.loads, events):
                if event["type"] == "org.touchbus.order.placed.v1":
                    wanted[event["data"]["order_id"]] = event["data"]["lines"]
                else:
                    changed.add(event["data"]["order_id"])
            publish(house, events)
            processes = [configured(house, name) for name in ("erp", "scm")]
            outbox = os.path.join(house.state, "erp", "outbox")
            enough = number * ORDERS // 2 + draw.randrange(5, 40)
            wait_for("documents", lambda: len(os.listdir(outbox)) >= enough)
            time.sleep(draw.uniform(0.0, 0.05))
            assert [process.kill() for process in processes] == [-9, -9]
            print(f"round {number + 1}/{arguments.rounds}: killed at {len(os.listdir(outbox))} documents", flush=True)
        processes = [configured(house, name) for name in ("erp", "scm")]
        for name in ("erp", "scm"):
            drained(house, name)
        print("%d orders at the ERP, %d at suppliers" % account(house, wanted, changed))
        for process in processes:
            assert process.stop() == 0, process.tail()


main()
