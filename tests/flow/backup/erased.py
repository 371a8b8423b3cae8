#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A backup from before an erasure, restored with the keys of now, does not show the person; customers made after the backup and erased since
leave no destroyed key to somebody new. Older keys in the place of newer ones are refused."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import House  # noqa: E402

CANARY = "Zebulon Quagmire"


def show(house, key):
    done = house.touchbus("-j", "customer", "show", key, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else json.loads(done.stderr)["error"]


def identify(house, who, name):
    return house.ask("pub", "customer.identified", "--identity", f"user_id={who}", "--data", json.dumps({"traits": {"name": name}}))


def name_of(house, key):
    return show(house, key)["attributes"]["name"]["value"]


def main():
    with House() as house:
        folder = {name: os.path.join(house.folder, name) for name in ("backup", "keys-before", "keys-now")}
        house.start_broker()
        identify(house, "ana", CANARY)
        identify(house, "bo", "Bo")
        house.ask("backup", folder["backup"])
        house.ask("backup", "--keys", folder["keys-before"])
        # Behind the backup: Cy is customer 3, and erased like Ana; Di is customer 4.
        later = [identify(house, who, who.title())["customer"] for who in ("cy", "di")]
        assert later == ["c3", "c4"], later
        for who in ("ana", "cy"):
            house.ask("--yes", "customer", "erase", f"user_id={who}")
            assert show(house, f"user_id={who}") == "erased", show(house, f"user_id={who}")
        house.ask("backup", "--keys", folder["keys-now"])
        assert house.broker.stop() == 0

        # The control: with the old keys, which nobody should still have, the person is there again.
        with House() as other:
            house.ask("restore", "--from", folder["backup"], "--keys", folder["keys-before"], "--state", other.state)
            other.start_broker()
            assert name_of(other, "user_id=ana") == CANARY
            assert other.broker.stop() == 0
        done = house.touchbus("restore", "--from", folder["backup"], "--keys", folder["keys-before"], "--state", house.state, "--replace",
                              check=False)
        assert done.returncode == 1 and "newer keys" in done.stderr, done.stderr

        house.ask("restore", "--from", folder["backup"], "--keys", folder["keys-now"], "--state", house.state, "--replace")
        house.start_broker()
        assert show(house, "user_id=ana") == "erased", show(house, "user_id=ana")
        assert name_of(house, "user_id=bo") == "Bo"
        assert show(house, "user_id=cy") == "not-found", show(house, "user_id=cy")
        fresh = identify(house, "eve", "Eve")
        assert fresh["customer"] not in ("c1", "c3"), fresh
        assert name_of(house, "user_id=eve") == "Eve"
        assert house.ask("view", "verify", seconds=300)["equal"] is True
        exported = house.touchbus("replay", "-o", "json").stdout
        assert CANARY not in exported and '"Eve"' in exported, exported
        assert house.broker.stop() == 0
        house.start_broker()  # the same again: what the start made good stands in the log
        assert show(house, "user_id=ana") == "erased" and name_of(house, "user_id=eve") == "Eve"
        assert house.ask("view", "verify", seconds=300)["equal"] is True
        assert house.broker.stop() == 0
        print("erased before the restore, erased behind it; the new customer is", fresh["customer"])


main()
