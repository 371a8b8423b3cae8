#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The broker's log is made anew: the customer file is copied aside and begins again, so that no old sequence or customer is taken for a
new one."""
import glob
import os
import shutil
import sqlite3

from sinks import Crm, House, agrees, day, drained, log_of, publish, start


def main():
    with House() as house:
        house.start_broker()
        crm = Crm(house)
        process = start(house, "crm")
        publish(house, day(1, 300))
        drained(house, "crm")
        first_log = agrees(house, crm)
        assert process.stop() == 0, process.tail()
        house.broker.stop()
        for name in os.listdir(house.state):
            if name != "crm":
                path = os.path.join(house.state, name)
                shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

        house.start_broker()
        process = start(house, "crm")
        publish(house, day(1001, 200))
        drained(house, "crm")
        second_log = agrees(house, crm)
        assert sum(event["source"] != "/touchbus" for event in log_of(house)) == 200
        copies = glob.glob(crm.path + ".*-[0-9]*")
        assert len(copies) == 1, copies
        copy = sqlite3.connect(copies[0])
        assert copy.execute("SELECT count(*) FROM interactions").fetchone() == (first_log,)
        copy.close()
        assert process.stop() == 0, process.tail()
        print(f"{second_log} events of the new log in the file, {first_log} of the old one in its copy")


main()
