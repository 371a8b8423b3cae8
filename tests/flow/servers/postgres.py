# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL 15 of the test's own: a new cluster below a temporary folder, on loopback and a Unix socket, run by an unprivileged user.

    with Postgres() as server:
        server.uri                     # postgresql://crm@127.0.0.1:PORT/crm, the password in the file server.password_file
        server.rows("SELECT 1")        # as the superuser, through psql
        server.kill(); server.start()  # kill -9 of all of it, and up again

The system's cluster is never touched. Standard library only.
"""
import csv
import fcntl
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import free_ports, wait_for  # noqa: E402

PROGRAMS = "/usr/lib/postgresql/15/bin"
NOBODY = 65534
START_S, MAKE_S = 60, 300
BUILD = os.environ.get("TOUCHBUS_BUILD", os.path.join(tempfile.gettempdir(), "touchbus-build"))
PASSWORD = "correct-horse"  # of the role crm, on loopback
SMALL = "mount -t tmpfs -o size=$1m,uid=$2,mode=700 small \"$0\" || exit 126; shift 2; exec \"$@\""


def unprivileged(arguments):
    """The command as nobody, where the test itself is root: the server refuses to be that."""
    if os.geteuid() != 0:
        return arguments
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *arguments]


def fresh_cluster():
    """A new cluster's folder as initdb makes it, made once a build folder and copied by each test: a second or two each time."""
    made = os.stat(f"{PROGRAMS}/initdb")
    path = os.path.join(BUILD, "postgres", f"{made.st_mtime_ns}-{made.st_size}-{os.geteuid()}")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            with tempfile.TemporaryDirectory(prefix="touchbus-initdb-") as folder:  # where nobody may write
                os.chmod(folder, 0o777)
                subprocess.run(unprivileged([f"{PROGRAMS}/initdb", "-D", f"{folder}/data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                                             "--locale=C.UTF-8", "--no-sync"]), check=True, capture_output=True, timeout=MAKE_S, cwd="/")
                shutil.rmtree(f"{path}.new", ignore_errors=True)
                subprocess.run(["cp", "-a", f"{folder}/data", f"{path}.new"], check=True, timeout=MAKE_S)
            os.rename(f"{path}.new", path)
    return path


class Postgres:
    """Settings are lines of postgresql.conf, as keywords: fsync="off". With a certificate (a file, and its key beside it) it speaks TLS. With
    small_mb the server alone, in a mount namespace of its own, sees a disk of that size at server.small, for a tablespace: root only."""

    def __init__(self, certificate=None, key=None, small_mb=0, **settings):
        self.folder = tempfile.mkdtemp(prefix="touchbus-postgres-")
        os.chmod(self.folder, 0o755)
        self.data, self.log = os.path.join(self.folder, "data"), os.path.join(self.folder, "log")
        self.password_file, self.small = os.path.join(self.folder, "password"), os.path.join(self.folder, "small")
        self.under = ["unshare", "--mount", "sh", "-c", SMALL, self.small, str(small_mb), str(NOBODY)] if small_mb else []
        self.port = free_ports(1)
        self.settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder, "port": self.port, **settings}
        self.certificate, self.key = certificate, key
        self.process = None

    def __enter__(self):
        try:
            self.make()
            self.start()
            self.run("CREATE ROLE crm LOGIN PASSWORD '%s'; CREATE ROLE analyst;" % PASSWORD)
            self.run("CREATE DATABASE crm OWNER crm")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind and os.path.exists(self.log):
            with open(self.log, encoding="utf-8", errors="replace") as file:
                sys.stderr.write("--- end of the server's log\n" + "".join(file.readlines()[-30:]))
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def uri(self):
        return f"postgresql://crm@127.0.0.1:{self.port}/crm"

    def make(self):
        os.mkdir(self.data, 0o700)
        os.mkdir(self.small)
        with open(self.password_file, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(PASSWORD + "\n")
        if os.geteuid() == 0:
            os.chown(self.data, NOBODY, NOBODY)
            os.chown(self.folder, NOBODY, NOBODY)
        subprocess.run(["cp", "-a", f"{fresh_cluster()}/.", self.data], check=True, timeout=MAKE_S)
        if self.certificate:
            for source, name in ((self.certificate, "server.crt"), (self.key, "server.key")):
                self.place(source, name)
            self.settings["ssl"] = "on"
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in self.settings.items())
        with open(os.path.join(self.data, "pg_hba.conf"), "w", encoding="ascii") as file:
            file.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")

    def place(self, source, name):
        """A file into the data folder, for the server alone."""
        path = os.path.join(self.data, name)
        shutil.copy(source, path)
        os.chmod(path, 0o600)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def spawn(self):
        """Started, perhaps not yet answering."""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.under, *unprivileged([f"{PROGRAMS}/postgres", "-D", self.data])], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd="/")

    def start(self):
        """Up, and answering. After a kill the first attempts may find what its children have not yet let go."""
        def ready():
            if self.process is None or self.process.poll() is not None:
                self.spawn()
            return subprocess.run([f"{PROGRAMS}/pg_isready", "-q", "-h", self.folder, "-p", str(self.port), "-U", "postgres"], check=False).returncode == 0
        wait_for("PostgreSQL answers", ready, START_S)
        return self

    def kill(self):
        """SIGKILL to the postmaster and its children."""
        if self.process is None:
            return
        for pid in [self.process.pid, *self.children()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(START_S)
        self.process = None

    def children(self):
        """The pids of the server's processes but the first."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += [int(name)] if parent == self.process.pid else []
        return found

    def stop(self):
        """A fast shutdown, as an administrator does it: sessions are ended, what is committed is kept."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(START_S)
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def run(self, statements, database=None, seconds=120):
        """Statements as the superuser, all or none; what psql prints."""
        name = database or ("crm" if self.has("crm") else "postgres")
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--csv", "-t", "-h", self.folder, "-p", str(self.port), "-U",
                               "postgres", "-d", name, "-c", statements], text=True, capture_output=True, timeout=seconds, check=False,
                              env={**os.environ, "PGOPTIONS": "-c search_path=touchbus,public"})
        if done.returncode:
            raise AssertionError(f"psql: {done.stderr}")
        return done.stdout

    def has(self, database):
        """Whether the database is there; remembered once it is."""
        if not getattr(self, "known", False):
            found = subprocess.run(["psql", "-X", "-A", "-t", "-h", self.folder, "-p", str(self.port), "-U", "postgres", "-d", "postgres", "-c",
                                    f"SELECT 1 FROM pg_database WHERE datname = '{database}'"], text=True, capture_output=True, check=False)
            self.known = found.stdout.strip() == "1"
        return self.known

    def rows(self, query):
        """Lists of texts; NULL is ''."""
        return list(csv.reader(io.StringIO(self.run(query))))

    def one(self, query):
        """The first value, a number where it is one; None where there is no row."""
        rows = self.rows(query)
        value = rows[0][0] if rows else None
        return int(value) if value and value.lstrip("-").isdigit() else value

    def says(self, text):
        """Whether the server's log has it."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return text in file.read()

    def sessions(self, application="touchbus-crm"):
        return self.one(f"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '{application}%'")
