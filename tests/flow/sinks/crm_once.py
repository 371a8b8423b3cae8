#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The CRM is killed again and again under load: its rows are the events of the log, each exactly once.

Usage: crm_once.py [--rounds N] [--seed N]
"""
import argparse
import random
import time

from sinks import Crm, House, agrees, day, drained, publish, start, wait_for


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    print(f"seed {arguments.seed}", flush=True)
    with House() as house:
        house.start_broker()
        crm = Crm(house)
        before = 0
        for number in range(arguments.rounds):
            publish(house, day(1 + number * 3000, 3000))
            process = start(house, "crm")
            # What the one before it held when it was killed comes again only after a while; the other lanes flow at once.
            enough = before + draw.randrange(200, 900)
            wait_for("the CRM works", lambda: crm.one("SELECT count(*) FROM interactions") >= enough)
            time.sleep(draw.uniform(0.0, 0.02))
            assert process.kill() == -9
            count = crm.one("SELECT count(*) FROM interactions")
            print(f"round {number + 1}/{arguments.rounds}: killed at {count} rows", flush=True)
            before = count
        process = start(house, "crm")
        publish(house, day(1, 50))  # known ones: nothing new
        drained(house, "crm")
        assert process.stop() == 0, process.tail()
        print(f"{agrees(house, crm)} rows, as many as events in the log, each once")


main()
