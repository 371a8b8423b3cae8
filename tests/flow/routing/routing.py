#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls find agents: the verdict is in the log, one agent is never given twice, who waits is served by priority and by fewer skills in
time, who hangs up is gone; and a view built from the log says the same."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from harness import House, wait_for  # noqa: E402

POLICY = """
routing:
  queues:
    - {name: repairs, needs: [repair], skills: [repair, licence]}
    - {name: general}
  ring: 1s
  rings: 1
"""
CALLS = 40


def agent(house, actor, state="available", *skills):
    house.touchbus("pub", "agent.state", "--data", json.dumps({"actor": actor, "state": state, "skills": skills}))


def events(lines):
    return "\n".join(json.dumps({"specversion": "1.0", "source": "/pbx", "id": f"{kind}-{data['call_id']}", "type": f"org.touchbus.{kind}.v1",
                                 "channel": "phone", "data": data, **({"keys": f"user_id={who}"} if who else {})})
                     for kind, who, data in lines) + "\n"


def received(number, who=None, **more):
    return "call.received", who, {"call_id": f"c-{number}", "from": "x", "to": "y", **more}


def routed(house):
    """call_id -> actors, in the order of the log."""
    calls = {}
    for line in house.touchbus("log", "export").stdout.splitlines():
        event = json.loads(line)
        if event["type"] == "org.touchbus.interaction.routed.v1" and "actor" in event["data"]:
            calls.setdefault(event["data"]["call_id"], []).append(event["data"]["actor"])
    return calls


def main():
    with House() as house:
        path = os.path.join(house.folder, "policy.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(POLICY)
        house.start_broker("--policy", path)
        for i in range(10):
            agent(house, f"a-{i}")
        # All at once, half of them of customers: ten are served, in the order in which the agents became idle.
        house.touchbus("pub", "--from", "-", text=events(received(i, f"u-{i}" if i % 2 else None) for i in range(CALLS)))
        calls = routed(house)
        assert calls == {f"c-{i}": [f"a-{i}"] for i in range(10)}, calls
        # The others wait; the first two of them hang up.
        house.touchbus("pub", "--from", "-", text=events(("call.ended", None, {"call_id": f"c-{i}", "duration_s": 0, "outcome": "abandoned"})
                                                         for i in (10, 11)))
        agent(house, "a-0", "busy")
        assert len(routed(house)) == 10
        agent(house, "a-0")
        agent(house, "a-1")
        assert {call: actors for call, actors in routed(house).items() if len(calls.get(call, [])) == 0} == {"c-12": ["a-0"], "c-13": ["a-1"]}
        # Of two skills one is given up in time.
        house.touchbus("pub", "--from", "-", text=events(("call.ended", None, {"call_id": f"c-{i}", "duration_s": 60, "outcome": "done"})
                                                         for i in range(14, CALLS)))
        agent(house, "half", "available", "repair")
        house.touchbus("pub", "--from", "-", text=events([received("repair", "u-0", need="repair")]))
        assert wait_for("a ring", lambda: routed(house).get("c-repair")) == ["half"]
        *rows, _ = [json.loads(line) for line in house.touchbus("-j", "scorecard", "--channel", "phone").stdout.splitlines()]
        assert [(row["contacts"], row["abandoned"]) for row in rows] == [(CALLS + 1, 2)], rows
        assert house.ask("view", "verify")["equal"] is True


if __name__ == "__main__":
    main()
