#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts under the real touchbusd, simulated. Several of its lives with clients (some killed, also within a start or a synchronous
write) are recorded; at sampled moments the files are made as a power cut could have left them; each such state is judged (judge.c), one
in nine by touchbusd itself, over the wire (wire.py). README.md says what a state is and how a failing one is read and replayed.

The controls are brokers, and a judge, with one guard left out: each must be caught, or the campaign proves nothing.

Usage: crash.py [--log N] [--recovery N] [--seed N]
       crash.py --record DIR --kind log|recovery --seed N --state N [--keep]     one state of a record that was kept
"""
import argparse
import glob
import os
import random
import shutil
import sys
import tempfile
import time

import wire
from record import Record, Remains, killed_behind_renames, killed_while_syncing, record

SLOW = os.environ.get("TOUCHBUS_SLOW") not in (None, "", "0")
STATES_A_RECORD = 400 if SLOW else 200    # of the log; recovery states in proportion
# Of four records one is of kills within synchronous writes, in which nothing hides a sync that is missing, one begins with what a cut
# of the record before has left, so that its states are of two cuts, and one is of kills right behind renamings.
CALM, CUT_BEFORE, RENAMED, N_WAYS = 1, 2, 3, 4
LIVES = 8
KEEP_EVERY = 17 if SLOW else 9   # of the states are judged over the wire
COMPLAINTS_MAX = 10
KEPT_MAX = 3                # records with failing states, some 75 MiB each
CONTROL_ROUNDS_MAX = 40     # records, each with fresh states; one suffices nearly always, of names one in four
CONTROL_STATES = 60


def judge(recorded, kind, n, seed, images):
    """The complaints about n states of a record."""
    done = recorded.cut("--kind", kind, "--states", str(n), "--seed", str(seed), "--keep-every", str(KEEP_EVERY),
                        "--stop-after", str(COMPLAINTS_MAX), folder=images)
    wrong = []
    for line in done.stdout.splitlines()[:-1]:
        if not line.startswith("kept\t"):
            wrong.append(line)
            continue
        _, state, offset, image = line.split("\t")
        verdict = wire.judge(recorded, image, int(offset)) if len(wrong) < COMPLAINTS_MAX else None
        if verdict:
            wrong.append(f"{kind} {state}, over the wire: {verdict}")
        shutil.rmtree(image)
    return wrong


def keep(recorded, seed, wrong):
    """A record with a failing state outlives the campaign, with the command that looks at it."""
    kept = os.path.join(tempfile.gettempdir(), f"touchbus-crash-{seed}")
    before = sorted(glob.glob(os.path.join(tempfile.gettempdir(), "touchbus-crash-*")), key=os.path.getmtime)
    for old in {kept, *before[:-KEPT_MAX + 1]}:
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(recorded.folder, kept, ignore=shutil.ignore_patterns("state"))
    print("\n".join(wrong), "\nlook at one with:", f"crash.py --record {kept} --seed {seed} --kind KIND --state STATE --keep", flush=True)


def campaign(folder, n_log, n_recovery, rng):
    """Whether every state was right."""
    n_records = max(N_WAYS, -(-n_log // STATES_A_RECORD))
    images = os.path.join(folder, "images")
    os.makedirs(images, exist_ok=True)
    remains = None
    n_done, n_acked, began = {"log": 0, "recovery": 0}, 0, time.monotonic()
    for number in range(n_records):
        seed = rng.getrandbits(32)
        way = number % N_WAYS
        making = {CALM: {"plan": killed_while_syncing(rng), "calm": True}, CUT_BEFORE: {"remains": remains},
                  RENAMED: {"plan": killed_behind_renames(rng)}}.get(way, {})
        recorded = record(os.path.join(folder, "record"), rng, LIVES, **making)
        n_acked += recorded.n_acked()
        for kind, total in (("log", n_log), ("recovery", n_recovery)):
            n = total * (number + 1) // n_records - total * number // n_records
            wrong = judge(recorded, kind, n, seed, images)
            n_done[kind] += n
            if wrong:
                keep(recorded, seed, wrong)
                return False
        if way != CALM:   # the last that has all of it: retention, erasures
            remains = Remains(recorded, seed, os.path.join(folder, "remains"))
        shutil.rmtree(recorded.folder)
        if n_records > 4:
            print(f"{n_done['log']} log and {n_done['recovery']} recovery states, none wrong, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{n_done['log']} log and {n_done['recovery']} recovery states of {n_records} records with {n_acked} acked events, none wrong")
    return True


# Name -> (how the record is made, how its states are judged).
CONTROLS = {
    "the log without sync": ({"daemon": "touchbusd-control-log-sync"}, {"kind": "log"}),
    "no sync at a start": ({"daemon": "touchbusd-control-log-startup-sync", "plan": killed_while_syncing, "calm": True}, {"kind": "first"}),
    "a point of the log before its file is synced": ({"daemon": "touchbusd-control-log-data-sync"}, {"kind": "log"}),
    "the log's journal used again before the point is synced": ({"daemon": "touchbusd-control-log-point-sync"}, {"kind": "log"}),
    "the log's journal not read": ({}, {"kind": "log", "program_name": "crash-cut-control-log-replay"}),
    "acked before the commit": ({"daemon": "touchbusd-control-ack-after-commit"}, {"kind": "log"}),
    "the view opened as found": ({}, {"kind": "recovery", "program_name": "crash-cut-control-restore-at-start"}),
    "a restore point's copy without sync": ({"daemon": "touchbusd-control-copy-sync"}, {"kind": "recovery"}),
    "names that a killed life left, not synced at a start": ({"daemon": "touchbusd-control-startup-names", "plan": killed_behind_renames},
                                                             {"kind": "named"}),
    "keys without sync": ({}, {"kind": "log", "unsynced": "keys/data.mdb"}),
    "the base without sync": ({}, {"kind": "recovery", "unsynced": "base/data.mdb"}),
}


def control(folder, rng, made, judged):
    """The complaint about a state whose guard is left out; None where none was found."""
    for _ in range(CONTROL_ROUNDS_MAX):
        making = dict(made)
        if "plan" in making:
            making["plan"] = making["plan"](rng)
        recorded = record(os.path.join(folder, "control"), rng, 6, **making)
        options = ["--unsynced", judged["unsynced"]] if "unsynced" in judged else []
        done = recorded.cut("--kind", judged["kind"], "--states", str(CONTROL_STATES), "--seed", str(rng.getrandbits(32)), "--stop-after", "1",
                            *options, folder=recorded.folder, program_name=judged.get("program_name", "crash-cut"))
        shutil.rmtree(recorded.folder)
        if done.returncode:
            return done.stdout.splitlines()[0]
    return None


def controls(folder, rng):
    """Whether each was caught."""
    caught = True
    for name, (made, judged) in CONTROLS.items():
        complaint = control(folder, rng, made, judged)
        print(f"control {'caught' if complaint else 'NOT CAUGHT, so this campaign proves nothing'}: {name}: {(complaint or '')[-150:]}", flush=True)
        caught = caught and complaint is not None
    return caught


def replay(given):
    """One state of a record that was kept: by both judges, or left in its folder."""
    recorded = Record(given.record)
    one = ("--kind", given.kind, "--seed", str(given.seed), "--state", str(given.state))
    kept = recorded.cut(*one, "--keep").stdout
    print(kept, end="")
    _, _, offset, image = kept.rstrip("\n").split("\t")
    if given.keep:
        print(f"what it must hold: lines of {' '.join(recorded.accounts())} whose first number is {offset} at most")
        return True
    verdict = wire.judge(recorded, image, int(offset))
    shutil.rmtree(image)
    done = recorded.cut(*one)
    print(done.stdout, f"over the wire: {verdict or 'right'}", sep="")
    return verdict is None and done.returncode == 0


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--log", type=int, default=20000 if SLOW else 500)
    options.add_argument("--recovery", type=int, default=5000 if SLOW else 200)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options.add_argument("--record")
    options.add_argument("--kind", default="log")
    options.add_argument("--state", type=int)
    options.add_argument("--keep", action="store_true")
    given = options.parse_args()
    if given.record:
        return 0 if replay(given) else 1
    rng = random.Random(given.seed)
    print(f"seed {given.seed}, {given.log} log states, {given.recovery} recovery states", flush=True)
    folder = tempfile.mkdtemp(prefix="touchbus-crash-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        right = campaign(folder, given.log, given.recovery, rng)
        return 0 if right and controls(folder, rng) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
