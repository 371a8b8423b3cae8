#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Kills processes again and again under load, any of them: the broker at random moments and at named points, a web connector with its
spool, a CRM sink, publishers, a subscriber, command line queries, live tails and view verifies. Then every event is accounted for:
what was acked, or answered 200 or 202, is in the log exactly once with its body; the sink has each event of the log exactly once;
the view is the fold of the log. Now and then a person is erased: once that was answered, nobody shows or holds them again.

Usage: kill.py [--rounds N] [--seed N]   (30 kills, 300 with TOUCHBUS_SLOW; the seed is printed)
"""
import argparse
import collections
import copy
import http.client
import json
import os
import random
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "web"), os.path.join(HERE, "..", "sinks")]
from harness import SLOW, wait_for  # noqa: E402
from sinks import Crm  # noqa: E402
from webhouse import WebHouse  # noqa: E402

POINTS = ("between-journal-and-log", "between-commits", "in-restore-point", "in-log-point", "while-trimming", "in-erasure")
# Small, so that restore points and trims happen many times between two kills.
SETTINGS = ("--restore-interval", "300ms", "--retention-bytes", "4M")
WEB = ("--spool-after", "100ms", "--source", "/web")
LOADERS = ("loader-a", "loader-b")
PAUSE_MS = "90"
LAG_MAX = 30000  # of the sink, above which publishers rest: it writes slower than they do
SETTLE_S = 180
VICTIMS = {"broker": 10, "web": 5, "crm": 4, "audit": 4, "loader-a": 2, "loader-b": 2, "reader": 5}
READERS = (("customer", "show", "user_id=u-7"), ("customer", "timeline", "user_id=u-8"), ("subscription", "ls"), ("status",),
           ("sub", "--from", "beginning", "--count", "3000"), ("sub", "kill-reader", "--from", "end"), ("view", "verify"),
           ("log", "verify"))


PERSONS = "/person"


def canary(number):
    return f"Canary-{number}-Name"


def lines(path):
    """Whole lines only: a kill may cut the last one."""
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line.decode().rstrip("\n").split("\t")


class Campaign(WebHouse):
    """The house and who lives in it. Each life of a worker writes a file of its own."""

    def __init__(self, rng):
        super().__init__()
        self.rng, self.lives, self.workers, self.readers = rng, collections.Counter(), {}, []
        self.kills = collections.Counter()
        self.confirmed, self.errors, self.sending = [], [], True
        self.persons, self.erased = 0, []
        self.restarts = {"broker": self.begin_broker, "web": lambda: self.start_web(*WEB), "crm": self.begin_crm, "audit": self.begin_audit,
                         "loader-a": lambda: self.begin_loader("loader-a"), "loader-b": lambda: self.begin_loader("loader-b")}

    def file(self, name):
        self.lives[name] += 1
        return os.path.join(self.folder, f"{name}.{self.lives[name]}.tsv")

    def files(self, name):
        return [os.path.join(self.folder, f"{name}.{life}.tsv") for life in range(1, self.lives[name] + 1)]

    def begin(self, name, program, *arguments, output=None):
        self.workers[name] = self.start(program, *arguments, stdout=open(output, "wb") if output else None)

    def begin_broker(self, point=None):
        environment = {"TOUCHBUS_FAULTPOINT": f"{point}:{1 if point == 'in-erasure' else self.rng.randint(1, 6)}"} if point else {}
        self.workers["broker"] = self.start_broker(*SETTINGS, environment=environment, wait=False)

    def begin_crm(self):
        self.begin("crm", "touchbus-crm", "--broker", self.address, "--state", self.state)

    def begin_audit(self):
        self.begin("audit", "touchbus-test-load", "collect", self.address, "audit", output=self.file("audit"))

    def begin_loader(self, name):
        # A producer that is killed forgets what was not acked; its next life has names of its own.
        output = self.file(name)
        self.begin(name, "touchbus-test-load", "publish", self.address, f"{name}-{self.lives[name]}", PAUSE_MS, output=output)

    def begin_reader(self):
        output = self.file("reader")
        command = ("-j", *self.rng.choice(READERS))
        self.readers.append(self.start("touchbus", "--broker", self.address, *command, stdout=open(output, "wb")))

    # ---- HTTP senders, as an SDK: the same id again until it is confirmed

    def send(self, thread):
        number = 0
        while self.sending:
            ids = [(f"w{thread}-{n}", n) for n in range(number, number + 3)]
            calls = [{"type": "page", "userId": f"u-{n % 300}", "messageId": event_id, "timestamp": "2026-03-02T08:00:00Z",
                      "properties": {"url": f"https://shop.example/{n}"}} for event_id, n in ids]
            try:
                status, _ = self.post("/v1/batch", {"batch": calls}, seconds=30)
            except (OSError, ValueError, http.client.HTTPException):
                status = 503  # the connector was killed: nothing is known of these
            if status in (200, 202):
                self.confirmed += [(event_id, body, status) for event_id, body in ids]
                number += 3
            elif status != 503:
                self.errors.append(status)
            time.sleep(0.01 if status == 200 else 0.05)

    def erase_somebody(self):
        """A person of their own, whose events are told by their source: the others' bodies are compared to the end."""
        self.persons += 1
        key = f"user_id=person-{self.persons}"
        for _ in range(2):
            self.touchbus("--timeout", "5s", "pub", "customer.identified", "--source", PERSONS, "--identity", key, "--data",
                          json.dumps({"traits": {"name": canary(self.persons)}}), check=False)
        # Without an answer it is not known whether it happened; with one it has, whatever is killed now.
        if self.touchbus("--yes", "--timeout", "5s", "customer", "erase", key, check=False).returncode == 0:
            self.erased.append(self.persons)

    # ---- killing

    def revive(self):
        """Whoever ended, by a point or by itself, starts again; only a kill may have ended it."""
        for name, worker in list(self.workers.items()):
            if not worker.alive():
                status = worker.wait()
                assert name == "broker" and status == -9, f"{name} ended by itself with {status}:\n{worker.tail()}"
                self.begin_broker()
        for reader in [r for r in self.readers if not r.alive()]:
            status = reader.wait()
            assert status in (0, 1, 3, -9), f"{reader.arguments} ended with {status}:\n{reader.tail()}"
            self.readers.remove(reader)

    def kill_broker(self):
        """The next life of the broker ends at a point, or this one now."""
        point = self.rng.choice(POINTS) if self.rng.random() < 0.5 else None
        if point:
            self.workers["broker"].kill()
            self.begin_broker(point)
            if point == "in-erasure":
                self.await_broker()
                self.erase_somebody()
            limit = time.monotonic() + 6
            while self.workers["broker"].alive() and time.monotonic() < limit:
                time.sleep(0.005)
        at_point = not self.workers["broker"].alive()
        if at_point and point == "in-erasure":
            self.erased.append(self.persons)  # the key is gone: the next start says so
        status = self.workers["broker"].kill()
        assert status == -9, f"the broker ended by itself with {status}:\n{self.broker.tail()}"
        self.begin_broker()
        return f"broker, {point}" if at_point else "broker"

    def kill_one(self):
        victim = self.rng.choices(list(VICTIMS), weights=VICTIMS.values())[0]
        if victim == "broker":
            return self.kill_broker()
        if victim == "reader":
            while len(self.readers) < 2:
                self.begin_reader()
            time.sleep(self.rng.uniform(0, 0.3))
            name = self.readers[0].arguments[4:6]
            self.readers[0].kill()
            return "reader " + " ".join(name)
        self.workers[victim].kill()
        self.restarts[victim]()
        self.workers[victim] = self.web if victim == "web" else self.workers[victim]
        return victim

    def sink_lag(self):
        done = self.touchbus("-j", "--timeout", "2s", "subscription", "show", "crm", check=False)
        return json.loads(done.stdout)["lag"] if done.returncode == 0 else None

    def let_the_sink_catch_up(self):
        """So that what is left to do at the end is bounded, however long the campaign and slow the disk."""
        if (self.sink_lag() or 0) < LAG_MAX:
            return
        loaders = [self.workers[name] for name in LOADERS]
        for loader in loaders:
            loader.popen.send_signal(signal.SIGSTOP)
        wait_for("the sink catches up", lambda: self.revive() or (lag := self.sink_lag()) is not None and lag < LAG_MAX / 2, SETTLE_S, 0.2)
        for loader in loaders:
            loader.popen.send_signal(signal.SIGCONT)

    def round(self):
        time.sleep(self.rng.uniform(0.05, 1.2))
        self.revive()
        self.let_the_sink_catch_up()
        if self.rng.random() < 0.3:
            self.erase_somebody()
            self.revive()
        where = self.kill_one()
        self.kills[where] += 1
        return where


# ---- the judges: each says what it found by failing

def judge_log(collected):
    """What the log holds, by sequence and by event; no gap, nothing twice."""
    by_event, by_sequence = {}, {}
    for source, event_id, body, sequence, _ in collected:
        event, sequence = (source, event_id, int(body)), int(sequence)
        assert by_sequence.setdefault(sequence, event) == event, f"sequence {sequence} is two events: {event}, {by_sequence[sequence]}"
        assert by_event.setdefault((source, event_id), sequence) == sequence, f"{event} is in the log twice"
    missing = set(range(1, max(by_sequence) + 1)) - set(by_sequence)
    assert not missing, f"the collector saw a gap: {sorted(missing)[:10]} of {max(by_sequence)}"
    return by_event, by_sequence


def judge_acks(by_sequence, acks):
    for source, event_id, body, sequence, reason in acks:
        assert reason in ("ok", "duplicate"), f"{event_id} was answered {reason}"
        assert by_sequence.get(int(sequence)) == (source, event_id, int(body)), f"{event_id} acked as {sequence} is not there"


def judge_confirmed(by_event, by_sequence, confirmed):
    for event_id, body, status in confirmed:
        sequence = by_event.get(("/web", event_id))
        assert sequence is not None, f"{event_id} was answered {status} and is not in the log"
        assert by_sequence[sequence][2] == body, f"{event_id} has another body"


def judge_sink(by_sequence, rows, counted):
    """Of persons that were erased it may hold nothing any more, nor what the broker says of it; judge_erased looks at them."""
    by_sequence = {sequence: event for sequence, event in by_sequence.items() if event[0] not in (PERSONS, "/touchbus")}
    rows = [row for row in rows if row[2] not in (PERSONS, "/touchbus")]
    kept = collections.Counter(row[0] for row in rows)
    assert all(n == 1 for n in kept.values()) and len(rows) == len(by_sequence), f"{len(rows)} rows of {len(by_sequence)} events"
    for sequence, event_id, _ in rows:
        assert by_sequence[sequence][1] == event_id, f"sequence {sequence} is {event_id} in the sink"
    assert sum(counted.values()) <= len(rows) and counted, "the sink's customers"


def control(collected, acks, confirmed, rows, counted):
    """The judges can say no: to a lost ack, a changed body, an event twice, a gap, a lost spooled one, a sink that lacks one or has one more."""
    by_event, by_sequence = judge_log(collected)

    def without(mapping, key):
        less = copy.copy(mapping)
        del less[key]
        return less
    acked, spooled = int(acks[len(acks) // 2][3]), confirmed[len(confirmed) // 2]
    last = collected[-1]
    wrong = {
        "a lost ack": lambda: judge_acks(without(by_sequence, acked), acks),
        "another body": lambda: judge_acks({**by_sequence, acked: (*by_sequence[acked][:2], -1)}, acks),
        "twice": lambda: judge_log([*collected, [*last[:3], str(int(last[3]) + 1), "ok"]]),
        "a gap": lambda: judge_log([row for row in collected if row[3] != str(acked)]),
        "a lost 202": lambda: judge_confirmed(without(by_event, ("/web", spooled[0])), by_sequence, confirmed),
        "a row less": lambda: judge_sink(by_sequence, rows[1:], counted),
        "a row twice": lambda: judge_sink(by_sequence, [*rows[1:], rows[-1]], counted),
    }
    for name, judge in wrong.items():
        try:
            judge()
        except AssertionError:
            continue
        raise AssertionError(f"the judge did not see {name}: this campaign proves nothing")


def settle(house, threads):
    """Everything is up and has come to rest."""
    house.sending = False
    for thread in threads:
        thread.join()
    house.revive()
    house.await_broker()
    for name in LOADERS:
        assert house.workers[name].stop(SETTLE_S) == 0, house.workers[name].tail()
    wait_for("the spool is empty", lambda: house.counter("spool_records") == 0 and house.counter("in_flight") == 0, SETTLE_S)
    for reader in house.readers:
        reader.kill()
    head = house.ask("log", "info")["next"] - 1

    def at_head():
        cursors = [house.ask("subscription", "show", name) for name in ("audit", "crm")]
        assert not any(c["parked"] for c in cursors), cursors
        return all(c["cursor"] >= head for c in cursors)
    wait_for("collector and sink are at the head", at_head, SETTLE_S, 0.2)
    for name in ("audit", "crm", "web"):
        assert house.workers[name].stop(SETTLE_S) == 0, house.workers[name].tail()


def judge_erased(house, crm):
    for number in house.erased:
        shown = house.touchbus("-j", "customer", "show", f"user_id=person-{number}", check=False)
        assert shown.returncode == 1 and json.loads(shown.stderr)["error"] == "erased", shown.stdout + shown.stderr
        held = crm.one("SELECT count(*) FROM interactions WHERE data LIKE ?", f"%{canary(number)}%")
        assert held == 0, f"the sink holds {held} rows of person {number}"
    text = house.touchbus("replay", "--type", "customer.identified", "-o", "json", seconds=600).stdout
    told = [number for number in house.erased if canary(number) in text]
    assert not told, f"a replay tells of {told}"


def check_readers(house):
    """A view verify that came to a verdict meanwhile said equal."""
    verdicts = 0
    for path in house.files("reader"):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if '"equal"' in line:
                    assert '"equal":true' in line.replace(" ", ""), line
                    verdicts += 1
    return verdicts


def account(house, rounds):
    collected = [row for path in house.files("audit") for row in lines(path)]
    acks = [row for name in LOADERS for path in house.files(name) for row in lines(path)]
    crm = Crm(house)
    rows = crm.rows("SELECT sequence, id, source FROM interactions")
    counted = dict(crm.rows("SELECT customer, interactions FROM customers"))
    assert counted == dict(crm.rows("SELECT customer, count(*) FROM interactions WHERE customer IS NOT NULL GROUP BY customer"))
    assert not house.errors, f"the web connector answered {collections.Counter(house.errors)}"
    assert len({(a[0], a[1]) for a in acks}) == len(acks), "an event was acked twice to its publisher"
    by_event, by_sequence = judge_log(collected)
    judge_acks(by_sequence, acks)
    judge_confirmed(by_event, by_sequence, house.confirmed)
    judge_sink(by_sequence, rows, counted)
    judge_erased(house, crm)
    control(collected, acks, house.confirmed, rows, counted)
    spooled = sum(status == 202 for _, _, status in house.confirmed)
    assert len(acks) > rounds * 50 and len(house.confirmed) > rounds * 3, "hardly anything was published: the campaign tested nothing"
    return len(acks), len(house.confirmed), spooled, len(rows)


def campaign(rounds, seed):
    with Campaign(random.Random(seed)) as house:
        # Both subscriptions are there before the first event, so retention keeps what they have not settled.
        house.begin_broker()
        house.await_broker()
        house.begin_audit()
        house.begin_crm()
        for name in ("audit", "crm"):
            wait_for(f"the subscription {name}", lambda: house.touchbus("subscription", "show", name, check=False).returncode == 0)
        house.workers["web"] = house.start_web(*WEB)
        for name in LOADERS:
            house.begin_loader(name)
        threads = [threading.Thread(target=house.send, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(rounds):
                print(f"kill {number + 1}/{rounds}: {house.round()}", flush=True)
        finally:
            house.sending = False
        settle(house, threads)
        acked, confirmed, spooled, kept = account(house, rounds)
        verify = house.ask("view", "verify", seconds=600)
        assert verify["equal"], verify
        info = house.ask("log", "info")
        assert info["first"] > 1, f"retention trimmed nothing: {info}"
        verdicts = check_readers(house)
        assert house.broker.stop() == 0
        print(f"kills: {dict(house.kills)}\nacked and found: {acked}; confirmed over HTTP and found: {confirmed}, {spooled} of them spooled; "
              f"in the sink once: {kept}; persons erased: {len(house.erased)}; log: {info['first']} to {info['next'] - 1}; view equal at {verify['applied']}, and in {verdicts} "
              "verifies meanwhile")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300 if SLOW else 30)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.rounds} kills", flush=True)
    campaign(arguments.rounds, arguments.seed)


main()
