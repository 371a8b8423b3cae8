#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How many events a second go into the warehouse, with the server's defaults: a log that is there already is taken, and the time is that from
the connector's start to its last row. Beside it, in the same server and minute, the same rows of `interactions` by plain COPY, a commit every
256 rows, without fences, customers, keys or attributes: what is asked for more than that is the ratio. Nothing is asserted; figures are of use
only where nothing else runs, with TOUCHBUS_BIN of the release preset. No test: run it by hand.

Usage: speed.py [--events N] [--mix]     pages of 20,000 customers; --mix: identified, orders, cases and a few busy customers among them
"""
import argparse
import os
import subprocess
import time

from warehouse import House, Postgres, agrees, cloud, connect, mix, publish, wait_for

BATCH = 256


def pages(first, count):
    for number in range(first, first + count):
        yield cloud(number, "page.viewed", {"url": f"https://shop.example/{number}"}, f"user_id=u-{number * 7919 % 20000}")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_cpu_s(server):
    """Of the server's processes that are there now, background ones with them."""
    return sum(cpu_s(pid) for pid in server.children())


def plain_copy(server):
    """Seconds for the rows by COPY FROM STDIN through psql."""
    rows = server.run("COPY (SELECT * FROM interactions ORDER BY sequence) TO STDOUT").rstrip("\n").split("\n")
    server.run("CREATE TABLE plain (LIKE interactions INCLUDING ALL)")
    script = []
    for first in range(0, len(rows), BATCH):
        script += ["COPY touchbus.plain FROM STDIN;", *rows[first:first + BATCH], "\\."]
    text = "\n".join(script) + "\n"
    began = time.monotonic()
    subprocess.run(["psql", "-X", "-q", "-h", server.folder, "-p", str(server.port), "-U", "postgres", "-d", "crm"], input=text, text=True, check=True,
                   capture_output=True)
    took = time.monotonic() - began
    assert server.one("SELECT count(*) FROM plain") == len(rows)
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100000)
    parser.add_argument("--mix", action="store_true")
    arguments = parser.parse_args()
    with House() as house, Postgres() as server:
        house.start_broker()
        for first in range(1, arguments.events + 1, 20000):
            publish(house, (mix if arguments.mix else pages)(first, min(20000, arguments.events + 1 - first)))
        broker_before, began = cpu_s(house.broker.pid), time.monotonic()
        process = connect(house, server)
        wait_for("everything is taken", lambda: house.ask("subscription", "show", "crm")["lag"] == 0, 900, pause=0.02)
        took = time.monotonic() - began
        used = {"connector": cpu_s(process.pid), "broker": cpu_s(house.broker.pid) - broker_before, "server": server_cpu_s(server)}
        rows = agrees(house, server)
        commits = server.one("SELECT xact_commit FROM pg_stat_database WHERE datname = 'crm'")
        plain = plain_copy(server)
    print(f"{rows} events in {took:.2f} s: {rows / took:.0f} events/s, about {rows // max(commits, 1)} a commit")
    print("processor time, us an event: " + ", ".join(f"{name} {1e6 * seconds / rows:.1f}" for name, seconds in used.items()))
    print(f"plain COPY of the same rows: {rows / plain:.0f} rows/s; ratio {plain / took:.2f}")


main()
