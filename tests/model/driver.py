# SPDX-License-Identifier: Apache-2.0
"""The driver and the process that rebuilds, as Python objects: one call, one line, one answer."""
import json
import os
import shutil
import subprocess
import tempfile

BIN = os.environ.get("TOUCHBUS_BIN", "build/dev/bin")
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()


class Died(Exception):
    """The driver ended: an assertion, a fatal error, a sanitizer's report."""


class Program:
    def __init__(self, *arguments, environment=None):
        self.program = subprocess.Popen([f"{BIN}/model_driver", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **(environment or {})})

    def call(self, do, **arguments):
        try:
            self.program.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.program.stdin.flush()
            line = self.program.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Died(f"the driver ended with {self.program.wait(60)} in {do} {json.dumps(arguments)[:500]}")
        return json.loads(line)

    def end(self):
        if self.program.poll() is None:
            self.program.stdin.close()
            try:
                self.program.wait(60)
            except subprocess.TimeoutExpired:
                self.program.kill()
                self.program.wait()


class Driver:
    """One broker, started anew for each history."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="touchbus-model-", dir=FOLDER)
        self.state = f"{self.folder}/state"
        self.policy_path = f"{self.folder}/policy.yaml"
        self.broker = Program()
        # Another zone, another language, other options: nothing of it may reach the view.
        self.rebuilder = Program("--rebuild", environment={"TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "LANG": "tr_TR.UTF-8"})

    def open(self, now_us, policy, words):
        shutil.rmtree(self.state, ignore_errors=True)
        self.words = list(words)
        if policy is not None:
            self.write_policy(policy)
            self.words += ["--policy", self.policy_path]
        self.broker.call("clock", at_us=now_us)
        self.broker.call("open", state=self.state, words=self.words)

    def write_policy(self, policy):
        with open(self.policy_path, "w", encoding="utf-8") as file:
            file.write(policy)

    def clock(self, now_us):
        self.broker.call("clock", at_us=now_us)

    def turn(self):
        """The tick looks at what is due."""
        self.broker.call("publish", events=[])

    def publish(self, events):
        return self.broker.call("publish", events=events)

    def query(self, verb, body=None, **arguments):
        more = {} if body is None else {"body": body}
        return self.broker.call("query", verb=verb, arguments={name: str(value) for name, value in arguments.items()}, **more)

    def head(self):
        return self.broker.call("hash")["applied"]

    def log(self, first):
        """Every event from this sequence on, as CloudEvents."""
        head = self.head()
        events = []
        while first <= head:
            answer = self.query("log.get", sequence=first, count=min(1000, head - first + 1))
            for part in answer["parts"]:
                events += part.get("events", [])
            first += 1000
        return events

    def equal(self):
        """(whether the live view and one rebuilt elsewhere hash alike, the two)."""
        live = self.broker.call("hash")
        rebuilt = self.rebuilder.call("rebuild", state=self.state, scratch=f"{self.folder}/scratch", applied=live["applied"])
        return live["hash"] == rebuilt["hash"], (live["hash"], rebuilt["hash"])

    def close(self):
        self.broker.call("close", clean=False, remove=True)

    def end(self):
        self.broker.end()
        self.rebuilder.end()
        shutil.rmtree(self.folder, ignore_errors=True)
