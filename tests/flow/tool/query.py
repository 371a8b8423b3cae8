#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The query endpoint by the wire alone: refusals by name, hostile bytes, waiting, long answers beside quick ones."""
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire")]
sys.dont_write_bytecode = True
import zmq  # noqa: E402
from harness import House, program  # noqa: E402
from wire import Line, context, pb, query  # noqa: E402

BAD_FRAME, BAD_VERSION, BAD_ARGUMENT, UNKNOWN_VERB, BAD_CURSOR, NOT_FOUND, BUSY = 100, 101, 103, 104, 105, 300, 203
EVENTS = 60000


def ask(port, verb, min_sequence=0, body=b"", **arguments):
    line = Line(port + 2, pb.Answer)
    message = pb.Query(request=9, verb=verb, min_sequence=min_sequence, body=body)
    for name, value in arguments.items():
        message.arguments.add(name=name, value=value)
    line.send(message)
    answer = line.receive()
    while answer is not None and answer.more:  # parts ahead of it: how far long work is
        answer = line.receive()
    line.close()
    assert answer is not None and answer.request == 9, (verb, answer)
    return answer


def test_refusals_have_names(house):
    for code, verb, arguments in ((UNKNOWN_VERB, "no.verb", {}), (UNKNOWN_VERB, "", {}), (BAD_ARGUMENT, "log.get", {}),
                                  (BAD_ARGUMENT, "log.get", {"sequence": "x"}), (BAD_ARGUMENT, "log.get", {"sequence": "-1"}),
                                  (BAD_ARGUMENT, "log.get", {"sequence": "1", "count": "1001"}), (BAD_ARGUMENT, "log.info", {"a": "b"}),
                                  (BAD_ARGUMENT, "customer.show", {}), (BAD_ARGUMENT, "customer.show", {"customer": "42"}),
                                  (BAD_ARGUMENT, "customer.show", {"customer": "c1", "key": "email=a@b.c"}),
                                  (BAD_ARGUMENT, "customer.show", {"key": "email="}), (BAD_ARGUMENT, "customer.show", {"key": "=x"}),
                                  (BAD_ARGUMENT, "customer.show", {"key": "x" * 3000}), (NOT_FOUND, "customer.show", {"customer": "c999999"}),
                                  (NOT_FOUND, "customer.show", {"customer": f"c{2**63}"}), (BAD_ARGUMENT, "customer.show", {"customer": "c" + "9" * 30}),
                                  (NOT_FOUND, "customer.show", {"reference": "order=none"}), (NOT_FOUND, "subscription.show", {"name": "none"}),
                                  (BAD_ARGUMENT, "backup", {"dir": "relative"}), (BAD_ARGUMENT, "backup", {}), (BAD_ARGUMENT, "view.rebuild", {"actor": "x" * 300}),
                                  (BAD_ARGUMENT, "view.rebuild", {"actor": "somebody\nelse"}), (BAD_ARGUMENT, "quarantine.show", {"id": "zz"}),
                                  (BAD_ARGUMENT, "connector.report", {"name": "", "kind": "sink", "state": "x"})):
        answer = ask(house.port, verb, **arguments)
        assert answer.code == code, (verb, arguments, answer)
        assert not any(value and len(value) > 3 and value in answer.detail for value in arguments.values()), answer.detail


def test_an_argument_stands_once_and_a_body_is_checked(house):
    line = Line(house.port + 2, pb.Answer)
    message = pb.Query(request=1, verb="log.get")
    for _ in range(2):
        message.arguments.add(name="sequence", value="1")
    line.send(message)
    assert line.receive().code == BAD_ARGUMENT
    line.send(pb.Query(request=2, verb="log.info", body=b"\xc1"))
    assert line.receive().code in (BAD_FRAME, BAD_ARGUMENT)
    line.send(pb.Query(request=3, verb="log.info", body=b"\xdd\xff\xff\xff\xff"))
    assert line.receive().code in (BAD_FRAME, BAD_ARGUMENT)
    line.close()


def test_hostile_bytes_disturb_nobody(house):
    random.seed(7)
    good = pb.Query(version=1, request=5, verb="log.info").SerializeToString()
    line = Line(house.port + 2, pb.Answer)
    line.send_bytes(b"\x08\x02\x10\x05")
    assert line.receive().code == BAD_VERSION
    for i in range(300):
        data = bytearray(good if i % 2 else random.randbytes(random.randrange(200)))
        for _ in range(random.randrange(4)):
            if data:
                data[random.randrange(len(data))] = random.randrange(256)
        line.send_bytes(bytes(data))
        answer = line.receive()
        assert answer is not None, "no answer"
    line.socket.send_multipart([good, good])
    line.socket.send_multipart([b""] * 50)
    assert line.receive(0.3) is None  # not messages of ours: dropped
    assert ask(house.port, "log.info").code == 0
    line.close()


def test_min_sequence_waits_a_second_at_most(house):
    head = ask(house.port, "log.info").as_of
    began = time.monotonic()
    assert ask(house.port, "log.info", min_sequence=head + 1000).code == BAD_CURSOR
    assert 0.9 < time.monotonic() - began < 10
    waits = Line(house.port + 2, pb.Answer)
    waits.send(pb.Query(request=1, verb="customer.show", min_sequence=head + 1,
                        arguments=[pb.Argument(name="key", value="email=waits@klant.example")]))
    house.touchbus("pub", "my.own", "--identity", "email=waits@klant.example")
    answer = waits.receive()
    assert answer.code == 0 and answer.as_of >= head + 1, answer
    waits.close()


def test_report_carries_reload_once(house):
    report = {"name": "probe", "kind": "sink", "state": "serving", "instance": "i-1"}
    assert ask(house.port, "connector.report", body=b"\x81\xa1n\x07", **report).body == b"\x81\xa6reload\xc2"
    shown = house.ask("connector", "show", "probe")
    assert shown["metrics"] == {"n": 7} and shown["state"] == "serving", shown
    house.touchbus("connector", "reload", "probe")
    assert ask(house.port, "connector.report", **report).body == b"\x81\xa6reload\xc3"
    assert ask(house.port, "connector.report", **report).body == b"\x81\xa6reload\xc2"


def publish_many(house):
    lines = []
    for i in range(EVENTS):
        lines.append(json.dumps({"specversion": "1.0", "id": f"m{i}", "source": "/many", "type": "org.touchbus.page.viewed.v1",
                                 "keys": f"user_id=u-{0 if i % 3 == 0 else i % 5000}", "channel": "web",
                                 "data": {"url": f"/{i}", "pad": "x" * 200}}))
    done = house.touchbus("-j", "pub", "--from", "-", text="\n".join(lines) + "\n", seconds=300)
    assert json.loads(done.stdout)["accepted"] == EVENTS


def test_long_answers_come_in_parts(house):
    publish_many(house)
    parts = query(house.port, "customer.export", key="user_id=u-0")
    assert parts[-1].code == 0 and len(parts) > 100 and all(len(p.SerializeToString()) < 1 << 20 for p in parts)
    parts = query(house.port, "log.get", sequence="1", count="1000")
    assert parts[-1].code == 0 and len(parts) > 5
    assert query(house.port, "log.verify")[-1].code == 0


def test_a_peer_that_does_not_read_holds_nobody_up(house):
    """Its export stops where its queue is full and is given up; others are answered meanwhile."""
    deaf = context.socket(zmq.DEALER)
    deaf.setsockopt(zmq.LINGER, 0)
    deaf.setsockopt(zmq.RCVHWM, 1)
    deaf.setsockopt(zmq.RCVBUF, 4096)
    deaf.connect(f"tcp://127.0.0.1:{house.port + 2}")
    for i in range(8):
        deaf.send(pb.Query(version=1, request=i, verb="customer.export",
                           arguments=[pb.Argument(name="key", value="user_id=u-0")]).SerializeToString())
    memory = house.ask("status")["memory_bytes"]
    times = []
    for _ in range(100):
        began = time.monotonic()
        assert ask(house.port, "customer.show", key="user_id=u-7").code == 0
        times.append(time.monotonic() - began)
    assert statistics.median(times) < 0.2, times
    assert house.ask("status")["memory_bytes"] < memory + (128 << 20)
    deaf.close()


def test_too_many_at_once_are_busy(house):
    line = Line(house.port + 2, pb.Answer)
    head = ask(house.port, "log.info").as_of
    for i in range(600):
        line.send(pb.Query(request=i, verb="log.info", min_sequence=head + 10 ** 6))
    codes = {line.receive().code for _ in range(600)}
    assert codes <= {BUSY, BAD_CURSOR} and BAD_CURSOR in codes, codes
    assert ask(house.port, "log.info").code == 0
    line.close()


def test_verify_runs_beside_publishing(house):
    """view verify, log verify and quick queries while events come in; every answer is whole."""
    stop = threading.Event()
    with subprocess.Popen([program("touchbus"), "--broker", house.address, "pub", "--from", "-"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, text=True) as publisher:
        def feed():
            i = 0
            while not stop.is_set():
                publisher.stdin.write(json.dumps({"specversion": "1.0", "id": f"n{i}", "source": "/feed", "type": "my.own",
                                                  "keys": f"user_id=u-{i % 900}"}) + "\n")
                i += 1
                if i % 200 == 0:
                    time.sleep(0.02)
            publisher.stdin.close()
        thread = threading.Thread(target=feed)
        thread.start()
        try:
            for _ in range(3):
                assert house.ask("view", "verify", seconds=200)["equal"] is True
                assert house.ask("log", "verify")["sound"] is True
            with_two = [subprocess.Popen([program("touchbus"), "--broker", house.address, "-j", "view", "verify"], stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, text=True) for _ in range(2)]
            for process in with_two:
                assert json.loads(process.communicate(timeout=200)[0])["equal"] is True
        finally:
            stop.set()
            thread.join()
        assert publisher.wait(60) == 0


def test_the_broker_ends_while_answers_are_under_way(house):
    """SIGTERM with a verify, an export and a wait open: a clean end, and soon."""
    verify = subprocess.Popen([program("touchbus"), "--broker", house.address, "-j", "view", "verify"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    line = Line(house.port + 2, pb.Answer)
    line.send(pb.Query(request=1, verb="customer.export", arguments=[pb.Argument(name="key", value="user_id=u-0")]))
    line.send(pb.Query(request=2, verb="log.info", min_sequence=10 ** 9))
    time.sleep(0.2)
    began = time.monotonic()
    assert house.broker.stop() == 0
    assert time.monotonic() - began < 20
    assert verify.wait(60) in (0, 1, 3)
    line.close()


def main():
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    with House() as house:
        house.start_broker()
        house.touchbus("pub", "my.own", "--identity", "email=ana@klant.example")
        for test in tests:
            began = time.monotonic()
            test(house)
            print(f"{test.__name__}: {time.monotonic() - began:.1f} s", flush=True)


main()
