#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A desk merges and splits customers, and erases one who was merged: every leaf reads as the whole, both sides are told, the key of each
leaf goes, and the rebuilt view is the live one each time. A number that several customers came with leads to all of them."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "erase"))
from common import House, broker_is_done, event, lines, log, page, publish, receipt, refused, view_is_equal, wait_for  # noqa: E402

PHONE = "phone=%2B31612345678"


def customers(house, *keys):
    return [house.ask("customer", "show", key)["customer"] for key in keys]


def test_merged_ones_read_as_one(house):
    publish(house, page("a", "user_id=ana"), page("b", "account=ben"), page("c", "loyalty=cleo"))
    answer = house.ask("customer", "merge", "user_id=ana", "account=ben", "--reason", "same passport")
    assert answer["customers"] == {"c1": "c1", "c2": "c1"}, answer
    house.ask("customer", "merge", "c3", "c2")
    assert customers(house, "user_id=ana", "account=ben", "loyalty=cleo", "c3") == ["c1"] * 4
    publish(house, page("b2", "account=ben"))
    timeline = lines(house, "customer", "timeline", "c2")
    assert [row["type"] for row in timeline].count("page.viewed") == 4, timeline
    sequences = [row["sequence"] for row in timeline]
    assert sequences == sorted(sequences, reverse=True), sequences
    paged = lines(house, "customer", "timeline", "c1", "-n", "2")
    assert [row["sequence"] for row in paged] == sequences[:2], paged
    streamed = [row["id"] for row in lines(house, "replay", "--customer", "c1", "--type", "page.viewed", "-o", "json")]
    assert streamed == ["a", "b", "c", "b2"], streamed
    assert refused(house, "customer", "merge", "c1", "c99") == "merge-refused"
    assert view_is_equal(house)


def test_a_split_gives_back_what_each_had(house):
    assert refused(house, "customer", "split", "c1") == "split-refused"  # two were merged into it
    house.ask("customer", "split", "account=ben")
    assert customers(house, "user_id=ana", "account=ben", "loyalty=cleo") == ["c1", "c2", "c1"]
    said = [row for row in log(house).values() if row["type"].endswith("identity.changed.v1")]
    assert [(row["data"]["kind"], row["data"]["from"], row["data"]["to"]) for row in said] == [
        ("merged", ["c2"], "c1"), ("merged", ["c3"], "c1"), ("split", ["c2"], "c1")], said
    assert [row["id"] for row in lines(house, "replay", "--customer", "c2", "--type", "page.viewed", "-o", "json")] == ["b", "b2"]
    assert refused(house, "customer", "merge", "c3", "c2") == "merge-refused"  # they were split
    assert view_is_equal(house)


def test_a_number_of_several_is_nobody_s(house):
    publish(house, page("p1", f"user_id=ana&{PHONE}"), page("p2", f"user_id=dora&{PHONE}"))
    dora = customers(house, "user_id=dora")[0]
    publish(house, event("call", "call.received", PHONE, {"from": "x", "to": "y", "call_id": "k"}))
    assert log(house)["call"].get("customer") is None
    found = json.loads(house.touchbus("-j", "customer", "find", "phone=+31612345678", check=False).stdout or "{}")
    assert found == {} or found["candidates"] == [dora, "c1"], found


def test_an_erased_one_goes_with_all_its_leaves(house):
    erased = house.ask("customer", "erase", "c3", "--yes")
    for customer in ("c1", "c3"):
        wait_for("the broker is done", lambda: broker_is_done(house, customer))
        assert refused(house, "customer", "show", customer) == "erased"
        assert receipt(house, customer)["state"] == "done"
    assert refused(house, "customer", "show", "user_id=ana") == refused(house, "customer", "show", "loyalty=cleo") == "erased", erased
    publish(house, page("late-a", "user_id=ana"), page("late-c", "loyalty=cleo"), page("late-b", "account=ben"))
    found = log(house)
    assert [found[late].get("customer") for late in ("late-a", "late-c", "late-b")] == [None, None, "c2"], found
    assert all("data" not in found[one] for one in ("a", "c", "p1", "late-a", "late-c")), found
    assert found["b"]["data"] and found["p2"]["data"]
    assert view_is_equal(house)


def main():
    with House() as house:
        house.start_broker()
        test_merged_ones_read_as_one(house)
        test_a_split_gives_back_what_each_had(house)
        test_a_number_of_several_is_nobody_s(house)
        test_an_erased_one_goes_with_all_its_leaves(house)


if __name__ == "__main__":
    main()
