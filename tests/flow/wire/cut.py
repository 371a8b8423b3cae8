#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A line that breaks every few thousand messages: the publisher of libtouchbus loses and doubles nothing. What was acked is
compared with a replay of the log, as sets of (id, sequence).

Usage: cut.py [--events N] [--seed N]   (60,000 events, 600,000 with TOUCHBUS_SLOW; the seed is printed)
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import SLOW, House, wait_for  # noqa: E402
from proxy import Proxy  # noqa: E402
from wire import Subscriber  # noqa: E402

NAME = "cut"
BYTES_MIN, BYTES_MAX = 100_000, 900_000  # of about 150 bytes an event: a few thousand messages
CUTS_MIN = 10
RUN_S = 600


def count_lines(path):
    with open(path, "rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def read_acks(path):
    acks = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            _, event_id, _, sequence, reason = line.rstrip("\n").split("\t")
            assert reason == "ok", f"{event_id} was answered {reason}"
            assert event_id not in acks, f"{event_id} was acked twice"
            acks[event_id] = int(sequence)
    return acks


def replay(port, last):
    logged = {}
    subscriber = Subscriber(port, credit=8192, until=last, beginning=True)
    for event, _ in subscriber.events():
        if event.source == NAME:
            assert event.id not in logged, f"{event.id} is in the log twice: {logged[event.id]} and {event.sequence}"
            logged[event.id] = event.sequence
    subscriber.close()
    return logged


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=600_000 if SLOW else 60_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with House() as house:
        house.start_broker()
        proxy = Proxy(house.port, BYTES_MIN, BYTES_MAX, arguments.seed)
        path = os.path.join(house.folder, "acks.tsv")
        with open(path, "wb") as acks_file:
            load = house.start("touchbus-test-load", "publish", f"127.0.0.1:{proxy.port}", NAME, stdout=acks_file)

            def enough():
                assert load.alive(), load.tail()
                return count_lines(path) >= arguments.events and proxy.cuts >= CUTS_MIN
            wait_for("enough acks and cuts", enough, RUN_S, pause=0.2)
            assert load.stop() == 0, load.tail()  # sends what is pending, through more cuts
        proxy.close()
        acks = read_acks(path)
        logged = replay(house.port, max(acks.values()))
        lost = set(acks.items()) - set(logged.items())
        extra = set(logged.items()) - set(acks.items())
        assert not lost, f"{len(lost)} acked but not in the log: {sorted(lost)[:5]}"
        assert not extra, f"{len(extra)} in the log but never acked: {sorted(extra)[:5]}"
        numbers = [int(i.rsplit("-", 1)[1]) for i in sorted(logged, key=logged.get)]
        assert numbers == list(range(1, len(numbers) + 1)), "not in the order they were published in"
        assert house.broker.stop() == 0
        print(f"{len(acks)} events over {proxy.cuts} cuts: each logged once, acked once, in order")


main()
