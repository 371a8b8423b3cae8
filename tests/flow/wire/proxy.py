# SPDX-License-Identifier: Apache-2.0
"""A TCP line that breaks: forwards to a port of loopback and, after a random number of bytes, resets both ends and throws
away what was under way. One thread; runs until it is closed."""
import random
import selectors
import socket
import struct
import threading

CHUNK = 1 << 16
RESET = struct.pack("ii", 1, 0)  # SO_LINGER 0: close means RST


class Proxy:
    def __init__(self, target, bytes_min, bytes_max, seed):
        self.target, self.bytes_min, self.bytes_max = target, bytes_min, bytes_max
        self.random = random.Random(seed)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.cuts = 0
        self.cutting = True
        self.closing = False
        self.pairs = {}  # socket -> its other end
        self.left = {}  # socket -> bytes until its line breaks, counted for both directions in one list
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            near.close()
            return
        left = [self.random.randint(self.bytes_min, self.bytes_max)]
        for end, other in ((near, far), (far, near)):
            end.settimeout(5)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.pairs[end], self.left[end] = other, left
            self.selector.register(end, selectors.EVENT_READ)

    def drop(self, end):
        for one in (end, self.pairs[end]):
            self.selector.unregister(one)
            del self.pairs[one], self.left[one]
            one.close()

    def forward(self, end):
        try:
            data = end.recv(CHUNK)
            left = self.left[end]
            if not data:
                self.drop(end)
                return
            left[0] -= len(data)
            if self.cutting and left[0] < 0:
                self.cuts += 1
                # a part may still arrive: the worst place to stop is in the middle of a message
                self.pairs[end].sendall(data[:self.random.randint(0, len(data))])
                self.drop(end)
                return
            self.pairs[end].sendall(data)
        except OSError:
            self.drop(end)

    def run(self):
        while not self.closing:
            for key, _ in self.selector.select(0.2):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj in self.pairs:
                    self.forward(key.fileobj)

    def close(self):
        self.closing = True
        self.thread.join()
        for end in list(self.pairs):
            if end in self.pairs:
                self.drop(end)
        self.listener.close()
        self.selector.close()
