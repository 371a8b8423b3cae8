#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the tool prints is accepted by the unmodified npm package `cloudevents`, installed into the build folder."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
from harness import House

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "cloudevents@^8"


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(77)


def install():
    folder = os.path.join(os.environ.get("TOUCHBUS_BUILD", "build/dev"), "npm", "cloudevents")
    if os.path.isdir(os.path.join(folder, "node_modules", "cloudevents")):
        return folder
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
        json.dump({"private": True}, file)
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, PACKAGE], capture_output=True,
                          text=True, timeout=240, check=False)
    if done.returncode:
        skip(f"npm install failed: {done.stderr.strip().splitlines()[-1:]}")
    return folder


def main():
    if not shutil.which("npm") or not shutil.which("node"):
        skip("npm and node are not installed")
    folder = install()
    with House() as house:
        house.start_broker()
        house.touchbus("pub", "order.placed", "--identity", "email!=ana@klant.example", "--channel", "web", "--attr", "actor=a",
                       "--attr", "case=k-1", "--attr", "cost=1.20 EUR", "--attr", "cause=1", "--attr", "time=2026-01-02T03:04:05.678901Z",
                       "--attr", "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "--attr", "subject=o-1",
                       "--attr", "direction=in", "--data",
                       '{"order_id":"o-1","currency":"EUR","lines":[{"sku":"é","quantity":1,"price":"1.00"}]}')
        house.touchbus("pub", "order.changed", "--identity", "email=ana@klant.example", "--data",
                       '{"order_id":"o-1","status":"shipped","revision":2}')
        house.touchbus("pub", "something.else")
        house.touchbus("pub", "call.received", "--identity", "phone=+31612345678", "--channel", "phone", "--data",
                       '{"from":"+31612345678","to":"+31201234567","call_id":"k"}')
        every = house.ask("log", "info")["events"]  # those that these caused among them
        assert every > 4, every
        for command, wanted in (("sub --type order.* --since 1h -o json --count 2", 2), ("replay -j", every), ("log export", every),
                                (f"log get 1 -n {every} -j", every)):
            text = house.touchbus(*command.split()).stdout
            judged = subprocess.run(["node", os.path.join(HERE, "cloudevents.mjs"), os.path.abspath(folder)], input=text, text=True,
                                    capture_output=True, timeout=60, check=False)
            assert judged.returncode == 0 and int(judged.stdout) == wanted, f"{command}: {judged.stdout}{judged.stderr}\n{text}"
            print(f"{command}: {wanted} accepted")
        assert house.broker.stop() == 0


main()
