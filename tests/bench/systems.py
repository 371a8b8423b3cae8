# SPDX-License-Identifier: Apache-2.0
"""The systems under the benchmark: started on free ports of loopback with a temporary folder on one disk, stopped by their pid.

Each class says how its server is configured, what its own durability is then called, and with how many connections its load is the
fastest (README.md says what was tried). A load generator is a program a system, <bin>/bench-NAME, with the same modes and options.
"""
import json
import os
import selectors
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow"))
from harness import Process, free_ports, listens, wait_for  # noqa: E402

START_S = 60       # for a server to listen
READY_S = 120      # for a load generator to be ready
END_S = 180        # for a load generator to end after its time


class System:
    name = label = durability = ""
    connections, in_flight = 1, 8000
    consumer = ""  # the variant of subscribe that is the fastest
    stream = ""    # the variant of publish that keeps no record; none: always kept

    def __init__(self, bench, folder, customers=None, kind=""):
        self.bench, self.customers, self.process = bench, customers or bench.customers, None
        self.folder = os.path.join(folder, f"{self.name}{kind}-{self.customers}")
        os.makedirs(self.folder)
        self.port = free_ports()
        self.seed = self.n_names = self.n_events = 0

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

    def load(self, mode, waits=True, **options):
        """A load generator in this mode; with `waits` it is to be told to go. take() has its figures."""
        values = {"server": self.address, "connections": self.connections, "in-flight": self.in_flight, "customers": self.customers,
                  "zipf": self.bench.zipf, "work": self.bench.work, **{k.replace("_", "-"): v for k, v in options.items()}}
        if "seed" not in options:
            self.seed = values["seed"] = (self.seed + 1) % 100
        words = [self.bench.program(f"bench-{self.program}"), mode]
        if waits:
            words += ["--wait"]
        for name, value in values.items():
            words += [f"--{name}", str(value)]
        return Load(words)

    def run(self, mode, **options):
        found = self.load(mode, waits=False, **options).take()
        self.n_events += found["n"] if mode in ("fill", "publish") else 0
        return found

    def new_name(self):
        """For a subscription, a consumer, a group."""
        self.n_names += 1
        return f"bench-{self.n_names}"

    def grow(self, n_events):
        """Publishes until there are so many."""
        if self.n_events < n_events:
            self.run("publish", count=n_events - self.n_events, duration="1h", **({"variant": self.stream} if self.stream else {}))

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
        self.popen = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def ready(self):
        """Waits until it is connected and has made what it needs. One that ended says why when it is taken."""
        selector = selectors.DefaultSelector()
        selector.register(self.popen.stderr, selectors.EVENT_READ)
        if not selector.select(READY_S):
            raise RuntimeError(f"{' '.join(self.words)}: not ready in {READY_S} s")

    def go(self):
        try:
            self.popen.stdin.write(b"go\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            pass  # take() says why

    def take(self, seconds=END_S * 10):
        try:
            out, err = self.popen.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise
        if self.popen.returncode:
            raise RuntimeError(f"{' '.join(self.words)}: exit {self.popen.returncode}\n{err.decode(errors='replace')}")
        return json.loads(out)

    def stop(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()


class Touchbus(System):
    name, label = "touchbus", "touchbus"
    durability = "fdatasync before the ack, view current"

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
    durability = "no sync before the ack"
    connections, in_flight = 2, 8000
    consumer, stream = "all", "stream"

    def command(self):
        conf = os.path.join(self.folder, "nats.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(NATS_CONF.format(port=self.port, store=os.path.join(self.folder, "store")))
        return ["nats-server", "-c", conf]

    def prepare(self):
        self.run("setup")


class Redis(System):
    name, label = "redis", "Redis Streams, always"
    durability = "fsync before the reply"
    fsync = "always"
    connections, in_flight = 100, 8000

    def command(self):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder, "--save", "", "--appendonly", "yes",
                "--appendfsync", self.fsync, "--auto-aof-rewrite-percentage", "0", "--daemonize", "no"]

    @property
    def program(self):
        return "redis"


class RedisEverysec(Redis):
    name, label = "redis-everysec", "Redis Streams, everysec"
    durability = "fsync once a second"
    fsync = "everysec"


ALL = {system.name: system for system in (Touchbus, Nats, Redis, RedisEverysec)}


class Web:
    """The web connector in front of a touchbus, and wrk as its callers: single track calls over connections that are kept."""
    connections = 256

    def __init__(self, touchbus):
        self.touchbus, self.bench = touchbus, touchbus.bench
        self.port, self.n_runs, self.process = free_ports(1), 0, None

    def start(self):
        self.process = Process([self.bench.program("touchbus-web"), "--broker", self.touchbus.address, "--port", str(self.port), "--state",
                                os.path.join(self.touchbus.folder, "web")], os.path.join(self.touchbus.folder, "web.log"))
        wait_for("touchbus-web listens", lambda: self.process.alive() and listens(self.port), START_S)

    def stop(self):
        if self.process:
            self.process.stop(START_S)
            self.process = None

    def log_next(self):
        done = subprocess.run([self.bench.program("touchbus"), "-j", "--broker", self.touchbus.address, "log", "info"], text=True,
                              capture_output=True, timeout=START_S, check=True)
        return json.loads(done.stdout)["next"]

    def calls(self, seconds, connections=None):
        """What wrk counted. An answer promises that the event is in the log: so it is asked whether they all are."""
        self.n_runs += 1
        before = self.log_next()
        done = subprocess.run(["wrk", "-t", "1", "-c", str(connections or self.connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "30s", "-s",
                               os.path.join(os.path.dirname(os.path.abspath(__file__)), "track.lua"), f"http://127.0.0.1:{self.port}/v1/track"],
                              env={**os.environ, "BENCH_CUSTOMERS": str(self.bench.customers), "BENCH_RUN": str(self.n_runs)},
                              text=True, capture_output=True, timeout=END_S, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("BENCH ")]
        if done.returncode or not lines:
            raise RuntimeError(f"wrk: exit {done.returncode}\n{done.stdout}{done.stderr}")
        found = json.loads(lines[0].removeprefix("BENCH "))
        logged = self.log_next() - before
        if found["failed"] or logged < found["n"]:
            raise RuntimeError(f"wrk: {found}, but {logged} events are in the log")
        return found
