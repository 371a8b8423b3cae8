#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Erasures where everybody has a key: a connector with no more rights than its built-in role carries one out and confirms it, so its role
suffices for the subscription and for asking whose rows they are. And the operator's way to look at and clear what was put aside."""
import http.client
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import harness  # noqa: E402
from harness import wait_for  # noqa: E402

ROLES = {"broker": "broker", "boss": "admin", "web": "source", "crm": "sink", "erp": "connector"}


def make_keys(house):
    keys, clients = os.path.join(house.folder, "keys"), os.path.join(house.folder, "clients")
    os.mkdir(clients)
    os.mkdir(keys, 0o700)
    for name, role in ROLES.items():
        house.touchbus("keygen", name, "--role", role, "--dir", keys)
        if name != "broker":
            shutil.copy(os.path.join(keys, f"{name}.key"), clients)
    os.environ["TOUCHBUS_KEY"] = os.path.join(keys, "boss.key_secret")
    os.environ["TOUCHBUS_BROKER_KEY"] = os.path.join(keys, "broker.key")
    return keys, clients


def quarantine(house, command):
    done = subprocess.run([harness.program("touchbus-web"), "--state", house.state, "--quarantine", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout.splitlines()


def main():
    with harness.House() as house:
        keys, clients = make_keys(house)
        house.start_broker("--key", os.path.join(keys, "broker.key_secret"), "--clients", clients)
        port = harness.free_ports(1)
        for name, more in (("web", ("--port", str(port), "--spool-after", "20s")), ("crm", ()), ("erp", ())):
            house.start(f"touchbus-{name}", "--broker", house.address, "--state", house.state, "--key", os.path.join(keys, f"{name}.key_secret"),
                        "--broker-key", os.path.join(keys, "broker.key"), *more)
        for name in ("crm", "erp", "privacy.web", "privacy.erp"):
            wait_for(f"{name} is there", lambda name=name: house.touchbus("subscription", "show", name, check=False).returncode == 0)
        wait_for("touchbus-web listens", lambda: harness.listens(port))

        def post(*items):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("POST", "/v1/batch", json.dumps({"batch": items}), {"Content-Type": "application/json"})
            status = connection.getresponse().status
            connection.close()
            return status
        assert post({"type": "track", "event": "Seen", "userId": "u-ana", "messageId": "1"}, {"type": "track", "userId": "u-ana", "messageId": "2"},
                    {"type": "track", "userId": "u-bob", "messageId": "3"}) == 200
        listed = quarantine(house, "ls")
        assert len(listed) == 2 and "u-ana" not in "".join(listed), listed
        assert [json.loads(line)["id"] for line in quarantine(house, "show")] == ["2", "3"]

        customer = house.ask("customer", "erase", "user_id=u-ana", "--yes")["customer"]
        receipt = wait_for("the receipt says done", lambda: [r for r in [house.ask("customer", "receipt", customer)] if r["state"] == "done"])[0]
        assert {row["name"] for row in receipt["connectors"]} == {"crm", "erp", "privacy.web", "privacy.erp"}, receipt
        assert [json.loads(line)["id"] for line in quarantine(house, "show")] == ["3"], "the row of the erased person stays"
        print("confirmed by:", *sorted(row["name"] for row in receipt["connectors"]))

        assert quarantine(house, "drop") == [] and quarantine(house, "ls") == []
        assert post({"type": "track", "userId": "u-bob", "messageId": "4"}) == 200  # the running connector goes on
        assert len(quarantine(house, "ls")) == 1


main()
