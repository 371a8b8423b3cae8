#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Kills the broker again and again under load, at random moments and at named points, and then accounts for every event:
what was acked is in the log exactly once with its body, and the view is the fold of the log.

Usage: kill.py [--rounds N] [--seed N]   (30 rounds, 300 with TOUCHBUS_SLOW; the seed is printed)
"""
import argparse
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import SLOW, House, wait_for  # noqa: E402

POINTS = ("between-commits", "in-restore-point", "while-trimming")
# Small, so that restore points and trims happen many times between two kills.
SETTINGS = ("--restore-interval", "300ms", "--retention-bytes", "4M")
LOADERS = ("loader-a", "loader-b")
SETTLE_S = 90


def lines(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield line.rstrip("\n").split("\t")


def one_round(house, rng, number):
    """Starts the broker, lets it work, has it killed. Returns the point's name, or 'random'."""
    point = rng.choice(POINTS) if number % 2 else None
    environment = {"TOUCHBUS_FAULTPOINT": f"{point}:{rng.randint(1, 6)}"} if point else {}
    broker = house.start_broker(*SETTINGS, environment=environment, wait=False)
    limit = time.monotonic() + (6.0 if point else rng.uniform(0.05, 1.5))
    while broker.alive() and time.monotonic() < limit:
        time.sleep(0.005)
    died_at_point = not broker.alive()
    status = broker.kill()
    assert status == -9, f"round {number}: the broker ended by itself with {status}:\n{broker.tail()}"
    return point if died_at_point else "random"


def account(house, acks, collected):
    """Every ack against what the collector saw; returns how many were compared."""
    by_event, by_sequence = {}, {}
    for source, event_id, body, sequence, _ in collected:
        event, sequence = (source, event_id, body), int(sequence)
        assert by_sequence.setdefault(sequence, event) == event, f"sequence {sequence} is two events: {event}, {by_sequence[sequence]}"
        assert by_event.setdefault((source, event_id), sequence) == sequence, f"{event} is in the log twice"
    last = max(by_sequence)
    missing = set(range(1, last + 1)) - set(by_sequence)
    assert not missing, f"the collector saw a gap: {sorted(missing)[:10]} of {last}"
    compared = 0
    for source, event_id, body, sequence, reason in acks:
        assert reason in ("ok", "duplicate"), f"{event_id} was answered {reason}"
        assert by_sequence.get(int(sequence)) == (source, event_id, body), f"{event_id} acked as {sequence} is not there"
        compared += 1
    return compared


def campaign(rounds, seed):
    rng = random.Random(seed)
    with House() as house:
        files = {name: os.path.join(house.folder, name + ".tsv") for name in (*LOADERS, "audit")}
        # The collector's subscription is there before the first event, so retention keeps what it has not settled.
        house.start_broker(*SETTINGS)
        workers = [house.start("touchbus-test-load", "collect", house.address, "audit", stdout=open(files["audit"], "wb"))]
        wait_for("the collector's subscription", lambda: house.touchbus("subscription", "show", "audit", check=False).returncode == 0)
        house.broker.kill()
        for name in LOADERS:
            workers.append(house.start("touchbus-test-load", "publish", house.address, name, stdout=open(files[name], "wb")))
        kills = {}
        for number in range(rounds):
            where = one_round(house, rng, number)
            kills[where] = kills.get(where, 0) + 1
            dead = [w for w in workers if not w.alive()]
            assert not dead, f"a worker ended:\n{dead[0].tail()}"
            print(f"round {number + 1}/{rounds}: killed at {where}", flush=True)
        house.start_broker(*SETTINGS)
        for worker in workers[1:]:
            assert worker.stop(SETTLE_S) == 0, worker.tail()
        head = house.ask("log", "info")["next"] - 1
        wait_for("the collector is at the head", lambda: house.ask("subscription", "show", "audit")["cursor"] >= head, SETTLE_S)
        assert workers[0].stop(SETTLE_S) == 0, workers[0].tail()
        acks = [ack for name in LOADERS for ack in lines(files[name])]
        assert len({a[1] for a in acks}) == len(acks), "an event was acked twice to its publisher"
        compared = account(house, acks, list(lines(files["audit"])))
        verify = house.ask("view", "verify", seconds=600)
        assert verify["equal"], verify
        info = house.ask("log", "info")
        assert info["first"] > 1, f"retention trimmed nothing: {info}"
        assert house.broker.stop() == 0
        print(f"kills: {kills}; acked and found: {compared}; log: {info['first']} to {info['next'] - 1}; view equal at {verify['applied']}")
        assert compared > rounds * 50, "hardly anything was published: the campaign tested nothing"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300 if SLOW else 30)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.rounds} rounds", flush=True)
    campaign(arguments.rounds, arguments.seed)


main()
