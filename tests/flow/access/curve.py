# SPDX-License-Identifier: Apache-2.0
"""A CURVE peer by hand (ZeroMQ RFC 26, 37), past its handshake: it sends frames that no ZeroMQ library would. libsodium by ctypes."""
import ctypes
import os
import socket
import struct
import time

import zmq.utils.z85

sodium = ctypes.CDLL("libsodium.so.23")
HANDSHAKE_S = 3  # what the broker waits for one: broker/endpoint.c
HANDSHAKES_MAX = 20
GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"CURVE".ljust(20, b"\0") + b"\0" * 32
COMMAND, LARGE = 4, 2
OVERHEAD = 16


def box(plain, nonce, public, secret):
    out = ctypes.create_string_buffer(len(plain) + OVERHEAD)
    assert sodium.crypto_box_easy(out, plain, ctypes.c_ulonglong(len(plain)), nonce, public, secret) == 0
    return out.raw


def unbox(sealed, nonce, public, secret):
    out = ctypes.create_string_buffer(len(sealed) - OVERHEAD)
    assert sodium.crypto_box_open_easy(out, sealed, ctypes.c_ulonglong(len(sealed)), nonce, public, secret) == 0
    return out.raw


def frame(body, flags=0):
    if len(body) > 255:
        return bytes([flags | LARGE]) + struct.pack(">Q", len(body)) + body
    return bytes([flags, len(body)]) + body


class CurvePeer:
    """keys: as wire.Line takes them."""

    def __init__(self, port, keys, receive_buffer=None):
        server, public, secret = (zmq.utils.z85.decode(key) for key in keys)
        self.number = 0
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        if receive_buffer:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.connection.sendall(GREETING)
        self.read(len(GREETING))
        short_public, self.short_secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        sodium.crypto_box_keypair(short_public, self.short_secret)
        hello = box(b"\0" * 64, b"CurveZMQHELLO---" + self.nonce(), server, self.short_secret)
        self.connection.sendall(frame(b"\x05HELLO\x01\x00" + b"\0" * 72 + short_public.raw + self.last + hello, COMMAND))
        welcome = self.read_command(b"\x07WELCOME")
        opened = unbox(welcome[16:], b"WELCOME-" + welcome[:16], server, self.short_secret)
        self.server, cookie = opened[:32], opened[32:]
        vouch_nonce = os.urandom(16)
        vouch = box(short_public.raw + server, b"VOUCH---" + vouch_nonce, self.server, secret)
        metadata = b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
        initiate = box(public + vouch_nonce + vouch + metadata, b"CurveZMQINITIATE" + self.nonce(), self.server, self.short_secret)
        self.connection.sendall(frame(b"\x08INITIATE" + cookie + self.last + initiate, COMMAND))
        self.read_command(b"\x05READY")

    def nonce(self):
        self.number += 1
        self.last = struct.pack(">Q", self.number)
        return self.last

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.connection.recv(size - len(data))
            if not piece:
                raise ConnectionError("closed")
            data += piece
        return data

    def read_command(self, name):
        flags, size = self.read(2)
        assert flags == COMMAND, flags
        body = self.read(size)
        assert body.startswith(name), body[:20]
        return body[len(name):]

    def message(self, payload, more):
        """The bytes of one frame of a message."""
        return frame(b"\x07MESSAGE" + self.nonce_message(bytes([more]) + payload))

    def nonce_message(self, plain):
        sealed = box(plain, b"CurveZMQMESSAGEC" + self.nonce(), self.server, self.short_secret)
        return self.last + sealed

    def send(self, data):
        self.connection.sendall(data)

    def close(self):
        self.connection.close()


def connected(port, keys):
    """A peer past its handshake, which is begun anew where it took a busy machine longer than the broker waits."""
    for _ in range(HANDSHAKES_MAX - 1):
        began = time.monotonic()
        try:
            return CurvePeer(port, keys)
        except OSError:
            if time.monotonic() - began < HANDSHAKE_S - 0.5:
                raise
    return CurvePeer(port, keys)
