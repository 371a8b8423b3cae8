#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Tryton 6.0 of the test's own, on a PostgreSQL of its own, on loopback, run by an unprivileged user.

    with Tryton() as server:
        server.url                                                      # http://127.0.0.1:PORT/erp, the password in server.password_file
        server.call("model.sale.sale.search_count", [])                 # as an administrator's program would
        server.kill(); server.start()                                   # kill -9 of trytond, and up again; server.postgres likewise

Making one takes minutes, so it is made once and kept in the build folder as a dump, named by what it was made from; the next ones
take seconds. What stands in it is tryton_house.py. `tryton.py` as a program makes the dump where it is missing: the fixture of ctest.
"""
import base64
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tryton_house as house  # noqa: E402
from postgres import BUILD, NOBODY, PASSWORD, PROGRAMS, Postgres, unprivileged  # noqa: E402

from harness import Process, free_ports, wait_for  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SET_UP_S = 900
NEEDED = ["/usr/bin/trytond", "/usr/bin/setpriv", f"{PROGRAMS}/initdb", *(f"/usr/lib/python3/dist-packages/trytond/modules/{name}" for name in
                                                                       ("sale", "purchase", "stock_supply", "purchase_request")),
          "/usr/lib/python3/dist-packages/proteus", "/usr/lib/python3/dist-packages/phonenumbers"]


def missing():
    """The first file of Debian's packages that is not there; None: all are."""
    return next((path for path in NEEDED if not os.path.exists(path)), None)


def dump_path():
    """The dump's name says what it was made from: the set-up's text and the server's version."""
    digest = hashlib.sha256()
    for name in ("tryton_setup.py", "tryton_house.py"):
        with open(os.path.join(HERE, name), "rb") as file:
            digest.update(file.read())
    with open("/usr/lib/python3/dist-packages/trytond/__init__.py", "rb") as file:
        digest.update(file.read())
    return os.path.join(BUILD, "tryton", f"{digest.hexdigest()[:16]}.dump")


class Refused(AssertionError):
    """What Tryton answered instead of a result."""


class Tryton:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="touchbus-tryton-")
        os.chmod(self.folder, 0o755)
        self.postgres = Postgres(fsync="off", full_page_writes="off", synchronous_commit="off", jit="off", autovacuum_naptime="1s")
        self.port = free_ports(1)
        self.conf, self.log = os.path.join(self.folder, "trytond.conf"), os.path.join(self.folder, "trytond.log")
        self.password_file = os.path.join(self.folder, "password")
        self.process, self.authorization, self.context = None, None, {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/{house.DATABASE}"

    def __enter__(self):
        try:
            self.write_files()
            self.postgres.__enter__()
            self.restore()
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind and self.process:
            sys.stderr.write(f"--- end of trytond's log\n{self.process.tail()}")
        self.kill()
        self.postgres.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_files(self, worker=False):
        """With a worker, trytond leaves a confirmed sale to a process that is not started here: it stays confirmed."""
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(f"[queue]\nworker = {worker}\n[database]\nuri = postgresql://crm:{PASSWORD}@127.0.0.1:{self.postgres.port}/\n"
                       f"[web]\nlisten = 127.0.0.1:{self.port}\n[session]\nmax_attempt = 100000\nmax_attempt_ip_network = 100000\n")
        with open(self.password_file, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(house.PASSWORD + "\n")
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)

    # ---- the database

    def make(self, path):
        """From nothing into a dump: minutes."""
        self.write_files()
        self.postgres.__enter__()
        self.postgres.run(f"CREATE DATABASE {house.DATABASE} OWNER crm")
        shutil.copytree(HERE, os.path.join(self.folder, "servers"), ignore=shutil.ignore_patterns("__pycache__"))
        done = subprocess.run(unprivileged(["/usr/bin/python3", os.path.join(self.folder, "servers", "tryton_setup.py"), self.conf, house.DATABASE]),
                              text=True, capture_output=True, timeout=SET_UP_S, cwd="/", check=False, env=self.environment())
        if done.returncode:
            raise AssertionError(f"tryton_setup.py: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        self.program("pg_dump", "-Fc", "-f", f"{path}.new", house.DATABASE)
        os.rename(f"{path}.new", path)

    def restore(self):
        path = ready()
        self.postgres.run(f"CREATE DATABASE {house.DATABASE} OWNER crm")
        self.program("pg_restore", "--no-owner", "--role=crm", "-d", house.DATABASE, path)

    def program(self, name, *arguments):
        subprocess.run([f"{PROGRAMS}/{name}", "-h", self.postgres.folder, "-p", str(self.postgres.port), "-U", "postgres", *arguments], check=True,
                       capture_output=True, timeout=SET_UP_S)

    # ---- trytond

    def environment(self):
        return {**os.environ, "HOME": self.folder, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}

    def start(self, wait=True):
        self.process = Process(unprivileged(["/usr/bin/trytond", "-c", self.conf, "-d", house.DATABASE]), self.log, self.environment())
        if wait:
            self.await_up()
        return self

    def await_up(self):
        def up():
            if not self.process.alive():
                raise AssertionError(f"trytond ended; log:\n{self.process.tail()}")
            try:
                return self.request("/", "common.server.version", [])
            except (OSError, http.client.HTTPException):
                return None
        wait_for("trytond answers", up)

    def stop(self):
        """SIGTERM; trytond has no other end."""
        if self.process and self.process.alive():
            self.process.stop()

    def kill(self):
        if self.process and self.process.alive():
            self.process.kill()

    def restart(self, worker=False):
        self.stop()
        self.write_files(worker)
        return self.start()

    # ---- as a program of the administrator's

    def request(self, path, method, params):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps({"method": method, "params": params}).encode(),
                                         {"Content-Type": "application/json", **({"Authorization": self.authorization} if self.authorization else {})})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read())

    def login(self, user="admin", password=house.ADMIN_PASSWORD):
        self.authorization = None
        uid, key = self.request(f"/{house.DATABASE}/", "common.db.login", [user, {"password": password}])
        self.authorization = "Session " + base64.b64encode(f"{user}:{uid}:{key}".encode()).decode()
        self.context = {"company": self.request(f"/{house.DATABASE}/", "model.company.company.search", [[], 0, 1, None, {}])[0]}

    def call(self, method, *params, context=None):
        """The result; Refused with Tryton's words. Logs in where it must, once again after a restart."""
        for attempt in (1, 2):
            if self.authorization is None:
                self.login()
            try:
                return self.request(f"/{house.DATABASE}/", method, [*params, {**self.context, **(context or {})}])
            except urllib.error.HTTPError as error:
                words = error.read().decode(errors="replace")
                self.authorization = None if error.code == 401 else self.authorization
                if attempt == 2 or error.code not in (401, 500):
                    raise Refused(f"{method}: {error.code} {words}") from None
        return None

    def read(self, model, domain, *fields):
        """search_read, by id."""
        return self.call(f"model.{model}.search_read", domain, 0, None, [["id", "ASC"]], list(fields))


def ready():
    """The dump's path; makes it where it is missing, one process at a time."""
    path = dump_path()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            maker = Tryton()
            try:
                maker.make(path)
            finally:
                maker.__exit__(None, None, None)
    return path


def main():
    if missing():
        print(f"SKIP: {missing()} is not installed")
        sys.exit(77)
    path = ready()
    print(f"{path}: {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
