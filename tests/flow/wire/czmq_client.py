#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A C application on CZMQ, without libtouchbus, publishes and replays: the wire needs no library of ours."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, program  # noqa: E402


def main():
    with House() as house:
        house.start_broker()
        done = subprocess.run([program("touchbus-test-czmq"), str(house.port)], text=True, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        acked = {line[1]: line[2] for line in lines if line[0] == "acked"}
        events = {line[1]: line[2] for line in lines if line[0] == "event"}
        assert len(acked) == 3 and events == acked, done.stdout
        assert all(line[3] == "u-czmq" for line in lines if line[0] == "event"), done.stdout
        assert house.ask("log", "info")["events"] == 3
        assert house.broker.stop() == 0
    print("published and replayed 3 events, from CZMQ")


main()
