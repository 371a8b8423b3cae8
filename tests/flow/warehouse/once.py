#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The connector and the server are killed again and again under load, and some lanes are parked and released: the set of sequences in the
warehouse is the log's, each once, and what is counted and what hangs on an order fits.

Usage: once.py [--events N] [--rounds N] [--seed N]; 1,000,000 events with TOUCHBUS_SLOW=1.
"""
import argparse
import random
import time

from warehouse import SLOW, House, Postgres, agrees, cloud, connect, drained, mix, publish, wait_for

# Of the administrator's own: events of this kind are refused, and their lanes parked.
POISON = "ALTER TABLE interactions ADD CONSTRAINT poison CHECK (id NOT LIKE 'poison%')"
LANES = 20


def poison(number):
    """One event that is refused, and a later one of the same customer."""
    keys = f"user_id=poisoned-{number}"
    return [cloud(f"{name}-{number}", "page.viewed", {"url": "/"}, keys) for name in ("poison", "behind")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1000000 if SLOW else 100000)
    parser.add_argument("--rounds", type=int, default=40 if SLOW else 8)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    print(f"seed {arguments.seed}", flush=True)
    with House() as house, Postgres() as server:
        house.start_broker()
        process = connect(house, server)
        wait_for("the tables", lambda: server.one("SELECT count(*) FROM pg_tables WHERE tablename = 'interactions'"))
        server.run(POISON)
        count = arguments.events // arguments.rounds
        for number in range(arguments.rounds):
            lines = list(mix(1 + number * count, count))
            for lane in range(number * LANES // arguments.rounds, (number + 1) * LANES // arguments.rounds):
                place = draw.randrange(len(lines))
                lines[place:place] = poison(lane)
            before = server.one("SELECT count(*) FROM interactions")
            publish(house, lines)
            enough = before + draw.randrange(count // 4)
            wait_for("rows come", lambda: server.one("SELECT count(*) FROM interactions") >= enough, pause=0.1)
            time.sleep(draw.uniform(0.0, 0.02))
            if number % 2:
                server.kill()
                assert process.alive(), process.tail()
                server.start()
            else:
                assert process.kill() == -9
                process = connect(house, server)
            print(f"round {number + 1}: {'server' if number % 2 else 'connector'} killed, {server.one('SELECT count(*) FROM interactions')} rows", flush=True)
        shown = drained(house, "crm", parked=LANES, seconds=900)
        print(f"parked {shown['parked']}, lag {shown['lag']}", flush=True)
        assert server.one("SELECT count(*) FROM interactions WHERE id LIKE 'poison%' OR id LIKE 'behind%'") == 0
        server.run("ALTER TABLE interactions DROP CONSTRAINT poison")
        house.touchbus("parked", "retry", "crm", "--yes")
        drained(house, "crm", seconds=900)
        publish(house, mix(1, 50))  # known ones: nothing new
        drained(house, "crm", seconds=900)
        print(f"{agrees(house, server)} rows, as many as events in the log, each once")
        assert process.stop() == 0, process.tail()


main()
