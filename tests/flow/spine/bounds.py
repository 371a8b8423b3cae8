#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The broker's memory has a bound whatever the load, and an idle broker uses next to no processor.

The bound: anonymous memory (heap and stacks; the stores are mapped files and belong to the page cache) stays under HEAP_MIB_MAX with more
ids than the dedup window holds, a subscriber that never settles, and a backlog that nobody reads.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House, wait_for  # noqa: E402

HEAP_MIB_MAX = 256  # with --dedup-events 50000; the default of 3 million adds 64 MiB (broker/README.md, Memory)
EVENTS = 120000
IDLE_S = 5
IDLE_CPU_MAX = 0.03


def anonymous_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nice_of(pid, thread):
    """The nice value of the process's thread of that name (the tick's is the process's own)."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8") as file:
            name, fields = file.read().split("(", 1)[1].rsplit(")", 1)
        if name == thread:
            return int(fields.split()[16])
    raise AssertionError(f"no thread {thread}")


def events(first, count):
    return "\n".join(json.dumps({"specversion": "1.0", "id": f"e-{n}", "source": "/bounds", "type": "org.touchbus.page.viewed.v1",
                                 "channel": "web", "keys": f"user_id=u-{n % 30000}", "data": {"url": "https://shop.example/", "pad": "x" * 200}})
                     for n in range(first, first + count)) + "\n"


def main():
    with House() as house:
        broker = house.start_broker("--dedup-events", "50000")
        idle = house.start("touchbus", "--broker", house.address, "sub", "stuck", "--from", "beginning", "-o", "json",
                           stdout=open(os.path.join(house.folder, "fifo-never-read"), "wb"))
        wait_for("the subscription", lambda: house.touchbus("subscription", "show", "stuck", check=False).returncode == 0)
        os.kill(idle.pid, 19)  # SIGSTOP: it holds what it was given and takes no more
        assert nice_of(broker.pid, "query") < nice_of(broker.pid, "touchbusd"), "questions wait for the tick's slices"
        peak, step = 0.0, EVENTS // 6
        for first in range(0, EVENTS, step):
            house.touchbus("pub", "--from", "-", text=events(first, step), seconds=240)
            peak = max(peak, anonymous_mib(broker.pid))
            print(f"{first + step} events: {peak:.0f} MiB", flush=True)
        assert peak < HEAP_MIB_MAX, f"{peak:.0f} MiB of anonymous memory, the bound is {HEAP_MIB_MAX}"
        os.kill(idle.pid, 18)
        idle.stop()
        shares = []

        def idle_again():
            before = cpu_seconds(broker.pid)
            time.sleep(IDLE_S)
            shares.append((cpu_seconds(broker.pid) - before) / IDLE_S)
            print(f"idle, the broker uses {shares[-1]:.1%} of a processor", flush=True)
            return shares[-1] < IDLE_CPU_MAX
        wait_for("next to no processor, once what was under way has its restore point", idle_again)
        assert broker.stop() == 0
        print(f"peak {peak:.0f} MiB of {HEAP_MIB_MAX}; idle {shares[-1]:.2%}")


main()
