#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Servers that refuse, lie, say nothing or are not there: what is wrong is said clearly, once, and it goes on by itself when it is right
again; nothing is lost, nothing is sent twice where that can be known."""
import json
import os
import re
import sys
import time

from impostor import Impostor
from post_office import PostOffice, mail, wait_for
from names import Names  # post_office says where

ENDLESS = 40 << 20  # more than an answer may be


def silent(_):
    pass


def garbage(connection):
    connection.sendall(b"\x00\xff\xfe this is no mail server \r\n" * 50)
    connection.close()


def endless(connection):
    connection.sendall(b"* OK ")
    for _ in range(ENDLESS >> 16):
        connection.sendall(b"x" * (1 << 16))
    connection.close()


def injecting(connection):
    """Answers STARTTLS and sends more in the clear with it, to be read as if it had come by TLS (CVE-2020-15953)."""
    connection.sendall(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
    if line := connection.makefile("rb").readline():  # none of who was asked too late
        connection.sendall(line.split()[0] + b" OK begin\r\n* OK injected\r\n")


def injecting_smtp(connection):
    """The same to who sends (CVE-2021-33515, CVE-2021-22947): answers that TLS was to protect."""
    lines = connection.makefile("rb")
    for answer in (b"220 house ESMTP\r\n", b"250-house\r\n250 STARTTLS\r\n", b"220 begin\r\n250-house\r\n250 AUTH PLAIN\r\n"):
        connection.sendall(answer)
        lines.readline()


def away(house, which, pattern):
    """It is said, since the last time that something was, and nothing ends."""
    found = wait_for(f"{which} is away: {pattern}", lambda: re.search(rf'{which}=away reason="[^"]*{pattern}', house.log()[house.read:]))
    house.read += found.end()
    assert house.connector.alive()


def back(house, number):
    """A mail that comes now arrives."""
    before = len(house.events("message.received"))
    house.imap.deliver(mail(number))
    house.await_events(before + 1, "message.received")


def the_mailbox(house):
    with open(house.imap_password, "w", encoding="ascii") as file:
        file.write("wrong-staple\n")
    house.imap.restart()
    away(house, "imap", "does not take this user and password")
    with open(house.imap_password, "w", encoding="ascii") as file:
        file.write("correct-horse\n")
    back(house, 10)
    house.imap.use_certificate("elsewhere")
    away(house, "imap", "certificate: .*name in the certificate does not match")
    house.imap.use_certificate("localhost")
    back(house, 11)
    os.chmod(house.imap_password, 0o644)
    house.imap.restart()
    away(house, "imap", "password: .*lets others at it")
    os.chmod(house.imap_password, 0o600)
    back(house, 12)


def impostors(house):
    for number, (part, pattern) in enumerate([(silent, "greeting: wait: the server does not answer in time"), (garbage, "greeting: "),
                                              (endless, "the server answers more than it may"), (injecting, "starttls: more came in the clear")]):
        house.imap.stop()
        impostor = Impostor(house.imap.port, part)
        away(house, "imap", pattern)
        impostor.stop()
        house.imap.start()
        back(house, 20 + number)


def recipients(house):
    house.smtp.behave(rcpt="452 4.2.2 mailbox full")
    house.request("r-1", "email=ana@klant.example", subject="Voll", text="Text")
    wait_for("it waits", lambda: house.log().count('contact=waits reason="smtp rcpt-to: 452 4.2.2"') >= 1)
    house.connector.kill()
    house.start_connector(*PATIENT)
    house.smtp.behave()
    house.await_mails(1)
    house.smtp.behave(rcpt="550 5.1.1 <ana@klant.example> unknown")
    house.request("r-2", "email=ana@klant.example", subject="Fort", text="Text")
    outcome, = house.await_events(1, "message.outcome")
    assert outcome["data"]["outcome"] == "failed" and outcome["data"]["status"] == "5.1.1" and outcome["data"]["contact_id"] == "r-2", outcome
    house.smtp.behave(data="554 5.7.1 no")
    house.request("r-3", "email=ana@klant.example", subject="Nein", text="Text")
    row = wait_for("the lane is parked", lambda: json.loads(house.touchbus("-j", "parked", "ls", "email").stdout or "null"))
    assert "554 5.7.1" in json.dumps(row), row
    house.smtp.behave()
    house.touchbus("parked", "retry", "email", str(row["lane"]))
    house.await_mails(2)


def the_server(house):
    house.smtp.behave(password="other")
    house.smtp.restart()
    house.request("s-1", "email=ana@klant.example", subject="Eins", text="Text")
    away(house, "smtp", "does not take this user and password")
    house.smtp.behave()
    house.await_mails(3)
    house.smtp.certificate = "elsewhere"
    house.smtp.restart()
    house.request("s-2", "email=ana@klant.example", subject="Zwei", text="Text")
    away(house, "smtp", "certificate is not trusted or not this host")
    house.smtp.certificate = "localhost"
    house.smtp.restart()
    house.await_mails(4)
    house.smtp.kill()
    impostor = Impostor(house.smtp.port, silent)
    house.request("s-3", "email=ana@klant.example", subject="Drei", text="Text")
    away(house, "smtp", "does not answer in time")
    back(house, 30)  # mail comes in meanwhile
    impostor.stop()
    impostor = Impostor(house.smtp.port, injecting_smtp)
    away(house, "smtp", "connect: the server's answer is no SMTP")
    impostor.stop()
    house.smtp.start()
    house.await_mails(5)


def killed_before_the_answer(house):
    """The server has the mail, we have no answer: once more under the same Message-ID, and it is counted."""
    house.smtp.behave(hang=True)
    house.request("u-1", "email=ana@klant.example", subject="Ungewiss", text="Text")
    house.await_mails(6)
    house.connector.kill()
    house.smtp.restart()
    house.smtp.behave()
    house.start_connector(*PATIENT)
    mails = house.await_mails(7)
    assert mails[5][2]["Message-ID"] == mails[6][2]["Message-ID"] == "<u-1@example.com>"
    assert house.log().count("contact=repeated") == 1


def decided_again(house):
    before = len(house.smtp.mails())
    assert house.connector.stop() == 0
    house.touchbus("--yes", "subscription", "reset", "email", "--to", "beginning")
    house.start_connector(*PATIENT)
    wait_for("all came again", lambda: all(row["lag"] == 0 for row in house.ask("status")["subscriptions"]))
    assert house.connector.stop() == 0
    assert house.counters()["sent_before"] >= 6, house.counters()
    assert len(house.smtp.mails()) == before, "a mail was sent again"
    house.start_connector(*PATIENT)


def lapsed(house):
    """The server was away for longer than the approval holds: the policy is asked again."""
    with open(os.path.join(house.folder, "policy.yaml"), "a", encoding="ascii") as file:
        file.write('channels:\n  - {name: email, cost: "0.05", contact: true, lapse: 2s, needs: email}\n  - {name: agentdesk, cost: "3.00"}\n')
    house.ask("config", "reload")
    house.smtp.kill()
    house.request("l-1", "email=ana@klant.example", subject="Spaet", text="Text")
    away(house, "smtp", "no connection")
    until = house.events("contact.decided")[-1]["data"]["until"]
    wait_for("the approval has ended", lambda: house.ask("status") and _now() > until)
    house.smtp.start()
    found = house.await_mails(8)
    assert found[7][2]["Message-ID"] == "<l-1@example.com>"
    decided = [event for event in house.events("contact.decided") if event["data"]["contact_id"] == "l-1"]
    assert len(decided) >= 2, decided


def _now():
    import datetime
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def an_unknown_host(house):
    """Two names that nobody knows, then one that is put right, then the other: the connector's process stays."""
    assert house.connector.stop() == 0
    names, house.imap_host, house.smtp_host = Names(house.folder), "imap.house.example", "smtp.house.example"
    house.under = names.under
    house.start_connector(*PATIENT)
    away(house, "imap", "host: Name or service not known")
    names.know(house.imap_host)
    back(house, 40)
    house.request("h-1", "email=ana@klant.example", subject="Wo", text="Text")
    away(house, "smtp", "the host is unknown")
    names.forget(house.imap_host)  # who is connected needs no name
    back(house, 41)
    house.imap.restart()
    away(house, "imap", "host: Name or service not known")
    for name in (house.imap_host, house.smtp_host):
        names.know(name)
    back(house, 42)
    assert house.await_mails(9)[8][2]["Message-ID"] == "<h-1@example.com>"


FAST = ("--answer", "1s", "--idle", "5s")
PATIENT = ("--answer", "10s", "--idle", "5s")  # where mails are counted: one that is taken late is not to be sent again


def main():
    with PostOffice() as house:
        house.read = 0  # of the log
        house.open()
        house.start_connector(*FAST)
        house.touchbus("pub", "customer.identified", "-i", "user_id=u-1", "-i", "email=ana@klant.example", "-d", '{"traits":{"name":"Ana"}}')
        for part in (the_mailbox, impostors, recipients, the_server, killed_before_the_answer, decided_again, lapsed,
                     an_unknown_host):
            begin = time.monotonic()
            part(house)
            print(f"{part.__name__}: holds, {time.monotonic() - begin:.1f} s", flush=True)
        log = house.log()
        assert "correct-horse" not in log and "wrong-staple" not in log and "klant.example" not in log, log


if __name__ == "__main__":
    sys.exit(main())
