#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Histories from seeds through the real broker, judged. Usage: histories.py [SEED...]; README.md beside this file.

Without seeds: HISTORIES of them (TOUCHBUS_SLOW: HISTORIES_SLOW), from TOUCHBUS_SEED or 1 on. A history that is judged wrong is shrunk
to the steps and events that it takes, and printed; the exit code is then 1.
"""
import json
import os
import sys
import time

from driver import Died, Driver
from kinds import KINDS, READY

HISTORIES, HISTORIES_SLOW = 500, 10000
FINDINGS_MAX = int(os.environ.get("TOUCHBUS_FINDINGS", "5"))  # then it stops
SHRINKS_MAX = 400  # runs of the broker spent on one


class Campaign:
    def __init__(self):
        self.driver = Driver()
        self.runs = 0

    def run(self, kind, steps):
        """[(property, text)]; a driver that died is a finding, too, and another is started."""
        self.runs += 1
        try:
            return KINDS[kind].run(self.driver, steps)
        except Died as died:
            self.driver.end()
            self.driver = Driver()
            return [("alive", str(died))]

    def shrink(self, kind, steps, name):
        """The fewest steps, and events in them, with which the same property fails."""
        left = SHRINKS_MAX

        def fails(candidate):
            nonlocal left
            left -= 1
            return any(found == name for found, _ in self.run(kind, candidate))

        steps, size = list(steps), max(1, len(steps) // 2)
        while size >= 1 and left > 0:
            at = 0
            while at < len(steps) and left > 0:
                candidate = steps[:at] + steps[at + size:]
                if candidate and fails(candidate):
                    steps = candidate
                else:
                    at += size
            size //= 2
        for at, step in enumerate(steps):  # events of one tick, keys of an event
            for index in range(len(step.get("events", [])) - 1, -1, -1):
                if len(steps[at]["events"]) > 1 and left > 0:
                    events = steps[at]["events"]
                    candidate = steps[:at] + [{**steps[at], "events": events[:index] + events[index + 1:]}] + steps[at + 1:]
                    if fails(candidate):
                        steps = candidate
        return steps


def main():
    slow = bool(os.environ.get("TOUCHBUS_SLOW"))
    first = int(os.environ.get("TOUCHBUS_SEED", "1"))
    count = int(os.environ.get("TOUCHBUS_HISTORIES", HISTORIES_SLOW if slow else HISTORIES))
    seeds = [int(word) for word in sys.argv[1:]] or range(first, first + count)
    kinds = os.environ.get("TOUCHBUS_KINDS", " ".join(READY)).split()
    campaign, found, began, n_run = Campaign(), 0, time.monotonic(), 0
    for seed in seeds:
        # An explicit seed is run as every kind; else kinds take turns.
        for kind in (kinds if sys.argv[1:] else [kinds[seed % len(kinds)]]):
            n_run += 1
            steps = KINDS[kind].make(seed)
            findings = campaign.run(kind, steps)
            if not findings:
                continue
            found += 1
            name = findings[0][0]
            small = campaign.shrink(kind, steps, name)
            print(f"\n==== seed {seed} ({kind}): {name}\n" + "\n".join(json.dumps(step) for step in small))
            for property_, text in campaign.run(kind, small):
                print(f"  {property_}: {text}")
            sys.stdout.flush()
        if found >= FINDINGS_MAX:
            print("too many findings: stopped")
            break
    campaign.driver.end()
    print(f"histories: seeds {seeds[0]}..{seed}: {n_run} histories, {campaign.runs} runs, {found} wrong, "
          f"{time.monotonic() - began:.0f} s; kinds: {' '.join(kinds)}")
    sys.exit(1 if found else 0)


main()
