#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The unmodified npm packages @segment/analytics-node, @rudderstack/rudder-sdk-node (gzip on) and cloudevents against the real
connector and broker: every event with the right customer, type and time, once, also when either is killed between their retries.
The packages are installed by npm under the build folder; SKIP (77) where npm cannot get them."""
import json
import os
import shutil
import subprocess
import sys
import threading
import time

import webhouse
from webhouse import harness

HERE = os.path.dirname(os.path.abspath(__file__))
SDKS = ("segment", "rudder", "cloudevents")


def install():
    folder = os.path.join(os.path.abspath(os.environ["TOUCHBUS_BUILD"]), "web-sdks")
    os.makedirs(folder, exist_ok=True)
    wanted = {name: open(os.path.join(HERE, name), encoding="utf-8").read() for name in ("package.json", "package-lock.json")}
    stamp = os.path.join(folder, "installed")
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == wanted["package-lock.json"]:
        return folder
    if not shutil.which("npm") or not shutil.which("node"):
        print("SKIP: no node and npm")
        sys.exit(77)
    for name, text in wanted.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    done = subprocess.run(["npm", "install", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True,
                          timeout=240, check=False)
    if done.returncode:
        print(f"SKIP: npm cannot install the packages:\n{done.stdout}{done.stderr}")
        sys.exit(77)
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(wanted["package-lock.json"])
    return folder


class Sender(threading.Thread):
    def __init__(self, modules, sdk, house, count, pace_ms):
        super().__init__()
        self.command = ["node", os.path.join(HERE, "send.js"), modules, sdk, f"http://127.0.0.1:{house.web_port}", str(count), str(pace_ms)]
        self.sdk, self.done = sdk, None
        self.start()

    def run(self):
        self.done = subprocess.run(self.command, capture_output=True, text=True, timeout=300, check=False)

    def sent(self):
        self.join()
        assert self.done.returncode == 0, f"{self.sdk}: {self.done.stderr}"
        return json.loads(self.done.stdout.splitlines()[-1])


def seconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


def compare(house, sent):
    """Each event once, with its type, time and customer."""
    harness.wait_for("the spool is empty", lambda: house.counter("spool_records") == 0 and house.counter("in_flight") == 0)
    logged = {}
    for event in house.events():
        logged.setdefault(event["id"], []).append(event)
    customers = {}
    for row in sent:
        found = logged.get(row["id"], [])
        assert len(found) == 1, f"{row['id']} is there {len(found)} times"
        event = found[0]
        assert event["type"] == row["type"], event
        assert abs(seconds(event["time"]) - seconds(row["time"])) < 0.01, (row, event)
        assert f"user_id={row['userId']}" in event["keys"], event
        customers.setdefault(row["userId"], set()).add(event["customer"])
    assert all(len(numbers) == 1 for numbers in customers.values()), "a customer became several"
    assert len({min(numbers) for numbers in customers.values()}) == len(customers), "several customers became one"
    user = next(iter(customers))
    shown = house.ask("--timeout", "60s", "customer", "show", f"user_id={user}")
    assert shown["customer"] in customers[user], shown


def main():
    modules = install()
    with webhouse.WebHouse() as house:
        house.start_broker()
        house.start_web()
        sent = [row for sender in [Sender(modules, sdk, house, 6, 5) for sdk in SDKS] for row in sender.sent()]
        compare(house, sent)
        assert house.counter("quarantined_total") == 0 and not house.quarantine(), "something was put aside"
        print(f"quiet: {len(sent)} events of {len(SDKS)} SDKs, once each")

    # The kills: the connector, the broker, both; while the SDKs send and repeat what they got no answer for.
    with webhouse.WebHouse() as house:
        house.start_broker()
        house.start_web("--spool-after", "1s")
        senders = [Sender(modules, sdk, house, 120, 60) for sdk in SDKS]
        for victims in (("web",), ("broker",), ("web", "broker"), ("web",), ("broker", "web")):
            time.sleep(1)
            for victim in victims:
                getattr(house, victim).kill()
            time.sleep(1)
            for victim in victims:
                if victim == "web":
                    house.start_web("--spool-after", "1s")
                else:
                    house.start_broker()
        sent = [row for sender in senders for row in sender.sent()]
        compare(house, sent)
        assert not house.quarantine(), house.quarantine()[:3]
        print(f"killed: {len(sent)} events of {len(SDKS)} SDKs, once each; {house.counter('duplicates_total')} repeats seen after the last kill")


main()
