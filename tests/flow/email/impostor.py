# SPDX-License-Identifier: Apache-2.0
"""What no real server does when a test wants it: an impostor listens in its place and plays a part with whoever connects.

    impostor = Impostor(port, part); ...; impostor.stop()     # part(connection), one connection after another
    Impostor(port, Mailbox([b"From: ..."], store=["NO no", "OK done"]))   # an IMAP server without TLS, of a few words
"""
import contextlib
import re
import socket
import threading


class Impostor:
    def __init__(self, port, part):
        self.part, self.listener = part, socket.create_server(("127.0.0.1", port))
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        held = []
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            held.append(connection)
            with contextlib.suppress(OSError):
                self.part(connection)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(30)


class Mailbox:
    """Mails with the UIDs 1, 2, ...; each `UID STORE` is answered by the next of `store` (the last one for ever): a word that makes the
    answer, or None, which ends the connection. `stored`: the UIDs that it was asked to mark, in their order."""

    def __init__(self, mails, store):
        self.mails, self.store, self.stored = mails, store, []

    def __call__(self, connection):
        lines = connection.makefile("rwb", 0)
        lines.write(b"* OK ready\r\n")
        for line in lines:
            if not line.endswith(b"\n"):
                return
            tag, words = line.decode().rstrip().split(" ", 1)
            answer = self.answer(words)
            if answer is None:
                connection.shutdown(socket.SHUT_RDWR)
                return
            lines.write(answer[0] + f"{tag} {answer[1]}\r\n".encode())

    def answer(self, words):
        uid = re.match(r"UID \w+ (?:UID )?(\d+)", words)
        if words.startswith("CAPABILITY"):
            return b"* CAPABILITY IMAP4rev1\r\n", "OK done"
        if words.startswith("SELECT"):
            return f"* {len(self.mails)} EXISTS\r\n* OK [UIDVALIDITY 7] so\r\n* OK [UIDNEXT {len(self.mails) + 1}] so\r\n".encode(), "OK [READ-WRITE] done"
        if words.startswith("UID SEARCH"):
            found = "".join(f" {number + 1}" for number in range(int(uid[1]) - 1, len(self.mails)))
            return f"* SEARCH{found}\r\n".encode(), "OK done"
        if words.startswith("UID FETCH"):
            mail = self.mails[int(uid[1]) - 1]
            return (f"* {uid[1]} FETCH (UID {uid[1]} INTERNALDATE \"22-Nov-2026 05:00:00 +0000\" BODY[]<0> {{{len(mail)}}}\r\n".encode()
                    + mail + b")\r\n"), "OK done"
        if words.startswith("UID STORE"):
            self.stored.append(int(uid[1]))
            says = self.store.pop(0) if len(self.store) > 1 else self.store[0]
            return says and (b"", says)
        return b"", "OK done"
