#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What every connector does alike, because the kit does it: one suite, run against each. Usage: contract.py NAME [OPTIONS...],
the options being those it needs besides --broker and --state."""
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "flow"))
import harness  # noqa: E402  (the harness is a folder of the flows)

STOP_S = 30  # a stop waits a second for acks and half a second for the report; the rest is a busy machine
NAME, OPTIONS = sys.argv[1], sys.argv[2:]
PROGRAM = f"touchbus-{NAME}"


def run(*arguments, seconds=60):
    return subprocess.run([harness.program(PROGRAM), *arguments], capture_output=True, text=True, timeout=seconds, check=False)


def start(house, *more):
    return house.start(PROGRAM, "--broker", house.address, "--state", house.state, *OPTIONS, *more)


def log_of(house):
    with open(os.path.join(house.folder, f"{PROGRAM}.log"), encoding="utf-8") as file:
        return file.read()


def started(house, process, times=1):
    def ready():
        assert process.alive(), f"{PROGRAM} ended with {process.popen.returncode}:\n{process.tail()}"
        return log_of(house).count(f"started={NAME} ") == times
    harness.wait_for(f"{PROGRAM} starts", ready)
    return process


def stop(process):
    status = process.stop(STOP_S)
    assert status == 0, f"SIGTERM: exit {status}\n{process.tail()}"


def shown(house):
    done = house.touchbus("-j", "connector", "show", NAME, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def help_names_every_option(_):
    done = run("--help")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    for part in ("NAME\n", "SYNOPSIS\n", "OPTIONS\n", "--broker=", "--state=", "--name=", "--config=", "--log-level=", PROGRAM):
        assert part in done.stdout, f"--help lacks {part!r}"
    assert all(len(line) <= 80 for line in done.stdout.splitlines()[2:]), "--help is wider than a terminal"


def version_is_one_line(_):
    done = run("--version")
    assert done.returncode == 0 and re.fullmatch(rf"{PROGRAM} \d+\.\d+\.\d+\n", done.stdout), done.stdout


def wrong_usage_is_named(house):
    for arguments, named in ((["--nonsense"], "nonsense"), (["--state", house.state, "operand"], "operand"), ([], "--state"),
                             (["--state", house.state, "--name", "../x"], "name"), (["--state", house.state, "--log-level", "loud"], "log-level"),
                             (["--state", house.state, "--config", house.folder + "/none"], "none")):
        done = run(*arguments)
        assert done.returncode == 2, f"{arguments}: exit {done.returncode}"
        assert named in done.stderr and len(done.stderr.splitlines()) <= 2, f"{arguments}: {done.stderr}"
    assert not os.path.exists(house.state), "wrong usage touched the state"


def bad_configuration_names_its_line(house):
    config = os.path.join(house.folder, "bad.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write("# a comment\nlog-level = info\nnonsense = 1\n")
    done = run("--state", house.state, "--config", config)
    assert done.returncode == 2 and f"{config}:3" in done.stderr, done.stderr


def state_that_cannot_be_used_is_refused(house):
    path = os.path.join(house.folder, "file")
    with open(path, "w", encoding="utf-8"):
        pass
    done = run("--broker", house.address, "--state", path, *OPTIONS)
    assert done.returncode == 1 and "error" in done.stderr, (done.returncode, done.stderr)


def missing_broker_is_waited_for(house):
    process = started(house, start(house))
    time.sleep(1)
    assert process.alive() and "state=up" not in log_of(house), process.tail()
    house.start_broker()
    harness.wait_for("the broker is found", lambda: "state=up" in log_of(house))
    house.broker.stop()
    harness.wait_for("it notices that the broker left", lambda: "state=broker-away" in log_of(house))
    house.start_broker()
    harness.wait_for("the broker is found again", lambda: log_of(house).count("state=up") >= 2)
    stop(process)


def missing_broker_does_not_keep_it_from_stopping(house):
    house.broker.stop()
    stop(started(house, start(house), 2))
    house.start_broker()


def second_instance_is_refused(house):
    first = started(house, start(house), 3)
    second = start(house)
    assert second.wait() == 1, "a second instance on the same state started"
    assert "another instance" in log_of(house)
    assert first.alive()
    first.kill()
    again = started(house, start(house), 4)  # a lock dies with its process
    stop(again)


def health_is_reported(house):
    process = started(house, start(house), 5)
    row = harness.wait_for("its report", lambda: shown(house) if shown(house).get("state") == "up" else None, seconds=120)
    assert row["name"] == NAME and row["kind"] in ("source", "sink", "both"), row
    assert row["metrics"]["connected"] == 1, row
    stop(process)
    harness.wait_for("its last report", lambda: shown(house).get("state") == "stopping")


def reload_takes_a_good_file_and_keeps_a_bad_one_out(house):
    config = os.path.join(house.folder, "good.conf")

    def write(text):
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
    write("log-level = info\n")
    process = started(house, start(house, "--config", config), 6)
    write("log-level = debug\n")
    process.popen.send_signal(1)
    harness.wait_for("a reload", lambda: "reload=done" in log_of(house))
    write("log-level = debug\nnonsense = 1\n")
    process.popen.send_signal(1)
    harness.wait_for("a refused reload", lambda: "reload=refused configuration=kept" in log_of(house))
    assert f"{config}:2" in log_of(house), "the bad line is not named"
    assert process.alive()
    write("log-level = info\n")
    house.touchbus("connector", "reload", NAME)
    harness.wait_for("a reload by the tool", lambda: log_of(house).count("reload=done") == 2)
    stop(process)


def main():
    with harness.House() as house:
        for rule in (help_names_every_option, version_is_one_line, wrong_usage_is_named, bad_configuration_names_its_line,
                     state_that_cannot_be_used_is_refused, missing_broker_is_waited_for, missing_broker_does_not_keep_it_from_stopping,
                     second_instance_is_refused, health_is_reported, reload_takes_a_good_file_and_keeps_a_bad_one_out):
            rule(house)
            print(f"{rule.__name__}: holds", flush=True)


main()
