# SPDX-License-Identifier: Apache-2.0
"""What every flow test needs: free ports, the real programs started and stopped by their pid, bounded waits.

Programs are taken from TOUCHBUS_BIN (set by ctest). Standard library only.
"""
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = os.environ.get("TOUCHBUS_BIN", "build/dev/bin")
SLOW = bool(os.environ.get("TOUCHBUS_SLOW"))
START_S = 90  # sanitizers on a busy machine
ANSWERS = "30s"  # how long a broker that must answer may take; the tool's own default is meant for people
TAKES_SIGNALS_S = 5  # from its start until it has its handlers; who never has any is ended all the same


def program(name):
    return os.path.join(BIN, name)


_LEASES = []  # this process's, until it ends


def _lease(port):
    """Whether the port is now this process's among all tests on the machine, bound or not: a name in the abstract space of unix(7),
    which the kernel forgets with the process."""
    lease = socket.socket(socket.AF_UNIX)
    try:
        lease.bind(f"\0touchbus-test-port-{port}")
    except OSError:
        lease.close()
        return False
    _LEASES.append(lease)
    return True


def free_ports(count=3):
    """The first of `count` neighbouring ports on loopback that are free now and that no other call, here or in a test running
    beside, gets until this process ends: a port is often bound long after it was chosen, and again after its program was killed.
    Below the range that outgoing connections get theirs from, so that no client may sit on it meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        end = int(file.read().split()[0])
    for _ in range(1000):
        port = random.randrange(min(10000, end - 1000), end - count)
        with contextlib.ExitStack() as stack:
            try:
                for offset in range(count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            except OSError:
                continue
        if all(_lease(port + offset) for offset in range(count)):
            return port
    raise RuntimeError("no neighbouring free ports")


def wait_for(what, condition, seconds=START_S, pause=0.05):
    """The condition's first true value; fails by name after `seconds`."""
    limit = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(pause)


def listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def takes(pid, number):
    """Whether a process has a handler for the signal, or keeps it for a descriptor (proc(5), SigCgt and SigBlk)."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("SigCgt", "SigBlk") and int(value, 16) >> number - 1 & 1:
                return True
    return False


class Process:
    """A program with its output in a file; stopped by its pid, whatever happens."""

    def __init__(self, arguments, log, environment=None, stdout=None):
        self.arguments, self.log = arguments, log
        self.file = open(log, "ab")
        self.popen = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=stdout or self.file, stderr=self.file,
                                      env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def kill(self):
        if self.alive():
            self.popen.send_signal(signal.SIGKILL)
        return self.wait()

    def stop(self, seconds=START_S):
        """SIGTERM, and its exit status. A program just started is first waited for: before it takes signals, the kernel ends it."""
        limit = time.monotonic() + TAKES_SIGNALS_S
        while self.alive() and not takes(self.pid, signal.SIGTERM) and time.monotonic() < limit:
            time.sleep(0.002)
        if self.alive():
            self.popen.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds=START_S):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.arguments[0]} did not end within {seconds} s; log:\n{self.tail()}") from None
        finally:
            self.file.close()

    def tail(self, lines=30):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])


class House:
    """A state folder, a port, a broker on them, and whatever else a test starts. Use it as a context."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="touchbus-test-")
        self.state = os.path.join(self.folder, "state")
        self.port = free_ports()
        self.processes = []
        self.broker = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for process in reversed(self.processes):
            if process.alive():
                process.popen.kill()
                process.popen.wait()
        if kind and self.broker:
            sys.stderr.write(f"--- end of the broker's log\n{self.broker.tail()}")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self, name, *arguments, environment=None, stdout=None, under=()):
        """`under`: what runs the program in its place and becomes it, as `Names.under` of servers/names.py."""
        process = Process([*under, program(name), *arguments], os.path.join(self.folder, f"{name}.log"), environment, stdout)
        self.processes.append(process)
        return process

    def start_broker(self, *arguments, environment=None, wait=True):
        self.broker = self.start("touchbusd", "--state", self.state, "--port", str(self.port), *arguments, environment=environment)
        if wait:
            self.await_broker()
        return self.broker

    def await_broker(self):
        def ready():
            if not self.broker.alive():
                raise AssertionError(f"touchbusd ended with {self.broker.popen.returncode}; log:\n{self.broker.tail()}")
            return listens(self.port) and listens(self.port + 2)
        wait_for("touchbusd listens", ready)

    def touchbus(self, *arguments, check=True, text=None, environment=None, seconds=120):
        """Runs the command line tool against this broker; the completed process. Where it must succeed, or there is a broker to say no,
        a disk that stands still for some seconds is waited for."""
        answers = check or (self.broker is not None and self.broker.alive())
        patient = ("--timeout", ANSWERS) if answers and arguments[:1] != ("bench",) and "--timeout" not in arguments else ()
        done = subprocess.run([program("touchbus"), "--broker", self.address, *patient, *arguments], input=text, text=True, capture_output=True,
                              timeout=seconds, env={**os.environ, **(environment or {})}, check=False)
        if check and done.returncode:
            raise AssertionError(f"touchbus {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def ask(self, *arguments, **options):
        """The one JSON object that `touchbus -j ...` prints."""
        return json.loads(self.touchbus("-j", *arguments, **options).stdout)


class KeyedHouse(House):
    """A house whose broker has keys, all made with `touchbus keygen`. `touchbus` and `ask` go as `admin` unless told otherwise."""

    def __init__(self):
        super().__init__()
        self.keys, self.clients = os.path.join(self.folder, "keys"), os.path.join(self.folder, "clients")
        for folder in (self.keys, self.clients):
            os.mkdir(folder)
        self.keygen("broker", "broker")
        self.admit("admin", "admin")

    def keygen(self, name, role, folder=None):
        """The path of the secret certificate; the public one lies beside it."""
        done = subprocess.run([program("touchbus"), "-j", "keygen", name, "--role", role, "--dir", folder or self.keys], text=True,
                              capture_output=True, timeout=START_S, check=True)
        return json.loads(done.stdout)["secret"]

    def admit(self, name, role, file=None, folder=None):
        """A key that the broker knows at its next start or reload, by that file in --clients."""
        secret = self.keygen(name, role, folder)
        shutil.copy(secret.removesuffix("_secret"), os.path.join(self.clients, f"{file or name}.key"))
        return secret

    def revoke(self, file):
        os.unlink(os.path.join(self.clients, f"{file}.key"))

    def secret(self, name):
        return os.path.join(self.keys, f"{name}.key_secret")

    def key_options(self, name):
        return "--key", self.secret(name), "--broker-key", os.path.join(self.keys, "broker.key")

    def start_broker(self, *arguments, **options):
        return super().start_broker("--key", self.secret("broker"), "--clients", self.clients, *arguments, **options)

    def reload_broker(self):
        """SIGHUP, until the broker's log says that it was done."""
        def reloads():
            with open(self.broker.log, encoding="utf-8") as file:
                return file.read().count("event=reloaded")
        before = reloads()
        os.kill(self.broker.pid, signal.SIGHUP)
        wait_for("touchbusd reloads", lambda: reloads() > before)

    def touchbus(self, *arguments, key="admin", **options):
        return super().touchbus(*(self.key_options(key) if key else ()), *arguments, **options)
