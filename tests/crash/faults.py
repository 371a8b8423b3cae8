#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The N-th write of touchbusd finds no space, the N-th sync a broken disk, and all after it the same: it ends with 70 (with 1 where it
was still starting), has acked nothing that is lost, and its next start has everything. Control: a broker that acks before the commit is
caught by the same judge.

Usage: faults.py [--runs N] [--seed N]     runs a kind of fault; TOUCHBUS_SLOW: every N there is
"""
import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile

from record import PUBLISHERS, SETTINGS, Record, Stage, program

SLOW = os.environ.get("TOUCHBUS_SLOW") not in (None, "", "0")
EVENTS, BATCH = 60, 6
OPERATIONS_MAX = 4000   # of one run, far above what it does
KINDS = ("CRASH_FAIL_WRITE", "CRASH_FAIL_SYNC")
GAVE_UP = (70, 1)       # 1: refused to start
RUN_S = 30
CONTROL_RUNS_MAX = 60   # about every second one is caught
# Restore points and the base move within a run as well.
FAULT_SETTINGS = (*SETTINGS, "--restore-interval", "100ms", "--retention-bytes", "100K")


def prepare(folder):
    """A state with a history: the files that each run begins with."""
    with Stage(folder, settings=FAULT_SETTINGS) as stage:
        client = stage.client("publish", PUBLISHERS[0], "400")
        stage.begin(CRASH_SYNC_US=0)
        stage.ready()
        assert stage.until(lambda: not client.alive(), RUN_S), "the first events were not acked"
        assert client.wait() == 0, client.tail()
        stage.end(allowed=(0,))
        return stage.record


def judge(state, *records):
    """None, or what is wrong with a state that must hold all that the records' clients saw."""
    accounts = [account for record in records for account in record.accounts()]
    done = subprocess.run([program("crash-cut"), "-", state, "--judge", *accounts], capture_output=True, text=True, errors="replace",
                          timeout=120, check=False)
    return f"{done.stdout}{done.stderr}" if done.returncode else None


def one_run(folder, start, daemon="touchbusd", **settings):
    """Whether the fault was met, and a complaint or None."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    if os.path.exists(start.state):
        shutil.copytree(start.state, os.path.join(folder, "state"), ignore=shutil.ignore_patterns("publish", "subscribe", "query"))
    with Stage(folder, daemon, FAULT_SETTINGS) as stage:
        client = stage.client("publish", PUBLISHERS[1], str(EVENTS), str(BATCH))
        broker = stage.begin(CRASH_SYNC_US=0, **settings)
        stage.until(lambda: not client.alive(), RUN_S)
        status = broker.stop()
        client.stop()
        tail = broker.tail(3)
        acked = stage.record.n_acked()
    complaint = judge(stage.record.state, start, stage.record)
    if complaint:
        return True, f"ended with {status} after {acked} acks, and then: {complaint}"
    if status not in (0, *GAVE_UP):
        return True, f"ended with {status}: {tail}"
    if status == 0 and acked < EVENTS:
        return True, f"ended as if all were well after {acked} of {EVENTS} acks: {tail}"
    return status != 0, None


def numbers(rng, n_runs, last):
    """The N to try of 1 to last."""
    every = list(range(1, last + 1))
    return every if SLOW or n_runs >= last else sorted(rng.sample(every, n_runs))


def count(folder, start, kind):
    """The last N that a run meets, found by halving. Runs differ a little, which does not matter."""
    low, high = 1, 64
    while high < OPERATIONS_MAX and one_run(folder, start, **{kind: str(high)})[0]:
        low, high = high, 2 * high
    while high - low > max(4, low // 20):
        middle = (low + high) // 2
        if one_run(folder, start, **{kind: str(middle)})[0]:
            low = middle
        else:
            high = middle
    return low


def try_all(run, start, kind, n_runs, rng):
    """The complaints."""
    last, met, wrong = count(run, start, kind), 0, []
    tried = numbers(rng, n_runs, last)
    for n in tried:
        gave_up, complaint = one_run(run, start, **{kind: str(n)})
        met += gave_up
        if complaint:
            wrong.append(f"{kind}={n}: {complaint}")
    print(f"{kind}, {os.path.basename(start.folder)}: {len(tried)} of 1 to {last} tried, {met} gave up, {len(wrong)} wrong", flush=True)
    assert met > len(tried) // 2, "hardly any run met its fault: this proves nothing"
    return wrong


def control(run, start, rng):
    """The complaint about the first run that is caught, or None. Which syncs come with an ack on its way is a matter of the machine's
    pace: all that a run has are drawn from."""
    last = count(run, start, "CRASH_FAIL_SYNC")
    for n in rng.sample(range(1, last + 1), min(CONTROL_RUNS_MAX, last)):
        _, complaint = one_run(run, start, "touchbusd-control-ack-after-commit", CRASH_FAIL_SYNC=str(n))
        if complaint:
            return complaint
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    given = options.parse_args()
    rng = random.Random(given.seed)
    print(f"seed {given.seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="touchbus-faults-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        run = os.path.join(folder, "run")
        start, nothing = prepare(os.path.join(folder, "start")), Record(os.path.join(folder, "nothing"))
        wrong = []
        for kind, begin in itertools.product(KINDS, (start, nothing)):
            wrong += try_all(run, begin, kind, given.runs, rng)
        print("\n".join(wrong[:10]))
        caught = control(run, start, rng)
        print(f"control {'caught' if caught else 'NOT CAUGHT, so this proves nothing'}: acked before the commit: {caught}")
        return 0 if caught and not wrong else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
