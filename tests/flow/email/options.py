#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an administrator may choose, each against real servers: configuration files, passwords of the environment, polling, flags, subject
tags, contents, marketing, one instance that reads and one that sends, the system's certificates; and no word in the clear unless told so."""
import base64
import json
import os
import subprocess
import time

from impostor import Impostor, Mailbox
from post_office import DESK, PostOffice, mail, wait_for
from harness import program
from names import Names

NO_IDLE = "imap_capability = IMAP4rev1 LITERAL+ UIDPLUS\n"
SYSTEM_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
LARGE = 33 << 20
TWO_DAYS_S = 2 * 86400
ATTACHED = (b'Content-Type: multipart/mixed; boundary="a"\r\n', b"--a\r\n\r\nText\r\n--a\r\nContent-Type: application/x-thing\r\n"
            b"Content-Disposition: attachment; filename=thing\r\n\r\n%s\r\n--a--\r\n")


class Office(PostOffice):
    """Whose connectors are told everything by a file each."""

    def __init__(self, **options):
        super().__init__(**options)
        self.common = {"broker": self.address, "state": self.state, "sender": DESK, "answer": "5s"}
        self.passwords = {"TOUCHBUS_IMAP_PASSWORD": self.imap.password, "TOUCHBUS_SMTP_PASSWORD": self.smtp.password}

    def url(self, scheme, user="desk@", mailbox=""):
        server, host = {"imap": (self.imap, self.imap_host), "smtp": (self.smtp, self.smtp_host)}[scheme]
        return f"{scheme}://{user}{host}:{server.port}{mailbox}"

    def run(self, options, environment=None, under=()):
        path = os.path.join(self.folder, f"{options.get('name', 'email')}.conf")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{name} = {value}\n" for name, value in {**self.common, **options}.items())
        self.connector = self.start("touchbus-email", "--config", path, environment=environment or {}, under=under)
        return self.connector

    def quarantine(self, verb):
        return subprocess.run([program("touchbus-email"), "--config", os.path.join(self.folder, "email.conf"), "--quarantine", verb],
                              capture_output=True, timeout=60, check=True)

    def says(self, text):
        return wait_for(f"it says: {text}", lambda: text in self.log())

    def idle(self, name="email"):
        """All that is in the log was delivered to that connector; one that ended for good may have left something."""
        wait_for("all is delivered", lambda: [row["lag"] for row in self.ask("status")["subscriptions"] if row["name"] == name] == [0])

    def seen(self):
        return sum(path.endswith("S") for path in self.imap.mails())


def attached(number, body):
    return mail(number, "").split(b"\r\n\r\n")[0] + b"\r\n" + ATTACHED[0] + b"\r\n" + ATTACHED[1] % body


def nothing_goes_in_the_clear_unless_told(office):
    connector = office.run({"imap": office.url("imap"), "smtp": office.url("smtp")}, office.passwords)
    office.says('imap=away reason="starttls: the server does not offer STARTTLS')
    office.request("t-0", "user_id=u-1", subject="Hallo", text="Text")
    office.says('smtp=away reason="smtp connect: the server does not offer STARTTLS')
    assert connector.stop() == 0
    assert office.smtp.passwords() == 0
    with open(office.imap.path("dovecot.log"), encoding="utf-8") as file:
        assert "Login:" not in file.read()


def open_house(office):
    """Everything at once, on servers without TLS."""
    os.mkdir(os.path.join(office.folder, "contents"))
    for name, text in {"welcome.de.txt": "Subject: Willkommen, {name}\n\nGuten Tag {name}\n", "welcome.txt": "Subject: Welcome\n\nHello\n"}.items():
        with open(os.path.join(office.folder, "contents", name), "w", encoding="utf-8") as file:
            file.write(text)
    office.smtp.behave(user=None)
    office.smtp.restart()
    return {"plaintext": "true", "imap": office.url("imap"), "smtp": office.url("smtp", user=""), "mark-seen": "true", "poll": "1s",
            "contents": os.path.join(office.folder, "contents"), "subject-tag": "true", "reply-to": "answers@example.com",
            "domain": "news.example.com", "unsubscribe-url": "https://www.example.com/u/", "marketing": "offer", "keep": "1d"}


def a_mailbox_without_idle_is_polled_and_its_mails_are_marked(office):
    office.await_mails(1)  # what waited for a server with TLS
    office.says("imap=up idle=false")
    for number in (1, 2):
        office.imap.deliver(mail(number))
        office.await_events(number, "message.received")
        wait_for("it is marked", lambda: office.seen() == number)


def what_the_broker_does_not_have_is_neither_marked_nor_passed(office, options):
    bodies = os.path.join(office.state, "email", "bodies")
    office.broker.kill()
    office.imap.deliver(attached(3, b"something"))
    wait_for("it was read", lambda: len(os.listdir(bodies)) == 1)
    assert office.connector.stop() == 0
    assert office.seen() == 2
    office.open()
    office.run(options, office.passwords)
    office.await_events(3, "message.received")
    wait_for("it is marked", lambda: office.seen() == 3)


def contents_are_said_in_the_customers_language(office):
    office.request("t-1", "user_id=u-1", content_id="welcome")
    message = office.await_mails(2)[1][2]
    assert message["Subject"] == "Willkommen, Ana [#t-1]" and message.get_content().strip() == "Guten Tag Ana", message.as_string()
    assert message["To"] == "Ana <ana@klant.example>" and message["Content-Language"] == "de", message.as_string()
    assert message["Message-ID"] == "<t-1@news.example.com>" and message["Reply-To"] == "answers@example.com", message.as_string()
    assert message["Auto-Submitted"] == "auto-generated" and message["List-Unsubscribe"] is None, message.as_string()
    office.imap.deliver(mail(4, "Danke", subject=f"AW: {message['Subject']}"))
    data = office.await_events(4, "message.received")[3]["data"]
    assert data["tag"] == data["thread"] == "t-1" and "contact_id" not in data, data  # anybody may write a tag: it is no proof


def what_customers_say_of_themselves_stops_no_mail(office):
    office.touchbus("pub", "customer.identified", "-i", "user_id=u-2", "-i", "email=ben@klant.example", "-d",
                    json.dumps({"traits": {"name": "Ben\r\nBcc: all@klant.example", "language": "de_AT"}}))
    office.request("t/3", "user_id=u-2", content_id="welcome")
    _, recipients, message = office.await_mails(4)[3]
    assert recipients == ["ben@klant.example"] and message["Bcc"] is None and message["To"] == "ben@klant.example", message.as_string()
    assert message["Subject"] == "Willkommen," and message["Content-Language"] == "de-AT", message.as_string()


def what_is_too_large_is_put_aside_by_its_beginning(office):
    office.imap.deliver(mail(6, "x" * 70 + "\r\n" * 2) + (b"y" * 70 + b"\r\n") * (LARGE // 72))
    office.says('put-aside reason="the mail is too large"')
    done = office.quarantine("show")
    row, = map(json.loads, done.stdout.splitlines())
    assert len(base64.b64decode(row["item"])) == 1 << 20, row["item"][:100]


def a_purpose_of_marketing_can_be_stopped_with_one_click(office):
    office.touchbus("pub", "consent.changed", "-i", "user_id=u-1", "--channel", "web", "-d",
                    '{"purpose":"offer","address":"ana@klant.example","state":"granted","text_version":"1"}')
    assert office.request("t-2", "user_id=u-1", purpose="offer", subject="Angebot", text="Text")["verdict"]["verdict"] == "approved"
    message = office.await_mails(3)[2][2]
    assert message["List-Unsubscribe"].startswith("<https://www.example.com/u/") and "mailto" not in message["List-Unsubscribe"], message.as_string()
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" and message["Auto-Submitted"] is None, message.as_string()


def the_same_mailbox_of_long_ago_is_read_anew(office, server, options):
    """Put back from a backup: the UIDVALIDITY that it had, and UIDs that were given before."""
    assert office.connector.stop() == 0
    server.mails[:] = [mail(number, subject=f"Wieder {number}") for number in (24, 25)]
    office.run(options, office.passwords)
    office.await_events(10, "message.received")
    assert office.connector.stop() == 0


def a_mark_is_made_again_or_given_up(office, options):
    """A connection that breaks over it costs nothing; a server that refuses it is read all the same."""
    assert office.connector.stop() == 0
    server = Mailbox([mail(number, subject=f"Andere {number}") for number in (20, 21)], store=[None, "OK done", "NO not here", "BAD what?"])
    office.imap.stop()
    impostor = Impostor(office.imap.port, server)
    marking = {**{name: value for name, value in options.items() if name != "smtp"}, "name": "marking"}
    office.run(marking, office.passwords)
    office.await_events(6, "message.received")
    wait_for("both were marked", lambda: len(server.stored) == 3)
    assert server.stored.count(server.stored[0]) == 2, server.stored
    office.says("imap=mark-seen-refused")
    for number in (22, 23):
        server.mails.append(mail(number, subject=f"Andere {number}"))
        office.await_events(number - 15, "message.received")
        wait_for("it was marked", lambda: len(server.stored) == number - 18)
    the_same_mailbox_of_long_ago_is_read_anew(office, server, marking)
    impostor.stop()
    office.imap.start()
    office.run(options, office.passwords)


def what_is_older_than_keep_goes(office, options):
    folders = [os.path.join(office.state, "email", name) for name in ("bodies", "contacts")]
    old = [os.path.join(folder, sorted(os.listdir(folder))[0]) for folder in folders]
    office.idle()
    assert office.connector.stop() == 0
    before = [len(os.listdir(folder)) for folder in folders]
    for path in old:
        os.utime(path, (time.time() - TWO_DAYS_S, time.time() - TWO_DAYS_S))
    office.run(options, office.passwords)
    wait_for("they are gone", lambda: not any(map(os.path.exists, old)))
    office.imap.deliver(mail(5))
    office.await_events(11, "message.received")
    assert [len(os.listdir(folder)) + 1 for folder in folders] == before
    assert office.connector.stop() == 0


def without_tls():
    with Office(tls="none", dovecot=NO_IDLE) as office:
        office.open()
        office.touchbus("pub", "customer.identified", "-i", "user_id=u-1", "-i", "email=ana@klant.example", "-d",
                        '{"traits":{"name":"Ana","language":"de"}}')
        nothing_goes_in_the_clear_unless_told(office)
        options = open_house(office)
        office.run(options, office.passwords)
        a_mailbox_without_idle_is_polled_and_its_mails_are_marked(office)
        what_the_broker_does_not_have_is_neither_marked_nor_passed(office, options)
        contents_are_said_in_the_customers_language(office)
        a_purpose_of_marketing_can_be_stopped_with_one_click(office)
        what_customers_say_of_themselves_stops_no_mail(office)
        what_is_too_large_is_put_aside_by_its_beginning(office)
        a_mark_is_made_again_or_given_up(office, options)
        what_is_older_than_keep_goes(office, options)


def one_reads_and_another_sends():
    """The one that reads trusts whom the system trusts, here ours; the one that sends was told to trust anybody."""
    with Office() as office:
        office.open()
        subprocess.run(["install", "-d", "-o", str(office.imap.uid), "-g", str(office.imap.gid), *(
            office.imap.path("mail/desk/.Kunden alt", name) for name in ("", "cur", "new", "tmp"))], check=True, timeout=30)
        mailbox = {"name": "reading", "imap": office.url("imap", mailbox="/Kunden%20alt")}
        office.run(mailbox, office.passwords)
        office.says('imap=away reason="certificate: ')
        assert office.connector.stop() == 0
        names = Names(office.folder, over={SYSTEM_AUTHORITIES: office.authority})
        reading = office.run(mailbox, office.passwords, names.under)
        office.imap.deliver(mail(1), folder="mail/desk/.Kunden alt")
        received, = office.await_events(1, "message.received")
        assert received["data"]["mailbox"] == "Kunden alt" and received["source"] == "/reading", received
        office.request("w-1", "email=ana@klant.example", subject="Re", text="Text")
        office.idle("reading")
        assert not office.smtp.mails()
        office.smtp.certificate = "elsewhere"
        office.smtp.restart()
        office.run({"name": "sending", "smtp": office.url("smtp"), "no-verify": "true"}, office.passwords)
        office.await_mails(1)
        sent, = office.await_events(1, "message.sent")
        assert sent["source"] == "/sending" and sent["data"]["contact_id"] == "w-1", sent
        assert office.connector.stop() == 0 and reading.stop() == 0
        assert office.imap.password not in office.log()


if __name__ == "__main__":
    without_tls()
    one_reads_and_another_sends()
