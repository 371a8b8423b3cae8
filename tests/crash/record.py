# SPDX-License-Identifier: Apache-2.0
"""Lives of the real touchbusd under the recorder, with clients: what they saw, and a trace of what it did to its files."""
import glob
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow"))
from harness import BIN, START_S, Process, free_ports, listens, program, wait_for  # noqa: E402

# Small, so that restore points and trims happen many times in a life.
SETTINGS = ("--restore-interval", "150ms", "--retention-bytes", "300K", "--dedup-events", "100000", "--disk-reserve", "0",
            "--log-map", "256M", "--view-map", "256M", "--log-level", "warning")
SYNC_US = 700           # what a sync takes, so that others can come in between
PUBLISHERS = ("crash-a", "crash-b")
COLLECTOR = "audit"
TRIES_MAX = 3
LIFE_S_MAX = 20
# Persons to erase: of load.c's MORE_CUSTOMERS those whose number is beyond the ones that the judge goes on with (ticks.h).
ERASED = [f"user_id=u-{150 + number}" for number in range(24, 40)]
ERASE_PAUSE_S = 0.15
LIFE_BYTES_MAX = 40 << 20  # of its trace
CLEAN_S = 1.2
DSYNC_RUN = (6, 60)


class Record:
    """The files of a recorded history."""

    def __init__(self, folder):
        self.folder = folder
        self.state, self.trace, self.at, self.lives, self.log = (
            os.path.join(folder, name) for name in ("state", "trace", "trace.at", "lives", "touchbusd.log"))

    def accounts(self):
        return sorted(glob.glob(os.path.join(self.folder, "*.account")))

    def cut(self, *options, folder=None, program_name="crash-cut", seconds=7200):
        """Runs crash-cut over it; the completed process."""
        done = subprocess.run([program(program_name), self.trace, folder or self.folder, "--lives", self.lives, *options,
                               *self.accounts()], capture_output=True, text=True, errors="replace", timeout=seconds, check=False)
        assert done.returncode in (0, 1), f"crash-cut {' '.join(options)}: {done.returncode}: {done.stderr}"
        return done

    def n_acked(self):
        return sum(line.split("\t")[1] in ("ok", "quarantined") for path in self.accounts() for line in open(path, encoding="utf-8"))


def preloaded(state, trace, **settings):
    return {"LD_PRELOAD": os.path.join(BIN, "libcrash-record.so"), "CRASH_ROOT": state, "CRASH_TRACE": trace,
            "CRASH_SYNC_US": str(SYNC_US), **{name: str(value) for name, value in settings.items()}}


class Remains:
    """What a cut of an earlier record has left: a state to begin with, and what its clients had seen by then."""
    PUBLISHERS = ("crash-c", "crash-d")   # whose numbers begin anew

    def __init__(self, recorded, seed, folder):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        done = recorded.cut("--kind", "recovery", "--seed", str(seed), "--state", str(seed % 6), "--keep", folder=folder)
        _, _, offset, self.image = done.stdout.rstrip("\n").split("\t")
        self.account = os.path.join(folder, "before")
        with open(self.account, "w", encoding="utf-8") as out:
            for path in recorded.accounts():
                with open(path, encoding="utf-8") as file:
                    out.writelines(line.split("\t", 1)[1] for line in file if int(line.split("\t")[0]) <= int(offset))

    def begin(self, record):
        """A record that begins with this state, all of it on disk."""
        shutil.copytree(self.image, record.state)
        with open(record.trace, "wb") as trace:
            for folder, _, files in sorted(os.walk(record.state)):
                name = os.path.relpath(folder, record.state)
                name = "" if name == "." else name
                trace.write(operation(b"m", name))
                for file in files:
                    path = os.path.join(name, file)
                    trace.write(operation(b"c", path))
                    with open(os.path.join(record.state, path), "rb") as content:
                        for at, data in enumerate(iter(lambda: content.read(1 << 20), b"")):
                            trace.write(operation(b"w", path, at << 20, data))
                    trace.write(operation(b"s", path))
                trace.write(operation(b"D", name))
            began = trace.tell()
        with open(self.account, encoding="utf-8") as before, open(os.path.join(record.folder, "before.account"), "w", encoding="utf-8") as out:
            out.writelines(f"{began}\t{line}" for line in before)


def operation(kind, path, offset=0, data=b""):
    """A record of the trace, as record.c writes it."""
    return struct.pack("<cHIQ", kind, len(path), len(data), offset) + path.encode() + data


class Stage:
    """One port, clients that outlive the broker, and the broker's lives."""

    def __init__(self, folder, daemon="touchbusd", settings=SETTINGS, state=None, preload=True):
        os.makedirs(folder, exist_ok=True)
        self.record, self.daemon, self.settings, self.preload = Record(folder), daemon, settings, preload
        self.record.state = state or self.record.state
        self.port, self.clients, self.broker = free_ports(), [], None
        self.to_erase, self.erasing, self.erase_due = [], None, 0
        open(self.record.trace, "ab").close()
        with open(self.record.at, "wb") as file:
            file.write(bytes(8))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if self.erasing and self.erasing.poll() is None:
            self.erasing.kill()
            self.erasing.wait()
        for process in [*self.clients, *([self.broker] if self.broker else [])]:
            if process.alive():
                process.popen.kill()
                process.popen.wait()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def client(self, role, name, *arguments):
        path = os.path.join(self.record.folder, f"{name}.account")
        with open(path, "ab") as out:
            process = Process([program("crash-load"), role, self.address, name, self.record.at, *arguments],
                              os.path.join(self.record.folder, f"{name}.log"), stdout=out)
        self.clients.append(process)
        return process

    def begin(self, **settings):
        """A life begins; its broker."""
        with open(self.record.lives, "a", encoding="utf-8") as file:
            file.write(f"{os.path.getsize(self.record.trace)}\n")
        self.broker = Process([program(self.daemon), "--state", self.record.state, "--port", str(self.port), *self.settings],
                              self.record.log, preloaded(self.record.state, self.record.trace, **settings) if self.preload else None)
        return self.broker

    def ready(self):
        wait_for("touchbusd listens", lambda: not self.broker.alive() or listens(self.port + 2), START_S, 0.01)

    def until(self, condition, seconds=LIFE_S_MAX):
        """Whether the condition came true while the broker lived."""
        limit = time.monotonic() + seconds
        while self.broker.alive() and time.monotonic() < limit:
            self.erase_some()
            if condition():
                return True
            time.sleep(0.005)
        return False

    def erase_some(self):
        """Has the next person erased; a line of the account where that was answered, as later than it was."""
        if self.erasing and self.erasing.poll() is not None:
            if self.erasing.returncode == 0:
                customer = json.loads(self.erasing.stdout.read())["customer"]
                with open(self.record.at, "rb") as at, open(os.path.join(self.record.folder, "erased.account"), "a", encoding="utf-8") as out:
                    out.write(f"{struct.unpack('<Q', at.read(8))[0]}\terased\terased-{customer[1:]}\t{customer[1:]}\n")
                self.to_erase.pop(0)
            self.erasing = None
            self.erase_due = time.monotonic() + ERASE_PAUSE_S
        elif not self.erasing and self.to_erase and time.monotonic() > self.erase_due:
            self.erasing = subprocess.Popen([program("touchbus"), "--broker", self.address, "-j", "customer", "erase", self.to_erase[0],
                                             "--yes"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def end(self, allowed=(0, -9)):
        status = self.broker.stop()
        if self.erasing and self.erasing.poll() is None:
            self.erasing.kill()   # nobody is there to answer it
            self.erasing.wait()
        assert status in allowed, f"the recorded broker ended with {status}:\n{self.broker.tail()}"
        dead = [client for client in self.clients if not client.alive() and client.popen.returncode]
        assert not dead, f"a client ended:\n{dead[0].tail()}"
        return status

    def live(self, seconds=CLEAN_S, **settings):
        """A life: until the recorder kills it, or a clean end after `seconds` of service."""
        self.begin(**settings)
        self.ready()
        began = os.path.getsize(self.record.trace)
        self.until(lambda: os.path.getsize(self.record.trace) > began + LIFE_BYTES_MAX, LIFE_S_MAX if settings else seconds)
        return self.end()


# What ends a life, in turn. A kill is the recorder's, between two operations: N-th of them, or within the N-th synchronous write.
def plans(rng):
    yield {}
    while True:
        yield {"CRASH_KILL_OP": rng.randint(300, 2500)}
        yield {"CRASH_KILL_DSYNC": rng.randint(*DSYNC_RUN)}
        yield {"CRASH_KILL_OP": rng.randint(2, 45)}      # mostly in the start
        yield {"CRASH_KILL_DSYNC": rng.randint(*DSYNC_RUN)}
        yield {}


def killed_while_syncing(rng):
    """Each life but the last ends within a synchronous write of the log: the next one finds it in the page cache only."""
    while True:
        yield {"CRASH_KILL_DSYNC": rng.randint(*DSYNC_RUN)}


def killed_behind_renames(rng):
    """Each life but the first ends right behind a renaming, mostly that of a restore point: the next one finds it in the page cache only."""
    yield {}
    while True:
        yield {"CRASH_KILL_RENAME": rng.randint(1, 4)}


def port_was_taken(log):
    """Whether a broker could not have its port, which another program took between two lives: no verdict on anything."""
    with open(log, encoding="utf-8", errors="replace") as file:
        return "Address already in use" in file.read()


def record(folder, rng, lives, **making):
    """As record_once, again where another program took the port."""
    for left in reversed(range(TRIES_MAX)):
        try:
            return record_once(folder, rng, lives, **making)
        except AssertionError:
            if left == 0 or not port_was_taken(os.path.join(folder, "touchbusd.log")):
                raise
            shutil.rmtree(folder)
    return None


def record_once(folder, rng, lives, daemon="touchbusd", plan=None, calm=False, remains=None):
    """Runs the broker several times with clients; calm: with one publisher that waits for each ack, and nothing else that commits;
    remains: what it begins with. Returns the Record; its trace is all that happened to the state."""
    with Stage(folder, daemon, (*SETTINGS, "--retention-bytes", "0") if calm else SETTINGS) as stage:
        if remains:
            remains.begin(stage.record)
        names = remains.PUBLISHERS if remains else PUBLISHERS
        for name in names[:1] if calm else names:
            stage.client("publish", name, *([str(1 << 18), "1"] if calm else []))
        if not calm:
            stage.client("collect", COLLECTOR)
            stage.to_erase = list(ERASED)
        for _, settings in zip(range(lives), plan or plans(rng)):
            stage.live(**settings)
        for client in stage.clients:
            assert client.stop() == 0, client.tail()
    done = stage.record.cut("--equals", stage.record.state)
    assert done.returncode == 0, f"the recorder missed something: {done.stderr}"
    assert stage.record.n_acked() > 5 * lives, f"hardly anything was acked: {stage.record.n_acked()}"
    return stage.record


def main():
    """record.py FOLDER SEED LIVES [DAEMON]: one record, for looking at."""
    folder, seed, lives = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    shutil.rmtree(folder, ignore_errors=True)
    done = record(folder, random.Random(seed), lives, **({"daemon": sys.argv[4]} if len(sys.argv) > 4 else {}))
    print(f"{os.path.getsize(done.trace)} bytes of trace, {done.n_acked()} acked; {done.accounts()}")


if __name__ == "__main__":
    main()
