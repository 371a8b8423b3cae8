# SPDX-License-Identifier: Apache-2.0
"""What the flows of delivery share: small events over the plain Python client, published in large requests."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
from harness import House, wait_for  # noqa: E402,F401
from wire import Publisher, Subscriber, pb, query  # noqa: E402,F401

BATCH = 2000
PATIENT = ("--member-lapse", "60s")  # who publishes to a slow disk gives no sign of life meanwhile


def viewed(ident, user, channel="web", kind="page.viewed"):
    """One page.viewed of a user."""
    url = b"https://shop.example/p/%d" % ident
    event = pb.Event(id=f"e-{ident}", source="/flow", type=kind, channel=channel, data=b"\x81\xa3url\xd9" + bytes([len(url)]) + url)
    event.identities.add(kind="user_id", value=user)
    return event.SerializeToString()


class Stream:
    """Publishes numbered events; event n has the id e-n."""

    def __init__(self, port, name="flow"):
        self.publisher, self.next = Publisher(port, name, epoch=1), 1

    def publish(self, count, user_of, **more):
        """`count` events, the n-th of user_of(n). Returns their sequences."""
        sequences = []
        while count > 0:
            size = min(count, BATCH)
            reply = self.publisher.ask([viewed(n, user_of(n), **more) for n in range(self.next, self.next + size)], number=self.next)
            assert reply.code == 0 and not reply.outcomes, reply
            sequences.extend(reply.sequences)
            self.next += size
            count -= size
        return sequences

    def close(self):
        self.publisher.close()


def take(subscriber, seconds=30):
    """The events of the next delivery, decoded, with their attempts; other messages are passed over. None: nothing came in time."""
    import time
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        message = subscriber.receive(min(0.5, seconds))
        if message is None:
            subscriber.send(pb.SubscriberMessage(beat=True))
            continue
        kind = message.WhichOneof("body")
        assert kind != "refused", message
        if kind == "delivery":
            attempts = message.delivery.attempts or [1] * len(message.delivery.events)
            return [(pb.Event.FromString(data), attempt) for data, attempt in zip(message.delivery.events, attempts)]
    return None


def show(port, name):
    """The body of subscription.show as a dict (a small msgpack reader is enough for it)."""
    answer = query(port, "subscription.show", name=name)[-1]
    assert answer.code == 0, answer
    return unpack(answer.body)


def ask(port, verb, **arguments):
    answer = query(port, verb, **arguments)[-1]
    return answer.code, unpack(answer.body) if answer.body else None


def unpack(data):
    value, rest = _value(memoryview(data))
    assert not rest
    return value


def _take(data, count):
    return data[:count], data[count:]


def _number(data, count, signed=False):
    raw, data = _take(data, count)
    return int.from_bytes(raw, "big", signed=signed), data


def _list(data, count):
    values = []
    for _ in range(count):
        value, data = _value(data)
        values.append(value)
    return values, data


def _map(data, count):
    values, data = _list(data, 2 * count)
    return dict(zip(values[::2], values[1::2])), data


def _text(data, count):
    raw, data = _take(data, count)
    return bytes(raw).decode(), data


def _value(data):
    tag, data = data[0], data[1:]
    if tag < 0x80:
        return tag, data
    if tag < 0x90:
        return _map(data, tag & 15)
    if tag < 0xA0:
        return _list(data, tag & 15)
    if tag < 0xC0:
        return _text(data, tag & 31)
    if tag >= 0xE0:
        return tag - 256, data
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], data
    if 0xCC <= tag <= 0xCF:
        return _number(data, 1 << (tag - 0xCC))
    if 0xD0 <= tag <= 0xD3:
        return _number(data, 1 << (tag - 0xD0), signed=True)
    if 0xD9 <= tag <= 0xDB:
        count, data = _number(data, 1 << (tag - 0xD9))
        return _text(data, count)
    if tag in (0xDC, 0xDD, 0xDE, 0xDF):
        count, data = _number(data, 2 if tag in (0xDC, 0xDE) else 4)
        return _list(data, count) if tag < 0xDE else _map(data, count)
    raise AssertionError(f"msgpack tag {tag:#x}")
