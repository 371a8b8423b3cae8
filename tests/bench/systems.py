# SPDX-License-Identifier: Apache-2.0
"""The systems under the benchmark: started on free ports of loopback with a temporary folder on one disk, stopped by their pid.

Each class says how its server is configured, what its own durability is then called, and with how many connections its load is the
fastest (README.md says what was tried). A load generator is a program a system, <bin>/bench-NAME, with the same modes and options.
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow"))
from harness import Process, free_ports, listens, wait_for  # noqa: E402

START_S = 60       # for a server to listen
LEAD_S = 1.0       # from starting a load generator to its start
LEAD_ZIPF_S = 2.5  # it draws its customers first
END_S = 180        # for a load generator to end after its time


class System:
    name = label = durability = ""
    connections, in_flight = 1, 8000

    def __init__(self, bench, folder):
        self.bench, self.folder, self.process = bench, os.path.join(folder, self.name), None
        os.makedirs(self.folder)
        self.port = free_ports()
        self.seed = 0

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.process = Process(self.command(), os.path.join(self.folder, "log"))
        wait_for(f"{self.name} listens", lambda: self.process.alive() and listens(self.port), START_S)

    def stop(self):
        if self.process:
            self.process.stop(START_S * 2)
            self.process = None

    def load(self, mode, start=True, **options):
        """A load generator in this mode; it waits for `start`. take() has its figures."""
        values = {"server": self.address, "connections": self.connections, "in-flight": self.in_flight, "customers": self.bench.customers,
                  "zipf": self.bench.zipf, **{k.replace("_", "-"): v for k, v in options.items()}}
        if "seed" not in options:
            self.seed = values["seed"] = (self.seed + 1) % 100
        words = [self.bench.program(f"bench-{self.program}"), mode]
        if start:
            words += ["--start", str(int((time.monotonic() if start is True else start) * 1e6))]
        for name, value in values.items():
            words += [f"--{name}", str(value)]
        return Load(words)

    def run(self, mode, **options):
        return self.load(mode, start=False, **options).take()

    def cpu_s(self):
        """Processor time of the server so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def program(self):
        return self.name

    def prepare(self):
        """Before the first event."""


class Load:
    def __init__(self, words):
        self.words = words
        self.popen = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def take(self, seconds=END_S * 10):
        try:
            out, err = self.popen.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise
        if self.popen.returncode or "late=" in err:
            raise RuntimeError(f"{' '.join(self.words)}: exit {self.popen.returncode}\n{err}")
        return json.loads(out)


class Touchbus(System):
    name, label = "touchbus", "touchbus"
    durability = "fdatasync before each ack, view current at ack"
    connections, in_flight = 20, 8000

    def command(self):
        return [self.bench.program("touchbusd"), "--state", os.path.join(self.folder, "state"), "--port", str(self.port),
                "--retention-bytes", "64G"]

    def start(self):
        super().start()
        wait_for("touchbusd answers", lambda: listens(self.port + 2), START_S)


NATS_CONF = """host: 127.0.0.1
port: {port}
max_payload: 8MB
max_pending: 256MB
jetstream {{ store_dir: "{store}", max_mem: 4G, max_file: 64G }}
"""


class Nats(System):
    name, label = "nats", "NATS JetStream"
    durability = "no sync before the ack (file storage; 2.9 syncs every two minutes)"
    connections, in_flight = 2, 8000

    def command(self):
        conf = os.path.join(self.folder, "nats.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(NATS_CONF.format(port=self.port, store=os.path.join(self.folder, "store")))
        return ["nats-server", "-c", conf]

    def prepare(self):
        self.run("setup")


class Redis(System):
    name, label = "redis", "Redis Streams, always"
    durability = "fsync before the reply (appendfsync always)"
    fsync = "always"
    connections, in_flight = 50, 8000

    def command(self):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder, "--save", "", "--appendonly", "yes",
                "--appendfsync", self.fsync, "--auto-aof-rewrite-percentage", "0", "--daemonize", "no"]

    @property
    def program(self):
        return "redis"


class RedisEverysec(Redis):
    name, label = "redis-everysec", "Redis Streams, everysec"
    durability = "fsync once a second (appendfsync everysec)"
    fsync = "everysec"


ALL = {system.name: system for system in (Touchbus, Nats, Redis, RedisEverysec)}
