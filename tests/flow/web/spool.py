#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The web connector while the broker is away: what it confirms is on disk first, is logged once when the broker is back, in order
and under the same ids; what does not fit is sent back. Kills of either side lose and double nothing."""
import glob
import os
import re
import shutil
import threading
import time

import webhouse
from webhouse import batch, harness, track

AWAY = ("--spool-after", "300ms")


def spool_files(house, end):
    return sorted(glob.glob(os.path.join(house.state, "web", f"spool-*{end}")))


def ids(house):
    return [event["id"] for event in house.events()]


def await_drained(house):
    harness.wait_for("the spool is empty", lambda: house.counter("spool_records") == 0 and house.counter("in_flight") == 0)


def missing_broker_is_202(house):
    """No broker was ever there: the first answer waits for it a little, the following ones do not."""
    house.start_web(*AWAY)
    for number in range(5):
        status, answer = house.post("/v1/batch", batch([number]))
        assert status == 202 and answer["success"] and "sequence" not in answer, (status, answer)
    harness.wait_for("all five wait on disk", lambda: house.counter("spool_records") == 5)  # counted once a turn of the loop
    status, answer = house.post("/events", {"specversion": "1.0", "id": "c-1", "source": "/s", "type": "org.touchbus.contact.requested.v1",
                                            "data": {"contact_id": "c-1", "content_id": "x", "purpose": "marketing", "channels": ["email"]}},
                                {"Content-Type": "application/cloudevents+json"})
    assert status == 503, f"a request for a verdict was spooled: {status} {answer}"
    house.start_broker()
    await_drained(house)
    assert ids(house) == [f"m-{n}" for n in range(5)], ids(house)
    assert not spool_files(house, ".seg"), "the spool's files are removed once acked"
    status, answer = house.post("/v1/batch", batch([5]), seconds=60)
    assert status in (200, 202), answer


def killed_broker_loses_nothing(house):
    """The broker is killed under load: everything that got 200 or 202 is in the log once when it is back."""
    confirmed, stop = [], threading.Event()

    def send(thread):
        number = 0
        while not stop.is_set():
            name = f"k{thread}-{number}"
            status, _ = house.post("/v1/batch", batch([name]), seconds=60)
            if status in (200, 202):
                confirmed.append((name, status))
                number += 1
            else:
                assert status == 503, status
    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    def answered(status, before):
        harness.wait_for(f"a {status}", lambda: any(each == status for _, each in confirmed[before:]))
    for _ in range(3):
        time.sleep(0.5)
        answered(200, 0)
        before = len(confirmed)
        house.broker.kill()
        answered(202, before)
        time.sleep(1)
        house.start_broker()
    harness.wait_for("acks again", lambda: confirmed and confirmed[-1][1] == 200 or house.counter("spool_records") == 0)
    stop.set()
    for thread in threads:
        thread.join()
    await_drained(house)
    logged = ids(house)
    assert len(logged) == len(set(logged)), "an event is there twice"
    lost = [name for name, _ in confirmed if f"m-{name}" not in logged]
    assert not lost, f"confirmed and not there: {lost}"
    statuses = [status for _, status in confirmed]
    for thread in range(4):  # each sender waited for its answer: its events are one after another
        own = [i for i in logged if i.startswith(f"m-k{thread}-")]
        assert own == sorted(own, key=lambda i: int(i.rsplit("-", 1)[1])), "a sender's events changed their order"
    print(f"  {len(confirmed)} confirmed, {statuses.count(202)} of them by the spool")


def killed_connector_loses_nothing(house):
    house.broker.stop()
    before = len(spool_files(house, ".seg"))
    for number in range(20):
        assert house.post("/v1/batch", batch([f"c{number}a", f"c{number}b"]))[0] == 202
    house.web.kill()
    assert len(spool_files(house, ".seg")) > before
    house.start_web(*AWAY)
    harness.wait_for("all of it waits on disk", lambda: house.counter("spool_records") == 40)
    assert house.post("/v1/batch", batch(["c20a"]))[0] == 202
    house.start_broker()
    await_drained(house)
    logged = [i for i in ids(house) if re.match(r"m-c\d", i)]
    assert logged == [f"m-c{n}{x}" for n in range(20) for x in "ab"] + ["m-c20a"], logged


def torn_tail_is_kept_aside(house):
    house.broker.stop()
    assert house.post("/v1/batch", batch(["t1"]))[0] == 202
    assert house.post("/v1/batch", batch(["t2"]))[0] == 202
    house.web.kill()
    with open(spool_files(house, ".seg")[-1], "r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.truncate()
    house.start_web(*AWAY)
    harness.wait_for("one of them waits on disk", lambda: house.counter("spool_records") == 1)
    assert spool_files(house, ".torn")
    with open(house.web.log, encoding="utf-8") as file:
        assert "torn_bytes=" in file.read()
    house.start_broker()
    await_drained(house)
    logged = ids(house)
    assert "m-t1" in logged and "m-t2" not in logged


def full_spool_is_503(house):
    house.broker.stop()
    house.web.stop()
    house.start_web(*AWAY, "--spool-bytes", "3M")
    padding = {"sku": "s", "x": "y" * 400000}
    taken = []
    for number in range(12):
        status, headers, _ = house.http("POST", "/v1/track", webhouse.json.dumps(track(f"f{number}", properties=padding)))
        if status == 503:
            assert int(headers["Retry-After"]) >= 1
        else:
            assert status == 202, status
            taken.append(number)
    assert 0 < len(taken) < 12, taken
    harness.wait_for("it is counted", lambda: house.counter("busy_total") > 0)
    house.start_broker()
    await_drained(house)
    logged = ids(house)
    assert all(f"m-f{number}" in logged for number in taken)
    assert house.post("/v1/track", track("f-after"), seconds=60)[0] in (200, 202)


def stop_spools_what_waits(house):
    """SIGTERM while requests wait for a broker that is away: they are answered, quickly, and nothing is lost."""
    house.broker.stop()
    house.web.stop()
    house.start_web("--spool-after", "30s")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(house.post("/v1/batch", batch(["stop-1"]), seconds=60)))
    thread.start()
    harness.wait_for("the request waits", lambda: house.counter("in_flight") == 1)
    start = time.monotonic()
    assert house.web.stop() == 0
    took = time.monotonic() - start
    thread.join()
    assert answers and answers[0][0] == 202, answers
    assert took < 30, took
    house.start_web(*AWAY)
    house.start_broker()
    await_drained(house)
    assert ids(house).count("m-stop-1") == 1


def copied_folder_is_noticed(house):
    """Two processes under one producer's name: the older one ends, and keeps what it could not hand over."""
    assert house.post("/v1/batch", batch(["copy-1"]), seconds=60)[0] in (200, 202)
    await_drained(house)
    elsewhere = os.path.join(house.folder, "copy")
    shutil.copytree(os.path.join(house.state, "web"), os.path.join(elsewhere, "web"))
    first, port, house.web_port = house.web, house.web_port, None
    second = house.start_web(*AWAY, state=elsewhere)
    assert house.post("/v1/batch", batch(["copy-2"]), seconds=60)[0] in (200, 202)
    await_drained(house)
    house.web_port = port
    assert house.post("/v1/batch", batch(["copy-3"]), seconds=60)[0] == 202
    assert first.wait() == 1, "the older one goes on"
    with open(first.log, encoding="utf-8") as file:
        assert "stopped=fenced" in file.read()
    second.stop()
    house.start_web(*AWAY)
    await_drained(house)
    logged = ids(house)
    assert all(logged.count(f"m-copy-{n}") == 1 for n in (1, 2, 3)), logged


def synced_before_answered(house):
    """A trace: no 202 leaves before an fdatasync of the spool returned after its record was written."""
    if not shutil.which("strace"):
        print("  SKIP: no strace")
        return
    house.broker.stop()
    house.web.stop()
    trace = os.path.join(house.folder, "trace")
    house.start_web(*AWAY, wrap=("strace", "-f", "-qq", "-y", "-s", "64", "-e", "trace=pwrite64,fdatasync,fsync,sendto,sendmsg,writev,write",
                                 "-o", trace))
    for number in range(10):
        assert house.post("/v1/batch", batch([f"trace-{number}"]), seconds=60)[0] == 202
    os.kill(int(open(f"/proc/{house.web.pid}/task/{house.web.pid}/children", encoding="utf-8").read().split()[0]), 15)
    house.web.wait()
    synced, answered, dirty, pending = 0, 0, False, set()
    with open(trace, encoding="utf-8", errors="replace") as file:
        for line in file:
            thread = line.split()[0]
            if "pwrite64(" in line and ".seg>" in line:
                dirty = True
            elif "fdatasync(" in line and ".seg>" in line:
                if "unfinished" in line:
                    pending.add(thread)
                else:
                    dirty, synced = False, synced + 1
            elif "fdatasync resumed" in line and thread in pending:
                pending.discard(thread)
                dirty, synced = False, synced + 1
            elif "HTTP/1.1 202" in line:
                assert not dirty, f"answered before its record was synced: {line}"
                answered += 1
    assert answered == 10 and synced >= 10, (answered, synced)


def main():
    for rules in ((missing_broker_is_202, killed_broker_loses_nothing, killed_connector_loses_nothing, torn_tail_is_kept_aside,
                   full_spool_is_503, stop_spools_what_waits, copied_folder_is_noticed, synced_before_answered),):
        with webhouse.WebHouse() as house:
            for rule in rules:
                rule(house)
                print(f"{rule.__name__}: holds", flush=True)


main()
