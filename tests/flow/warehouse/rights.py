#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""With keys the role of the connector's key decides what the table outgoing may cause: a sink's rows are refused and say so, a connector's
are taken but for merges, and who may merge merges. The sink goes on whatever is refused."""
import json
import os

from desk import Desk
from harness import KeyedHouse
from warehouse import Postgres, cloud, drained, wait_for

ROLES = {"sink": ("refused", "refused"), "connector": ("accepted", "refused"), "desk": ("accepted", "accepted")}


def connect(house, server, role, secret):
    state = os.path.join(house.folder, role)  # another incarnation of the same connector
    return house.start("touchbus-crm", "--broker", house.address, "--state", state, "--postgres", server.uri, "--password-file", server.password_file,
                       "--key", secret, *house.key_options("crm")[2:])


def main():
    with KeyedHouse() as house, Postgres(fsync="off") as server:
        house.start_broker("--role", "desk publish=* subscribe=%n,privacy.%n receive=* merge")
        events = [cloud(f"e-{n}", "page.viewed", {"url": "/"}, f"{['account', 'loyalty'][n % 2]}=a-{n}") for n in range(4)]
        house.touchbus("pub", "--from", "-", text="\n".join(events) + "\n")
        desk = None
        for role, (change, merge) in ROLES.items():
            os.mkdir(os.path.join(house.folder, f"keys-{role}"))
            secret = house.admit("crm", role, file="crm", folder=os.path.join(house.folder, f"keys-{role}"))
            house.reload_broker()
            process = connect(house, server, role, secret)
            wait_for("the table is there", lambda: server.one("SELECT count(*) FROM pg_class WHERE relname = 'outgoing'"))
            desk = desk or Desk(server)
            rows = desk.answered(*desk.write(("customer.changed", 1, {"fields": {"role": role}}),
                                             ("merge.requested", None, {"customers": ["c1", "c2"], "reason": "same passport"})))
            assert [row["outcome"] for row in rows] == [change, merge], (role, rows)
            assert all(row["reason"].startswith("forbidden: ") for row in rows if row["outcome"] == "refused"), rows
            drained(house, "crm")
            assert server.one("SELECT count(*) FROM interactions WHERE type = 'page.viewed'") == 4
            assert "state=up" in process.tail() and "refused" not in process.tail(), process.tail()
            assert process.stop() == 0, process.tail()
            print(role, json.dumps([(row["outcome"], row["reason"]) for row in rows]), flush=True)


main()
