#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Orders while the broker, the connector and trytond are each killed and started again at random moments: exactly one confirmed sale an
order, with the lines that were ordered, and nothing parked. 10 orders and 2 kills of each; with TOUCHBUS_SLOW 60 and 10."""
import argparse
import random
import time

from desk import CONFIRMED, SLOW, House, Tryton, amount, drained, order, publish, sales, skip_without_tryton, start_erp, wait_for

PRICES = {"LAMP-1": "19.90", "DESK-1": "249.00", "CABLE-1": "4.50"}


def orders(count, draw):
    for number in range(count):
        lines = [(sku, 1 + draw.randrange(3), PRICES[sku]) for sku in draw.sample(list(PRICES), 1 + draw.randrange(2))]
        who = draw.randrange(max(2, count // 3))
        yield f"o-{number}", lines, order(f"o-{number}", lines, f"user_id=u-{who}&email!=u{who}@klant.example")


class Killer:
    """Kills one of the three after another and starts it again, each as often as it is told."""

    def __init__(self, house, server, erp, kills, draw):
        self.house, self.server, self.erp, self.draw = house, server, erp, draw
        self.plan = [self.broker, self.connector, self.trytond] * kills
        draw.shuffle(self.plan)

    def broker(self):
        self.house.broker.kill()
        self.house.start_broker()

    def connector(self):
        self.erp.kill()
        self.erp = start_erp(self.house, self.server)

    def trytond(self):
        self.server.kill()
        self.server.start()

    def run(self, done):
        """Between two kills the ERP gets something done: waits for it, then for a moment of chance within the next order."""
        for kill in self.plan:
            before = done()
            wait_for("the ERP gets something done", lambda: done() > before or done() == self.total, 120, pause=0.25)
            time.sleep(self.draw.uniform(0.0, 1.5))
            print(f"{done()} of {self.total}: kill {kill.__name__}", flush=True)
            kill()
    total = 0


def confirmed(server, count):
    """How many sales are confirmed; asked of the database, so that a trytond that is down is no obstacle."""
    del count
    rows = server.postgres.run("SELECT count(*) FROM sale_sale WHERE state IN ('confirmed', 'processing', 'done')", "erp")
    return int(rows.strip())


def account(server, wanted):
    for order_id, lines in wanted.items():
        found = sales(server, order_id)
        right = [one for one in found if one["state"] in CONFIRMED]
        assert len(right) == 1, f"{order_id}: {found}"
        assert all(one["state"] == "cancelled" for one in found if one["id"] != right[0]["id"]), f"{order_id}: {found}"
        cents = sum(quantity * int(price.replace(".", "")) for _, quantity, price in lines)
        assert amount(right[0]["untaxed_amount"]) == f"{cents // 100}.{cents % 100:02}", f"{order_id}: {right} {lines}"
        assert right[0]["state"] == "processing" and right[0]["shipments"], f"{order_id}: {right}"
    identifiers = [row["code"] for row in server.read("party.identifier", [], "code")]
    return len(identifiers), len(set(identifiers))


def main():
    skip_without_tryton()
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=60 if SLOW else 10)
    parser.add_argument("--kills", type=int, default=10 if SLOW else 2, help="of each")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    print(f"seed {arguments.seed}", flush=True)
    with Tryton() as server, House() as house:
        house.start_broker()
        killer = Killer(house, server, start_erp(house, server), arguments.kills, draw)
        killer.total = arguments.orders
        made = list(orders(arguments.orders, draw))
        publish(house, [line for _, _, line in made])
        killer.run(lambda: confirmed(server, arguments.orders))
        try:
            drained(house, "erp")
        except AssertionError:
            print(house.touchbus("parked", "ls", "erp").stdout, killer.erp.tail(60), flush=True)
            raise
        parties, different = account(server, {order_id: lines for order_id, lines, _ in made})
        assert killer.erp.stop() == 0, killer.erp.tail()
        print(f"{arguments.orders} orders, one confirmed sale each; {parties} parties for {different} customers")


main()
