#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A person goes through the whole house and is erased: afterwards nothing of them is in any file of it, in any encoding, nor in a backup
of before. Canaries stand in every place where a person may be: events, HTTP requests, what the broker and a connector put aside, a
parked lane, the spool of a connector that is off, documents, reports, copies of another log. The same search before the erasure finds
them where they stand readable, so it can say yes. While the erasure is carried out the connectors are killed and started again. A
backup of before, restored with the keys of now, does not show the person either.
"""
import http.client
import json
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sinks"))
import canary  # noqa: E402
import harness  # noqa: E402
from sinks import Crm, cloud, drained, wait_for  # noqa: E402

SINKS = ("crm", "erp", "scm")
POISON = "poison"
BROKER = ("log", "view", "base", "keys")
KILLS = 30 if harness.SLOW else 2


class Home(harness.House):
    """The broker, two web connectors and three sinks on one state folder; one person of canaries and one neighbour."""

    def __init__(self):
        super().__init__()
        self.canaries, self.ports, self.running = canary.Canaries(), {}, {}
        c = self.canaries
        self.keys = f"user_id={c.word('user')}&email={c.word('mail')}%40klant.example&phone=%2B{c.digits}"
        self.person, self.order = f"user_id={c.word('user')}", c.word("order")

    def start_web(self, name, broker=None):
        port = self.ports.setdefault(name, harness.free_ports(1))
        self.running[name] = self.start("touchbus-web", "--name", name, "--broker", broker or self.address, "--state", self.state, "--port", str(port),
                                        "--spool-after", "200ms")
        wait_for(f"{name} listens", lambda: harness.listens(port))

    def health(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=30)
        connection.request("GET", "/health")
        health = json.loads(connection.getresponse().read())
        connection.close()
        return health

    def taken(self, name, body):
        """What is posted is in the log: at once, or by the spool where the broker was slow."""
        assert self.post(name, body) in (200, 202)
        wait_for(f"the spool of {name} is empty", lambda: all(self.health(name)["counters"][what] == 0 for what in ("spool_records", "in_flight")))

    def start_sinks(self):
        for name in (name for name in SINKS if name not in self.running):
            self.running[name] = self.start(f"touchbus-{name}", "--broker", self.address, "--state", self.state)
            wait_for(f"{name} subscribes", lambda name=name: self.touchbus("subscription", "show", name, check=False).returncode == 0)

    def stop(self, name):
        process = self.running.pop(name)
        assert process.stop() == 0, process.tail()

    def post(self, name, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[name], timeout=30)
        connection.request("POST", "/v1/batch", body if isinstance(body, bytes) else json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def publish(self, *events):
        done = self.touchbus("-j", "pub", "--from", "-", text="\n".join(events) + "\n", check=False)
        return json.loads(done.stdout.splitlines()[-1])

    def drained(self, *names):
        for name in names:
            drained(self, name)

    def path(self, *parts):
        return os.path.join(self.state, *parts)

    def event(self, ident, kind="page.viewed", keys=None, **data):
        c = self.canaries
        return cloud(ident, kind, {"url": f"https://shop.example/?u={c.word('url')}", "note": c.word("note"), **data}, keys or self.keys,
                     subject=c.word("subject"), actor=c.word("actor"), case=c.word("case"), nickname=c.word("extension"))

    def found(self, *roots):
        """Where canaries are, by the first folder or file under each root."""
        return self.canaries.find(*(roots or [self.state]))


# ---- a life

def live(house):
    c = house.canaries
    lines = [{"sku": c.word("sku"), "name": c.word("article"), "quantity": 1, "price": "9.90"}]
    other = "user_id=neighbour-1"
    done = house.publish(
        house.event("p-1"), house.event("p-2", "customer.identified", traits={"name": c.word("name"), "email": c.email("trait"), "street": c.word("street")}),
        house.event("p-3", "customer.changed", fields={"name": c.word("rename")}),
        house.event("p-4", "order.placed", order_id=house.order, currency="EUR", lines=lines, ship_to=c.word("ship")),
        house.event("p-5", "quote.issued", quote_id=c.word("quote"), revision=1, currency="EUR", lines=lines, valid_until="2030-01-01T00:00:00Z"),
        house.event("p-6", "consent.changed", purpose="news", channel="email", address=c.email("consent"), state="given", text_version="1"),
        house.event("p-7", "order.changed", order_id=house.order, status="shipped", revision=1),
        cloud("n-1", "order.placed", {"order_id": "o-neighbour", "currency": "EUR", "lines": [{"sku": "A", "quantity": 1, "price": "1.00"}]}, other))
    assert done["accepted"] == 8, done
    call = {"userId": c.word("user"), "messageId": "w-1", "type": "identify", "traits": {"email": c.email("mail"), "city": c.word("city")},
            "context": {"ip": c.word("ip"), "userAgent": c.word("agent")}}
    house.taken("web", {"batch": [call, {**call, "messageId": "w-2", "type": "track", "event": "Seen"}]})
    house.drained(*SINKS)


def put_aside(house):
    """By the broker, as its schema is broken; by the connector, as it is no event."""
    c = house.canaries
    assert house.publish(house.event("q-1", "order.placed", order_id=c.word("brokenorder")))["quarantined"] == 1
    items = [{"type": "track", "userId": c.word("user"), "note": c.word("noevent"), "messageId": "b-1"}, {"type": 7, "traits": {"mail": c.email("mail")}},
             {"type": "nonsense", "tel": c.phone()}, {"type": "track", "userId": "neighbour-1", "messageId": "b-2"}]
    house.taken("web", {"batch": items})


def park(house):
    Crm(house).change(f"CREATE TRIGGER poison BEFORE INSERT ON interactions WHEN new.id = '{POISON}' BEGIN SELECT RAISE(ABORT, 'no'); END")
    house.publish(house.event(POISON), house.event("behind-it"))
    wait_for("the lane is parked", lambda: house.ask("subscription", "show", "crm")["parked"] == 1)


def report(house):
    c = house.canaries
    for name, text in (("done.json", json.dumps({"type": "order.changed", "order_id": house.order, "status": "packed", "revision": 2, "by": c.word("packer")})),
                       ("failed.json", json.dumps([{"type": "order.changed", "order_id": house.order}]))):
        path = house.path("erp", "inbox", name)
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            file.write(text)
        os.utime(path + ".tmp", (time.time() - 60, time.time() - 60))
        os.rename(path + ".tmp", path)
    wait_for("the reports are taken", lambda: os.listdir(house.path("erp", "done")) and len(os.listdir(house.path("erp", "failed"))) == 2)


def fill_kiosk(house):
    """A connector that knows the broker, loses it, takes what comes to its disk, and is switched off."""
    c = house.canaries
    house.start_web("kiosk")
    wait_for("the kiosk subscribes", lambda: house.touchbus("subscription", "show", "privacy.kiosk", check=False).returncode == 0)
    house.stop("kiosk")
    house.start_web("kiosk", broker=f"127.0.0.1:{harness.free_ports()}")
    calls = [{"type": "track", "event": "At kiosk", "messageId": f"k-{n}", "userId": c.word("user"), "properties": {"seat": c.word("seat")}} for n in range(5)]
    assert house.post("kiosk", {"batch": calls}) == 202
    assert house.post("kiosk", {"batch": [{"type": 1, "email": c.email("mail"), "why": c.word("kioskbad")}]}) == 200
    house.stop("kiosk")
    with open(house.path("kiosk", f"spool-{1:016x}-0.torn"), "wb") as file:  # what a power cut left of a record
        file.write(b"\x05" + c.word("torn").encode())


def other_log(house):
    """The log becomes another one, so that the CRM has a copy of what it knew."""
    backup, keys = os.path.join(house.folder, "early"), os.path.join(house.folder, "early-keys")
    house.touchbus("backup", backup, "--keys", keys)
    house.broker.stop()
    for name in BROKER:
        shutil.rmtree(house.path(name))
    restored = os.path.join(house.folder, "restored")
    house.touchbus("restore", "--from", backup, "--keys", keys, "--state", restored)
    for name in os.listdir(restored):
        if not os.path.exists(house.path(name)) or name in BROKER:
            os.rename(os.path.join(restored, name), house.path(name))
    for folder in (backup, keys, restored):
        shutil.rmtree(folder)
    house.start_broker()
    house.publish(cloud("other-log", "page.viewed", {"url": "/"}, "user_id=neighbour-1"))
    wait_for("the CRM's copy", lambda: [name for name in os.listdir(house.path("crm")) if name.startswith("crm.sqlite.")])
    house.drained(*SINKS)
    for name in SINKS:
        house.stop(name)
    house.touchbus("subscription", "reset", "crm", "--to", "beginning", "--yes")
    house.start_sinks()
    house.drained(*SINKS)


# ---- the erasure

def stands_readable(house):
    """The control: before the erasure the search finds the person in each of these, and nowhere in the broker's own stores."""
    found = [[os.path.relpath(path, house.state), *rest] for path, *rest in house.found()]
    places = {row[0] for row in found}
    print("readable before:", *sorted(places))
    for part in ("crm/crm.sqlite", "crm/crm.sqlite.", "erp/outbox/", "erp/sent/", "erp/done/", "erp/failed/", "scm/outbox/", "scm/sent/", "web/quarantine.jsonl",
                 "kiosk/quarantine.jsonl", "kiosk/spool-", ".torn"):
        assert any(part in place for place in places), f"the search does not find the person in {part}"
    own = [row for row in found if row[0].split("/")[0] in BROKER]
    assert not own, f"readable in the broker's own stores: {own}"


def erase(house):
    receipt = house.ask("customer", "erase", house.person, "--yes")
    customer = receipt["customer"]
    for _ in range(KILLS):  # in the middle of it, wherever each of them is
        time.sleep(random.uniform(0, 0.05))
        for name in [name for name in house.running if name != "web"]:
            house.running.pop(name).kill()
        house.start_sinks()
    house.running.pop("web").kill()
    house.start_web("web")

    def states():
        return {row["name"]: row["state"] for row in house.ask("customer", "receipt", customer)["connectors"]}
    wait_for("everybody confirms who is there", lambda: all(state == "confirmed" for name, state in states().items() if name != "privacy.kiosk"))
    found = states()
    assert found.pop("privacy.kiosk") == "pending", "confirmed by a connector that is off"
    assert set(found) >= {"crm", "erp", "scm", "privacy.web"}, found
    left = {os.path.relpath(path, house.state).split("/")[0] for path, _, _ in house.found()}
    assert left <= {"kiosk"}, f"confirmed, and still there: {house.found()}"
    house.start_web("kiosk")
    receipt = wait_for("the receipt says done", lambda: [r for r in [house.ask("customer", "receipt", customer)] if r["state"] == "done"])[0]
    print("receipt:", json.dumps(receipt))
    return customer


def is_nobody(house, customer):
    for who in (customer, house.person, f"email={house.canaries.email('mail')}", f"phone={house.canaries.phone()}"):
        done = house.touchbus("-j", "customer", "show", who, check=False)
        assert done.returncode == 1 and json.loads(done.stderr.splitlines()[-1])["error"] == "erased", (who, done)
    said = house.touchbus("replay", "-o", "json").stdout + house.touchbus("-j", "quarantine", "ls").stdout + house.touchbus("-j", "customer", "show", "user_id=neighbour-1").stdout
    assert not house.canaries.find_in(said.encode()), "it is handed out"
    assert "neighbour-1" in said


def come_late(house, when):
    """Senders that do not know yet: what they send is redacted, and nothing comes of it anywhere."""
    c = house.canaries
    before = house.ask("status")["customers"]
    done = house.publish(house.event(f"late-1-{when}"), house.event(f"late-2-{when}", "order.placed", order_id=house.order),
                         house.event(f"late-3-{when}", "customer.identified", traits={"name": c.word("latename")}))
    assert done["accepted"] == 3, done
    call = {"type": "track", "event": "Late", "messageId": f"late-w-{when}", "userId": c.word("user"), "properties": {"n": c.word("late")}}
    house.taken("web", {"batch": [call]})
    house.drained(*SINKS)
    assert house.ask("status")["customers"] == before, "a late event made somebody"
    assert Crm(house).one("SELECT count(*) FROM interactions WHERE id LIKE 'late%'") == 0


def main():
    with Home() as house:
        house.start_broker("--restore-interval", "1s")
        house.start_web("web")
        house.start_sinks()
        for step in (live, other_log, put_aside, report, park, fill_kiosk):
            step(house)
            print(f"{step.__name__}: done", flush=True)
        backup = os.path.join(house.folder, "backup")
        house.touchbus("backup", backup)
        stands_readable(house)
        customer = erase(house)
        is_nobody(house, customer)
        come_late(house, "first")
        found = house.found(house.state, backup)
        assert not found, "\n".join(map(str, found))
        print("nothing of the person is in any file, nor in the backup", flush=True)

        house.broker.stop()
        restored = os.path.join(house.folder, "restored")
        house.touchbus("restore", "--from", backup, "--keys", house.path("keys"), "--state", restored)
        for name in BROKER:
            shutil.rmtree(house.path(name))
        for name in os.listdir(restored):
            if not os.path.exists(house.path(name)):
                os.rename(os.path.join(restored, name), house.path(name))
        house.start_broker()
        is_nobody(house, customer)
        come_late(house, "restored")
        is_nobody(house, customer)
        found = house.found(house.state, backup, restored)
        assert not found, "\n".join(map(str, found))
        print("restored with the keys of now: nobody", flush=True)
        for process in house.running.values():
            assert process.alive(), process.tail()


main()
