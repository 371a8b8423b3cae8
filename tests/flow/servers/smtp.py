# SPDX-License-Identifier: Apache-2.0
"""An SMTP server of the test's own: aiosmtpd, in a process of an unprivileged user, on loopback, with TLS, STARTTLS or none, and a log-in.

    with Smtp(authority) as server:
        server.mails()                    # what it took: (sender, recipients, email.message.Message)
        server.behave(rcpt="452 4.2.2 mailbox full")   # answers this to each recipient from now on; behave() is well again
        server.kill(); server.start()

What it does (smtp_server.py) is told by a file that it reads at each command. aiosmtpd does the protocol; ours is only what it answers.
"""
import email
import email.policy
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import free_ports, listens, wait_for  # noqa: E402

NOBODY = 65534
STOP_S = 30


class Smtp:
    user, password = "desk", "correct-horse"

    def __init__(self, authority, certificate="localhost", tls="starttls"):
        self.folder = tempfile.mkdtemp(prefix="touchbus-smtp-")
        self.authority, self.certificate, self.tls = authority, certificate, tls
        self.port = free_ports(1)
        self.process = None

    def __enter__(self):
        try:
            os.mkdir(os.path.join(self.folder, "mails"))
            self.behave()
            if os.geteuid() == 0:
                os.chown(self.folder, NOBODY, NOBODY)
                os.chown(os.path.join(self.folder, "mails"), NOBODY, NOBODY)
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        log = os.path.join(self.folder, "log")
        if kind and os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as file:
                sys.stderr.write("--- end of the SMTP server's log\n" + "".join(file.readlines()[-20:]))
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def behave(self, password=None, **answers):
        """mail, rcpt, data: answered instead of what is right; hang=True: the end of a mail gets no answer; user=None: nobody logs in (at its start)."""
        path = os.path.join(self.folder, "behaviour")
        with open(f"{path}.new", "w", encoding="ascii") as file:
            json.dump({"user": self.user, "password": password or self.password, **answers}, file)
        os.chmod(f"{path}.new", 0o644)
        os.rename(f"{path}.new", path)

    def start(self):
        program = shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "smtp_server.py"), self.folder)
        arguments = ["/usr/bin/python3", program, self.folder, str(self.port),
                     os.path.join(self.authority.folder, f"{self.certificate}.pem"), os.path.join(self.authority.folder, f"{self.certificate}.key"),
                     self.tls]
        if os.geteuid() == 0:
            arguments = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *arguments]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

        def ready():
            assert self.process.poll() is None, f"the SMTP server ended with {self.process.returncode}"
            return listens(self.port)
        wait_for("the SMTP server listens", ready)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait(STOP_S)

    stop = kill

    def restart(self):
        self.kill()
        self.start()

    def passwords(self):
        """How many log-ins it was shown, right or wrong."""
        path = os.path.join(self.folder, "passwords")
        return os.path.getsize(path) if os.path.exists(path) else 0

    def mails(self):
        taken = []
        for path in sorted(glob.glob(os.path.join(self.folder, "mails", "*.json"))):
            with open(path, encoding="utf-8") as file:
                envelope = json.load(file)
            message = email.message_from_string(envelope["content"], policy=email.policy.default)
            taken.append((envelope["from"], envelope["to"], message))
        return taken
