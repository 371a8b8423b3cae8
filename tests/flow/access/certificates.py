# SPDX-License-Identifier: Apache-2.0
"""Certificates for the flows of access, in CZMQ's format, and a house whose broker has keys."""
import os
import signal
import sys
import time

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire"), os.path.join(HERE, "..", "broker")]
from harness import House, wait_for  # noqa: E402
from wire import Line, Publisher, pb, query  # noqa: E402

FORBIDDEN, BUSY, BAD_FRAME, TOO_LARGE, TOO_MANY = 205, 203, 100, 102, 305
PUBLIC = """#   A ZeroMQ CURVE public certificate
metadata
    name = "{name}"
    role = "{role}"
curve
    public-key = "{public}"
"""
SECRET = PUBLIC + """    secret-key = "{secret}"
"""


class Key:
    def __init__(self, name, role=""):
        self.name, self.role = name, role
        self.public, self.secret = zmq.curve_keypair()

    def write(self, path, secret=False, mode=0o600):
        with open(path, "w", encoding="ascii") as file:
            file.write((SECRET if secret else PUBLIC).format(name=self.name, role=self.role, public=self.public.decode(),
                                                             secret=self.secret.decode()))
        os.chmod(path, mode)
        return path


class KeyHouse(House):
    """A house with the broker's key, and keys of its clients by name."""

    def __init__(self, **roles):
        super().__init__()
        self.clients = os.path.join(self.folder, "clients")
        os.mkdir(self.clients)
        self.own = Key("broker")
        self.key_file = self.own.write(os.path.join(self.folder, "broker.key_secret"), secret=True)
        self.keys = {}
        for name, role in roles.items():
            self.add(name, role)

    def add(self, name, role, file=None):
        key = Key(name, role)
        key.write(os.path.join(self.clients, f"{file or name}.key"))
        self.keys[name] = key
        return key

    def remove(self, file):
        os.remove(os.path.join(self.clients, f"{file}.key"))

    def start_keyed(self, *arguments, **options):
        return self.start_broker("--key", self.key_file, "--clients", self.clients, *arguments, **options)

    def of(self, key):
        """What a Line takes: the broker's public key and both of a client's."""
        key = self.keys[key] if isinstance(key, str) else key
        return self.own.public, key.public, key.secret

    def publisher(self, key, producer="", epoch=0):
        return Publisher(self.port, producer, epoch, keys=self.of(key))

    def query(self, key, verb, **arguments):
        return query(self.port, verb, _keys=self.of(key), **arguments)[-1]

    def subscribe(self, key, name="", types=(), **start):
        """A line that has said Subscribe, and the first word of the broker."""
        line = Line(self.port + 1, pb.BrokerMessage, self.of(key))
        subscribe = pb.Subscribe(name=name, member="python", credit=1000, start=pb.Start(**start))
        subscribe.filter.types.extend(types)
        line.send(pb.SubscriberMessage(subscribe=subscribe))
        return line, hear(line)

    def reload(self):
        """SIGHUP, and what the log of the broker says of it."""
        before = self.lines("event=reload")
        os.kill(self.broker.pid, signal.SIGHUP)
        wait_for("the reload", lambda: self.lines("event=reload") > before)

    def lines(self, text):
        with open(self.broker.log, encoding="utf-8") as file:
            return sum(text in line for line in file)


def hear(line, seconds=30):
    """The next message that is more than a sign of life or an account of what was passed over; None where none comes."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        message = line.receive(1)
        if message is None:
            line.send(pb.SubscriberMessage(beat=True))
        elif message.WhichOneof("body") not in ("beat", "progress"):
            return message
    return None


def refused(message):
    return message is not None and message.WhichOneof("body") == "refused" and message.refused.code == FORBIDDEN
