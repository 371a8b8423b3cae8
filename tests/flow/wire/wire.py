# SPDX-License-Identifier: Apache-2.0
"""The wire of touchbus in plain Python: pyzmq, and protobuf classes that protoc makes of schemas/touchbus.proto. Nothing of
libtouchbus is used, so this is also the example that schemas/README.md's guide for other languages points to.
"""
import os
import subprocess
import sys
import tempfile
import time

import zmq

SOURCE = os.environ.get("TOUCHBUS_SOURCE", ".")
WAIT_S = 30


def load_messages():
    """The generated module, made anew in a folder that lives as long as the process."""
    folder = tempfile.TemporaryDirectory(prefix="touchbus-wire-")
    subprocess.run(["protoc", f"--python_out={folder.name}", f"--proto_path={SOURCE}/schemas", "touchbus.proto"], check=True)
    sys.path.insert(0, folder.name)
    import touchbus_pb2
    touchbus_pb2.folder = folder
    return touchbus_pb2


pb = load_messages()
context = zmq.Context.instance()


class Line:
    """One DEALER to one of the three endpoints: a frame out, a frame in. keys: the broker's public key, one's own public and secret
    one, as bytes of Z85; None: without. port: of loopback, or a whole address."""

    def __init__(self, port, reply, keys=None):
        self.reply = reply
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, WAIT_S * 1000)  # for nobody is there to send to once the handshake is refused
        self.socket.setsockopt(zmq.RCVTIMEO, WAIT_S * 1000)
        if keys:
            self.socket.curve_serverkey, self.socket.curve_publickey, self.socket.curve_secretkey = keys
        self.socket.connect(port if isinstance(port, str) else f"tcp://127.0.0.1:{port}")

    def close(self):
        self.socket.close()

    def send(self, message):
        message.version = 1
        self.socket.send(message.SerializeToString())

    def send_bytes(self, data):
        self.socket.send(data)

    def receive(self, seconds=WAIT_S):
        """The next message; None where nothing comes in time."""
        if not self.socket.poll(seconds * 1000):
            return None
        return self.reply.FromString(self.socket.recv())

    def unanswered(self, message, seconds=2):
        """Whether a message gets no answer. A refusal may end the line before it is sent: then there is nobody to send it to."""
        self.socket.setsockopt(zmq.SNDTIMEO, seconds * 1000)
        try:
            self.send(message)
        except zmq.Again:
            return True
        return self.receive(seconds) is None


class Publisher(Line):
    def __init__(self, port, producer="", epoch=0, keys=None):
        super().__init__(port, pb.PublishReply, keys)
        self.producer, self.epoch, self.request = producer, epoch, 0

    def ask(self, events=(), number=0):
        """Sends events (of bytes or Event) as one request and waits for its reply."""
        self.request += 1
        request = pb.PublishRequest(request=self.request, producer=self.producer, epoch=self.epoch, number=number)
        request.events.extend(e if isinstance(e, bytes) else e.SerializeToString() for e in events)
        self.send(request)
        limit = time.monotonic() + WAIT_S
        while time.monotonic() < limit:
            reply = self.receive()
            if reply is not None and reply.request == self.request:
                return reply
        raise AssertionError("no reply")


class Subscriber(Line):
    """Subscribes at once; `subscribed` is the answer."""

    def __init__(self, port, name="", credit=1000, types=(), until=0, keys=None, customer=0, lane_ahead=0, **start):
        super().__init__(port + 1, pb.BrokerMessage, keys)
        self.named = bool(name)
        subscribe = pb.Subscribe(name=name, member="python", credit=credit, until_sequence=until, lane_ahead=lane_ahead,
                                 start=pb.Start(**start))
        subscribe.filter.types.extend(types)
        subscribe.filter.customer = customer
        self.send(pb.SubscriberMessage(subscribe=subscribe))
        message = self.await_body()
        assert message.WhichOneof("body") == "subscribed", message
        self.subscribed, self.incarnation, self.ended = message.subscribed, message.incarnation, None

    def await_body(self):
        """The next message that is more than a sign of life, while giving such signs."""
        limit = time.monotonic() + WAIT_S
        while time.monotonic() < limit:
            message = self.receive(1)
            if message is None:
                self.send(pb.SubscriberMessage(beat=True))
            elif message.WhichOneof("body") != "beat":
                return message
        raise AssertionError("the broker says nothing")

    def events(self):
        """Events with their attempt, until the broker says it has ended (unnamed) or the caller stops."""
        while True:
            message = self.await_body()
            kind = message.WhichOneof("body")
            if kind == "progress" and message.progress.ended:
                self.ended = message.progress
                return
            if kind == "refused":
                raise AssertionError(f"refused: {message.refused}")
            if kind == "delivery":
                attempts = message.delivery.attempts or [1] * len(message.delivery.events)
                for data, attempt in zip(message.delivery.events, attempts):
                    yield pb.Event.FromString(data), attempt
                if not self.named:
                    self.send(pb.SubscriberMessage(settle=pb.Settle(grant=len(message.delivery.events))))

    def settle(self, delivered=(), failures=()):
        settle = pb.Settle(delivered=delivered)
        for sequence, reject, detail in failures:
            settle.failures.add(sequence=sequence, reject=reject, detail=detail)
        self.send(pb.SubscriberMessage(settle=settle))

    def leave(self):
        self.send(pb.SubscriberMessage(leave=True))
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.close()


def query(port, verb, _keys=None, **arguments):
    """All parts of the answer."""
    line = Line(port + 2, pb.Answer, _keys)
    message = pb.Query(request=1, verb=verb)
    for name, value in arguments.items():
        message.arguments.add(name=name, value=value)
    line.send(message)
    parts = []
    while not parts or parts[-1].more:
        answer = line.receive()
        assert answer is not None, f"{verb}: no answer"
        parts.append(answer)
    line.close()
    return parts
