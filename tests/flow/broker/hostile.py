#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in at the publish endpoint gets a typed refusal or a closed connection, stores nothing, and disturbs nobody."""
import os
import random
import socket
import struct
import sys
import time

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire"), HERE]
from harness import House, Process, listens, program, wait_for  # noqa: E402
from wire import Publisher, context, pb  # noqa: E402
from events import make, pack  # noqa: E402

BAD_FRAME, BAD_VERSION, TOO_LARGE, BAD_ARGUMENT, BUSY = 100, 101, 102, 103, 203
ANSWER_S = 30
MEMORY_MIB_MAX = 1024  # at its worst; see broker/guard.h
SETTLED_MIB_MAX = 256
with open(program("touchbusd"), "rb") as binary:
    SANITIZED = b"__asan_init" in binary.read()
GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def request(*events):
    return b"\x08\x01\x10\x07" + b"".join(field(6, event) for event in events)


def refusal(publisher, data):
    publisher.send_bytes(data)
    reply = publisher.receive()
    assert reply is not None, "no answer"
    return reply


def memory_mib(house):
    if SANITIZED:
        return 0  # shadow and quarantine say nothing of the broker's own
    with open(f"/proc/{house.broker.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon:")) / 1024


def bombs():
    """(what, bytes of a PublishRequest, the codes that may answer it)"""
    event = make(pb, "bomb").SerializeToString()
    yield "an unknown version", b"\x08\x02" + field(6, event), {BAD_VERSION}
    yield "no version", field(6, event), {BAD_VERSION}
    yield "a version twice", b"\x08\x01\x08\x01" + field(6, event), {BAD_FRAME}
    yield "nothing", b"", {BAD_FRAME, BAD_VERSION}
    yield "a truncated frame", request(event)[:-3], {BAD_FRAME}
    yield "a length beyond the frame", b"\x08\x01" + varint(6 << 3 | 2) + varint(2**40) + event, {BAD_FRAME}
    yield "producer that is not UTF-8", request(event) + field(3, b"\xff\xfe"), {BAD_FRAME}
    yield "a producer too long", request(event) + field(3, b"p" * 65), {BAD_FRAME, 103, TOO_LARGE}
    yield "a group", request() + b"\x33\x34", {BAD_FRAME}
    yield "a million empty events", b"\x08\x01" + b"\x32\0" * 1000000, {BAD_FRAME, TOO_LARGE}
    yield "a million unknown fields", b"\x08\x01" + b"\x78\x01" * 1000000, {BAD_FRAME, TOO_LARGE}


def event_bombs():
    """(what, bytes of one Event, the codes that may answer it)"""
    head = field(1, b"bomb") + field(2, b"/hostile") + field(3, b"acme.bomb")
    deep = b"\x91" * 1000 + b"\xc0"
    yield "an id that is not UTF-8", field(1, b"\xff") + field(2, b"/hostile") + field(3, b"acme"), {BAD_FRAME}
    yield "nothing at all", b"", {BAD_FRAME}
    yield "no id", field(2, b"/hostile") + field(3, b"acme"), {BAD_FRAME, 103}
    yield "an id with a NUL", field(1, b"a\0b") + field(2, b"/hostile") + field(3, b"acme"), {BAD_FRAME}
    yield "an id too long", field(1, b"a" * 257) + field(2, b"/hostile") + field(3, b"acme"), {BAD_FRAME, TOO_LARGE}
    yield "an id twice", field(1, b"a") + head, {BAD_FRAME}
    yield "stamped fields", head + b"\x48\x05", {BAD_FRAME}
    yield "300,000 empty identities", head + field(17, b"") * 300000, {BAD_FRAME, TOO_LARGE}
    yield "300,000 empty extensions", head + field(23, b"") * 300000, {BAD_FRAME, TOO_LARGE}
    yield "a body that asks for 96 GB", head + field(22, b"\xdd\xff\xff\xff\xff"), {BAD_FRAME}
    yield "a body too deep", head + field(22, deep), {BAD_FRAME}
    yield "a body with a key twice", head + field(22, b"\x82\xa1a\x01\xa1a\x01"), {BAD_FRAME}
    yield "a body and more", head + field(22, pack({"a": 1}) + b"\xc0"), {BAD_FRAME}
    yield "a truncated body", head + field(22, pack({"a": "b"})[:-1]), {BAD_FRAME}
    yield "a body of a million nils", head + field(22, b"\xdd" + struct.pack(">I", 1000000) + b"\xc0" * 1000000), {BAD_FRAME, TOO_LARGE}


def test_bombs_are_refused(house):
    publisher = Publisher(house.port)
    for what, data, expected in bombs():
        reply = refusal(publisher, data)
        assert reply.code in expected and not any(reply.sequences), (what, reply)
        assert reply.detail, what
    for what, data, expected in event_bombs():
        reply = refusal(publisher, request(data))
        assert reply.code == 0 and reply.request == 7, (what, reply)
        assert [o.code for o in reply.outcomes] and reply.outcomes[0].code in expected and list(reply.sequences) == [0], (what, reply)


def test_random_bytes_are_refused(house):
    publisher = Publisher(house.port)
    dice = random.Random(4)
    good = request(make(pb, "mutant", keys=[("user_id", "u-1")]).SerializeToString())
    for number in range(3000):
        if number % 2:
            data = dice.randbytes(dice.randrange(200))
        else:
            data = bytearray(good)
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        reply = refusal(publisher, bytes(data))
        if not any(reply.sequences):
            assert reply.code or reply.outcomes or not reply.sequences, (data, reply)


def test_large_requests_that_are_refused_end_nothing(house):
    data = b"\x08\x01\x10\x07" + field(3, b"p") + field(6, b"x" * 2020) * 2048  # without a number
    peers = [Publisher(house.port) for _ in range(6)]
    for _ in range(8):
        for publisher in peers:
            publisher.send_bytes(data)
    for publisher in peers:
        for _ in range(8):
            reply = publisher.receive()
            assert reply is not None and reply.code in {BAD_ARGUMENT, BUSY}, reply


def test_a_wrong_frame_count_is_refused(house):
    publisher = Publisher(house.port)
    for frames in ([b"a", b"b"], [b"", request()], [request()] * 3, [b"x"] * 500):
        publisher.socket.send_multipart(frames)
        reply = publisher.receive()
        assert reply.code == BAD_FRAME and reply.request == 0, reply


def test_a_frame_too_large_closes_the_connection(house):
    line = context.socket(zmq.DEALER)
    line.setsockopt(zmq.LINGER, 0)
    line.connect(f"tcp://127.0.0.1:{house.port}")
    line.send(b"x" * ((4 << 20) + 1))
    assert not line.poll(1000)
    line.close()


def test_a_flood_is_answered_busy_and_delays_nobody(house):
    flood, other = Publisher(house.port), Publisher(house.port)
    events = [[make(pb, f"flood-{n}-{k}") for k in range(2048)] for n in range(30)]
    for request in [pb.PublishRequest(version=1, request=n + 1, events=[e.SerializeToString() for e in batch]) for n, batch in enumerate(events)]:
        flood.send(request)
    slowest = 0
    for number in range(10):
        began = time.monotonic()
        assert not other.ask([make(pb, f"other-{number}")]).outcomes
        slowest = max(slowest, time.monotonic() - began)
    replies = [flood.receive() for _ in events]
    assert None not in replies and sorted(r.request for r in replies) == list(range(1, 31)), replies
    busy = [r for r in replies if r.code == BUSY]
    stored = [r for r in replies if not r.code and all(r.sequences)]
    print(f"  {len(busy)} of 30 requests were busy; the slowest of the other's took {slowest * 1000:.0f} ms")
    assert busy and stored and len(busy) + len(stored) == 30, replies
    return 10 + 2048 * len(stored)


def closed(connection, seconds):
    """Whether the other side closes within this time."""
    connection.settimeout(seconds)
    limit = time.monotonic() + seconds
    try:
        while time.monotonic() < limit:
            if not connection.recv(4096):
                return True
    except socket.timeout:
        return False
    except OSError:
        return True
    return False


def test_half_a_handshake_is_closed(house):
    for start in (b"", b"\xff", GREETING[:12], GREETING, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", os.urandom(100)):
        with socket.create_connection(("127.0.0.1", house.port)) as connection:
            connection.sendall(start)
            assert closed(connection, ANSWER_S), start


def raw_peer(house):
    """A ZMTP 3.0 DEALER by hand, past its handshake; None where it was too slow and the broker closed."""
    connection = socket.create_connection(("127.0.0.1", house.port))
    ready = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    connection.settimeout(ANSWER_S)
    try:
        connection.sendall(GREETING)
        greeting = b""
        while len(greeting) < len(GREETING):
            piece = connection.recv(len(GREETING) - len(greeting))
            if not piece:
                raise ConnectionError("closed")
            greeting += piece
        connection.sendall(b"\x04" + bytes([len(ready)]) + ready)
        if not connection.recv(4096):  # its own READY
            raise ConnectionError("closed")
    except ConnectionError:
        connection.close()
        return None
    return connection


def endless(house, frame):
    """Sends frames that each say that more follow, until cut off. The peak of the broker's memory in MiB."""
    peak = 0
    with wait_for("a handshake in time", lambda: raw_peer(house)) as peer:
        peer.settimeout(5)
        frames, sent, limit = frame * (200000 // len(frame)), 0, time.monotonic() + 90
        try:
            while time.monotonic() < limit:
                peer.sendall(frames)
                sent += len(frames)
                peak = max(peak, memory_mib(house)) if sent % (5 * len(frames)) == 0 else peak
        except OSError as error:
            print(f"  {len(frame)}-byte frames: cut off after {sent >> 20} MiB, memory up to {peak:.0f} MiB: {error}")
            return peak
    raise AssertionError(f"{sent >> 20} MiB of one message were taken")


def test_an_endless_multipart_is_cut_off(house):
    for frame in (b"\x01\x64" + b"x" * 100, b"\x01\x01x", b"\x01\x00"):
        assert endless(house, frame) < MEMORY_MIB_MAX
        wait_for("the memory is given back", lambda: memory_mib(house) < SETTLED_MIB_MAX)


def test_descriptors_run_out_and_come_back(house):
    house.broker.stop()
    path = os.path.join(house.folder, "few.log")
    few = Process(["/usr/bin/prlimit", "--nofile=160:160", program("touchbusd"), "--state", house.state, "--port", str(house.port)], path)
    house.processes.append(few)
    wait_for("listening", lambda: few.alive() and listens(house.port))
    publisher = Publisher(house.port)
    assert publisher.ask([make(pb, "few-1")]).sequences[0]
    held = []
    for _ in range(400):
        connection = socket.socket()
        connection.settimeout(5)
        connection.connect_ex(("127.0.0.1", house.port))  # beyond the limit it may be reset at once
        held.append(connection)
    assert publisher.ask([make(pb, "few-2")]).sequences[0]
    wait_for("the refusals are said", lambda: "event=connections-refused" in few.tail())
    for connection in held:
        connection.close()

    def again():
        other = Publisher(house.port)
        other.send(pb.PublishRequest(request=1))
        answered = other.receive(1) is not None
        other.close()
        return answered
    wait_for("new connections are taken", again)
    assert publisher.ask([make(pb, "few-3")]).sequences[0] and few.stop() == 0
    house.start_broker()
    return 3


def main():
    tests = [value for name, value in sorted(globals().items()) if name.startswith("test_")]
    with House() as house:
        house.start_broker()
        first = Publisher(house.port).ask([make(pb, "before")]).sequences[0]
        for test in tests:
            at = Publisher(house.port).ask([make(pb, f"at {test.__name__}")]).sequences[0]
            stored = test(house) or 0
            others = Publisher(house.port).ask([make(pb, f"after {test.__name__}")])
            assert others.sequences[0] == at + 1 + stored or test is test_random_bytes_are_refused, (test.__name__, at, others)
            assert memory_mib(house) < SETTLED_MIB_MAX, f"{test.__name__}: {memory_mib(house):.0f} MiB"
            print(test.__name__, flush=True)
        assert first and house.broker.stop() == 0


main()
