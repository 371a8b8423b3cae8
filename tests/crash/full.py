#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The state lies on a small tmpfs that fills up, step by step, to the last page.

With a reserve: touchbusd answers busy before anything fails, lives on while others take the rest of the disk, starts again after kill -9
on the full disk, and takes events again when there is room. Without one (--disk-reserve 0) it runs into the end of the disk at every
step: it ends with 70, or refuses to start. Nothing that was acked is missing after either.

Usage: full.py [--seed N]     TOUCHBUS_SLOW: every 4 KiB
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import faults
from record import PUBLISHERS, SETTINGS, Stage, wait_for

SLOW = os.environ.get("TOUCHBUS_SLOW") not in (None, "", "0")
DISK_BYTES, RESERVE_BYTES, PAGE = 96 << 20, 32 << 20, 4096   # the files grow by some 10 MiB between two looks at the disk
RESERVED = (*SETTINGS, "--disk-reserve", str(RESERVE_BYTES), "--restore-interval", "100ms")
UNRESERVED = (*SETTINGS, "--disk-reserve", "0", "--restore-interval", "100ms", "--retention-bytes", "100K")
BUSY_S, RUN_S = 30, 20
WINDOW_S = 0.3
EVENTS, BATCH = 200, 6
UNRESERVED_BYTES = 320 << 10   # from here down to nothing: a run needs about that much


class Disk:
    """A tmpfs and a file that fills it to what is to be left."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="touchbus-full-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.folder], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            os.rmdir(self.folder)
            print(f"full: SKIP: cannot mount a tmpfs: {done.stderr.strip()}")
            sys.exit(77)
        self.filler = os.path.join(self.folder, "filler")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["umount", "-l", self.folder], check=False)
        os.rmdir(self.folder)

    def free(self):
        status = os.statvfs(self.folder)
        return status.f_bavail * status.f_frsize

    def leave(self, free):
        """Fills the disk until that much is free, or gives up to it."""
        with open(self.filler, "ab") as file:
            missing = self.free() - free
            if missing > 0:
                for _ in range(missing // PAGE):
                    if file.write(bytes(PAGE)) and file.flush():
                        break
            else:
                file.truncate(max(0, file.tell() + missing))

    def empty(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)


def step_list(first, step):
    return list(range(first, -1, -step))


def busy(stage):
    """What the broker has said last of its disk."""
    with open(stage.record.log, encoding="utf-8", errors="replace") as file:
        states = [line for line in file if " disk=low" in line or " disk=enough" in line]
    return bool(states) and " disk=low" in states[-1]


def revive(stage, what):
    """kill -9 and a start on the disk as it is."""
    stage.broker.kill()
    stage.begin()
    stage.ready()
    assert stage.broker.alive(), f"{what}: it does not start again: {stage.broker.tail(5)}"


def reserved(disk, folder):
    """Down to nothing and up again, with the reserve that holds events off in time."""
    state = os.path.join(disk.folder, "state")
    with Stage(folder, settings=RESERVED, state=state, preload=False) as stage:
        stage.begin()
        stage.ready()
        stage.client("publish", PUBLISHERS[0])
        stage.client("publish", PUBLISHERS[1])
        wait_for("acks", lambda: stage.record.n_acked() > 200, RUN_S)
        steps = step_list(RESERVE_BYTES - PAGE, 512 << 10 if SLOW else 4 << 20) + step_list(64 << 10, PAGE if SLOW else 16 << 10)
        for free in steps:
            disk.leave(free)
            wait_for(f"busy with {free} bytes free", lambda: busy(stage), BUSY_S)
            time.sleep(WINDOW_S)   # what was under way
            acked = stage.record.n_acked()
            time.sleep(WINDOW_S)
            assert stage.broker.alive(), f"{free} bytes free: it ended: {stage.broker.tail(5)}"
            assert stage.record.n_acked() == acked, f"{free} bytes free: events are taken in below the reserve"
            if SLOW or free < 128 << 10:
                revive(stage, f"{free} bytes free")
        revive(stage, "a full disk, once more")
        acked = stage.record.n_acked()
        disk.empty()
        wait_for("acks when there is room again", lambda: stage.record.n_acked() > acked + 100, BUSY_S)
        stage.end(allowed=(0,))
        for client in stage.clients:
            assert client.stop() == 0, client.tail()
        print(f"with a reserve: {len(steps)} steps to a full disk and back, {stage.record.n_acked()} acks")
        return faults.judge(state, stage.record)


def unreserved_run(disk, folder, start, free):
    """(whether the disk's end was met, a complaint or None)"""
    state = os.path.join(disk.folder, "state")
    disk.empty()
    shutil.rmtree(state, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(start.state, state, ignore=shutil.ignore_patterns("publish", "subscribe", "query"))
    disk.leave(free)
    with Stage(folder, settings=UNRESERVED, state=state, preload=False) as stage:
        client = stage.client("publish", PUBLISHERS[1], str(EVENTS), str(BATCH))
        stage.begin()
        stage.until(lambda: not client.alive(), RUN_S)
        status = stage.broker.stop()
        client.stop()
        tail, acked = stage.broker.tail(4), stage.record.n_acked()
        disk.empty()
        complaint = faults.judge(state, start, stage.record)
    if complaint:
        return True, f"{free} bytes free: ended with {status} after {acked} acks, and then: {complaint}"
    if status not in (0, *faults.GAVE_UP):
        return True, f"{free} bytes free: ended with {status} after {acked} acks: {tail}"
    return status != 0, None


def unreserved(disk, folder, rng):
    """The complaints."""
    start = faults.prepare(os.path.join(folder, "start"))
    steps = step_list(UNRESERVED_BYTES, PAGE)
    steps = steps if SLOW else sorted(rng.sample(steps, 20), reverse=True)
    met, wrong = 0, []
    for free in steps:
        gave_up, complaint = unreserved_run(disk, os.path.join(folder, "run"), start, free)
        met += gave_up
        if complaint:
            wrong.append(complaint)
    print(f"without a reserve: {len(steps)} steps, {met} met the end of the disk, {len(wrong)} wrong")
    assert met > 0, "no run met the end of the disk: this proves nothing"
    return wrong


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    given = options.parse_args()
    print(f"seed {given.seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="touchbus-full-run-")
    try:
        with Disk() as disk:
            complaint = reserved(disk, os.path.join(folder, "reserved"))
            wrong = [complaint] if complaint else []
            wrong += unreserved(disk, folder, random.Random(given.seed))
        print("\n".join(wrong[:10]))
        return 1 if wrong else 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
