# SPDX-License-Identifier: Apache-2.0
"""What the flows of Tryton share: orders to publish, and the sales desk's view of them."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "servers"), os.path.join(HERE, "..", "sinks")]
import tryton  # noqa: E402
from harness import SLOW  # noqa: E402,F401
from names import Names, NamesError  # noqa: E402,F401
from sinks import House, cloud, drained, publish, start, wait_for  # noqa: E402,F401
from tryton import Tryton  # noqa: E402,F401

CONFIRMED = ("confirmed", "processing", "done")


def skip_without_tryton():
    if tryton.missing():
        print(f"SKIP: {tryton.missing()} is not installed")
        sys.exit(77)


def start_erp(house, server, *arguments, url=None, **options):
    return start(house, "erp", "--tryton", url or server.url, "--password-file", server.password_file, *arguments, **options)


def order(order_id, lines, keys, currency="EUR", event_id=None, **data):
    """order.placed as a JSON line; lines are (sku, quantity, price)."""
    lines = [{"sku": sku, "quantity": quantity, "price": price} for sku, quantity, price in lines]
    return cloud(event_id or f"placed-{order_id}", "order.placed", {"order_id": order_id, "currency": currency, "lines": lines, **data}, keys)


def change(order_id, status, revision, keys, lines=None):
    data = {"order_id": order_id, "status": status, "revision": revision}
    if lines:
        data["lines"] = [{"sku": sku, "quantity": quantity, "price": price} for sku, quantity, price in lines]
    return cloud(f"changed-{order_id}-{revision}", "order.changed", data, keys)


def sales(server, order_id):
    return server.read("sale.sale", [["reference", "=", order_id]], "state", "comment", "party", "untaxed_amount", "tax_amount", "shipments")


def sale(server, order_id):
    found = sales(server, order_id)
    assert len(found) == 1, found
    return found[0]


def amount(value):
    return value["decimal"]


def party(server, number):
    return server.call("model.party.party.read", [number], ["name", "active", "contact_mechanisms.value_compact", "identifiers.code", "addresses.active",
                                                           "addresses.street"])[0]


def counters(house):
    return house.ask("connector", "show", "erp")["metrics"]


def counted(house, name, count):
    """Health reports come every few seconds."""
    wait_for(f"{name} is {count}", lambda: counters(house)[name] == count)


def customer_of(house, kind, value):
    return house.ask("customer", "show", f"{kind}={value}")["customer"]
