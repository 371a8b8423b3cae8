# SPDX-License-Identifier: Apache-2.0
"""A house with a broker, a real IMAP server and a real SMTP server, and touchbus-email between them."""
import contextlib
import json
import os
import sys

FLOW = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [FLOW, os.path.join(FLOW, "servers")]
from dovecot import Dovecot  # noqa: E402
from harness import House, wait_for  # noqa: E402
from smtp import Smtp  # noqa: E402

OPEN = 'contact:\n  quiet_from: "00:00"\n  quiet_until: "00:00"\n  cap_day: 20\n  cap_week: 100\n'
DESK = "desk@example.com"


def mail(number, text="Guten Tag", sender="Ana <ana@klant.example>", subject="Frage", headers=""):
    return (f"From: {sender}\r\nTo: {DESK}\r\nSubject: {subject}\r\nMessage-ID: <m{number}@klant.example>\r\n"
            f"Date: Sun, 22 Nov 2026 05:00:00 +0000\r\n{headers}\r\n{text}\r\n").encode()


class PostOffice(House):
    def __init__(self, tls="starttls", dovecot=""):
        """`tls`: starttls, tls or none; `dovecot`: more of its configuration."""
        super().__init__()
        os.chmod(self.folder, 0o755)
        self.stack = contextlib.ExitStack()
        self.imap = self.stack.enter_context(Dovecot(dovecot, ssl="no" if tls == "none" else "yes"))
        self.smtp = self.stack.enter_context(Smtp(self.imap.authority, tls=tls))
        self.tls = tls
        self.imap_host = self.smtp_host = "localhost"
        self.under = ()  # what the connector runs under: Names
        self.authority = self.imap.authority.file
        self.connector = None
        self.imap_password, self.smtp_password = self.secret("imap", self.imap.password), self.secret("smtp", self.smtp.password)

    def __exit__(self, kind, value, trace):
        if kind and self.connector:
            sys.stderr.write(f"--- end of the connector's log\n{self.connector.tail()}")
        super().__exit__(kind, value, trace)
        return self.stack.__exit__(kind, value, trace)

    def secret(self, name, text):
        path = os.path.join(self.folder, f"{name}.password")
        with open(path, "w", encoding="ascii", opener=lambda file, flags: os.open(file, flags, 0o600)) as file:
            file.write(f"{text}\n")
        return path

    def open(self):
        path = os.path.join(self.folder, "policy.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(OPEN)
        self.start_broker("--policy", path)

    def start_connector(self, *more):
        arguments = ["--broker", self.address, "--state", self.state, "--ca-file", self.authority, *more]
        letter, port = ("s", self.imap.tls_port) if self.tls == "tls" else ("", self.imap.port)
        arguments += ["--imap", f"imap{letter}://desk@{self.imap_host}:{port}/INBOX", "--imap-password-file", self.imap_password,
                      "--smtp", f"smtp{letter}://desk@{self.smtp_host}:{self.smtp.port}", "--smtp-password-file", self.smtp_password,
                      "--sender", DESK, "--sender-name", "Kundendienst", "--unsubscribe-address", "unsubscribe@example.com"]
        self.connector = self.start("touchbus-email", *arguments, under=self.under)
        return self.connector

    def events(self, *types):
        """As the log has them, in order; the type without its prefix."""
        done = self.touchbus("-j", "replay", "--from", "beginning", *(part for name in types for part in ("--type", name)))
        return [event for event in map(json.loads, done.stdout.splitlines()) if "data" in event]

    def await_events(self, count, *types):
        def enough():
            found = self.events(*types)
            assert len(found) <= count, [(event["type"], event["id"], event["data"]) for event in found]
            return found if len(found) == count else None
        return wait_for(f"{count} of {' '.join(types)}", enough)

    def await_mails(self, count):
        def enough():
            found = self.smtp.mails()
            return found if len(found) >= count else None
        found = wait_for(f"{count} mails sent", enough)
        assert len(found) == count, [message["Message-ID"] for _, _, message in found]
        return found

    def request(self, contact_id, who, **data):
        return self.ask("pub", "contact.requested", "-i", who, "--channel", "agentdesk", "-d",
                        json.dumps({"contact_id": contact_id, "content_id": f"content-{contact_id}", "purpose": "transactional", "channels": ["email"],
                                    **data}))

    def log(self):
        with open(os.path.join(self.folder, "touchbus-email.log"), encoding="utf-8") as file:
            return file.read()

    def counters(self):
        done = self.touchbus("-j", "connector", "show", "email", check=False)
        return json.loads(done.stdout)["metrics"] if done.returncode == 0 else {}
