#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A letter, a call and an e-mail with one content, asked for at once by three processes under three keys of one customer: one is
approved each time, and the others are told whose sequence decided. 20 rounds, 1,000 with TOUCHBUS_SLOW.

Usage: race.py [--rounds N]
"""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import SLOW, House, program  # noqa: E402

POLICY = 'contact:\n  quiet_from: "00:00"\n  quiet_until: "00:00"\n'


def main():
    rounds = int(sys.argv[2]) if sys.argv[1:2] == ["--rounds"] else 1000 if SLOW else 20
    with House() as house:
        policy = os.path.join(house.folder, "policy.yaml")
        with open(policy, "w", encoding="utf-8") as file:
            file.write(POLICY)
        house.start_broker("--policy", policy)
        done = subprocess.run([program("touchbus-test-racer"), house.address, str(rounds)], capture_output=True, text=True,
                              timeout=120 + rounds, check=False)
        print(done.stdout + done.stderr)
        assert done.returncode == 0, done.returncode
        result = json.loads(done.stdout)
        assert result["letter"] + result["phone"] + result["email"] == rounds == result["rounds"], result
        assert house.ask("view", "verify")["equal"] is True
        assert house.broker.stop() == 0


main()
