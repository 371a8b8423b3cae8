# SPDX-License-Identifier: Apache-2.0
"""Events for the broker's flows, and the little msgpack they need."""
import struct


def pack(value):
    """A msgpack value in its plainest form."""
    if value is None:
        return b"\xc0"
    if value is True or value is False:
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, list):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))
    return b"\xdf" + struct.pack(">I", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())


def make(pb, event_id, kind="page.viewed", data=None, source="/flow", keys=(), **attributes):
    event = pb.Event(id=event_id, source=source, type=kind, channel="web", **attributes)
    event.data = pack({"url": "https://shop.example/"} if data is None else data)
    for name, value in keys:
        event.identities.add(kind=name, value=value)
    return event


def order(pb, event_id, order_id, **more):
    lines = [{"sku": "s-1", "quantity": 1, "price": "10.00"}]
    return make(pb, event_id, "order.placed", {"order_id": order_id, "lines": lines, "currency": "EUR"}, **more)
