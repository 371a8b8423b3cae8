#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is put together wrongly is refused, and says what: a flipped bit in a backup, keys from before the log's newest customers, an old log
under a newer view, a backup that a kill cut short. Usage: wrong.py [--seed N]"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import SLOW, House, program, wait_for  # noqa: E402

FLIPS = 400 if SLOW else 20
CUSTOMERS = 20000  # more than keys are made ahead


def publish(house, first, count):
    lines = (json.dumps({"specversion": "1.0", "id": f"e-{n}", "source": "/wrong", "type": "org.touchbus.page.viewed.v1", "channel": "web",
                         "keys": f"user_id=u-{n}", "data": {"url": f"https://shop.example/{n}"}}) for n in range(first, first + count))
    summary = house.ask("pub", "--from", "-", text="\n".join(lines) + "\n", seconds=300)
    assert summary["accepted"] == count, summary


def refused(house, why, *arguments):
    done = house.touchbus(*arguments, check=False)
    assert done.returncode == 1 and why in done.stderr, f"{arguments}: {done.returncode} {done.stdout}{done.stderr}"
    return done.stderr


def flip(path, at, bit):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def flipped_bits(house, rng, backup):
    files = [os.path.join(folder, name) for folder, _, names in os.walk(backup) for name in names]
    assert len(files) == 6, files
    named = 0
    for number in range(FLIPS):
        path = files[number % len(files)]
        at, bit = rng.randrange(os.path.getsize(path)), rng.randrange(8)
        flip(path, at, bit)
        done = house.touchbus("-j", "backup", "--verify", backup, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 1 and lines[-1]["sound"] is False, f"bit {bit} of byte {at} of {path} was not found: {done.stdout}"
        assert any(os.path.basename(path) in line.get("file", "") + line.get("problem", "") for line in lines), lines
        named += any("first" in line and "problem" in line for line in lines)
        flip(path, at, bit)
    assert house.touchbus("backup", "--verify", backup, check=False).returncode == 0, "the control: an untouched backup is sound"
    return named


def start_refused(house, *arguments):
    done = subprocess.run([program("touchbusd"), "--state", house.state, "--port", str(house.port), *arguments], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


def older_log(house, backup):
    """The backup's log alone, under the view that went on."""
    house.start_broker()
    assert house.broker.stop() == 0  # its restore point is at the log's end
    log = os.path.join(house.state, "log")
    shutil.move(log, log + "-newer")
    shutil.copytree(os.path.join(backup, "log"), log)
    for _ in range(2):
        text = start_refused(house)
        assert "log=rolled-back" in text and "--accept-older-log" in text, text
    house.start_broker("--accept-older-log")
    assert house.ask("view", "verify", seconds=300)["equal"] is True
    publish(house, 900001, 10)
    assert house.broker.stop() == 0
    house.start_broker()
    assert house.ask("view", "verify", seconds=300)["equal"] is True
    assert house.broker.stop() == 0


def older_keys(house, backup, old_keys):
    state = os.path.join(house.folder, "with-old-keys")
    text = refused(house, "keys are older than the log", "restore", "--from", backup, "--keys", old_keys, "--state", state)
    assert " customers have none" in text and not os.path.exists(state), text
    answer = house.ask("restore", "--from", backup, "--keys", old_keys, "--state", state, "--force", seconds=300)
    lost = answer["customers_without_key"]
    assert f": {lost} customers" in text and 0 < lost < CUSTOMERS, (text, answer)
    with House() as other:
        other.state = state
        other.start_broker()
        assert other.ask("view", "verify", seconds=300)["equal"] is True
        assert other.ask("pub", "page.viewed", "--identity", "user_id=u-new", "--attr", "url=https://shop.example/n")["sequence"] > 0
        assert other.broker.stop() == 0
    return lost


def cut_short(house):
    """A kill in the middle of a backup leaves no folder that is taken for one."""
    target = os.path.join(house.folder, "cut-short")
    command = subprocess.Popen([program("touchbus"), "--broker", house.address, "backup", target, "--rate", "1M"], stderr=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
    wait_for("the copy has begun", lambda: os.path.exists(os.path.join(target + ".part", "view")))
    time.sleep(0.05)
    house.broker.kill()
    command.terminate()
    command.wait(30)
    assert not os.path.exists(target)
    refused(house, "no backup", "backup", "--verify", target + ".part")
    refused(house, "no backup", "restore", "--from", target + ".part", "--keys", house.state + "/keys", "--state", house.folder + "/n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    seed = parser.parse_args().seed
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    with House() as house:
        backup, old_keys = os.path.join(house.folder, "backup"), os.path.join(house.folder, "old-keys")
        house.start_broker()
        publish(house, 1, 100)
        house.ask("backup", "--keys", old_keys)
        publish(house, 101, CUSTOMERS)
        house.ask("backup", backup)
        publish(house, 101 + CUSTOMERS, 500)
        cut_short(house)
        named = flipped_bits(house, rng, backup)
        lost = older_keys(house, backup, old_keys)
        older_log(house, backup)
        print(f"{FLIPS} flipped bits found, {named} of them with their sequences; {lost} customers without a key refused; an old log refused")


main()
