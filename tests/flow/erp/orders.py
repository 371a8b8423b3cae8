#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Orders in a real Tryton: one sale each, of the right party, at the price that was ordered; changes as far as Tryton allows them; what
it refuses parks its customer with its own words; an erasure takes the person out of the party."""
import json

from desk import (CONFIRMED, House, Tryton, amount, change, counted, drained, order, party, publish, sale, sales, skip_without_tryton, start_erp,
                  wait_for)
from tryton_house import CUSTOMER, CUSTOMER_EMAIL, USER

PAUL = "paul@klant.example"  # known to the ERP; here somebody says that it is theirs, and nobody verified it
LAMP, DESK = ("LAMP-1", 2, "19.90"), ("DESK-1", 1, "200.00")


def placed(server, house):
    """Known by a verified address, known by the identifier, new; an address that nobody verified is nobody's."""
    other, = server.call("model.party.party.create", [{"name": "Paul", "contact_mechanisms": [["create", [{"type": "email", "value": PAUL}]]]}])
    publish(house, [order("o-1", [LAMP], f"user_id=ana&email!={CUSTOMER_EMAIL}"),
                    order("o-2", [LAMP, DESK], "user_id=bob&email=bob@klant.example&phone!=%2B31205550199", name="Bob de Wit"),
                    order("o-3", [LAMP], f"user_id=eve&email={PAUL}&phone!=%2B31205550177"),
                    order("o-4", [DESK], "user_id=bob"),
                    order("o-1", [LAMP], f"user_id=ana&email!={CUSTOMER_EMAIL}", event_id="again")])
    drained(house, "erp")
    found = {order_id: sale(server, order_id) for order_id in ("o-1", "o-2", "o-3", "o-4")}
    assert all(one["state"] == "processing" and one["shipments"] for one in found.values()), found
    assert party(server, found["o-1"]["party"])["name"] == CUSTOMER
    bob = party(server, found["o-2"]["party"])
    assert bob["name"] == "Bob de Wit" and found["o-4"]["party"] == found["o-2"]["party"], bob
    assert {row["value_compact"] for row in bob["contact_mechanisms."]} == {"bob@klant.example", "+31205550199"}, bob
    assert found["o-3"]["party"] != other, "an unverified address took somebody else's party"
    assert (amount(found["o-2"]["untaxed_amount"]), amount(found["o-2"]["tax_amount"])) == ("239.80", "42.00"), found["o-2"]
    assert found["o-2"]["comment"] == "touchbus: DESK-1 ordered at 200.00, the price here is 249.0000", found["o-2"]
    assert not found["o-1"]["comment"], found["o-1"]
    counted(house, "tryton_sales", 4)
    return found


def refused(server, house):
    """In its own words, and the customer's next order waits behind it."""
    publish(house, [order("o-5", [("NO-SUCH", 1, "1.00")], "user_id=carl"), order("o-6", [LAMP], "user_id=carl"),
                    order("o-7", [LAMP], "user_id=dora", currency="XXX"),
                    order("o-8", [("LAMP-1", 1, "1.123456789")], "user_id=emil")])
    drained(house, "erp", parked=3)
    rows = {json.loads(line).get("detail", "") for line in house.touchbus("-j", "parked", "ls", "erp").stdout.splitlines()}
    assert any("sells no NO-SUCH" in row for row in rows) and any("has no XXX" in row for row in rows), rows
    assert any("digits" in row for row in rows), rows  # Tryton's: "The number of digits in the value ... exceeds ..."
    assert not sales(server, "o-5") and not sales(server, "o-6")


def changed(server, house):
    """Too late once the sale is being worked on, which is said; before that it is cancelled, or has other lines."""
    publish(house, [change("o-4", "cancelled", 3, "user_id=bob")])
    drained(house, "erp")
    one = sale(server, "o-4")
    assert one["state"] == "processing" and one["comment"].endswith("touchbus: revision 3 asked to cancel, which came too late"), one
    wait_for("the answer", lambda: "refused" in house.touchbus("replay", "--type", "order.changed", "-o", "json").stdout)
    counted(house, "tryton_changes_refused", 1)
    def shows():
        return [row["status"] for row in house.ask("customer", "show", "user_id=bob")["orders"] if row["order_id"] == "o-4"]
    wait_for("the order goes on in the view, too", lambda: shows() == ["confirmed"])

    server.restart(worker=True)  # from here on a sale waits confirmed for somebody to work on it
    publish(house, [order("o-10", [LAMP], "user_id=bob"), order("o-11", [LAMP], "user_id=ana"), order("o-12", [LAMP], "user_id=ana")])
    drained(house, "erp")
    assert [sale(server, order_id)["state"] for order_id in ("o-10", "o-11", "o-12")] == ["confirmed"] * 3
    publish(house, [change("o-10", "cancelled", 2, "user_id=bob"), change("o-11", "placed", 2, "user_id=ana", [("LAMP-1", 5, "19.90"), DESK]),
                    change("o-12", "packed", 2, "user_id=ana"), change("o-99", "cancelled", 2, "user_id=ana")])
    drained(house, "erp")
    assert [sale(server, order_id)["state"] for order_id in ("o-10", "o-12")] == ["cancelled", "confirmed"]
    one = sale(server, "o-11")
    assert (one["state"], amount(one["untaxed_amount"]), amount(one["tax_amount"])) == ("confirmed", "299.50", "42.00"), one
    assert one["comment"].endswith("touchbus: lines of revision 2 (ordered)"), one
    counted(house, "tryton_changes", 2)
    counted(house, "tryton_orders_unknown", 1)


def doubted(server, house):
    """What a connector that was killed left behind: drafts and a quotation of the same order. One goes on, the others are cancelled."""
    lines = sale(server, "o-12")
    copies = [server.call("model.sale.sale.copy", [lines["id"]], {"reference": "o-20"})[0] for _ in range(3)]
    server.call("model.sale.sale.quote", [copies[1]])
    ours, = server.read("res.user", [["login", "=", USER]], "id")
    server.postgres.run(f"UPDATE sale_sale SET create_uid = {ours['id']} WHERE id IN ({copies[0]}, {copies[1]})", "erp")
    publish(house, [order("o-20", [LAMP], "user_id=ana")])
    drained(house, "erp")
    states = {row["id"]: row["state"] for row in sales(server, "o-20")}
    assert states == {copies[0]: "cancelled", copies[1]: "confirmed", copies[2]: "draft"}, states  # the last is a person's own
    counted(house, "tryton_sales_stray", 1)


def forgotten(server, house):
    """A sale that was confirmed and nobody works on, since trytond was killed right then: it is confirmed anew. The session ends in between."""
    server.restart()
    server.postgres.run("DELETE FROM ir_session", "erp")
    publish(house, [order("o-20", [LAMP], "user_id=ana", event_id="o-20-again")])
    drained(house, "erp")
    states = sorted(row["state"] for row in sales(server, "o-20"))
    assert states == ["cancelled", "draft", "processing"], states


def erased(server, house, found):
    """The person goes, the books stay."""
    number = found["o-2"]["party"]
    house.touchbus("customer", "erase", "user_id=bob", "--yes")
    drained(house, "erp", parked=3)
    bob = party(server, number)
    assert bob["name"] == "(erased)" and not bob["active"] and not bob["contact_mechanisms."], bob
    assert not any(row["active"] for row in bob["addresses."]), bob
    assert sale(server, "o-2")["state"] in CONFIRMED


def main():
    skip_without_tryton()
    with Tryton() as server, House() as house:
        house.start_broker()
        process = start_erp(house, server, "--tryton-every", "1s")
        found = placed(server, house)
        changed(server, house)
        doubted(server, house)
        forgotten(server, house)
        refused(server, house)
        erased(server, house, found)
        assert process.stop() == 0, process.tail()
        print("orders, refusals, changes, erasure")


main()
