#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The policy is judged at the start, printed, read anew without a restart, and each change of it is in the log with its actor."""
import json
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..")]
from harness import START_S, House, KeyedHouse, program, wait_for  # noqa: E402


def write(house, text):
    path = os.path.join(house.folder, "policy.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def changes(house):
    """Every configuration.changed of the log, as (actor, data)."""
    done = house.touchbus("-j", "replay", "--type", "configuration.changed", "--from", "beginning")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [(event["data"]["actor"], event["data"]) for event in events if event["type"].endswith("configuration.changed.v1")]


def cap(house):
    return house.ask("config", "show")["policy"]["contact"]["cap_day"]


def test_a_reload_takes_the_change_and_logs_it_with_its_actor(house):
    assert cap(house) == 1
    write(house, "contact: {cap_day: 2}\n")
    answer = house.ask("config", "reload", "--actor", "ana")
    assert answer["changes"] == 1 and cap(house) == 2, answer
    [(actor, data)] = changes(house)
    assert actor == "ana" and data["n_changes"] == 1, data
    assert data["changes"] == [{"section": "contact", "path": "contact.cap_day", "old": "1", "new": "2"}], data
    event = json.loads(house.touchbus("-j", "log", "get", str(answer["sequence"])).stdout)
    assert event["actor"] == "ana", event


def test_what_is_malformed_leaves_all_as_it_was_and_says_where(house):
    before = len(changes(house))
    path = write(house, "contact:\n  cap_day: 3\n  quiet_from: nine\n")
    done = house.touchbus("-j", "config", "reload", check=False)
    assert done.returncode == 1, done
    refusal = json.loads(done.stderr)
    assert f"{path}:3:15: contact.quiet_from: 'nine' is not a time of day" in refusal["detail"], refusal
    assert cap(house) == 2 and len(changes(house)) == before
    os.unlink(path)
    assert house.touchbus("config", "reload", check=False).returncode == 1
    assert cap(house) == 2


def test_a_signal_reloads_too(house):
    write(house, "contact: {cap_day: 4}\nsegments: [{name: all, all: [{field: value, at_least: 0}]}]\n")
    os.kill(house.broker.pid, signal.SIGHUP)
    wait_for("the new cap", lambda: cap(house) == 4)
    actor, data = changes(house)[-1]
    paths = [row["path"] for row in data["changes"]]
    assert actor == "operator" and paths == ["contact.cap_day", "segments[most-valuable]", "segments[win-back]", "segments[all]"], data


def test_a_bad_rank_keeps_the_policy_back_too(house):
    """Half a configuration is never in force."""
    with open(house.conf, encoding="utf-8") as file:
        sound = file.read()
    with open(house.conf, "a", encoding="utf-8") as file:
        file.write("rank = /web=many\n")
    write(house, "contact: {cap_day: 5}\n")
    assert house.touchbus("config", "reload", check=False).returncode == 1
    assert cap(house) == 4
    with open(house.conf, "w", encoding="utf-8") as file:
        file.write(sound)
    house.touchbus("config", "reload")
    assert cap(house) == 5


def test_the_view_is_the_same_without_any_policy(house):
    house.touchbus("view", "verify")


def test_a_key_s_name_is_the_actor_whatever_it_says():
    with KeyedHouse() as house:
        house.admit("eve", "monitor")
        house.start_broker()
        assert house.touchbus("config", "reload", key="eve", check=False).returncode == 1
        house.touchbus("config", "reload", "--actor", "somebody else")
        assert [actor for actor, _ in changes(house)] == ["admin"]
        assert house.ask("config", "show", key="eve")["policy"]["contact"]["cap_week"] == 3


def run(*arguments):
    return subprocess.run([program("touchbusd"), *arguments], text=True, capture_output=True, timeout=START_S, check=False)


def test_a_file_is_judged_and_printed_without_starting(house):
    path = write(house, "contact: {cap_day: 7}\n")
    printed = run("--print-policy", "--policy", path)
    assert printed.returncode == 0 and "cap_day: 7" in printed.stdout, printed
    own = write(house, printed.stdout)
    assert run("--print-policy", "--policy", own).stdout == printed.stdout
    assert run("--check", "--policy", own).returncode == 0
    assert house.touchbus("check-config", own).returncode == 0
    bad = write(house, "contact: {cap_day: 7, cap_wek: 1}\n")
    for done in (run("--check", "--policy", bad), run("--state", house.state + "-2", "--policy", bad),
                 house.touchbus("check-config", bad, check=False)):
        assert done.returncode == 1 and f"{bad}:1:23: contact: unknown name 'cap_wek'" in done.stderr, done
    assert not os.path.exists(house.state + "-2")


def see(house):
    house.touchbus("pub", "page.viewed", "--identity", "user_id=ana", "--data", '{"url": "/"}')


def test_what_changed_while_the_broker_was_down_is_said_at_the_start():
    with House() as house:
        house.start_broker()
        see(house)
        assert changes(house) == []  # the built-in policy
        path = write(house, "contact: {cap_day: 2}\n")
        for text, said in ((None, ("1", "2")), (None, None), ("contact: {cap_day: 3}\n", ("2", "3")), ("contact: {cap_day: 3} # the same\n", None)):
            before = changes(house)
            if text is not None:
                write(house, text)
            assert house.broker.stop() == 0
            house.start_broker("--policy", path)
            if said is not None:
                wait_for("the change", lambda: len(changes(house)) > len(before))  # noqa: B023
                actor, data = changes(house)[-1]
                assert actor == "operator" and data["what"] == "start" and data["n_changes"] == 1, data
                assert data["changes"] == [{"section": "contact", "path": "contact.cap_day", "old": said[0], "new": said[1]}], data
            else:
                see(house)
                assert changes(house) == before
        write(house, "contact: {cap_day: 4}\n")  # what a reload said is not said again
        house.touchbus("config", "reload")
        before = changes(house)
        assert house.broker.stop() == 0
        house.start_broker("--policy", path)
        see(house)
        assert changes(house) == before and before[-1][1]["what"] == "reload"
        house.touchbus("view", "verify")


def test_a_first_start_says_what_its_file_changes():
    with House() as house:
        house.start_broker("--policy", write(house, "contact: {cap_day: 2}\n"))
        wait_for("the change", lambda: len(changes(house)) == 1)
        assert changes(house)[0][1]["changes"][0]["old"] == "1"


def main():
    with House() as house:
        house.conf = os.path.join(house.folder, "touchbusd.conf")
        with open(house.conf, "w", encoding="utf-8") as file:
            file.write(f"policy = {write(house, '')}\n")
        house.start_broker("--config", house.conf)
        for name, test in list(globals().items()):
            if name.startswith("test_"):
                test(*([house] if test.__code__.co_argcount else []))
                print(name, "ok", flush=True)


main()
