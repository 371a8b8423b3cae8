#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backup under load: the tick goes on meanwhile, and what was backed up is the log as of one sequence, with its cursors and its view.
Its restore is another log, which a sink with a fence tells from the one before.

Prints what was acked a second during the backup as a ratio to before and behind it.
"""
import json
import os
import subprocess
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), *way) for way in (("..",), ("..", "sinks"))]
from harness import House, program, wait_for  # noqa: E402
from sinks import Crm, drained, start  # noqa: E402

LOADERS = ("loader-a", "loader-b")
WINDOW_S = 2.0
TRIES = 5
SETTINGS = ("--restore-interval", "500ms")


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file if line.endswith("\n")]


def acked(files):
    """Newlines are counted: parsing would slow down what is measured."""
    return sum(open(path, "rb").read().count(b"\n") for path in files)


def per_second(files, seconds):
    began, first = time.monotonic(), acked(files)
    time.sleep(seconds)
    return (acked(files) - first) / (time.monotonic() - began)


def back_up(house, folder, files, *options):
    """A backup, and what was acked a second while it lasted; trimming waits meanwhile. What a trim that came too late was told is nothing."""
    command = subprocess.Popen([program("touchbus"), "--broker", house.address, "-j", "backup", folder, *options],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    began, first, refused = time.monotonic(), acked(files), None
    while command.poll() is None and time.monotonic() - began < 120:
        if refused is None and os.path.exists(folder + ".part"):
            refused = house.touchbus("-j", "log", "trim", "--before", "2", "--yes", check=False)
            refused = refused if command.poll() is None else None
        time.sleep(0.02)
    rate = (acked(files) - first) / (time.monotonic() - began)
    out, err = command.communicate(timeout=60)
    assert command.returncode == 0, out + err
    return json.loads(out), rate, refused


def cursor_of(house, name):
    done = house.touchbus("-j", "subscription", "show", name, check=False)
    return json.loads(done.stdout)["cursor"] if done.returncode == 0 else -1


def check_manifest(folder, applied):
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    assert manifest["applied"] == applied and manifest["next"] == applied + 1, manifest
    return manifest


def main():
    with House() as house:
        files = {name: os.path.join(house.folder, name + ".tsv") for name in (*LOADERS, "audit")}
        house.start_broker(*SETTINGS)
        crm = start(house, "crm")
        audit = house.start("touchbus-test-load", "collect", house.address, "audit", stdout=open(files["audit"], "wb"))
        wait_for("the collector's subscription", lambda: cursor_of(house, "audit") >= 0)
        loaders = [house.start("touchbus-test-load", "publish", house.address, name, stdout=open(files[name], "wb")) for name in LOADERS]
        acks = [files[name] for name in LOADERS]
        wait_for("something to back up", lambda: acked(acks) > 20000)

        before = per_second(acks, WINDOW_S)
        backup, keys = os.path.join(house.folder, "backup"), os.path.join(house.folder, "backup-keys")
        answer, during, refused = back_up(house, backup, acks, "--rate", "4M")
        for number in range(TRIES):
            if refused is None:
                refused = back_up(house, f"{backup}-{number}", acks, "--rate", "1M")[2]
        after = per_second(acks, WINDOW_S)
        applied = answer["applied"]
        free = os.path.join(house.folder, "backup-free")
        quick, during_free, _ = back_up(house, free, acks)
        house.ask("backup", "--keys", keys)
        assert refused is not None and refused.returncode == 1 and json.loads(refused.stderr)["error"] == "busy", refused

        for worker in (*loaders, audit, crm):
            assert worker.stop() == 0, worker.tail()
        house.broker.stop()
        manifest = check_manifest(backup, applied)
        check_manifest(free, quick["applied"])
        for folder in (backup, free):
            verdict = house.ask("backup", "--verify", folder, "--keys", keys, "--scratch", house.folder, seconds=600)
            assert verdict["sound"] and verdict["view"] == "equal" and verdict["cursors"] == 2, verdict

        # The keys of the state itself are the newest there are.
        house.ask("restore", "--from", backup, "--keys", os.path.join(house.state, "keys"), "--state", house.state, "--replace")
        house.start_broker(*SETTINGS)
        info = house.ask("log", "info")
        assert info["next"] == applied + 1 and info["incarnation"] != manifest["incarnation"], (info, answer)
        assert "view=rebuilding" not in house.broker.tail(200), "the backup's view was not taken as it is"
        verify = house.ask("view", "verify", seconds=600)
        assert verify["equal"] and verify["applied"] == applied, verify
        for name, cursor in manifest["cursors"].items():
            assert cursor_of(house, name) == cursor, name

        # Every event acked up to the cut is there, with its sequence and its body; nothing else is.
        found = os.path.join(house.folder, "found.tsv")
        finder = house.start("touchbus-test-load", "collect", house.address, "finder", stdout=open(found, "wb"))
        wait_for("the finder is at the head", lambda: cursor_of(house, "finder") >= applied, 120)
        assert finder.stop() == 0, finder.tail()
        there = {int(sequence): (source, event_id, body) for source, event_id, body, sequence, _ in lines(found)}
        assert max(there) == applied and len(there) == applied
        compared = 0
        for source, event_id, body, sequence, reason in (row for path in acks for row in lines(path)):
            assert reason in ("ok", "duplicate"), (event_id, reason)
            if int(sequence) <= applied:
                assert there.get(int(sequence)) == (source, event_id, body), f"{event_id} acked as {sequence} is not in the backup"
                compared += 1
        assert compared > 1000, compared

        # The sink goes on in the other log: its file holds that log, the one before lies aside.
        house.ask("pub", "page.viewed", "--identity", "user_id=u-1", "--attr", "url=https://shop.example/later")
        crm = start(house, "crm")
        house.touchbus("subscription", "reset", "crm", "--from", "beginning", "--yes", check=False)
        drained(house, "crm")
        assert crm.stop() == 0, crm.tail()
        rows = Crm(house).rows("SELECT max(sequence), count(*) FROM interactions")
        head = house.ask("log", "info")["next"] - 1
        assert rows[0][0] == head, (rows, head)

        # The same state backed up again, without a broker.
        assert house.broker.stop() == 0
        cold = os.path.join(house.folder, "cold")
        answer = house.ask("backup", "--state", house.state, cold, "--keys", cold + "-keys")
        assert answer["applied"] == head, answer
        assert house.ask("backup", "--verify", cold, "--keys", cold + "-keys", "--scratch", house.folder, seconds=600)["sound"]
        slower, slower_free = (f"{rate / before:.2f}" if before else "-" for rate in (during, during_free))  # a disk may stand still for a window
        print(f"acked/s before {before:.0f}, during a backup of 4 MiB/s {during:.0f} ({slower}), during one as fast as it goes "
              f"{during_free:.0f} ({slower_free}, {quick['took_ms']} ms), behind it {after:.0f}; {compared} acked events compared")


main()
