#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A house with keys, from the clients' side: command line, web connector and CRM work through CURVE; who is refused is told so, at
once and by name, and loses nothing; keys are rotated and revoked while everything runs."""
import json
import os
import shutil
import signal
import sqlite3
import sys
import time

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), folder) for folder in ("..", "../web")]
from harness import KeyedHouse, Process, program, wait_for  # noqa: E402
from webhouse import WebHouse  # noqa: E402


class ClientHouse(KeyedHouse, WebHouse):
    def web_with(self, key, *arguments, **options):
        return self.start_web(*self.key_options(key), *arguments, state=os.path.join(self.folder, "connectors"), **options)

    def crm_with(self, key, *arguments):
        return self.start("touchbus-crm", "--broker", self.address, "--state", os.path.join(self.folder, "connectors"),
                          *self.key_options(key), *arguments)

    def page(self, number, user="u-1"):
        return self.post("/v1/track", {"event": "Product Viewed", "userId": user, "messageId": f"m-{number}",
                                       "properties": {"product_id": f"p-{number}", "url": "https://shop.example/"}})

    def health(self):
        return json.loads(self.http("GET", "/health")[2])

    def crm_rows(self):
        path = os.path.join(self.folder, "connectors", "crm", "crm.sqlite")
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                return database.execute("SELECT count(*) FROM interactions").fetchone()[0]
        except sqlite3.OperationalError:  # it is being made
            return -1

    def reported(self, name):
        """What the broker was told of a connector; None: nothing yet."""
        done = self.touchbus("-j", "connector", "show", name, check=False)
        return json.loads(done.stdout)["state"] if done.returncode == 0 else None

    def lines(self, process, text):
        with open(process.log, encoding="utf-8") as file:
            return sum(text in line for line in file if "subscription=privacy." not in line)


def ids(house):
    return [event["id"] for event in house.events()]


def test_the_whole_house_speaks_curve(house):
    status, answer = house.page(1)
    assert (status, answer["quarantined"]) == (200, []) and answer["sequence"], answer
    wait_for("the CRM has it", lambda: house.crm_rows() >= 1)
    assert house.ask("customer", "show", "user_id=u-1")["customer"] == "c1"
    for name in ("web", "crm"):
        wait_for(f"{name} reports", lambda name=name: house.reported(name) == "up")
    # The environment does as well as options.
    environment = {"TOUCHBUS_KEY": house.secret("admin"), "TOUCHBUS_BROKER_KEY": os.path.join(house.keys, "broker.key")}
    house.touchbus("status", key=None, environment=environment)


COMMANDS = {
    "query": ("status",),
    "pub": ("pub", "page.viewed", "--identity", "user_id=u-1", "--attr", "url=https://shop.example/"),
    "sub": ("sub", "--count", "1"),
    "file": ("pub", "--from", "-"),
}


def refused(house, status, names, *arguments, **options):
    for what, command in COMMANDS.items():
        began = time.monotonic()
        done = house.touchbus("--timeout", "60s", *arguments, *command, check=False, text="", key=None, **options)
        took = time.monotonic() - began
        assert done.returncode == status, f"{what}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        for name in names:
            assert name in done.stderr, f"{what}: {done.stderr}"
        assert took < 50, f"{what}: refused by a time-out only"


def test_who_is_refused_is_told_so(house):
    broker_key = os.path.join(house.keys, "broker.key")
    stranger = house.keygen("stranger", "admin")
    other = house.keygen("other", "broker")
    refused(house, 1, ["forbidden", "the broker refuses this key", "--clients"], "--key", stranger, "--broker-key", broker_key)
    refused(house, 3, ["unavailable", "its key is not this broker-key"], "--key", house.secret("admin"), "--broker-key",
            other.removesuffix("_secret"))
    done = house.touchbus("-j", "--key", stranger, "--broker-key", broker_key, "status", check=False, key=None)
    assert json.loads(done.stderr)["error"] == "forbidden", done.stderr
    # Without any key, with or without a word of the broker (a race of the two sides).
    done = house.touchbus("--timeout", "60s", "status", check=False, key=None)
    assert done.returncode in (1, 3) and "want" in done.stderr and "a key" in done.stderr, done.stderr
    # What is wrong before anything is asked: wrong usage, with the file's name.
    refused(house, 2, ["broker-key"], "--key", stranger)
    loose = shutil.copy(stranger, os.path.join(house.folder, "loose.key_secret"))
    os.chmod(loose, 0o644)
    refused(house, 2, ["loose.key_secret", "0644"], "--key", loose, "--broker-key", broker_key)
    refused(house, 2, ["missing.key"], "--key", stranger, "--broker-key", "missing.key")
    for name in ("web", "crm"):
        process = Process([program(f"touchbus-{name}"), "--state", house.folder, "--name", "x", "--key", loose, "--broker-key", broker_key],
                          os.path.join(house.folder, "loose.log"))
        assert process.wait() == 2 and "loose.key_secret" in process.tail(), process.tail()


def test_a_role_refuses_a_verb(house):
    house.admit("desk", "viewer")
    house.reload_broker()
    assert house.ask("customer", "show", "user_id=u-1", key="desk")["customer"] == "c1"
    done = house.touchbus("-y", "view", "rebuild", key="desk", check=False)
    assert done.returncode == 1 and "forbidden" in done.stderr, done.stderr
    done = house.touchbus(*COMMANDS["pub"], key="desk", check=False)
    assert done.returncode == 1 and "forbidden" in done.stderr, done.stderr
    done = house.touchbus(*COMMANDS["sub"], key="desk", check=False)
    assert done.returncode == 1 and "forbidden" in done.stderr, done.stderr


def test_a_forbidden_event_is_put_aside(house):
    status, answer = house.post("/v1/identify", {"userId": "u-9", "messageId": "m-forbidden", "traits": {"tier": "gold"}})
    assert status == 200 and answer["quarantined"][0]["reason"] == "forbidden", (status, answer)
    with open(os.path.join(house.folder, "connectors", "web", "quarantine.jsonl"), encoding="utf-8") as file:
        assert any(json.loads(line)["id"] == "m-forbidden" for line in file)
    assert house.health()["state"] == "up", "one event is not the connector's end"
    assert house.web.stop() == 0
    house.web_with("web")  # from here on the spool is what is looked at
    wait_for("up", lambda: house.health()["state"] == "up")


def test_rotation_while_a_connector_runs(house):
    sent = []

    def post(n):
        for number in range(n):
            name = f"rotate-{len(sent)}"
            status, answer = house.page(name)
            assert status in (200, 202) and not answer["quarantined"], answer
            sent.append(f"m-{name}")
    post(20)
    new = os.path.join(house.folder, "new")
    os.mkdir(new)
    house.admit("web", "shop", file="web-2", folder=new)
    house.reload_broker()
    post(20)
    os.replace(os.path.join(new, "web.key_secret"), house.secret("web"))
    os.kill(house.web.pid, signal.SIGHUP)
    wait_for("the connector has reloaded", lambda: house.lines(house.web, "reload=done"))
    post(20)
    house.revoke("web")
    house.reload_broker()
    post(20)
    wait_for("all of them are in the log", lambda: set(sent) <= set(ids(house)))
    assert all(ids(house).count(one) == 1 for one in sent)
    # Its events were never refused. (The kit's own subscription may not have looked at the signal yet; it comes again.)
    assert house.health()["state"] == "up" and not house.lines(house.web, " refused="), house.web.tail()
    os.rename(os.path.join(house.clients, "web-2.key"), os.path.join(house.clients, "web.key"))
    house.reload_broker()


def test_a_revoked_connector_says_so_and_loses_nothing(house):
    aside = os.path.join(house.folder, "aside.key")
    os.rename(os.path.join(house.clients, "web.key"), aside)
    house.reload_broker()
    sent = []
    for number in range(10):
        status, answer = house.page(f"revoked-{number}")
        assert status == 202 and not answer["quarantined"], (status, answer)
        sent.append(f"m-revoked-{number}")
    health = wait_for("health says so", lambda: house.health() if house.health()["state"] == "refused" else None)
    assert health["refusal"]["reason"] == "forbidden", health
    assert house.lines(house.web, "refused=forbidden") in (1, 2), house.web.tail()  # by a word, then by the handshake
    assert house.web.stop() == 0
    house.web_with("web")
    health = wait_for("and after a start", lambda: house.health() if house.health()["state"] == "refused" else None)
    assert health["refusal"]["detail"] == "the broker refuses this key", health
    os.rename(aside, os.path.join(house.clients, "web.key"))
    house.reload_broker()
    wait_for("the spool is drained", lambda: set(sent) <= set(ids(house)))
    assert all(ids(house).count(one) == 1 for one in sent)
    wait_for("up again", lambda: house.health()["state"] == "up" and "refusal" not in house.health())


def test_a_name_that_is_not_the_keys_publishes_nothing(house):
    """An operator's slip: nothing is taken for refused that only came by a wrong name."""
    assert house.web.stop() == 0
    house.web_with("web", "--name", "shop")
    status, answer = house.page("misnamed")
    assert status == 202 and not answer["quarantined"], (status, answer)
    health = wait_for("health says so", lambda: house.health() if house.health()["state"] == "refused" else None)
    assert health["refusal"]["detail"] == "the producer's name is not the key's", health
    assert "m-misnamed" not in ids(house)
    assert house.web.stop() == 0
    house.web_with("web")
    wait_for("up", lambda: house.health()["state"] == "up")


def test_a_revoked_subscription_ends(house):
    house.admit("tail", "connector")
    house.reload_broker()
    tail = Process([program("touchbus"), "--broker", house.address, *house.key_options("tail"), "sub", "--from", "beginning", "-o", "json"],
                   os.path.join(house.folder, "tail.log"))
    house.processes.append(tail)
    wait_for("the tail is live", lambda: house.lines(tail, '"m-1"'))
    house.revoke("tail")
    house.reload_broker()
    assert tail.wait(60) == 1 and "forbidden" in tail.tail(), tail.tail()


def test_a_sink_that_may_not_subscribe_goes_on_asking(house):
    crm = house.crm
    rows = house.crm_rows()
    house.revoke("crm")
    second = os.path.join(house.folder, "second")
    os.mkdir(second)
    house.admit("crm", "viewer", folder=second)  # known, but may not
    house.reload_broker()
    wait_for("its old key is refused", lambda: house.lines(crm, '"the broker refuses this key"'))
    os.replace(os.path.join(second, "crm.key_secret"), house.secret("crm"))
    before = house.lines(crm, "refused=forbidden")
    os.kill(crm.pid, signal.SIGHUP)
    wait_for("its new one by the role", lambda: house.lines(crm, "refused=forbidden") > before)
    wait_for("an operator sees it", lambda: house.reported("crm") == "refused")
    said = house.lines(crm, "refused=forbidden")
    house.page("while-refused")
    time.sleep(3)  # another try of the kit at least
    assert house.lines(crm, "refused=forbidden") == said, "said once"
    third = os.path.join(house.folder, "third")
    os.mkdir(third)
    house.revoke("crm")
    house.admit("crm", "sink", folder=third)
    house.reload_broker()
    os.replace(os.path.join(third, "crm.key_secret"), house.secret("crm"))
    os.kill(crm.pid, signal.SIGHUP)
    wait_for("the CRM goes on without a restart", lambda: house.crm_rows() > rows)
    wait_for("an operator sees that, too", lambda: house.reported("crm") == "up")


def test_no_secret_is_in_any_log(house):
    for name in os.listdir(house.keys):
        if not name.endswith("_secret"):
            continue
        with open(os.path.join(house.keys, name), encoding="ascii") as file:
            secret = next(line.split('"')[1] for line in file if "secret-key" in line)
        for log in (name for name in os.listdir(house.folder) if name.endswith(".log")):
            with open(os.path.join(house.folder, log), encoding="utf-8", errors="replace") as file:
                assert secret not in file.read(), (name, log)


def main():
    with ClientHouse() as house:
        house.admit("web", "shop")
        house.admit("crm", "sink")
        os.mkdir(os.path.join(house.folder, "connectors"))
        house.start_broker("--role", "shop publish=page.*,product.*,order.* source=/web receive=privacy.changed subscribe=privacy.%n")
        house.web_with("web", "--spool-after", "20s")  # on a busy machine the broker may be slow
        house.crm = house.crm_with("crm")
        for test in (test_the_whole_house_speaks_curve, test_who_is_refused_is_told_so, test_a_role_refuses_a_verb,
                     test_a_forbidden_event_is_put_aside, test_rotation_while_a_connector_runs, test_a_revoked_connector_says_so_and_loses_nothing,
                     test_a_name_that_is_not_the_keys_publishes_nothing, test_a_revoked_subscription_ends, test_a_sink_that_may_not_subscribe_goes_on_asking, test_no_secret_is_in_any_log):
            began = time.monotonic()
            test(house)
            print(f"{test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        for process in (house.web, house.crm, house.broker):
            assert process.stop() == 0, process.tail()


if __name__ == "__main__":
    main()
