#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ERP and SCM by their folders: orders come out once each and valid, reports and answers go in and show in the customer view; what is
bad goes to failed with its reason; a kill in between repeats nothing."""
import glob
import json
import os
import subprocess
import time

from sinks import House, cloud, drained, publish, start, wait_for

SCHEMAS = os.path.join(os.environ.get("TOUCHBUS_SOURCE", "."), "..", "shared", "ubl-2.1", "xsd", "maindoc")
SUPPLIERS = ("--supplier", "A-*, acme, Acme Supply, 8712345000004", "--supplier", "B-*, bolt, Bolt & Co")
CAC = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
CBC = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"


def order(number, *skus):
    lines = [{"sku": sku, "quantity": 2, "price": "19.90", "name": f"Name <{sku}>"} for sku in skus]
    return cloud(f"p{number}", "order.placed", {"order_id": f"o/{number}", "currency": "EUR", "lines": lines}, "email=ana%40klant.example",
                 time="2026-03-01T10:00:00Z")


def drop(folder, name, text):
    """As another system does: written aside, renamed in."""
    aside = os.path.join(folder, "." + name)
    with open(aside, "w", encoding="utf-8") as file:
        file.write(text)
    os.utime(aside, (time.time() - 60, time.time() - 60))
    os.rename(aside, os.path.join(folder, name))


def names(folder):
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def answer(order_id, date):
    return f"""<OrderResponse xmlns="urn:oasis:names:specification:ubl:schema:xsd:OrderResponse-2" xmlns:a="{CAC}" xmlns:b="{CBC}">
<b:ID>R-1</b:ID><b:IssueDate>2026-03-02</b:IssueDate><b:OrderResponseCode>AP</b:OrderResponseCode>
<a:OrderReference><b:ID>{order_id}</b:ID></a:OrderReference>
<a:SellerSupplierParty><a:Party><a:PartyIdentification><b:ID>acme</b:ID></a:PartyIdentification></a:Party></a:SellerSupplierParty>
<a:BuyerCustomerParty/><a:OrderLine><a:LineItem><b:ID>1</b:ID><b:Quantity>2</b:Quantity><a:Delivery><a:PromisedDeliveryPeriod>
<b:EndDate>{date}</b:EndDate></a:PromisedDeliveryPeriod></a:Delivery><a:Item/></a:LineItem></a:OrderLine></OrderResponse>"""


def judge(files):
    if not os.path.isdir(SCHEMAS):
        print(f"SKIP: the UBL schemas are not at {SCHEMAS}: what was written is not judged by them")
        return
    for path in files:
        kind = "Order" if path.endswith(".order.xml") else "OrderCancellation"
        subprocess.run(["xmllint", "--nonet", "--noout", "--schema", f"{SCHEMAS}/UBL-{kind}-2.1.xsd", path], check=True, capture_output=True)
    print(f"{len(files)} documents are valid")


def shown_order(house, order_id):
    orders = house.ask("customer", "show", "email=ana@klant.example")["orders"]
    return next((o for o in orders if o["order_id"] == order_id), {})


def orders_out(house, erp, scm):
    publish(house, [order(1, "A-1", "B-1", "A-2"), order(2, "C-1"), order(3, "A-1")])
    for name in ("erp", "scm"):
        drained(house, name)
    assert names(f"{erp}/outbox") == ["o%2F1.json", "o%2F2.json", "o%2F3.json"]
    assert names(f"{scm}/outbox") == ["o%2F1.acme.order.xml", "o%2F1.bolt.order.xml", "o%2F2.main-supplier.order.xml", "o%2F3.acme.order.xml"]
    with open(f"{erp}/outbox/o%2F1.json", encoding="utf-8") as file:
        document = json.load(file)
    assert (document["total"], document["status"], document["lines"][0]["amount"]) == ("119.40", "placed", "39.80"), document
    assert document["keys"] == [{"kind": "email", "value": "ana@klant.example"}]
    judge(glob.glob(f"{scm}/outbox/*.xml"))


def repeats_change_nothing(house, erp, scm, processes):
    """What was taken away is not written again, also when every event comes once more."""
    os.unlink(f"{erp}/outbox/o%2F1.json")
    os.unlink(f"{scm}/outbox/o%2F1.acme.order.xml")
    before = {name: names(f"{erp}/{name}") for name in ("outbox",)}, names(f"{scm}/outbox")
    for name, process in list(processes.items()):
        assert process.kill() == -9
        house.touchbus("subscription", "reset", name, "--to", "beginning", "--force", "--yes")
        processes[name] = start(house, name, *(SUPPLIERS if name == "scm" else ()))
        drained(house, name)
    assert before == ({"outbox": names(f"{erp}/outbox")}, names(f"{scm}/outbox"))


def reports_in(house, erp):
    reports = [{"type": "order.changed", "order_id": "o/1", "status": "shipped", "revision": 2},
               {"type": "price.changed", "sku": "A-1", "price": "18.00", "currency": "EUR", "valid_from": "2026-04-01T00:00:00Z"}]
    drop(f"{erp}/inbox", "reports.json", json.dumps(reports))
    wait_for("the reports are done", lambda: names(f"{erp}/done") == ["reports.json"])
    wait_for("the order is shipped", lambda: shown_order(house, "o/1").get("status") == "shipped")
    events = house.ask("log", "info")["events"]
    drop(f"{erp}/inbox", "reports.json", json.dumps(reports))  # the same file again: known
    wait_for("the file is done again", lambda: len(names(f"{erp}/done")) == 2)
    assert house.ask("log", "info")["events"] == events
    drop(f"{erp}/inbox", "bad.json", json.dumps([reports[0], {"type": "order.placed"}]))
    wait_for("the bad file is put aside", lambda: names(f"{erp}/failed") == ["bad.json", "bad.json.reason"])
    with open(f"{erp}/failed/bad.json.reason", encoding="utf-8") as file:
        assert "report 1" in file.read()
    assert house.ask("log", "info")["events"] == events
    drained(house, "erp")
    assert "o%2F1.json" not in names(f"{erp}/outbox"), "the ERP's own report was handed back to it"


def reports_survive(house, erp, processes):
    """A file waits while the broker is away, and is in the log once though the connector is killed while it takes it."""
    many = [{"type": "order.changed", "order_id": "o/2", "status": f"s{n}", "revision": n} for n in range(1, 3001)]
    before = house.ask("log", "info")["events"]
    house.broker.stop()
    drop(f"{erp}/inbox", "many.json", json.dumps(many))
    time.sleep(0.3)
    house.start_broker()
    wait_for("some reports are in the log", lambda: house.ask("log", "info")["events"] > before)
    assert processes["erp"].kill() == -9
    processes["erp"] = start(house, "erp")
    wait_for("the file is done", lambda: "many.json" in names(f"{erp}/done"))
    assert house.ask("log", "info")["events"] == before + len(many)


def answers_in(house, scm):
    drop(f"{scm}/inbox", "r-1.xml", answer("o/1", "2026-03-09"))
    wait_for("the answer is done", lambda: names(f"{scm}/done") == ["r-1.xml"])
    wait_for("the order has its date", lambda: shown_order(house, "o/1").get("eta", "").startswith("2026-03-09"))
    drop(f"{scm}/inbox", "bomb.xml", "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>")
    wait_for("the bomb is put aside", lambda: names(f"{scm}/failed") == ["bomb.xml", "bomb.xml.reason"])


def changes_out(house, erp, scm):
    publish(house, [cloud("c1", "order.changed", {"order_id": "o/3", "status": "cancelled", "revision": 1}, source="/shop"),
                    cloud("c2", "order.changed", {"order_id": "o/9", "status": "paid", "revision": 1}, source="/shop")])
    for name in ("erp", "scm"):
        drained(house, name)
    assert "o%2F3.acme.cancellation.xml" in names(f"{scm}/outbox")
    judge(glob.glob(f"{scm}/outbox/*.cancellation.xml"))
    for name, status, complete in (("o%2F3.json", "cancelled", True), ("o%2F9.json", "paid", False)):
        with open(f"{erp}/outbox/{name}", encoding="utf-8") as file:
            document = json.load(file)
        assert (document["status"], document["complete"]) == (status, complete), document


def main():
    with House() as house:
        house.start_broker()
        erp, scm = (os.path.join(house.state, name) for name in ("erp", "scm"))
        processes = {"erp": start(house, "erp"), "scm": start(house, "scm", *SUPPLIERS)}
        orders_out(house, erp, scm)
        repeats_change_nothing(house, erp, scm, processes)
        reports_in(house, erp)
        reports_survive(house, erp, processes)
        answers_in(house, scm)
        changes_out(house, erp, scm)
        for process in processes.values():
            assert process.stop() == 0, process.tail()
        print("orders out, reports and answers in")


main()
