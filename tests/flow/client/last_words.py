#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A member settles, leaves, and closes its connection at once, while the broker has more for it. What it settled is settled: the next
member goes on behind it, although the broker found the first one unreachable before it had read that. Several at a time, so that the
broker is sometimes late.

Usage: last_words.py [--rounds N] [--side-by-side N]
"""
import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import SLOW, House, program  # noqa: E402

EVENTS, TAKEN, LEFT = 3000, 2, 1


def sequences(house, name, n):
    done = subprocess.run([program("example-subscribe"), house.address, name, str(n)], text=True, capture_output=True, timeout=60, check=True)
    return [int(json.loads(line)["sequence"]) for line in done.stdout.splitlines()]


def one(house, name):
    taken = sequences(house, name, TAKEN)
    behind = sequences(house, name, LEFT)
    assert taken == [1, 2] and behind == [3], f"{name}: took and settled {taken}, then was given {behind}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000 if SLOW else 500)  # below SUBSCRIPTIONS_MAX: each has a name of its own
    parser.add_argument("--side-by-side", type=int, default=6)
    arguments = parser.parse_args()
    with House() as house:
        house.start_broker()
        subprocess.run([program("example-publish"), house.address, str(EVENTS)], stdout=subprocess.DEVNULL, timeout=60, check=True)
        with ThreadPoolExecutor(arguments.side_by_side) as pool:
            for done in [pool.submit(one, house, f"words-{number}") for number in range(arguments.rounds)]:
                done.result()
        assert house.broker.stop() == 0
    print(f"{arguments.rounds} members left and were followed by another, none was given what was settled")


main()
