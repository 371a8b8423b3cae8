# SPDX-License-Identifier: Apache-2.0
"""Judges a state over the wire: the real touchbusd starts on what a power cut left, and clients look at it."""
import json
import os
import subprocess

from record import BIN, COLLECTOR, PUBLISHERS, SETTINGS, START_S, TRIES_MAX, Process, free_ports, listens, port_was_taken, program, wait_for

AGAIN = 30          # events published once more
ERASED_LOOKED_AT = 2
SETTLE_S = 60
CALM = (*SETTINGS, "--retention-bytes", "0")   # what is looked at stays


def lines_of(record):
    """Every line of the accounts: (offset, kind, id, sequence)."""
    for path in record.accounts():
        with open(path, encoding="utf-8") as file:
            for line in file:
                offset, kind, event, sequence = line.rstrip("\n").split("\t")
                yield int(offset), kind, event, int(sequence)


class Wire:
    """A broker on a state, with its own port."""

    def __init__(self, state, folder):
        self.port, self.log, self.folder = free_ports(), os.path.join(folder, "wire.log"), folder
        self.broker = Process([program("touchbusd"), "--state", state, "--port", str(self.port), *CALM], self.log)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.broker.alive():
            self.broker.popen.kill()
            self.broker.popen.wait()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def ready(self):
        wait_for("touchbusd", lambda: not self.broker.alive() or listens(self.port + 2), START_S, 0.005)
        assert self.broker.alive(), f"touchbusd refused: {self.broker.tail(5)}"

    def run(self, *arguments):
        return subprocess.run([program("touchbus"), "--broker", self.address, "-j", *arguments], capture_output=True, text=True,
                              timeout=120, check=False)

    def ask(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, f"touchbus {' '.join(arguments)}: {done.returncode}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def load(self, *arguments):
        done = subprocess.run([program("crash-load"), *arguments], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"crash-load {' '.join(arguments)}: {done.stderr}"
        return [line.split("\t") for line in done.stdout.splitlines()]


def check_log(wire, seen, first, following):
    """Every ack against the log; returns id -> sequence."""
    there = {int(sequence): event for sequence, event in wire.load("read", wire.address, str(following - first))} if following > first else {}
    assert sorted(there) == list(range(first, following)), "the log has a gap"
    by_id = {event: sequence for sequence, event in there.items()}
    assert len(by_id) == len(there), "an event is in the log twice"
    for _, kind, event, sequence in seen:
        if kind in ("ok", "duplicate") and sequence >= first:
            assert there.get(sequence) == event, f"{event} acked as {sequence} is not there"
    return by_id


def check_again(wire, seen, by_id):
    """What was acked last and is published once more is known by its id."""
    acked = [int(event.rsplit("-", 1)[1]) for _, kind, event, _ in seen if kind == "ok" and event.startswith(PUBLISHERS[0] + "-") and event in by_id]
    if not acked:
        return
    last = max(acked)
    start = max(min(acked), last - AGAIN + 1)
    for _, kind, event, sequence in wire.load("again", wire.address, PUBLISHERS[0], str(start), str(last - start + 1)):
        known = by_id.get(event)
        assert kind == "quarantined" if known is None else (kind, int(sequence)) == ("duplicate", known), \
            f"{event}, known as {known}, was answered {kind} {sequence}"


def check_collector(wire, seen, first, following, folder):
    """Nothing passed the subscription by: from its first event on it has received before, or receives now, whatever the log had."""
    before = {sequence for _, kind, _, sequence in seen if kind == "received"}
    # What retention took before there was a subscription was never owed to it.
    gone = [s for s in range(min(before, default=first), first) if s not in before]
    assert not gone, f"retention took what {COLLECTOR} had not received: {gone[:5]}"
    if not any(kind == "joined" for _, kind, _, _ in seen):
        return
    at, out = os.path.join(folder, "wire.at"), os.path.join(folder, "wire.seen")
    with open(at, "wb") as file:
        file.write(bytes(8))
    with open(out, "wb") as file:
        client = Process([program("crash-load"), "collect", wire.address, COLLECTOR, at], wire.log, stdout=file)
    try:
        wait_for("the collector is at the head", lambda: wire.ask("subscription", "show", COLLECTOR)["cursor"] >= following - 1, SETTLE_S, 0.01)
    finally:
        assert client.stop() == 0, client.tail()
    with open(out, encoding="utf-8") as file:
        now = {int(line.split("\t")[3]) for line in file}
    passed = [s for s in range(first, following) if s not in before and s not in now]
    assert not passed, f"{COLLECTOR} never receives {passed[:5]} of {first} to {following - 1}"


def check_erased(wire, seen):
    """Who was erased stays so."""
    for customer in [sequence for _, kind, _, sequence in seen if kind == "erased"][-ERASED_LOOKED_AT:]:
        done = wire.run("customer", "show", f"c{customer}")
        assert done.returncode != 0 and "erased" in done.stdout + done.stderr, f"c{customer} was erased, and is there: {done.stdout}"


def judge(record, state, offset):
    """None, or what is wrong."""
    for _ in range(TRIES_MAX):
        verdict = judge_once(record, state, offset)
        if not verdict or not port_was_taken(os.path.join(os.path.dirname(state), "wire.log")):
            break
        os.unlink(os.path.join(os.path.dirname(state), "wire.log"))
    return verdict


def judge_once(record, state, offset):
    folder = os.path.dirname(state)
    try:
        with Wire(state, folder) as wire:
            wire.ready()
            seen = [line for line in lines_of(record) if line[0] <= offset]
            info = wire.ask("log", "info")
            by_id = check_log(wire, seen, info["first"], info["next"])
            check_collector(wire, seen, info["first"], info["next"], folder)
            check_again(wire, seen, by_id)
            check_erased(wire, seen)
            verdict = wire.ask("view", "verify")
            assert verdict["equal"], f"the view is not the fold of base and log: {verdict}"
            status = wire.broker.stop()
            assert status == 0, f"touchbusd ended with {status}: {wire.broker.tail(5)}"
    except AssertionError as wrong:
        return str(wrong)
    return None


assert BIN
