#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""touchbus bench runs every phase and names every figure. Says nothing about how fast anything is."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import program  # noqa: E402

FIGURES = ("acked_per_s", "ack_p50_us", "ack_p99_us", "single_p50_us", "deliver_per_s", "replay_per_s", "query_p99_us", "customers",
           "event_bytes", "events")
CUSTOMERS = 300


def bench(*arguments):
    environment = {k: v for k, v in os.environ.items() if k != "TOUCHBUS_BROKER"}
    return subprocess.run([program("touchbus"), "bench", *arguments], text=True, capture_output=True, timeout=280, check=False, env=environment)


def main():
    with tempfile.TemporaryDirectory(prefix="touchbus-test-") as folder:
        done = bench("-j", "--seconds", "1", "--customers", str(CUSTOMERS), "--state", folder, "--spawn", program("touchbusd"))
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        assert not os.listdir(folder), "the state of the temporary broker is still there"
        (line,) = done.stdout.splitlines()
        figures = json.loads(line)
        missing = [name for name in FIGURES if not figures.get(name, 0) > 0]
        assert not missing, f"{missing} in {figures}"
        assert figures["customers"] == CUSTOMERS, figures
        assert 250 < figures["event_bytes"] < 350, figures
    assert bench("--seconds", "0").returncode == 2
    assert bench("one-word-too-many").returncode == 2
    print("bench: every phase ran")


main()
