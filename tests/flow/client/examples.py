#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The example programs of connectors/client/examples do what they say, against a real broker."""
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, program  # noqa: E402


def run(name, *arguments, status=0):
    done = subprocess.run([program(name), *arguments], text=True, capture_output=True, timeout=120, check=False)
    assert done.returncode == status, f"{name}: exit {done.returncode}, not {status}\n{done.stdout}{done.stderr}"
    return done.stdout.splitlines()


def main():
    with House() as house:
        house.start_broker()
        acks = run("example-publish", house.address, "3")
        assert [line.split(":")[0] for line in acks] == ["event #0", "event #1", "event #2"], acks
        events = [json.loads(line) for line in run("example-subscribe", house.address, "example", "2")]
        assert [e["type"] for e in events] == ["org.touchbus.page.viewed.v1"] * 2, events
        assert all(e["keys"] == "email=ana%40klant.example" for e in events), events
        run("example-publish", house.address, "1")
        urls = [json.loads(line)["data"]["url"] for line in run("example-subscribe", house.address, "example", "2")]
        assert urls == ["https://shop.example/2", "https://shop.example/0"], urls  # goes on where it was
        (shown,) = run("example-query", house.address, "email=ana@klant.example")
        assert json.loads(shown)["customer"].startswith("c"), shown
        run("example-query", house.address, "email=nobody@klant.example", status=1)
        run("example-publish", f"ipc://{house.state}", "1")  # the same over a socket of the state folder
        run("example-query", f"ipc://{house.state}", "email=ana@klant.example")
        screen, verdict = map(json.loads, run("example-screen", house.address, "email=Ana@klant.example", "ana@klant.example"))
        assert screen["candidates"][0]["tier"] == "guest" and verdict["verdict"] in ("approved", "deferred"), (screen, verdict)
        run("example-screen", house.address, "email=nobody@klant.example", status=1)
        run("example-screen", house.address, "nobody", status=2)
        assert house.broker.stop() == 0
        run("example-query", house.address, "email=ana@klant.example", status=3)
    print("the examples publish, subscribe and query")


main()
