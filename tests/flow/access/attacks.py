#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an attacker with a valid connector key tries, each with the answer it must get: a table, and a program that tries one of them
until it is told to stop, then says what it was answered. attacker.py runs it.

Usage: attacks.py NAME PORT KEYS   (KEYS: the broker's public key, one's own public and secret one, with spaces)
"""
import itertools
import json
import os
import signal
import struct
import sys
import time

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire"), os.path.join(HERE, "..", "broker")]
from curve import CurvePeer, connected  # noqa: E402
from wire import Line, Publisher, pb  # noqa: E402
from events import make, pack  # noqa: E402

FORBIDDEN, BUSY, BAD_FRAME, TOO_LARGE, TOO_MANY, OK = 205, 203, 100, 102, 305, 0
BATCH = 500
FULL_BATCH = 2048
ANSWER_S = 60
ME, RATIONED = "mallory", "limited"  # the names of the attacker's keys; the other has a quota
PAUSE_S = 0.0002
CONNECTIONS_MAX = 64  # of one key: broker/guard.h
stopping = []


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def raw_request(event):
    return b"\x08\x01\x10\x07" + field(6, event)


def verdicts(reply):
    """The codes of a reply: the request's own, or one an event."""
    if reply.code or not reply.sequences:
        return {reply.code}
    codes = {outcome.code for outcome in reply.outcomes}
    return codes if len(reply.outcomes) == len(reply.sequences) else codes | {OK}


class Answers:
    """Counts answers by code; the first one that was not expected stands for all."""

    def __init__(self, expected, wanted):
        self.expected, self.wanted, self.codes, self.wrong, self.begun = expected, wanted, {}, None, False
        self.limit = time.monotonic() + ANSWER_S

    def go_on(self):
        """Until it is told to stop and has heard what it is to hear, but not for ever."""
        assert time.monotonic() < self.limit, f"not answered {self.wanted}: {self.codes}"
        return not stopping or not self.codes or (self.wanted is not None and self.wanted not in self.codes)

    def begin(self):
        """The attack is under way: said once, at its first answer at the latest."""
        if not self.begun:
            print("begins", flush=True)
        self.begun = True

    def add(self, codes, what=""):
        self.begin()
        for code in codes:
            self.codes[code] = self.codes.get(code, 0) + 1
            if code not in self.expected and self.wrong is None:
                self.wrong = f"{what}: {code}"


# ---- at the publish socket

def ask_again(answers, port, keys, frames, what="", connections=1, ahead=2):
    """Sends frames in turn on some connections, `ahead` of them unanswered on each."""
    lines = [Publisher(port, keys=keys) for _ in range(connections)]
    turn = itertools.cycle(frames) if isinstance(frames, list) else frames
    for line in lines:
        for _ in range(ahead):
            line.send_bytes(next(turn))
    poller = zmq.Poller()
    for line in lines:
        poller.register(line.socket, zmq.POLLIN)
    last = time.monotonic()
    while answers.go_on():
        ready = dict(poller.poll(100))
        for line in lines:
            if line.socket in ready:
                last = time.monotonic()
                answers.add(verdicts(pb.PublishReply.FromString(line.socket.recv())), what)
                line.send_bytes(next(turn))
        assert time.monotonic() - last < ANSWER_S, "no answer"
        time.sleep(PAUSE_S)


def request_of(events, producer="", epoch=0, number=0):
    request = pb.PublishRequest(version=1, request=1, producer=producer, epoch=epoch, number=number)
    request.events.extend(event.SerializeToString() for event in events)
    return request.SerializeToString()


def foreign_type(answers, port, keys):
    events = [make(pb, f"x-{n}", "quote.issued", {}, source=ME) for n in range(BATCH)]
    ask_again(answers, port, keys, [request_of(events)])


def forged_source(answers, port, keys):
    events = [make(pb, f"s-{n}", source=("good", "/touchbus", "/mallory2")[n % 3]) for n in range(BATCH)]
    ask_again(answers, port, keys, [request_of(events)])


def anothers_producer(answers, port, keys):
    event = [make(pb, "p", source=ME)]
    ask_again(answers, port, keys, [request_of(event, "good", 2**62, 1), request_of([], "good", 2**62), request_of(event, "good-0a0b0c0d", 1, 1)])


def protobuf_bombs(answers, port, keys):
    head = field(1, b"bomb") + field(2, ME.encode()) + field(3, b"page.viewed")
    frames = [
        raw_request(head + field(17, b"") * 340000),  # a million bytes of empty submessages
        b"\x08\x01" + b"\x32\0" * 500000,  # and of empty events
        raw_request(head + field(1, b"again") * 100000),  # a singular field again and again
        raw_request(head + b"\x33" * 500000),  # groups in groups
        raw_request(head + field(24, field(1, field(1, b"x") * 1000) * 300)),
        b"\x08\x01" + b"\x78\x01" * 1000000,
    ]
    ask_again(answers, port, keys, frames, "protobuf", ahead=1)


def msgpack_bombs(answers, port, keys):
    head = field(1, b"bomb") + field(2, ME.encode()) + field(3, b"page.viewed")
    bodies = [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x91" * 500000 + b"\xc0", b"\xc6\xff\xff\xff\xff",
              b"\xdd" + struct.pack(">I", 1000000) + b"\xc0" * 1000000, pack({"a": 1}) + b"\xc0"]
    ask_again(answers, port, keys, [raw_request(head + field(22, body)) for body in bodies], "msgpack", ahead=1)


def flood_batches(source):
    """Full batches with ids of their own in each."""
    place = "N" * 20
    batch = request_of([make(pb, f"f-{place}-{n}", source=source) for n in range(FULL_BATCH)])
    while True:
        yield batch.replace(place.encode(), b"%020d" % time.monotonic_ns())


def flood(answers, port, keys, source=ME, connections=4):
    ask_again(answers, port, keys, flood_batches(source), connections=connections, ahead=12)


def flood_within_credit(answers, port, keys):
    """Never more unanswered on a connection than the broker grants: 8192 events, four batches."""
    ask_again(answers, port, keys, flood_batches(ME), connections=4, ahead=4)


def flood_over_quota(answers, port, keys):
    flood(answers, port, keys, RATIONED, 1)


# ---- at the subscribe socket

def subscribe(port, keys, name, types=()):
    line = Line(port + 1, pb.BrokerMessage, keys)
    wants = pb.Subscribe(name=name, member=ME, credit=10)
    wants.filter.types.extend(types)
    line.send(pb.SubscriberMessage(subscribe=wants))
    return line


def verdict_of(message):
    assert message is not None, "no answer"
    return message.refused.code if message.WhichOneof("body") == "refused" else OK


def anothers_subscription(answers, port, keys):
    while answers.go_on():
        for name, types in (("good", ()), ("good", ("*",)), ("", ("*",)), ("", ("case.*", "page.*")), ("mallory2", ())):
            line = subscribe(port, keys, name, types)
            answers.add({verdict_of(line.receive())}, name)
            line.send(pb.SubscriberMessage(settle=pb.Settle(delivered=range(1, 1000))))  # who is unknown moves nothing
            answers.add({FORBIDDEN} if verdict_of(line.receive()) == 300 else {OK}, "settle")
            line.close()
        time.sleep(0.01)


def many_subscriptions(answers, port, keys):
    lines = []
    for number in itertools.count():
        if not answers.go_on():
            break
        if number < 200:
            lines.append(subscribe(port, keys, f"{ME}/{number}", ("page.viewed",)))
            answers.add({verdict_of(lines[-1].receive())})
            if len(lines) > 20:
                lines.pop(0).close()
        time.sleep(0.005)


# ---- at the query socket

VERBS = [("status", {}), ("customer.show", {"customer": "c1"}), ("customer.find", {"key": "user_id=u-1"}), ("customer.timeline", {"customer": "c1"}),
         ("customer.export", {"customer": "c1"}), ("log.get", {"sequence": "1", "count": "1000"}), ("subscription.ls", {}), ("subscription.show", {"name": "good"}),
         ("subscription.reset", {"name": "good", "from": "end", "force": "true"}), ("subscription.rm", {"name": "good", "force": "true"}),
         ("subscription.pause", {"name": "good"}), ("parked.ls", {}), ("quarantine.ls", {}), ("log.trim", {"before": "1000000"}), ("view.rebuild", {}),
         ("view.verify", {}), ("backup", {"dir": "/tmp/mallory"}), ("connector.reload", {"name": "good"}), ("configuration.reload", {}),
         ("connector.report", {"name": "good", "kind": "source", "state": "failed"})]


def verbs(answers, port, keys, wanted):
    line = Line(port + 2, pb.Answer, keys)
    for verb, arguments in itertools.cycle([row for row in VERBS if wanted(row[0])]):
        if not answers.go_on():
            return
        query = pb.Query(request=1, verb=verb)
        for name, value in arguments.items():
            query.arguments.add(name=name, value=value)
        line.send(query)
        answer = line.receive()
        assert answer is not None, verb
        answers.add({answer.code}, verb)
        time.sleep(PAUSE_S)


def reads(verb):
    return verb in ("status", "customer.show", "customer.find", "customer.timeline", "log.get", "subscription.ls", "subscription.show", "parked.ls")


def fields_without_the_right(answers, port, keys):
    verbs(answers, port, keys, reads)


def administrative_verbs(answers, port, keys):
    verbs(answers, port, keys, lambda verb: not reads(verb))


# ---- below the messages

def endless_multipart(answers, port, keys):
    """Frames that each say that more follow. The answer is the connection's end: it is waited for."""
    while answers.go_on():
        peer = connected(port, keys)
        answers.begin()
        try:
            while answers.go_on():
                peer.send(b"".join(peer.message(b"x" * 60000, True) for _ in range(20)))
        except OSError:
            answers.add({"cut"})
        peer.close()


def is_open(peer):
    peer.connection.settimeout(0.001)
    try:
        while True:
            if not peer.connection.recv(4096):
                return False
    except TimeoutError:
        return True
    except OSError:
        return False


def many_connections(answers, port, keys):
    """Each asks a question; those beyond the bound of one key are cut."""
    while answers.go_on():
        peers = []
        for _ in range(100):
            peer = connected(port, keys)
            peer.send(peer.message(b"\x08\x01\x10\x07", False))
            peers.append(peer)
        answers.begin()
        while sum(map(is_open, peers)) > CONNECTIONS_MAX:
            answers.go_on()  # not for ever
            time.sleep(0.1)
        answers.add({"cut"})
        for peer in peers:
            peer.close()


def unknown_keys(answers, port, keys):
    """A storm of handshakes with keys that nobody knows: ZeroMQ's ERROR, or nothing at all."""
    while answers.go_on():
        try:
            CurvePeer(port, (keys[0], *zmq.curve_keypair()))
            answers.add({"let in"})
        except (AssertionError, OSError):
            answers.add({"refused"})


ATTACKS = {
    "a foreign type": (foreign_type, {FORBIDDEN}),
    "a forged source": (forged_source, {FORBIDDEN}),
    "another's producer and epoch": (anothers_producer, {FORBIDDEN}),
    "another's subscription and cursor": (anothers_subscription, {FORBIDDEN}),
    "fields and subscriptions without the right": (fields_without_the_right, {FORBIDDEN}),
    "administrative verbs": (administrative_verbs, {FORBIDDEN}),
    "protobuf bombs": (protobuf_bombs, {BAD_FRAME, TOO_LARGE, BUSY}),
    "msgpack bombs": (msgpack_bombs, {BAD_FRAME, TOO_LARGE, BUSY}),
    "a flood of full batches": (flood, {OK, 1, BUSY}),
    "a flood within its credit": (flood_within_credit, {OK, 1, BUSY}),
    "a flood over its quota": (flood_over_quota, {OK, 1, BUSY}),
    "more subscriptions than a key may have": (many_subscriptions, {OK, TOO_MANY}),
    "more connections than a key may have": (many_connections, {"cut"}),
    "an endless multipart": (endless_multipart, {"cut"}),
    "a storm of unknown keys": (unknown_keys, {"refused"}),
}
SEEN = {"a flood of full batches": BUSY, "a flood over its quota": BUSY, "more subscriptions than a key may have": TOO_MANY}


def main():
    name, port, keys = sys.argv[1], int(sys.argv[2]), [key.encode() for key in sys.argv[3].split(" ")]
    attack, expected = ATTACKS[name]
    os.nice(19)  # an attacker has a machine of its own; this one's processors are the broker's
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    answers = Answers(expected, SEEN.get(name))
    attack(answers, port, keys)
    print(json.dumps({"codes": {str(code): n for code, n in answers.codes.items()}, "wrong": answers.wrong}), flush=True)


if __name__ == "__main__":
    main()
