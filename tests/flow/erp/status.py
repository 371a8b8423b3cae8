#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What happens in a real Tryton is told by every touchpoint: a web order becomes a sale, and whatever the warehouse, the books and the
buyers do there shows in `touchbus customer show` and in the web connector's answer. Each status once, through kills of all."""
import datetime
import os
import random
import sqlite3
import sys
import time

from desk import HERE, Tryton, counted, skip_without_tryton, start, wait_for
from sinks import log_of

sys.path.insert(0, os.path.join(HERE, "..", "web"))
import tryton_house as house  # noqa: E402
from tryton_house import PRODUCTS, SUPPLIER  # noqa: E402
from webhouse import WebHouse  # noqa: E402

SHIPPING = ["confirmed", "picked", "packed", "shipped"]
MANY = 230  # pages of 100


class Shop(WebHouse):
    """A site, the bus and the ERP's connector."""

    def __init__(self, server):
        super().__init__()
        self.server, self.erp = server, None

    def open(self):
        self.start_broker()
        self.start_web()
        self.start_erp()

    def start_erp(self):
        self.erp = start(self, "erp", "--tryton", self.server.url, "--password-file", self.server.password_file, "--tryton-every", "1s")

    def order(self, who, order_id, sku="LAMP-1"):
        products = [{"sku": sku, "name": PRODUCTS[sku][0], "quantity": 2, "price": PRODUCTS[sku][1]}]
        status, answer = self.post("/v1/track", {"event": "Order Completed", "userId": who, "messageId": f"m-{order_id}", "writeKey": "k",
                                                 "properties": {"order_id": order_id, "currency": "EUR", "products": products}})
        assert status == 200 and not answer["quarantined"], answer

    def status(self, who, order_id):
        orders = {row["order_id"]: row for row in self.ask("customer", "show", f"user_id={who}")["orders"]}
        return orders.get(order_id, {}).get("status")

    def at_site(self, who):
        status, _, text = self.http("GET", f"/v1/customer?user_id={who}")
        assert status == 200, text
        return text

    def told(self, kind, **data):
        """The data of the erp's events of a type in the log, in order."""
        found = [event["data"] for event in log_of(self) if event["source"] == "/erp" and event["type"] == f"org.touchbus.{kind}.v1"]
        return [one for one in found if all(one.get(name) == value for name, value in data.items())]

    def statuses(self, order_id):
        return [one["status"] for one in self.told("order.changed", order_id=order_id)]

    def pending(self):
        with sqlite3.connect(f"file:{self.state}/erp/tryton.sqlite?mode=ro", uri=True, timeout=30) as file:
            return file.execute("SELECT count(*) FROM pending").fetchone()[0]


class Warehouse:
    """Does there what people do there."""

    def __init__(self, server):
        self.server = server

    def shipment(self, order_id):
        sale, = self.server.read("sale.sale", [["reference", "=", order_id]], "shipments")
        return sale["shipments"]

    def ship(self, order_id, after=lambda status: None):
        shipments = self.shipment(order_id)
        assert self.server.call("model.stock.shipment.out.assign_try", shipments)
        for step, status in zip(("pick", "pack", "done"), SHIPPING[1:]):
            self.server.call(f"model.stock.shipment.out.{step}", shipments)
            after(status)

    def wizard(self, name, state, **context):
        session = self.server.call(f"wizard.{name}.create")[0]
        self.server.call(f"wizard.{name}.execute", session, {}, state, context=context)

    def buy(self):
        """The order point asks for chairs: a purchase of them, confirmed."""
        self.wizard("stock.supply", "create_")
        wanted = [row["id"] for row in self.server.read("purchase.request", [["purchase_line", "=", None]])]
        self.wizard("purchase.request.create_purchase", "start", active_model="purchase.request", active_id=wanted[0], active_ids=wanted)
        purchase, = self.server.read("purchase.purchase", [], "party.addresses")
        self.server.call("model.purchase.purchase.write", [purchase["id"]], {"invoice_address": purchase["party."]["addresses"][0]})
        for step in ("quote", "confirm"):
            self.server.call(f"model.purchase.purchase.{step}", [purchase["id"]])
        return purchase["id"]

    def receive(self, purchase):
        row, = self.server.read("purchase.purchase", [["id", "=", purchase]], "moves")
        supplier, = self.server.read("party.party", [["name", "=", SUPPLIER]])
        place, = self.server.read("stock.location", [["type", "=", "warehouse"]])
        shipment = self.server.call("model.stock.shipment.in.create", [{"supplier": supplier["id"], "warehouse": place["id"],
                                                                        "incoming_moves": [["add", row["moves"]]]}])
        self.server.call("model.stock.shipment.in.receive", shipment)
        self.server.call("model.stock.shipment.in.done", shipment)

    def reprice(self, sku, price):
        product, = self.server.read("product.product", [["code", "=", sku]], "template")
        self.server.call("model.product.template.write", [product["template"]], {"list_price": {"__class__": "Decimal", "decimal": price}})

    def invoice(self, order_id):
        sale, = self.server.read("sale.sale", [["reference", "=", order_id]], "invoices")
        day = datetime.date.today()
        self.server.call("model.account.invoice.write", sale["invoices"],
                         {"invoice_date": {"__class__": "date", "year": day.year, "month": day.month, "day": day.day}})
        self.server.call("model.account.invoice.post", sale["invoices"])


def shipped(shop, warehouse):
    """From the site to the door, each step at each touchpoint; what the connector did itself comes back once."""
    wait_for("the price list", lambda: len(shop.told("price.changed")) == len(PRODUCTS))
    shop.order("ana", "o-1")
    wait_for("the sale", lambda: shop.status("ana", "o-1") == "confirmed")
    warehouse.ship("o-1", lambda status: wait_for(status, lambda: shop.status("ana", "o-1") == status))
    wait_for("the site says so", lambda: '"shipped"' in shop.at_site("ana"))
    assert shop.statuses("o-1") == SHIPPING, shop.statuses("o-1")
    order, = shop.ask("customer", "show", "user_id=ana")["orders"]
    assert order["eta"].startswith("20"), order
    revisions = [one["revision"] for one in shop.told("order.changed")]
    assert revisions == sorted(set(revisions)), revisions


def billed(shop, warehouse):
    warehouse.invoice("o-1")
    wait_for("the invoice", lambda: shop.told("payment.changed"))
    told, = shop.told("payment.changed")
    assert (told["state"], told["amount"], told["currency"], told["order_id"]) == ("posted", "39.80", "EUR", "o-1"), told
    invoice, = shop.ask("customer", "show", "user_id=ana")["invoices"]
    assert invoice["state"] == "posted", invoice


def supplied(shop, warehouse):
    warehouse.reprice("LAMP-1", "21.50")
    wait_for("the price", lambda: shop.told("price.changed", sku="LAMP-1", price="21.50"))
    purchase = warehouse.buy()
    wait_for("the purchase", lambda: shop.told("supply.changed", sku="CHAIR-1", quantity=50))
    assert shop.told("supply.changed", sku="CHAIR-1")[0]["eta"] > datetime.datetime.now().strftime("%Y-%m-%d")
    warehouse.receive(purchase)
    wait_for("the goods", lambda: shop.told("supply.changed", sku="CHAIR-1", quantity=0))
    assert len(shop.told("supply.changed", sku="CHAIR-1")) == 2


def many(shop, server):
    """More than an answer holds."""
    unit, = server.read("product.uom", [["name", "=", "Unit"]])
    server.call("model.product.template.create", [
        {"name": f"Part {number}", "type": "goods", "default_uom": unit["id"], "salable": True, "sale_uom": unit["id"],
         "list_price": {"__class__": "Decimal", "decimal": f"{number}.5"}, "products": [["create", [{"suffix_code": f"PART-{number}"}]]]}
        for number in range(MANY)])
    wait_for("all the prices", lambda: len({one["sku"] for one in shop.told("price.changed") if one["sku"].startswith("PART-")}) == MANY)
    assert len([one for one in shop.told("price.changed") if one["sku"].startswith("PART-")]) == MANY


def forbidden(shop, server, warehouse):
    """What the connector's user may not read is said once, and the rest is told."""
    groups = [group["id"] for group in server.read("res.group", [["name", "in", ["Account", "Sales", "Stock"]]])]
    user, = server.read("res.user", [["login", "=", house.USER]])
    server.call("model.res.user.write", [user["id"]], {"groups": [["remove", groups]]})
    wait_for("it is said", lambda: "tryton_feed=account.invoice" in shop.erp.tail(1000))
    warehouse.reprice("LAMP-1", "22.50")
    wait_for("the price", lambda: shop.told("price.changed", sku="LAMP-1", price="22.50"))
    assert shop.erp.tail(1000).count("tryton_feed=account.invoice") == 1
    server.call("model.res.user.write", [user["id"]], {"groups": [["add", groups]]})
    invoice, = server.read("account.invoice", [["state", "=", "posted"]])
    server.postgres.run(f"UPDATE account_invoice SET state = 'cancelled', write_date = now() AT TIME ZONE 'UTC' WHERE id = {invoice['id']}", house.DATABASE)
    wait_for("the invoice again", lambda: shop.told("payment.changed", state="cancelled"))


def late(shop, server):
    """A transaction that began before what was seen last, and ended behind it."""
    server.postgres.run("BEGIN; UPDATE product_list_price SET list_price = 250, write_date = (now() AT TIME ZONE 'UTC') - interval '40 seconds' WHERE "
                        "template = (SELECT template FROM product_product WHERE code = 'DESK-1'); COMMIT", house.DATABASE)
    wait_for("what came late", lambda: shop.told("price.changed", sku="DESK-1", price="250"), 30)


def not_ours(shop, server):
    """A sale without a reference is counted once and told to nobody; one that a person cancels beside a living one ends nothing."""
    sale, = server.read("sale.sale", [["reference", "=", "o-1"]])
    copies = server.call("model.sale.sale.copy", [sale["id"]], {"reference": None}) + server.call("model.sale.sale.copy", [sale["id"]],
                                                                                                  {"reference": "o-1"})
    server.call("model.sale.sale.cancel", [copies[1]])
    counted(shop, "tryton_unreferenced", 1)
    before = len(log_of(shop))
    looks = shop.ask("connector", "show", "erp")["metrics"]["tryton_looks"]
    wait_for("two more looks", lambda: shop.ask("connector", "show", "erp")["metrics"]["tryton_looks"] >= looks + 2)
    assert shop.status("ana", "o-1") == "shipped" and len(log_of(shop)) == before, shop.statuses("o-1")
    counted(shop, "tryton_unreferenced", 1)


def killed(shop, server, warehouse, draw):
    """Polled and not acknowledged, the connector dies; trytond is another one when it comes back. Nothing is lost, nothing said twice."""
    orders = [f"k-{number}" for number in range(3)]
    for order_id in orders:
        shop.order("bob", order_id)
    wait_for("the sales", lambda: all(shop.status("bob", order_id) == "confirmed" for order_id in orders))
    shop.broker.kill()
    for order_id in orders:
        warehouse.ship(order_id)
    wait_for("what cannot be told", shop.pending)
    shop.erp.kill()
    server.kill()
    assert shop.pending()
    shop.start_broker()
    shop.start_erp()  # without a trytond it tells what it has
    wait_for("all that was read is told", lambda: shop.pending() == 0)
    server.start()
    wait_for("the shipments", lambda: all(shop.status("bob", order_id) == "shipped" for order_id in orders))
    for price in range(10, 14):
        warehouse.reprice("CABLE-1", f"{price}.00")
        time.sleep(draw.uniform(0.0, 1.5))  # any moment of a look
        shop.erp.kill()
        shop.start_erp()
    wait_for("the last price", lambda: shop.told("price.changed", sku="CABLE-1", price="13.00"))
    for order_id in orders:
        said = shop.statuses(order_id)
        assert said[0] == "confirmed" and said[-1] == "shipped" and said == [one for one in SHIPPING if one in said], said
    prices = [one["price"] for one in shop.told("price.changed", sku="CABLE-1")]
    assert prices == sorted(set(prices), key=float), prices


def main():
    skip_without_tryton()
    seed = int(os.environ.get("TOUCHBUS_SEED", time.time()))
    print(f"seed {seed}", flush=True)
    with Tryton() as server, Shop(server) as shop:
        warehouse = Warehouse(server)
        shop.open()
        shipped(shop, warehouse)
        billed(shop, warehouse)
        supplied(shop, warehouse)
        many(shop, server)
        forbidden(shop, server, warehouse)
        late(shop, server)
        not_ours(shop, server)
        killed(shop, server, warehouse, random.Random(seed))
        assert shop.erp.stop() == 0, shop.erp.tail()
        print("shipments, invoices, prices and purchases at every touchpoint; each said once")


main()
