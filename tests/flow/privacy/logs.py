#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""No program writes what belongs to a person anywhere but into its stores: every program runs at debug level through good and bad input
with canaries in every personal place, then everything they wrote is looked through: what went to stderr and stdout, ready and reason
files, names of files, core files. A leak that is planted is found."""
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sinks"))
import canary  # noqa: E402
import harness  # noqa: E402
from sinks import Crm, cloud, wait_for  # noqa: E402

# What the stores of a state folder are called: these hold persons, sealed or not, and are not logs.
STORES = ("data.mdb", "lock.mdb", ".sqlite", ".seg", "quarantine.jsonl", "/outbox/", "/sent/", "/done/", "/failed/", "/inbox/")


def allow_cores():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class LoudHouse(harness.House):
    """Everything at debug level, each program in a folder of its own, where a core file would go."""

    def __init__(self, canaries):
        super().__init__()
        self.canaries, self.web_port, self.said = canaries, harness.free_ports(1), os.path.join(self.folder, "said")
        os.mkdir(self.said)

    def run_program(self, name, *arguments, environment=None):
        folder = os.path.join(self.said, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "log"), "ab") as log:
            process = subprocess.Popen([os.path.abspath(harness.program(name)), "--log-level", "debug", *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, preexec_fn=allow_cores, env={**os.environ, **(environment or {})})
        watched = harness.Process.__new__(harness.Process)
        watched.arguments, watched.log, watched.popen, watched.file = [name], os.path.join(folder, "log"), process, open(os.devnull, "rb")
        self.processes.append(watched)
        return watched

    def start_all(self):
        self.broker = self.run_program("touchbusd", "--state", self.state, "--port", str(self.port), "--retry-attempts", "2", "--retry-min", "10ms")
        self.await_broker()
        common = ("--broker", self.address, "--state", self.state)
        self.web = self.run_program("touchbus-web", *common, "--port", str(self.web_port), "--spool-after", "300ms")
        self.sinks = {name: self.run_program(f"touchbus-{name}", *common) for name in ("crm", "erp", "scm")}
        wait_for("touchbus-web listens", lambda: harness.listens(self.web_port))
        for name in self.sinks:
            wait_for(f"{name} subscribes", lambda name=name: self.touchbus("subscription", "show", name, check=False).returncode == 0)

    def tool(self, *arguments, text=None):
        """The command line: what it complains of is kept, what it was asked for is not."""
        done = subprocess.run([harness.program("touchbus"), "--broker", self.address, "--timeout", harness.ANSWERS, *arguments], input=text, text=True,
                              capture_output=True, errors="replace", timeout=120, check=False)
        with open(os.path.join(self.said, "touchbus.stderr"), "a", encoding="utf-8") as file:
            file.write(done.stderr)
        return done

    def raw(self, data, seconds=10):
        with socket.create_connection(("127.0.0.1", self.web_port), timeout=seconds) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass

    def post(self, path, body, headers=()):
        c = self.canaries
        lines = [f"POST {path} HTTP/1.1", "Host: shop", "Connection: close", f"Content-Length: {len(body)}", f"X-Person: {c.word('header')}",
                 f"User-Agent: {c.word('agent')}", f"Cookie: id={c.word('cookie')}", f"Authorization: Bearer {c.word('token')}", *headers]
        self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def event(c, number, name="page.viewed", **more):
    """An event with a canary wherever a person may be."""
    data = {"url": f"https://shop.example/?{c.word('query')}", "order_id": c.word("order"), "note": c.word("data"), **more.pop("data", {})}
    keys = f"user_id={c.word('user')}&email={c.word('mail')}%40klant.example&phone=%2B{c.digits}"
    return cloud(f"e-{number}", name, data, keys, subject=c.word("subject"), actor=c.word("actor"), case=c.word("case"), traits=c.word("extension"), **more)


def good_input(house):
    c = house.canaries
    lines = [{"sku": c.word("sku"), "name": c.word("article"), "quantity": 1, "price": "9.90"}]
    events = [event(c, 1), event(c, 2, "order.placed", data={"currency": "EUR", "lines": lines, "ship_to": c.word("street")}),
              event(c, 3, "customer.identified", data={"traits": {"name": c.word("name"), "email": c.email("trait")}}),
              event(c, 4, "order.changed", data={"status": "shipped", "revision": 1}),
              event(c, 5, "consent.changed", data={"purpose": "news", "channel": "email", "address": c.email("consent"), "state": "given", "text_version": "1"})]
    done = house.tool("pub", "--from", "-", "--acks", text="\n".join(events))
    assert done.returncode == 0, done.stdout + done.stderr
    body = {"batch": [{"type": "identify", "userId": c.word("web"), "messageId": "m-1", "traits": {"email": c.email("web")}, "context": {"ip": c.word("ip")}},
                      {"type": "track", "event": "Order Completed", "anonymousId": c.word("visitor"), "messageId": "m-2", "properties": {"order_id": c.word("weborder")}}]}
    house.post(f"/v1/batch?email={c.email('argument')}", json.dumps(body).encode(), ["Content-Type: application/json"])
    for sink in house.sinks:
        wait_for(f"{sink} has it", lambda sink=sink: house.ask("subscription", "show", sink)["lag"] == 0)


def bad_http(house):
    c = house.canaries
    person = json.dumps({"userId": c.word("bad"), "email": c.email("bad")}).encode()
    house.post("/v1/batch", person[:-4])
    house.post("/v1/batch", b'{"batch":[' + person + b',{"type":7,"userId":"' + c.word("item").encode() + b'"}, 4]}')
    house.post("/v1/track", person, ["Content-Encoding: gzip"])
    house.post("/v1/track", person, ["Content-Encoding: br"])
    house.post("/v1/track", b'{"userId":"' + c.word("utf").encode() + b'\xff\xfe"}')
    house.post("/v1/track", b"[" * 200 + person + b"]" * 200)
    house.post("/v1/track", b'{"event":"' + c.word("big").encode() * 60000 + b'","type":"track","userId":"u"}')
    house.post(f"/{c.word('path')}", person)
    house.post("/events", b"{}", [f"ce-{c.word('h')}: {c.word('ce')}", f"ce-type: {c.word('type')}", "ce-id: 1"])
    house.post("/events", json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "x", "time": c.word("time"), "data": c.word("d")}).encode(),
               ["Content-Type: application/cloudevents+json"])
    for line in (f"GET /health?{c.word('q')} HTTP/1.1\r\nHost: a\r\n{c.word('noname')}\r\n\r\n", f"{c.word('VERB')} / HTTP/1.1\r\nHost: a\r\n\r\n",
                 f"GET /{c.word('old')}\r\n\r\n", f"GET / HTTP/1.1\r\nHost: a\r\nX: {c.word('long') * 4000}\r\n\r\n",
                 f"POST /v1/track HTTP/1.1\r\nHost: a\r\nContent-Length: {c.word('length')}\r\n\r\n",
                 f"POST /v1/track HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {c.word('coding')}\r\nContent-Length: 5\r\n\r\n{c.word('x')}"):
        house.raw(line.encode())


def bad_events(house):
    """Quarantined, refused, conflicting, too large, with identities that are none; and what the tool says of what it cannot read."""
    c = house.canaries
    many = [event(c, 20, "order.placed"), event(c, 1, data={"note": c.word("conflict")}), event(c, 21, "order.changed", data={"revision": c.word("revision")}),
            event(c, 22, data={"note": c.word("large") * 60000}), cloud("e-23", "page.viewed", {"url": "/"}, f"email={c.word('noat')}&phone={c.word('nodigits')}"),
            cloud("e-24", "page.viewed", {"url": "/"}, "&".join(f"user_id={c.word(f'many{n}')}" for n in range(20))),
            cloud("e-25", "contact.requested", {"contact_id": c.word("contact")}, f"user_id={c.word('user')}")]
    for line in many + [event(c, 26)[:-9], c.word("nojson"), json.dumps({"specversion": "1.0", "id": c.word("i")})]:
        house.tool("pub", "--from", "-", text=line)
    house.tool("pub", "order.placed", "--identity", f"user_id={c.word('cli')}", "--attr", f"note={c.word('cli')}")
    house.tool("pub", "page.viewed", "--identity", f"user_id={c.word('x') * 40}", "--data", '{"url":"/"}')
    for arguments in (["customer", "show", f"user_id={c.word('nobody')}"], ["customer", "export", f"user_id={c.word('user')}"], ["quarantine", "ls"],
                      ["customer", "show", f"user_id={c.word('user')}"], ["customer", "timeline", f"email={c.email('mail')}"], ["customer", "why", f"user_id={c.word('user')}", "name"]):
        house.tool(*arguments)


def poison(house):
    """A sink refuses an event in words that quote it, and its file is locked for a while."""
    crm = Crm(house)
    c = house.canaries
    crm.change(f"CREATE TRIGGER poison BEFORE INSERT ON interactions WHEN new.id = 'e-30' BEGIN SELECT RAISE(ABORT, '{c.word('trigger')}'); END")
    bad = [event(c, 30), event(c, 31, "customer.identified", data={"traits": c.word("notamap")}), event(c, 32, "quote.issued", data={"quote_id": c.word("quote")})]
    house.tool("pub", "--from", "-", text="\n".join(bad))
    wait_for("a lane is parked", lambda: house.ask("subscription", "show", "crm")["parked"] > 0)
    house.tool("parked", "ls", "crm")
    # An error of the file itself, not of one event: everything waits.
    crm.change(f"CREATE TRIGGER broken AFTER INSERT ON keys WHEN new.value LIKE '%{c.word('other')}%' BEGIN SELECT json('{c.word('json')}'); END")
    house.tool("pub", "--from", "-", text=cloud("e-33", "page.viewed", {"url": "/"}, f"user_id={c.word('other')}"))
    wait_for("the CRM's file is away", lambda: "sink=away" in house.sinks["crm"].tail())
    crm.change("DROP TRIGGER broken")
    wait_for("it is back", lambda: "sink=back" in house.sinks["crm"].tail())


def bad_reports(house):
    c = house.canaries
    files = {"erp": {"a.json": json.dumps([{"type": "order.changed", "order_id": c.word("report")}]), "b.json": '[{"type":"' + c.word("cut"),
                     "c.json": json.dumps({"type": "order.changed", "order_id": c.word("order"), "status": "packed", "revision": 2, "note": c.word("note")}),
                     "d.json": json.dumps({"type": c.word("type"), "time": c.word("time")})},
             "scm": {"a.xml": f"<Order><ID>{c.word('xml')}</ID>", "b.xml": f"<!DOCTYPE a [<!ENTITY b '{c.word('entity')}'>]><a>&b;</a>",
                     "c.xml": f"<{c.word('element')}/>", "d.xml": f'<OrderResponse xmlns="urn:{c.word("ns")}"><a:b c={c.word("attribute")}/></OrderResponse>'}}
    for name, reports in files.items():
        for file, text in reports.items():
            path = os.path.join(house.state, name, "inbox", file)
            with open(path + ".tmp", "w", encoding="utf-8") as out:
                out.write(text)
            os.utime(path + ".tmp", (time.time() - 60, time.time() - 60))
            os.rename(path + ".tmp", path)
        wait_for(f"{name} has looked at its reports", lambda name=name: not os.listdir(os.path.join(house.state, name, "inbox")))


def away_and_back(house):
    """The broker goes: what comes is spooled; it comes back."""
    house.broker.stop()
    c = house.canaries
    house.post("/v1/track", json.dumps({"type": "track", "event": "x", "userId": c.word("spooled"), "messageId": "s-1"}).encode(), ["Content-Type: application/json"])
    house.tool("--timeout", "300ms", "pub", "page.viewed", "--identity", f"user_id={c.word('gone')}")
    house.broker = house.run_program("touchbusd", "--state", house.state, "--port", str(house.port))
    house.await_broker()


def what_was_said(house):
    """What the programs wrote for people, and what they called their files."""
    return house.canaries.find(house.said, house.state, leave_out=STORES) + house.canaries.find(
        *(os.path.join(folder, name) for folder, _, names in os.walk(house.state) for name in names if name.endswith((".reason", "lock", "instance", "ready"))))


def crash_all(house):
    for process in [house.broker, house.web, *house.sinks.values()]:
        process.popen.send_signal(signal.SIGABRT)
        process.popen.wait(harness.START_S)
    cores = [path for path in canary.files_under([house.said]) if os.path.basename(path).startswith("core")]
    assert not cores, f"core files: {cores}"


def core_control(house):
    """Where cores are allowed by the environment there is one, with the person in it: so there was something to forbid."""
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        if not file.read().startswith("core"):
            print("SKIP of a part: cores do not go to the working folder here")
            return
    folder = os.path.join(house.said, "touchbus-web")
    web = house.run_program("touchbus-web", "--broker", house.address, "--state", house.state, "--port", str(house.web_port), environment={
        "TOUCHBUS_CORE_DUMPS": "1", "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":disable_coredump=0"})
    wait_for("touchbus-web listens", lambda: harness.listens(house.web_port))
    web.popen.send_signal(signal.SIGABRT)
    web.popen.wait(harness.START_S)
    assert any(name.startswith("core") for name in os.listdir(folder)), "the control wrote no core file"


def main():
    canaries = canary.Canaries()
    with LoudHouse(canaries) as house:
        house.start_all()
        for step in (good_input, bad_http, bad_events, poison, bad_reports, away_and_back):
            step(house)
            found = what_was_said(house)
            assert not found, f"{step.__name__}: " + "\n".join(map(str, found))
            print(f"{step.__name__}: nobody is named", flush=True)
        size = sum(os.path.getsize(path) for path in canary.files_under([house.said]) if os.path.isfile(path))
        assert size > 3000, "the programs were not at debug level"
        assert canaries.find(os.path.join(house.state, "crm")), "the canaries never reached the CRM: nothing was tested"
        crash_all(house)
        assert not what_was_said(house), "named while crashing"
        core_control(house)
        with open(os.path.join(house.said, "touchbusd", "log"), "a", encoding="utf-8") as log:
            log.write(f"warning touchbusd detail=\"{canaries.email('leak')}\"\n")
        assert what_was_said(house), "a planted leak was not found"
        print(f"{size} bytes of what was said name nobody; a planted leak is found")


main()
