#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An unnamed tail keeps no cursor in the broker: the client goes on behind the last event it gave out. The broker is killed and
started again under load; the tail shows every sequence once, in order.

Usage: tail.py [--restarts N]
"""
import argparse
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import SLOW, House, wait_for  # noqa: E402


def sequences(path):
    """Of the lines that are whole. Read at once: a line read in two pieces, as the tail writes it, would pass for one."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    return [int(json.loads(line)["sequence"]) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=20 if SLOW else 4)
    arguments = parser.parse_args()
    with House() as house:
        house.start_broker()
        path = os.path.join(house.folder, "tail.jsonl")
        with open(path, "wb") as out, open(os.devnull, "wb") as null:
            tail = house.start("touchbus", "--broker", house.address, "sub", "-j", "--from", "beginning", stdout=out)
            load = house.start("touchbus-test-load", "publish", house.address, "tail", stdout=null)
            for _ in range(arguments.restarts):
                seen = len(sequences(path))
                wait_for("the tail goes on", lambda: len(sequences(path)) > seen + 500)
                house.broker.kill()
                time.sleep(0.3)
                house.start_broker()
            assert load.stop() == 0, load.tail()
            head = house.ask("log", "info")["next"] - 1
            wait_for("the tail is at the head", lambda: (sequences(path) or [0])[-1] >= head)
            assert tail.alive(), tail.tail()
            tail.stop()
        seen = sequences(path)
        assert seen == list(range(1, head + 1)), f"{len(seen)} events, {len(set(seen))} of {head} different"
        assert house.broker.stop() == 0
    print(f"{head} events over {arguments.restarts} restarts: each once, in order")


main()
