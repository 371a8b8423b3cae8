#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The whole house under a steady load with faults on, for as long as one likes; by hand, not by ctest.

Every few seconds something goes wrong (a program is killed, strangers send garbage, a person is erased, a backup is made, the
configuration is read anew). Memory, descriptors and file sizes are sampled; at the end the last third of the time is compared with
the third before it: what still grows is named, and the exit status is 1. What holds history (the view's timeline, the CRM's rows)
grows with the events and is shown as bytes an event instead.

Usage: soak.py [--minutes 30] [--rate 1000] [--fault-every 7] [--seed N]     (TOUCHBUS_BIN: the programs, build/dev/bin by default)
"""
import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow"))
from harness import House, free_ports, listens, program, wait_for  # noqa: E402

CUSTOMERS = 2000
SAMPLE_S = 5
GROWTH_MAX = 1.15          # the last third's median against the middle's
SLACK = {"memory_mib": 8, "descriptors": 8, "mib": 16}
BROKER = ("--retention-bytes", "48M", "--restore-interval", "2s", "--dedup-events", "200000", "--member-lapse", "2s")
KINDS = ("page.viewed", "product.viewed", "message.received", "customer.changed", "order.placed")


def event(rng, number):
    user = rng.randrange(CUSTOMERS)
    kind = rng.choices(KINDS, (60, 20, 10, 8, 2))[0]
    data = {"page.viewed": {"url": f"https://shop.example/{number}"},
            "product.viewed": {"sku": f"sku-{number % 97}"},
            "message.received": {"from": f"u{user}@klant.example", "ref": f"m-{number}", "text": "when does it come?"},
            "customer.changed": {"fields": {"city": f"city-{number % 50}"}},
            "order.placed": {"order_id": f"o-{number}", "currency": "EUR", "total": "10.00",
                             "lines": [{"sku": f"sku-{number % 97}", "quantity": 1, "price": "10.00"}]}}[kind]
    if rng.random() < 0.001:
        data = {"url": 7}  # breaks its schema: the quarantine
        kind = "page.viewed"
    return json.dumps({"specversion": "1.0", "id": f"soak-{number}", "source": "soak", "type": f"org.touchbus.{kind}.v1", "channel": "web",
                       "keys": f"user_id=u-{user}&email=u{user}%40klant.example", "data": data})


class Load(threading.Thread):
    """`touchbus pub --from -` fed at a steady rate; started again when it was killed."""

    def __init__(self, house, rate, rng):
        super().__init__(daemon=True)
        self.house, self.rate, self.rng = house, rate, rng
        self.stopping, self.number, self.pub, self.starts = False, 0, None, 0

    def feed(self):
        began, sent = time.monotonic(), 0
        while not self.stopping and self.pub.poll() is None:
            due = int((time.monotonic() - began) * self.rate)
            for _ in range(min(due - sent, self.rate)):
                self.number += 1
                self.pub.stdin.write(event(self.rng, self.number) + "\n")
            sent = due
            self.pub.stdin.flush()
            time.sleep(0.05)

    def run(self):
        while not self.stopping:
            self.starts += 1
            with open(os.path.join(self.house.folder, "pub.log"), "ab") as log:
                self.pub = subprocess.Popen([program("touchbus"), "--broker", self.house.address, "pub", "--from", "-"],
                                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, text=True)
            try:
                self.feed()
            except BrokenPipeError:
                pass
            finally:
                try:
                    self.pub.stdin.close()
                except BrokenPipeError:
                    pass
                self.pub.wait(60)

    def stop(self):
        self.stopping = True
        self.join(90)


class Soak:
    def __init__(self, house, arguments):
        self.house, self.rng = house, random.Random(arguments.seed)
        self.load = Load(house, arguments.rate, random.Random(arguments.seed + 1))
        self.programs, self.counts, self.samples = {}, {}, []
        self.web_port = free_ports(1)
        self.began = time.monotonic()

    # ---- the programs

    def state(self, name):
        return os.path.join(self.house.folder, "connectors")

    def commands(self):
        base = ("--broker", self.house.address, "--state", self.state(""))
        return {"touchbus-crm": base, "touchbus-erp": (*base, "--outbox", os.path.join(self.house.folder, "erp-out"), "--inbox",
                               os.path.join(self.house.folder, "erp-in")),
                "touchbus-web": (*base, "--port", str(self.web_port), "--write-key", "soak")}

    def keep_running(self):
        for name, arguments in self.commands().items():
            process = self.programs.get(name)
            if process is None or not process.alive():
                self.programs[name] = self.house.start(name, *arguments)
        process = self.programs.get("member")
        if process is None or not process.alive():
            self.programs["member"] = self.house.start("touchbus", "--broker", self.house.address, "sub", "soak-member", "-o", "json",
                                                       stdout=subprocess.DEVNULL)
        if not self.house.broker.alive():
            self.house.start_broker(*BROKER)

    # ---- what goes wrong

    def kill_program(self):
        name = self.rng.choice(sorted(self.programs))
        self.programs[name].kill()
        return f"kill {name}"

    def kill_load(self):
        if self.load.pub is not None:
            self.load.pub.kill()
        return "kill publisher"

    def strangers(self):
        for _ in range(50):
            with socket.socket() as s:
                s.settimeout(1)
                try:
                    s.connect(("127.0.0.1", self.house.port + self.rng.randrange(3)))
                    s.sendall(self.rng.randbytes(self.rng.choice((0, 1, 64, 4000))))
                except OSError:
                    pass
        return "50 strangers"

    def web_posts(self):
        for i in range(30):
            body = json.dumps({"writeKey": "soak", "userId": f"u-{self.rng.randrange(CUSTOMERS)}", "event": "Clicked", "messageId": f"w-{time.time_ns()}-{i}"})
            text = f"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}"
            with socket.socket() as s:
                s.settimeout(5)
                try:
                    s.connect(("127.0.0.1", self.web_port))
                    s.sendall(text.encode())
                    s.recv(4096)
                except OSError:
                    pass
        return "30 posts"

    def questions(self):
        for _ in range(10):
            user = self.rng.randrange(CUSTOMERS)
            for words in (("customer", "show", f"user_id=u-{user}"), ("customer", "timeline", f"user_id=u-{user}"), ("status",),
                          ("subscription", "ls"), ("quarantine", "ls"), ("log", "get", "1")):
                self.house.touchbus("-j", *words, check=False)
        return "60 questions"

    def erase(self):
        self.house.touchbus("customer", "erase", f"user_id=u-{self.rng.randrange(CUSTOMERS)}", "--yes", check=False)
        return "erasure"

    def backup(self):
        folder = os.path.join(self.house.folder, "backup")
        self.house.touchbus("backup", folder, check=False, seconds=300)
        shutil.rmtree(folder, ignore_errors=True)
        return "backup"

    def verify(self):
        done = self.house.touchbus("-j", "view", "verify", check=False, seconds=600)
        if done.returncode == 0 and not json.loads(done.stdout)["equal"]:
            raise AssertionError(f"the view is not the fold of the log: {done.stdout}")
        return "view verify"

    def reload(self):
        if self.house.broker.alive():
            self.house.broker.popen.send_signal(1)
        return "reload"

    def replay(self):
        subprocess.run([program("touchbus"), "--broker", self.house.address, "sub", "--from", "beginning", "--count", "20000", "-o", "json"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False)
        return "replay"

    def fault(self):
        actions = ((self.kill_program, 5), (self.kill_load, 1), (self.strangers, 2), (self.web_posts, 3), (self.questions, 3),
                   (self.erase, 2), (self.backup, 1), (self.verify, 1), (self.reload, 1), (self.replay, 2))
        action = self.rng.choices([a for a, _ in actions], [w for _, w in actions])[0]
        what = action()
        self.counts[what] = self.counts.get(what, 0) + 1

    # ---- what is measured

    def sample(self):
        row = {"t": time.monotonic() - self.began, "events": self.load.number}
        for name, process in {**self.programs, "touchbusd": self.house.broker}.items():
            try:
                with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
                    kib = next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))
                row[f"{name} memory_mib"] = kib / 1024
                row[f"{name} descriptors"] = len(os.listdir(f"/proc/{process.pid}/fd"))
            except (OSError, StopIteration):
                pass
        for store in ("log", "view", "base", "keys"):
            row[f"{store} mib"] = size(os.path.join(self.house.state, store)) / 2**20
        row["connectors mib"] = size(self.state("")) / 2**20
        self.samples.append(row)

    def judge(self):
        thirds = len(self.samples) // 3
        middle, last = self.samples[thirds:2 * thirds], self.samples[2 * thirds:]
        events = last[-1]["events"] - middle[0]["events"]
        grew = []
        print(f"\n{'what':32} {'first':>9} {'middle':>9} {'last':>9} {'most':>9}")
        for what in sorted({key for row in self.samples for key in row} - {"t", "events"}):
            def values(rows, key=what):
                return [row[key] for row in rows if key in row]
            every = values(self.samples)
            a, b, c = (statistics.median(values(rows) or [0]) for rows in (self.samples[:thirds], middle, last))
            history = what in ("view mib", "base mib", "connectors mib")
            note = ""
            if history:
                note = f"{(every[-1] - values(middle)[0]) * 2**20 / max(events, 1):.0f} bytes an event"
            elif c > b * GROWTH_MAX + SLACK[what.split()[-1]]:
                grew.append(what)
                note = "GROWS"
            print(f"{what:32} {a:9.1f} {b:9.1f} {c:9.1f} {max(every):9.1f}  {note}")
        return grew


def size(folder):
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_blocks * 512
            except OSError:
                pass
    return total


def run(arguments):
    with House() as house:
        os.makedirs(os.path.join(house.folder, "connectors"))
        for name in ("erp-out", "erp-in"):
            os.makedirs(os.path.join(house.folder, name))
        house.start_broker(*BROKER)
        soak = Soak(house, arguments)
        soak.keep_running()
        wait_for("the web connector listens", lambda: listens(soak.web_port))
        soak.load.start()
        end, next_sample, next_fault, killed = time.monotonic() + arguments.minutes * 60, 0, time.monotonic() + 5, False
        while time.monotonic() < end:
            soak.keep_running()
            now = time.monotonic()
            if not killed and now - soak.began > arguments.minutes * 60 / 4:
                house.broker.kill()  # once, early: what is compared is one life
                killed = True
                continue
            if now >= next_sample:
                soak.sample()
                next_sample = now + SAMPLE_S
            if now >= next_fault:
                soak.fault()
                next_fault = time.monotonic() + soak.rng.uniform(0.5, 1.5) * arguments.fault_every
            time.sleep(0.2)
        soak.load.stop()
        print(f"{soak.load.number} events in {arguments.minutes} minutes; what went wrong: {json.dumps(soak.counts, sort_keys=True)}")
        grew = soak.judge()
        verify = house.ask("view", "verify", seconds=900)
        assert verify["equal"], verify
        print(f"view equal at {verify['applied']}; log {house.ask('log', 'info')}")
        status = house.broker.stop()
        print(f"touchbusd ended with {status}; what grew: {grew or 'nothing'}")
        return 1 if grew or status else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=1000, help="events a second (1000)")
    parser.add_argument("--fault-every", type=float, default=7, help="seconds between two faults, about (7)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    return run(arguments)


sys.exit(main())
