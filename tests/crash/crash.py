#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts, simulated: several lives of a worker (some killed, also within a synchronous write) are recorded (record.c); at sampled
moments the files are made as a power cut could have left them; each such state is opened and judged (work.c).

A file after a cut: what was synced, and of every page written since any one of its versions, or a mixture of two of them by sectors of
512 bytes (the first sector of a page is whole). The folder's changes come back in order, up to any point at or after the last that was
synced, as journals do it. The controls leave syncs out of the record, and must fail: a campaign whose controls pass proves nothing.

Then writes fail for want of space, and syncs for a broken disk, from the N-th on, for many N: the worker gives up, and the next start
has everything that was acked.

Usage: crash.py [--states N] [--seed N] [--keep]
"""
import argparse
import collections
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

PAGE, SECTOR, HEAD = 4096, 512, 15
SLOW = os.environ.get("TOUCHBUS_SLOW") not in (None, "", "0")
BIN = os.environ["TOUCHBUS_BIN"]
Op = collections.namedtuple("Op", "kind path offset data")


def read_trace(path):
    with open(path, "rb") as file:
        raw = file.read()
    ops, at = [], 0
    while at < len(raw):
        kind, n_path, n_data, offset = struct.unpack_from("<cHIQ", raw, at)
        at += HEAD
        ops.append(Op(kind.decode(), raw[at:at + n_path].decode(), offset, raw[at + n_path:at + n_path + n_data]))
        at += n_path + n_data
    return ops


class File:
    """What of one file is on disk for certain, and what may be: per page, its versions since."""

    def __init__(self):
        self.disk = bytearray()
        self.now = bytearray()
        self.versions = {}   # page -> [bytes, ...]
        self.sizes = []      # since the last sync

    def write(self, offset, data, synchronous):
        end = offset + len(data)
        if end > len(self.now):
            self.now.extend(bytes(end - len(self.now)))
            self.sizes.append(end)
        self.now[offset:end] = data
        for page in range(offset // PAGE, (end + PAGE - 1) // PAGE):
            self.versions.setdefault(page, []).append(bytes(self.now[page * PAGE:(page + 1) * PAGE]))
        if synchronous:  # this range only
            if end > len(self.disk):
                self.disk.extend(bytes(end - len(self.disk)))
            self.disk[offset:end] = data

    def truncate(self, size):
        del self.now[size:]
        self.now.extend(bytes(size - len(self.now)))
        self.sizes.append(size)
        self.versions = {page: v for page, v in self.versions.items() if page * PAGE < size}

    def sync(self):
        self.disk = bytearray(self.now)
        self.versions.clear()
        self.sizes.clear()

    def after_cut(self, rng):
        out = bytearray(self.disk)
        for page, versions in self.versions.items():
            old = bytes(self.disk[page * PAGE:(page + 1) * PAGE]).ljust(PAGE, b"\0")
            choices = [old] + [v.ljust(PAGE, b"\0") for v in versions]
            bytes_now = rng.choice(choices)
            if rng.random() < 0.2:
                other = rng.choice(choices)
                bytes_now = b"".join((bytes_now if i == 0 or rng.random() < 0.5 else other)[i:i + SECTOR]
                                     for i in range(0, PAGE, SECTOR))
            if len(out) < (page + 1) * PAGE:
                out.extend(bytes((page + 1) * PAGE - len(out)))
            out[page * PAGE:(page + 1) * PAGE] = bytes_now
        size = rng.choice([len(self.disk)] + self.sizes)
        # A page that is there makes the file reach to it; what a size alone adds reads as zeros.
        return bytes(out[:max(size, 0)]).ljust(size, b"\0")


class Disk:
    def __init__(self, ignore):
        self.ignore = ignore      # (op, index) -> whether a sync is left out: the controls
        self.files = {}           # identity -> File
        self.changes = []         # (kind, arguments), the folder's, in order
        self.n_certain = 0
        self.names = {}           # now: path -> identity, None for a folder
        self.acked = 0
        self.n = 0

    def change(self, kind, *arguments):
        self.changes.append((kind, *arguments))
        apply_change(self.names, kind, *arguments)

    def apply(self, op):
        self.n += 1
        file = self.files.get(self.names.get(op.path))
        if op.kind in "wW":
            file.write(op.offset, op.data, op.kind == "W" and not self.ignore(op, self))
        elif op.kind == "s":
            if not self.ignore(op, self):
                file.sync()
        elif op.kind == "D":
            self.n_certain = len(self.changes)
        elif op.kind == "t":
            file.truncate(op.offset)
        elif op.kind == "c":
            identity = len(self.files)
            self.files[identity] = File()
            self.change("make", op.path, identity)
        elif op.kind == "m":
            self.change("make", op.path, None)
        elif op.kind == "u":
            self.change("remove", op.path)
        elif op.kind == "r":
            self.change("rename", op.path, op.data.decode())
        elif op.kind == "a":
            self.acked = max(self.acked, int(op.data))

    def cut(self, rng, folder):
        names = {}
        for change in self.changes[:rng.randint(self.n_certain, len(self.changes))]:
            apply_change(names, *change)
        os.mkdir(folder)
        for path in sorted(names):
            target = os.path.join(folder, path)
            if names[path] is None:
                os.makedirs(target, exist_ok=True)
            elif os.path.basename(path) != "lock.mdb":
                with open(target, "wb") as file:
                    file.write(self.files[names[path]].after_cut(rng))


def apply_change(names, kind, path, other=None):
    if kind == "make":
        names[path] = other
    elif kind == "remove":
        names.pop(path, None)
    else:
        for name in [n for n in names if n == path or n.startswith(path + "/")]:
            names[other + name[len(path):]] = names.pop(name)


def record(folder, rng, lives):
    """Runs the worker several times; the trace, and at which records a life began."""
    state, trace = os.path.join(folder, "state"), os.path.join(folder, "trace")
    os.mkdir(state)
    began = []
    for life in range(lives):
        began.append(len(read_trace(trace)) if life else 0)
        environment = {**os.environ, "LD_PRELOAD": os.path.join(BIN, "libcrash-record.so"), "CRASH_ROOT": state, "CRASH_TRACE": trace}
        if life % 3 == 1:
            environment["CRASH_KILL_OP"] = str(rng.randint(20, 400))
        elif life % 3 == 2:
            environment["CRASH_KILL_DSYNC"] = str(rng.randint(2, 20))
        done = subprocess.run([os.path.join(BIN, "crash-work"), state, str(rng.getrandbits(40)), "25"], env=environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert done.returncode in (0, -9), f"life {life}: {done.returncode}: {done.stderr}"
    return read_trace(trace), began


def judge(ops, moments, rng, ignore, folder, stop_after=None):
    """Cuts the power at those moments; the complaints."""
    disk, wrong, at = Disk(ignore), [], 0
    for moment in sorted(moments):
        for op in ops[at:moment]:
            disk.apply(op)
        at = moment
        image = os.path.join(folder, "cut")
        shutil.rmtree(image, ignore_errors=True)
        disk.cut(rng, image)
        if KEEP:
            shutil.rmtree(os.path.join(folder, "kept"), ignore_errors=True)
            shutil.copytree(image, os.path.join(folder, "kept"))
        done = subprocess.run([os.path.join(BIN, "crash-work"), "--check", image, str(disk.acked)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, errors="replace", timeout=120, check=False)
        if done.returncode:
            wrong.append(f"cut at {moment} of {len(ops)}: exit {done.returncode}: {done.stderr.strip()[-400:]}")
            if KEEP or (stop_after and len(wrong) >= stop_after):
                return wrong
    return wrong


def sample(ops, began, rng, n):
    """A third anywhere, a third right after an ack, a third after the first ack of a life: what a start has seen it must have kept."""
    acks = [i + 1 for i, op in enumerate(ops) if op.kind == "a"]
    firsts = [min((a for a in acks if a > life), default=acks[-1]) for life in began]
    return [rng.choice((rng.randint(1, len(ops)), rng.choice(acks), rng.choice(firsts))) for _ in range(n)]


def acked_early(ops):
    """The record of a worker that acks before its log is synced: each ack stands ahead of the write that commits it."""
    out = []
    for op in ops:
        out.append(op)
        if op.kind == "a":
            commits = [i for i, o in enumerate(out[-200:], max(len(out) - 200, 0)) if o.kind == "W" and o.path == "log/data.mdb"]
            if commits:
                out.insert(commits[-1], out.pop())
    return out


def never_synced(ops, began):
    return ops, lambda op, disk: op.path == "log/data.mdb"


def no_sync_at_a_start(ops, began):
    starts = set()

    def first_log_sync_of_a_life(op, disk):
        if op.path != "log/data.mdb" or op.kind != "s":
            return False
        life = max(i for i, n in enumerate(began) if n < disk.n)
        fresh = life not in starts
        starts.add(life)
        return fresh and life > 0

    return ops, first_log_sync_of_a_life


def view_not_synced(ops, began):
    return ops, lambda op, disk: op.path == "view/data.mdb"


def acked_before_the_commit(ops, began):
    return acked_early(ops), lambda op, disk: False


# Name -> (record, lives' beginnings) -> the record and which syncs are left out of it.
CONTROLS = {
    "the log is never synced": never_synced,
    "no sync at a start": no_sync_at_a_start,
    "the view is not synced for its restore point": view_not_synced,
    "acked before the commit": acked_before_the_commit,
}
CONTROL_ROUNDS_MAX = 24
ROUNDS_A_RECORD = 2  # whether a record has the moment that matters is chance, so the next rounds take another


def control(name, folder, recorded, rng):
    """The first complaint about a record with its guard left out; None where no round caught it."""
    for number in range(CONTROL_ROUNDS_MAX):
        inner = os.path.join(folder, "control")
        shutil.rmtree(inner, ignore_errors=True)
        os.mkdir(inner)
        if number and number % ROUNDS_A_RECORD == 0:
            recorded = record(inner, rng, lives=9)
        ops, ignore = CONTROLS[name](*recorded)
        wrong = judge(ops, sample(ops, recorded[1], rng, 60), rng, ignore, inner, stop_after=1)
        if wrong:
            return wrong[0]
    return None


def work(state, trace, seed, ticks, **settings):
    environment = {**os.environ, "LD_PRELOAD": os.path.join(BIN, "libcrash-record.so"), "CRASH_ROOT": state, "CRASH_TRACE": trace, **settings}
    return subprocess.run([os.path.join(BIN, "crash-work"), state, str(seed), str(ticks)], env=environment, capture_output=True, text=True,
                          timeout=120, check=False)


def failing(folder, rng, every):
    """The complaints; every: how many operations apart the failures begin."""
    start, state, trace = (os.path.join(folder, name) for name in ("start", "state", "trace"))
    os.mkdir(start)
    assert work(start, trace, 7, 12).returncode == 0
    wrong, n_runs, n_gave_up = [], 0, 0
    for setting in ("CRASH_FAIL_WRITE", "CRASH_FAIL_SYNC"):
        n, finished = 1, False
        while not finished:
            shutil.rmtree(state, ignore_errors=True)
            shutil.copytree(start, state)
            done = work(state, trace, rng.getrandbits(40), 12, **{setting: str(n)})
            finished = done.returncode == 0
            n_gave_up += not finished
            acks = [0] + [int(line) for line in done.stdout.split("\n")[:-1]]
            check = subprocess.run([os.path.join(BIN, "crash-work"), "--check", state, str(max(acks))], capture_output=True, text=True,
                                   errors="replace", timeout=120, check=False)
            if check.returncode or done.returncode not in (0, 2, -6):
                wrong.append(f"{setting}={n}: worker {done.returncode} {done.stderr[-200:]}, then {check.returncode} {check.stderr[-200:]}")
            n, n_runs = n + rng.randint(1, 2 * every), n_runs + 1
    print(f"{n_runs} runs with failing writes or syncs, {n_gave_up} gave up, {len(wrong)} wrong")
    return wrong


def main():
    global KEEP
    options = argparse.ArgumentParser()
    options.add_argument("--states", type=int, default=6000 if SLOW else 240)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options.add_argument("--keep", action="store_true")
    given = options.parse_args()
    KEEP = given.keep
    rng = random.Random(given.seed)
    print(f"seed {given.seed}, {given.states} states", flush=True)
    folder = tempfile.mkdtemp(prefix="touchbus-crash-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        n_states = 0
        while n_states < given.states:
            inner = os.path.join(folder, "campaign")
            os.mkdir(inner)
            ops, began = record(inner, rng, lives=9)
            n = min(120, given.states - n_states)
            wrong = judge(ops, sample(ops, began, rng, n), rng, lambda op, disk: False, inner)
            if wrong:
                print("\n".join(wrong[:10]), f"\n{len(wrong)} of {n} states wrong; seed {given.seed}, folder {inner}")
                return 1
            n_states += n
            if n_states < given.states:
                shutil.rmtree(inner)
        for name in CONTROLS:
            caught = control(name, folder, (ops, began), rng)
            if not caught:
                print(f"control passed, so this campaign proves nothing: {name}; seed {given.seed}")
                return 1
            print(f"control fails, as it must: {name}: {caught.splitlines()[-1][-120:]}")
        print(f"{n_states} states, none wrong")
        wrong = failing(folder, rng, every=1 if SLOW else 2)
        print("\n".join(wrong[:10]))
        return 1 if wrong else 0
    finally:
        if not KEEP:
            shutil.rmtree(folder, ignore_errors=True)


KEEP = False
sys.exit(main())
