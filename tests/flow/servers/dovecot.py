# SPDX-License-Identifier: Apache-2.0
"""A Dovecot (IMAP) of the test's own: below a temporary folder, on loopback, run by an unprivileged user; mail is put into Maildir.

    with Dovecot() as server:
        server.deliver(b"From: ...")          # a mail into the INBOX, as an MTA does: written aside, renamed
        server.port, server.tls_port          # STARTTLS (and plain, for loopback), TLS
        server.user, server.password, server.authority.file
        server.set_password("other"); server.use_certificate("elsewhere")   # "localhost" is for *.house.example, too (names.py)
        server.forget_uids()                  # the same mails under another UIDVALIDITY
        server.kill(); server.start()

The system's Dovecot is never touched. Standard library only.
"""
import glob
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from certificates import Authority  # noqa: E402
from harness import free_ports, listens, wait_for  # noqa: E402

PROGRAM = "/usr/sbin/dovecot"
NOBODY = 65534
STOP_S = 30

CONFIGURATION = """
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
ssl = {ssl}
ssl_cert = <{folder}/certificates/{certificate}.pem
ssl_key = <{folder}/certificates/{certificate}.key
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
auth_cache_size = 0
mail_location = maildir:{folder}/mail/%n
mailbox_idle_check_interval = 1s
first_valid_uid = {uid}
first_valid_gid = {gid}
{more}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%n
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
"""


def unprivileged(arguments):
    if os.geteuid() != 0:
        return arguments
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *arguments]


class Dovecot:
    user, password = "desk", "correct-horse"

    def __init__(self, more="", ssl="yes"):
        self.folder = tempfile.mkdtemp(prefix="touchbus-dovecot-")
        self.more, self.ssl, self.certificate = more, ssl, "localhost"
        self.port = free_ports(2)
        self.tls_port = self.port + 1
        self.process = None
        self.count = itertools.count(1)
        self.uid = NOBODY if os.geteuid() == 0 else os.geteuid()
        self.gid = NOBODY if os.geteuid() == 0 else os.getegid()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def __enter__(self):
        try:
            for name in ("certificates", "mail", "mail/desk", "mail/desk/cur", "mail/desk/new", "mail/desk/tmp", "run"):
                os.mkdir(self.path(name), 0o755)
            self.authority = Authority(self.path("certificates"))
            self.authority.issue("localhost", "DNS:localhost,DNS:*.house.example")
            self.authority.issue("elsewhere", "DNS:mail.elsewhere.example")
            self.set_password(self.password)
            self.give_away()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind and os.path.exists(self.path("dovecot.log")):
            with open(self.path("dovecot.log"), encoding="utf-8", errors="replace") as file:
                sys.stderr.write("--- end of dovecot's log\n" + "".join(file.readlines()[-20:]))
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def give_away(self):
        if os.geteuid() == 0:
            for root, _, files in os.walk(self.folder):
                for path in [root, *(os.path.join(root, name) for name in files)]:
                    os.chown(path, NOBODY, NOBODY)

    def start(self):
        with open(self.path("dovecot.conf"), "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(folder=self.folder, user=_name(self.uid), group=_group(self.gid), uid=self.uid, gid=self.gid,
                                            port=self.port, tls_port=self.tls_port, ssl=self.ssl, certificate=self.certificate, more=self.more))
        self.process = subprocess.Popen(unprivileged([PROGRAM, "-F", "-c", self.path("dovecot.conf")]), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=open(self.path("stderr"), "ab"), start_new_session=True, cwd="/")

        def ready():
            if self.process.poll() is not None:
                with open(self.path("stderr"), encoding="utf-8", errors="replace") as file:
                    raise AssertionError(f"dovecot ended with {self.process.returncode}: {file.read()}")
            return listens(self.port) and (self.ssl == "no" or listens(self.tls_port))
        wait_for("dovecot listens", ready)

    def signal(self, number):
        """To all of its processes: they are a group of their own."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def stop(self):
        self.signal(signal.SIGTERM)
        if self.process:
            self.process.wait(STOP_S)

    def kill(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait(STOP_S)

    def restart(self):
        self.kill()
        self.start()

    def use_certificate(self, name):
        self.certificate = name
        self.restart()

    def set_password(self, password):
        self.password = password
        with open(self.path("users.new"), "w", encoding="ascii") as file:
            file.write(f"desk:{password}\n")
        if os.geteuid() == 0:
            os.chown(self.path("users.new"), NOBODY, NOBODY)
        os.rename(self.path("users.new"), self.path("users"))

    def deliver(self, message, folder="mail/desk"):
        name = f"{int(time.time())}.M{next(self.count):06}P{os.getpid()}.localhost"
        aside = self.path(folder, "tmp", name)
        with open(aside, "wb") as file:
            file.write(message)
        if os.geteuid() == 0:
            os.chown(aside, NOBODY, NOBODY)
        os.rename(aside, self.path(folder, "new", name))

    def mails(self):
        return glob.glob(self.path("mail/desk/new/*")) + glob.glob(self.path("mail/desk/cur/*"))

    def forget_uids(self):
        """As a mailbox that was moved or repaired: other UIDVALIDITY, all UIDs from 1 on."""
        self.kill()
        for path in glob.glob(self.path("mail/desk/dovecot*")):
            os.unlink(path)
        time.sleep(1.1)  # Dovecot takes the time in seconds for a new UIDVALIDITY
        self.start()

    def empty(self):
        for path in self.mails():
            os.unlink(path)


def _name(uid):
    import pwd
    return pwd.getpwuid(uid).pw_name


def _group(gid):
    import grp
    return grp.getgrgid(gid).gr_name
