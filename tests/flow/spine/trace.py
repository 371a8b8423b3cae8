#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An ack is sent only after its event is on disk: shown by a system call trace of the running broker.

For every event published with nothing else in flight: the trace has the request arriving, then one write to the log's journal, through a
descriptor whose writes are on disk when they return (O_DSYNC), then the reply leaving on the same connection, in this order.
"""
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, wait_for  # noqa: E402

EVENTS = 25
REPLY_BYTES_MIN = 25  # a heartbeat is shorter, a PublishReply longer
CALLS = "recvfrom,recvmsg,read,sendto,sendmsg,write,fdatasync,fsync,msync,pwrite64,pwritev"
LOG_FILE = "".join(f"\\x{byte:02x}" for byte in b"/log/journal-")  # as strace -xx writes a path
LINE = re.compile(r"^(\d+)\s+(.*)$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")


def calls(text):
    """(started, ended, call text) by line numbers; a call that was interrupted in the trace is put together again."""
    open_calls, done = {}, []
    for number, line in enumerate(text.splitlines()):
        match = LINE.match(line)
        if not match:
            continue
        pid, rest = match.groups()
        if rest.endswith("<unfinished ...>"):
            open_calls[pid] = (number, rest[: -len("<unfinished ...>")].rstrip())
            continue
        resumed = RESUMED.match(rest)
        if resumed and pid in open_calls:
            started, head = open_calls.pop(pid)
            done.append((started, number, head + resumed.group(2)))
        else:
            done.append((number, number, rest))
    return done


def returned(call):
    match = re.search(r"= (-?\d+)", call[call.rfind(")"):])
    return int(match.group(1)) if match else -1


def judge(text, markers):
    """A text a marker for what is wrong, [] where every ack came after its sync."""
    trace, wrong = calls(text), []
    syncs = [(s, e) for s, e, c in trace if c.startswith("pwrite64(") and LOG_FILE in c.split(">")[0] and returned(c) > 0]
    for marker in markers:
        hexed = "".join(f"\\x{byte:02x}" for byte in marker.encode())
        arrival = next(((e, c) for s, e, c in trace if hexed in c and c.startswith(("recv", "read"))), None)
        if not arrival:
            wrong.append(f"{marker}: its request is not in the trace")
            continue
        connection = re.search(r"\((\d+<[^>]*(?:->[^>]*)?>)", arrival[1]).group(1)
        reply = next((s for s, e, c in trace if s > arrival[0] and c.startswith(("send", "write")) and f"({connection}" in c
                      and returned(c) >= REPLY_BYTES_MIN), None)
        if reply is None:
            wrong.append(f"{marker}: no reply in the trace")
        elif not any(arrival[0] < s and e < reply for s, e in syncs):
            wrong.append(f"{marker}: acked without a write of the log's journal between request and reply")
    return wrong


def target(link):
    """What a descriptor leads to, where it is still open."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def is_synchronous(pid):
    """Whether a process's journals are open for writes that are on disk when they return."""
    folder = f"/proc/{pid}/fd"
    journals = [fd for fd in os.listdir(folder) if "/log/journal-" in target(os.path.join(folder, fd))]
    flags = [int(open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8").read().split("flags:")[1].split()[0], 8) for fd in journals]
    return len(flags) == 2 and all(value & os.O_DSYNC for value in flags)


def main():
    if not shutil.which("strace"):
        print("SKIP: strace is not installed")
        sys.exit(77)
    with House() as house:
        broker = house.start_broker()
        assert is_synchronous(broker.pid), "the journal's writes do not wait for the disk"
        path = os.path.join(house.folder, "trace")
        tracer = subprocess.Popen(["strace", "-f", "-y", "-xx", "-s", "4096", "-e", f"trace={CALLS}", "-o", path, "-p", str(broker.pid)],
                                  stderr=subprocess.PIPE, text=True)
        try:
            line = tracer.stderr.readline()
            if "attached" not in line:
                print(f"SKIP: strace may not attach here: {line.strip()}")
                sys.exit(77)
            markers = [f"trace-{number:04d}" for number in range(EVENTS)]
            for marker in markers:
                house.touchbus("pub", "page.viewed", "--id", marker, "--attr", "url=https://shop.example/", "--identity", "user_id=u-1")
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(30)
        wait_for("the trace", lambda: os.path.getsize(path) > 0)
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
        wrong = judge(text, markers)
        assert not wrong, "\n".join(wrong)
        # The judge can say no: without the journal's writes every ack is too early.
        doctored = "\n".join(line for line in text.splitlines() if LOG_FILE not in line)
        assert len(judge(doctored, markers)) == EVENTS, "the judge does not miss the writes"
        print(f"{EVENTS} acks, each after its write to the journal")


main()
