#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An attacker with a valid connector key, one attack after the other (attacks.py), each with its expected answer, while a well-behaved
connector beside it (libtouchbus, its window full) keeps at least half of its throughput: the median of several rounds, alone and under attack
in turn within one run, so that a busy machine is busy for both.

Usage: attacker.py [ATTACK...]
"""
import json
import os
import statistics
import subprocess
import sys
import time

from attacks import ATTACKS, ME, RATIONED, SEEN
from certificates import HERE, KeyHouse

from harness import SLOW, program, wait_for  # certificates has set the path

ROUND_S = 0.8
SETTLE_S = 0.3
ANSWER_S = 60
MEMORY_MIB_MAX = 1024  # at its worst; see broker/guard.h
with open(program("touchbusd"), "rb") as binary:
    content = binary.read()
    SANITIZED = b"__asan_init" in content or b"__tsan_init" in content
memory = []
ROUNDS = 15 if SLOW else 1  # more only where the first is near the bound
ROUNDS_MAX = 75 if SLOW else 15
RATIO_MIN, RATIO_PLAIN = 0.5, 0.65


class Good:
    """The connector beside: its acks are lines of a file."""

    def __init__(self, house):
        self.path = os.path.join(house.folder, "acks.tsv")
        own = house.keys["good"].write(os.path.join(house.folder, "good.key_secret"), secret=True)
        broker = house.own.write(os.path.join(house.folder, "broker.key"))
        with open(self.path, "wb") as file:
            self.process = house.start("touchbus-test-load", "publish", house.address, "good", stdout=file,
                                       environment={"TOUCHBUS_KEY": own, "TOUCHBUS_BROKER_KEY": broker})
        self.file = open(self.path, "rb")
        self.count = 0

    def acks(self):
        """How many there are by now."""
        while True:
            data = self.file.read(1 << 20)
            if not data:
                return self.count
            self.count += data.count(b"\n")

    def rate(self):
        began, before = time.monotonic(), self.acks()
        time.sleep(ROUND_S)
        return (self.acks() - before) / (time.monotonic() - began)


def begin(house, name, key):
    process = subprocess.Popen([sys.executable, os.path.join(HERE, "attacks.py"), name, str(house.port), " ".join(k.decode() for k in house.of(key))],
                               stdout=subprocess.PIPE, text=True)
    house.processes.append(Ended(process))
    return process


class Ended:
    """What a house stops at its end: a process of ours."""

    def __init__(self, process):
        self.popen = process

    def alive(self):
        return self.popen.poll() is None


def end(process):
    process.terminate()
    out, _ = process.communicate(timeout=ANSWER_S)
    assert process.returncode == 0, f"the attacker ended with {process.returncode}"
    return json.loads(out.splitlines()[-1])


def one_round(house, good, name, told):
    """(alone, under attack), events a second; what the attacker was answered goes into told."""
    time.sleep(SETTLE_S)
    alone = good.rate()
    process = begin(house, name, RATIONED if "quota" in name else ME)
    assert process.stdout.readline() == "begins\n", name
    time.sleep(SETTLE_S)
    attacked = good.rate()
    memory.append(memory_mib(house))
    answers = end(process)
    assert answers["wrong"] is None, f"{name}: {answers}"
    for code, count in answers["codes"].items():
        told[code] = told.get(code, 0) + count
    return alone, attacked


def run(house, good, name):
    rounds, told = [], {}
    while not rounds or (len(rounds) < ROUNDS_MAX and ratio < RATIO_PLAIN):  # what is near the bound is looked at longer
        rounds += [one_round(house, good, name, told) for _ in range(ROUNDS)]
        alone, attacked = (statistics.median(rates) for rates in zip(*rounds))
        ratio = attacked / alone if alone else 0  # a disk that stands still gives nobody anything
    assert told, f"{name}: no answer at all"
    assert str(SEEN.get(name, next(iter(told)))) in told, f"{name}: {told}"
    print(f"{name:45s} {alone:8.0f} -> {attacked:8.0f} events/s, ratio {ratio:.2f} of {len(rounds)} rounds, answered {told}", flush=True)
    return ratio


def memory_mib(house):
    with open(f"/proc/{house.broker.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) / 1024


def main():
    names = sys.argv[1:] or list(ATTACKS)
    roles = ["attacked publish=page.viewed subscribe=%n,%n/* receive=page.*", "rationed publish=page.viewed quota=1000"]
    with KeyHouse(good="connector", mallory="attacked", limited="rationed", boss="admin") as house:
        house.start_keyed(*[word for role in roles for word in ("--role", role)])
        good = Good(house)
        wait_for("the first acks", lambda: good.acks() > 1000)
        _, message = house.subscribe("good", "good", end=True)
        assert message.WhichOneof("body") == "subscribed"
        ratios = {name: run(house, good, name) for name in names}
        assert good.process.stop() == 0
        assert house.query("boss", "subscription.show", name="good").code == 0  # and it is where it was
        assert house.broker.alive(), house.broker.tail()
        print(f"memory at its worst: {max(memory):.0f} MiB")
        assert SANITIZED or max(memory) < MEMORY_MIB_MAX
        slow = {name: ratio for name, ratio in ratios.items() if ratio < RATIO_MIN}
        assert not slow, f"less than half of its throughput was left: {slow}"
        assert house.broker.stop() == 0


main()
