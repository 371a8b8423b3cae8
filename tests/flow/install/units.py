#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The installed systemd units, judged by systemd itself: they are well-formed, their sandbox is "OK" or better, and what it
forbids is nothing that the programs do: a traced house makes no system call, opens no socket and maps no memory that the
units do not allow. SKIP without systemd-analyze (or strace)."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

FLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [FLOW, os.path.join(FLOW, "servers")]
from dovecot import Dovecot  # noqa: E402
from harness import House, free_ports, listens, program, wait_for  # noqa: E402
from smtp import Smtp  # noqa: E402

BUILD = os.environ["TOUCHBUS_BUILD"]
UNITS = {"touchbusd.service": "touchbusd.service", "touchbus-connector@.service": "touchbus-connector@web.service"}
EXPOSURE_MAX = 2.0
# systemd adds these to every filter: without them no program starts or ends.
ALWAYS = {"execve", "exit", "exit_group", "rt_sigreturn", "getrlimit", "clock_gettime", "gettimeofday", "time", "nanosleep", "brk", "mmap",
          "mprotect", "munmap", "rt_sigprocmask", "arch_prctl", "restart_syscall"}
# SQLite gives its files away where it is root, as this test may be; the units' users are not.
AS_ROOT = {"fchown"}


def run(*arguments, **options):
    done = subprocess.run(arguments, text=True, capture_output=True, timeout=120, check=False, **options)
    assert done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def installed_units(prefix):
    run("cmake", "--install", BUILD, "--prefix", prefix)
    folder = os.path.join(prefix, "lib/systemd/system")
    for template, instance in UNITS.items():
        if template != instance:
            shutil.copy(os.path.join(folder, template), os.path.join(folder, instance))
    return [os.path.join(folder, unit) for unit in UNITS.values()]


def test_units_are_well_formed(units):
    for unit in units:
        printed = run("systemd-analyze", "verify", "--man=no", unit)
        # What is wrong with other units of this machine is not ours.
        ours = [line for line in printed.splitlines() if os.path.basename(unit).split("@")[0] in line]
        assert not ours, "\n".join(ours)


def test_sandbox_is_ok(units):
    for unit in units:
        printed = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
        exposure, verdict = re.search(r"Overall exposure level for .*: ([0-9.]+) (\w+)", printed).groups()
        print(f"{os.path.basename(unit)}: exposure {exposure} {verdict}")
        assert verdict in ("OK", "SAFE", "PERFECT") and float(exposure) <= EXPOSURE_MAX, printed


def test_look_ups_may_be_urgent(units):
    said = settings(units[0])
    assert (said["LimitRTPRIO"], said.get("RestrictRealtime")) == (["1"], None)


def test_a_crash_is_followed_by_a_start_however_many_there_were(units):
    for unit in units:
        said = settings(unit)
        assert (said["Restart"], said["StartLimitIntervalSec"]) == (["on-failure"], ["0"]), unit


# ---- what the units forbid is nothing that the programs do

def settings(unit):
    values = {}
    with open(unit, encoding="utf-8") as file:
        for name, value in re.findall(r"^(\w+)=(.*)$", file.read(), re.MULTILINE):
            values.setdefault(name, []).append(value)
    return values


def call_sets():
    sets, current = {}, None
    for line in run("systemd-analyze", "--no-pager", "syscall-filter").splitlines():
        if line.startswith("@"):
            current = sets.setdefault(line.strip(), set())
        elif line.startswith("#") or not line.strip():
            current = None if line.startswith("#") else current
        elif current is not None and not line.strip().startswith("#"):
            current.add(line.strip())
    return sets


def expand(sets, name):
    calls, left = set(), [name]
    while left:
        for word in sets[left.pop()]:
            (left.append if word.startswith("@") else calls.add)(word)
    return calls


def allowed_calls(unit):
    sets, allowed = call_sets(), set(ALWAYS)
    for value in settings(unit)["SystemCallFilter"]:
        for word in value.lstrip("~").split():
            calls = expand(sets, word) if word.startswith("@") else {word}
            allowed = allowed - (calls - ALWAYS) if value.startswith("~") else allowed | calls
    return allowed


def check_trace(path, unit):
    with open(path, encoding="utf-8", errors="replace") as file:
        trace = file.read()
    made = set(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))
    assert len(made) > 20, f"{path}: not a trace"
    forbidden = made - allowed_calls(unit) - AS_ROOT
    assert not forbidden, f"{os.path.basename(unit)} forbids {sorted(forbidden)}"
    families = set(re.findall(r"\bsocket\((AF_\w+)", trace)) | set(re.findall(r"\bsocketpair\((AF_\w+)", trace))
    (wanted,) = settings(unit)["RestrictAddressFamilies"]
    assert families <= set(wanted.split()), families
    assert not re.search(r"\bmmap\([^\n]*PROT_WRITE\|PROT_EXEC", trace), "MemoryDenyWriteExecute"
    assert not re.search(r"\bmprotect\([^\n]*PROT_EXEC", trace), "MemoryDenyWriteExecute"
    assert not re.search(r"\bclone3?\([^\n]*CLONE_NEW", trace), "RestrictNamespaces"


class Traced(House):
    """A house in which every daemon runs under strace. strace passes signals on to nobody: the program's own pid is asked for."""

    def start(self, name, *arguments, **options):
        trace = os.path.join(self.folder, f"{name}.trace")
        real = [program(name), *arguments]
        process = super().start("../../../../../../usr/bin/strace", "-f", "-qq", "-o", trace, *real, **options)
        process.trace = trace
        return process


def inner_pid(process):
    def children():
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            return file.read().split()
    return int(wait_for("strace has started it", children)[0])


def end(process):
    os.kill(inner_pid(process), signal.SIGTERM)
    assert process.wait() == 0, process.tail()


def start_email(house, imap, smtp):
    """Between real servers, by TLS, host names and passwords."""
    password = os.path.join(house.folder, "password")
    with open(password, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(f"{imap.password}\n")
    return house.start("touchbus-email", "--broker", house.address, "--state", house.folder, "--ca-file", imap.authority.file,
                       "--imap", f"imap://desk@localhost:{imap.port}/INBOX", "--imap-password-file", password, "--mark-seen",
                       "--smtp", f"smtp://desk@localhost:{smtp.port}", "--smtp-password-file", password, "--sender", "desk@example.com")


def mail_comes_and_goes(house, imap, smtp):
    imap.deliver(b"From: ana@klant.example\r\nTo: desk@example.com\r\nSubject: Frage\r\nMessage-ID: <m1@klant.example>\r\n"
                 b"Content-Type: application/x-thing\r\nContent-Disposition: attachment\r\n\r\nText\r\n")
    wait_for("it is marked", lambda: any(path.endswith("S") for path in imap.mails()))
    house.touchbus("pub", "contact.requested", "-i", "email=ana@klant.example", "--channel", "agentdesk", "-d",
                   '{"contact_id":"c-1","content_id":"c-1","purpose":"transactional","channels":["email"],"subject":"Re: Frage","text":"Text"}')
    wait_for("it is answered", smtp.mails)


def test_sandbox_allows_what_is_done(units):
    broker_unit, connector_unit = units
    with Dovecot() as imap, Smtp(imap.authority) as smtp, Traced() as house:
        broker = house.start_broker()
        port = free_ports(1)
        web = house.start("touchbus-web", "--broker", house.address, "--state", house.folder, "--port", str(port))
        sinks = [house.start(f"touchbus-{name}", "--broker", house.address, "--state", house.folder,
                             *(("--buyer", "t, T", "--default-supplier", "s, S") if name == "scm" else ()))
                 for name in ("crm", "erp", "scm")]
        sinks.append(start_email(house, imap, smtp))
        wait_for("web listens", lambda: listens(port))
        house.touchbus("pub", "order.placed", "--identity", "user_id=u-1", "--attr", "order_id=o-1", "--attr", "currency=EUR",
                       "--attr", 'lines:=[{"sku":"s1","quantity":1,"price":"9.90"}]')
        run("curl", "-sS", "--fail", f"http://127.0.0.1:{port}/health")
        mail_comes_and_goes(house, imap, smtp)

        def delivered():
            lags = {row["name"]: row["lag"] for row in house.ask("status")["subscriptions"]}
            return lags.keys() >= {"crm", "erp", "scm", "email"} and not any(lags.values())
        wait_for("delivered to each of them, so that each takes signals", delivered)
        for process in (broker, web, *sinks):
            os.kill(inner_pid(process), signal.SIGHUP)
        house.touchbus("backup", os.path.join(house.folder, "backup"))
        house.touchbus("view", "verify")
        house.touchbus("customer", "show", "user_id=u-1")
        for process in (web, *sinks, broker):
            end(process)
        for process in (web, *sinks):
            check_trace(process.trace, connector_unit)
        check_trace(broker.trace, broker_unit)


def test_daemons_say_when_they_are_ready():
    """Type=notify: a datagram when it serves, and one when it ends."""
    with House() as house, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = os.path.join(house.folder, "notify")
        manager.bind(name)
        manager.settimeout(90)
        for start in (lambda e: house.start_broker(environment=e, wait=False),
                      lambda e: house.start("touchbus-crm", "--broker", house.address, "--state", house.folder, environment=e)):
            process = start({"NOTIFY_SOCKET": name})
            assert manager.recv(100) == b"READY=1"
            assert process.alive()
            if process.arguments[0].endswith("touchbusd"):
                assert listens(house.port) and listens(house.port + 2)
            process.popen.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert process.wait() == 0, process.tail()


def sanitized():
    """Sanitizers do what no shipped program does, and not under a tracer."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        return re.search(r"^TOUCHBUS_SANITIZE:\w+=.", file.read(), re.MULTILINE) is not None


def main():
    if not shutil.which("systemd-analyze"):
        print("SKIP: no systemd-analyze")
        return 77
    prefix = tempfile.mkdtemp(prefix="touchbus-units-")
    try:
        units = installed_units(prefix)
        test_units_are_well_formed(units)
        test_sandbox_is_ok(units)
        test_look_ups_may_be_urgent(units)
        test_a_crash_is_followed_by_a_start_however_many_there_were(units)
        test_daemons_say_when_they_are_ready()
        if shutil.which("strace") and not sanitized():
            test_sandbox_allows_what_is_done(units)
    finally:
        shutil.rmtree(prefix)
    return 0


if __name__ == "__main__":
    sys.exit(main())
