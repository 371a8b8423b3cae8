#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Events reach the warehouse once, whoever is killed, and what they change is there."""
from warehouse import House, Postgres, agrees, connect, day, drained, publish


def main():
    with House() as house, Postgres() as server:
        house.start_broker()
        publish(house, day(1, 3000))
        process = connect(house, server)
        drained(house, "crm")
        print(agrees(house, server), "rows")
        assert process.stop() == 0, process.tail()
        print(process.tail())


main()
