#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a real PostgreSQL does to those who write: a deadlock, a lost serialisation, no slot for a connection, a full disk, a process that is
frozen in the middle of a batch and then goes on or dies, an end of the session, a server that is not yet up. The connector says so, waits
or does it again; nothing is lost, nothing twice, nothing parked, and it is one process from beginning to end."""
import os
import signal
import subprocess

from warehouse import House, Postgres, agrees, cloud, drained, log_end, publish, says, start, wait_for
from postgres import PROGRAMS, unprivileged

SMALL_MB = 24
HOGS = 12
CONNECTORS = "application_name LIKE 'touchbus-crm%'"
numbers = iter(range(1, 10000))


def pages(names, text="/"):
    """A page view each."""
    return [cloud(f"view-{next(numbers)}", "page.viewed", {"url": text}, f"user_id={name}") for name in names]


class Session:
    """Somebody else at the database, who does one thing after another and keeps the transaction open."""

    def __init__(self, server, user="postgres"):
        self.server, self.replies = server, 0
        self.process = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-h", server.folder, "-p", str(server.port), "-U", user, "-d", "crm"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def do(self, statement):
        """Waits for it; what it said."""
        self.replies += 1
        self.process.stdin.write(f"{statement};\n\\echo done-{self.replies}\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline().strip()) != f"done-{self.replies}":
            assert self.process.poll() is None, lines
            lines.append(line)
        return "\n".join(lines)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


def lanes(server, *names):
    found = dict(server.rows("SELECT value, customer FROM keys WHERE kind = 'user_id'"))
    return sorted(int(found[name]) for name in names)


def backend(server, waiting=True):
    """The pid of the server's process that works for the sink; when it waits for a lock."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'touchbus-crm'" + (" AND wait_event_type = 'Lock'" if waiting else "")
    return wait_for("the sink's process", lambda: server.one(query))


def deadlock(house, server, _):
    """Somebody holds the one row and then wants the other, which the batch has: the server ends the batch (40P01), and it is done again.
    A batch before it waits, so that both events of it are there when it begins."""
    low, high = lanes(server, "u-1", "u-2")
    other, before_it = Session(server), Session(server)
    other.do(f"SET deadlock_timeout = '60s'; BEGIN; UPDATE touchbus.fences SET sequence = sequence WHERE lane = {high}")
    before_it.do(f"BEGIN; UPDATE touchbus.fences SET sequence = sequence WHERE lane = {lanes(server, 'u-3')[0]}")
    publish(house, pages(["u-3"]))
    sink = backend(server)
    publish(house, pages(["u-1", "u-2"]))
    wait_for("the connector has them", lambda: sum(member["held"] for member in house.ask("subscription", "show", "crm")["member_list"]) == 3)
    before_it.do("COMMIT")
    holder = other.do("SELECT pg_backend_pid()")
    wait_for("the batch wants what somebody holds", lambda: server.one(f"SELECT count(*) WHERE {holder} = ANY(pg_blocking_pids({sink}))"))
    before = deadlocks(server)
    assert "ERROR" not in other.do(f"UPDATE touchbus.fences SET sequence = sequence WHERE lane = {low}"), "somebody else lost"
    other.do("COMMIT")
    drained(house, "crm")
    wait_for("the deadlock is counted", lambda: deadlocks(server) > before)  # as often as it is faster again
    other.close()
    before_it.close()


def deadlocks(server):
    return server.one("SELECT deadlocks FROM pg_stat_database WHERE datname = 'crm'")


def serialisation(house, server, process):
    """The same row changed and committed behind the batch's snapshot (40001)."""
    lane, = lanes(server, "u-1")
    server.run("ALTER ROLE crm SET default_transaction_isolation = 'repeatable read'")
    ended(house, server, process)
    other = Session(server)
    other.do(f"BEGIN; UPDATE touchbus.fences SET sequence = sequence WHERE lane = {lane}")
    publish(house, pages(["u-1"]))
    backend(server)
    other.do("COMMIT")
    drained(house, "crm")
    assert server.says("could not serialize access due to concurrent update")
    server.run("ALTER ROLE crm RESET default_transaction_isolation")
    ended(house, server, process)
    other.close()


def ended(house, server, process):
    """An administrator ends the sessions (57P01): what comes then is written by another one."""
    place = log_end(process)
    assert server.one(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {CONNECTORS}") >= 1
    publish(house, pages(["u-1", "u-3"]))
    drained(house, "crm")
    says(process, "terminating connection due to administrator command", place)
    says(process, "sink=back", place)


def no_slot(house, server, process):
    """All that is left is kept for the superuser (53300)."""
    place = log_end(process)
    process.popen.send_signal(signal.SIGSTOP)
    server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {CONNECTORS}")
    wait_for("the sessions are gone", lambda: server.sessions() == 0)
    hogs = [Session(server, "crm") for _ in range(HOGS)]
    wait_for("no slot is left", lambda: server.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'crm'") == server.slots)
    publish(house, pages(["u-1", "u-2"]))
    process.popen.send_signal(signal.SIGCONT)
    place = says(process, "remaining connection slots are reserved", place)
    held(house)
    for hog in hogs:
        hog.process.kill()
        hog.process.communicate()
    says(process, "sink=back", place)
    drained(house, "crm")


def full(house, server, process):
    """The disk of a month's table is full (53100), until somebody makes room."""
    if not server.under:
        print("not tried, a full disk: only root may make one")
        return
    month = server.one("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'interactions'::regclass")
    server.run(f"ALTER TABLE {month} SET TABLESPACE small")
    place, low = log_end(process), 1
    for rows in (4000, 400, 40, 4):
        try:
            while True:
                server.run(f"CREATE TABLE public.ballast_{low} TABLESPACE small AS SELECT repeat('x', 1900) FROM generate_series(1, {rows})")
                low += 1
        except AssertionError as error:
            assert "No space left on device" in str(error), error
    publish(house, pages([f"u-{number}" for number in range(100)], "https://shop.example/" + "x" * 1500))
    place = says(process, "SQLSTATE 53100", place)
    held(house)
    server.run("".join(f"DROP TABLE public.ballast_{number};" for number in range(1, low)))
    says(process, "sink=back", place)
    drained(house, "crm")
    server.run(f"ALTER TABLE {month} SET TABLESPACE pg_default")
    server.run("CHECKPOINT")  # a recovery makes what was dropped since the last one once more, and would find no room


def frozen(house, server, process, ends):
    """The server's process stops between the first and the last statement of a batch, and the connector gives up on it. The frozen one still
    holds its locks, so the next one waits. Then it goes on, perhaps to commit what was sent before; or it is killed, and all others with it."""
    place = log_end(process)
    other = Session(server)
    other.do("BEGIN; LOCK TABLE touchbus.customers IN ACCESS EXCLUSIVE MODE")
    publish(house, pages([f"u-{number}" for number in range(40)]))
    pid = backend(server)
    os.kill(pid, signal.SIGSTOP)
    other.do("COMMIT")
    other.close()
    place = says(process, f"no answer within {TIMEOUT_S}000 ms", place)
    held(house)
    wait_for("another one waits for the frozen one", lambda: server.one(f"SELECT count(*) FROM pg_stat_activity WHERE {CONNECTORS} AND pid <> {pid} "
                                                                         f"AND {pid} = ANY (pg_blocking_pids(pid))"))
    os.kill(pid, ends)
    says(process, "sink=back", place)
    drained(house, "crm")


def starting(house, server, process):
    """It is there, and takes nobody yet (57P03): a standby that answers no questions, until it is promoted."""
    server.stop()
    place = log_end(process)
    with open(os.path.join(server.data, "standby.signal"), "w", encoding="ascii"):
        pass
    server.spawn()
    publish(house, pages(["u-1", "u-2"]))
    place = says(process, "the database system is not accepting connections", place)
    held(house)
    subprocess.run(unprivileged([f"{PROGRAMS}/pg_ctl", "promote", "-s", "-W", "-D", server.data]), check=True, timeout=60, cwd="/")
    says(process, "sink=back", place)
    drained(house, "crm")


def held(house):
    shown = house.ask("subscription", "show", "crm")
    assert shown["parked"] == 0 and shown["lag"] > 0, shown


TIMEOUT_S = 2


def main():
    root = os.geteuid() == 0
    with House() as house, Postgres(small_mb=SMALL_MB if root else 0, fsync="off", hot_standby="off", max_connections=HOGS + 1,
                                    superuser_reserved_connections=3, max_wal_senders=0) as server:
        server.slots = HOGS + 1 - 3
        if root:
            server.run(f"CREATE TABLESPACE small LOCATION '{server.small}'")
        house.start_broker()
        process = start(house, "crm", "--postgres", server.uri, "--password-file", server.password_file, "--postgres-timeout", f"{TIMEOUT_S}s")
        publish(house, pages(["u-1", "u-2", "u-3"]))
        drained(house, "crm")
        for trouble in (deadlock, serialisation, no_slot, full):
            print(trouble.__name__, flush=True)
            trouble(house, server, process)
        frozen(house, server, process, signal.SIGCONT)
        frozen(house, server, process, signal.SIGKILL)
        starting(house, server, process)
        server.restart()
        publish(house, pages(["u-1"]))
        drained(house, "crm")
        print(agrees(house, server), "rows, each once, nothing parked")
        assert process.stop() == 0, process.tail()


main()
