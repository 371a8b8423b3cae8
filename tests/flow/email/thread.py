#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody known from the web writes a mail, is answered, writes again: one customer, one timeline, one thread; and everything of it once,
though broker and connector are killed in between and the mailbox gets other UIDs."""
import base64
import contextlib
import os

from post_office import PostOffice, mail, wait_for

WORDS = "Grüße aus Gent"
NESTED = b"""--a\r
Content-Type: multipart/related; boundary="c"\r
\r
--c\r
Content-Type: multipart/alternative; boundary="d"\r
\r
--d\r
Content-Type: text/plain\r
\r
innen\r
--d\r
Content-Type: text/html\r
\r
<p>innen</p>\r
--d--\r
--c--\r
--a--"""
WINMAIL = b"""--b\r
Content-Type: text/plain; charset=us-ascii\r
\r
mit winmail.dat\r
--b\r
Content-Type: application/ms-tnef; name="winmail.dat"\r
Content-Transfer-Encoding: base64\r
\r
eJ8+IgAAAAA=\r
--b--"""
BOUNCE = b"""Return-Path: <>\r
From: Mail Delivery System <mailer-daemon@mx.klant.example>\r
To: desk@example.com\r
Subject: Undelivered Mail Returned to Sender\r
Message-ID: <b1@mx.klant.example>\r
Date: Sun, 22 Nov 2026 05:10:00 +0000\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="e"\r
\r
--e\r
Content-Type: text/plain\r
\r
I am sorry.\r
--e\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.klant.example\r
\r
Final-Recipient: rfc822; ana@klant.example\r
Action: failed\r
Status: 5.1.1\r
\r
--e\r
Content-Type: message/rfc822\r
\r
From: desk@example.com\r
To: ana@klant.example\r
Message-ID: <k-2@example.com>\r
Subject: Neues\r
\r
Text\r
--e--\r
"""


def known_from_the_web(house):
    house.touchbus("pub", "customer.identified", "-i", "user_id=u-1", "-i", "email=ana@klant.example", "--channel", "web", "-d",
                   '{"traits":{"name":"Ana"}}')
    house.touchbus("pub", "page.viewed", "-i", "user_id=u-1", "--channel", "web", "-d", '{"url":"https://shop.example/fiets"}')


def a_mail_is_the_same_customers(house):
    house.imap.deliver(mail(1, "Wann kommt mein Rad?"))
    event, = house.await_events(1, "message.received")
    assert event["data"]["text"].strip() == "Wann kommt mein Rad?" and event["data"]["ref"] == "m1@klant.example", event
    assert event["customer"] == house.ask("customer", "show", "user_id=u-1")["customer"], event
    assert all("/new/" in path for path in house.imap.mails()), "a flag was touched"
    return event["data"]


def the_answer_goes_out_in_the_thread(house, received):
    verdict = house.request("k-1", "email=ana@klant.example", subject="Re: Frage", text=WORDS, in_reply_to=received["ref"],
                            references=received.get("references", []))["verdict"]
    assert verdict["verdict"] == "approved", verdict
    (sender, recipients, message), = house.await_mails(1)
    assert (sender, recipients) == ("desk@example.com", ["ana@klant.example"]), (sender, recipients)
    assert message["In-Reply-To"] == "<m1@klant.example>" and message.get_content().strip() == WORDS, message.as_string()
    sent, = house.await_events(1, "message.sent")
    assert sent["data"]["contact_id"] == "k-1" and sent["data"]["in_reply_to"] == "m1@klant.example", sent
    assert f"<{sent['data']['ref']}>" == message["Message-ID"], sent
    return message


def what_she_writes_back_is_of_the_same_thread(house, answer, received):
    house.imap.deliver(mail(2, "Danke!", subject="Re: Frage",
                            headers=f"In-Reply-To: {answer['Message-ID']}\r\nReferences: {answer['References']} {answer['Message-ID']}\r\n"))
    back = house.await_events(2, "message.received")[1]["data"]
    assert back["thread"] == received["thread"] and back["contact_id"] == "k-1", (back, received)
    shown = house.ask("customer", "show", "user_id=u-1")
    types = {counter["type"]: counter["number"] for counter in shown["counters"]}
    assert types["message.received"] == 2 and types["message.sent"] == 1 and types["page.viewed"] == 1, types


def kills_repeat_nothing(house):
    for number in range(3, 9):
        house.imap.deliver(mail(number, subject=f"Frage {number}"))
        (house.connector if number % 2 else house.broker).kill()
        if number % 2:
            house.start_connector()
        else:
            house.open()
    house.await_events(8, "message.received")
    for number in range(2, 6):
        house.request(f"k-{number}", "user_id=u-1", subject="Neues", text=WORDS)
        house.connector.kill()
        house.start_connector()
    house.await_events(5, "message.sent")
    ids = [message["Message-ID"] for _, _, message in house.smtp.mails()]
    assert sorted(set(ids)) == [f"<k-{number}@example.com>" for number in range(1, 6)], ids


def other_uids_repeat_nothing(house):
    before = [(event["id"], event["sequence"]) for event in house.events("message.received")]
    house.imap.forget_uids()
    wait_for("the change is noticed", lambda: "imap=mailbox-changed" in house.log())
    house.imap.deliver(mail(99, subject="Neu"))
    after = house.await_events(9, "message.received")
    assert [(event["id"], event["sequence"]) for event in after][:8] == before, "mails came twice"
    assert house.connector.stop() == 0
    assert house.counters()["mails_known"] == 8, house.counters()
    house.imap.empty()
    house.start_connector()
    house.imap.deliver(mail(100, subject="Nach dem Leeren"))
    house.await_events(10, "message.received")


def a_bounce_is_the_contacts_outcome(house):
    house.imap.deliver(BOUNCE)
    outcome, = house.await_events(1, "message.outcome")
    assert outcome["data"]["outcome"] == "bounced" and outcome["data"]["contact_id"] == "k-2" and outcome["data"]["status"] == "5.1.1", outcome
    assert outcome["customer"] == house.ask("customer", "show", "user_id=u-1")["customer"], outcome


def marketing_can_be_stopped_by_mail(house):
    def ask(contact_id):
        return house.request(contact_id, "user_id=u-1", purpose="marketing", address="ana@klant.example", subject="Angebot", text=WORDS)["verdict"]
    house.touchbus("pub", "consent.changed", "-i", "user_id=u-1", "--channel", "web", "-d",
                   '{"purpose":"marketing","address":"ana@klant.example","state":"granted","text_version":"1"}')
    before = len(house.smtp.mails())
    assert ask("m-1")["verdict"] == "approved"
    message = house.await_mails(before + 1)[-1][2]
    address, subject = message["List-Unsubscribe"].strip("<>").removeprefix("mailto:").split("?subject=")
    assert address == "unsubscribe@example.com", message["List-Unsubscribe"]
    house.imap.deliver(mail(200, "", sender="Somebody Else <other@klant.example>", subject=subject.replace("%20", " "),
                            headers="").replace(b"To: desk@example.com", b"To: unsubscribe@example.com"))
    granted, withdrawn = house.await_events(2, "consent.changed")
    assert withdrawn["data"]["state"] == "withdrawn" and withdrawn["data"]["address"] == "ana@klant.example", withdrawn
    assert withdrawn["data"]["purpose"] == "marketing" and withdrawn["customer"] == granted["customer"], withdrawn
    assert ask("m-2")["verdict"] == "suppressed"


def any_writing_is_read(house):
    """Text as it was written, whatever it was written in; junk is text or put aside, and never the end."""
    def encoded(charset, transfer, body):
        return f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {transfer}\r\n".encode(), body
    known = house.await_events(10, "message.received")
    writings = [
        (*encoded("windows-1252", "8bit", "Preis: 5 \u20ac \u201eg\u00fcnstig\u201c".encode("cp1252")), "Preis: 5 \u20ac \u201eg\u00fcnstig\u201c"),
        (*encoded("iso-2022-jp", "7bit", "\u6ce8\u6587\u3057\u307e\u3059".encode("iso-2022-jp")), "\u6ce8\u6587\u3057\u307e\u3059"),
        (*encoded("utf-8", "base64", base64.encodebytes("Gr\u00fc\u00dfe".encode())), "Gr\u00fc\u00dfe"),
        (*encoded("iso-8859-15", "quoted-printable", b"10 =A4 im M=E4rz"), "10 \u20ac im M\u00e4rz"),
        (b"", "ohne Angabe: \u00fc".encode("cp1252"), "ohne Angabe: \u00fc"),
        (b'Content-Type: multipart/mixed; boundary="a"\r\n', NESTED, "innen"),
        (b'Content-Type: multipart/mixed; boundary="b"\r\n', WINMAIL, "mit winmail.dat"),
        (b"Content-Type: text/plain; charset=klingon\r\n", bytes(range(128, 256)), None),
    ]
    for number, (headers, body, _) in enumerate(writings):
        head = mail(300 + number, subject=f"Schrift {number}").split(b"\r\n\r\n")[0]
        house.imap.deliver(head + b"\r\n" + headers + b"\r\n" + body + b"\r\n")
    house.imap.deliver(b"\x00\xff\x00 no mail at all")
    found = {event["data"]["subject"]: event["data"] for event in house.await_events(len(known) + len(writings), "message.received")[len(known):]}
    for number, (_, _, text) in enumerate(writings):
        assert text is None or found[f"Schrift {number}"]["text"].strip() == text, (text, found[f"Schrift {number}"])
    assert found["Schrift 6"]["attachments"][0]["type"] == "application/ms-tnef", found["Schrift 6"]
    wait_for("what is no mail is put aside", lambda: "put-aside reason=" in house.log())
    return len(known) + len(writings)


def attachments_are_kept_once_and_go_with_the_person(house, known):
    bodies = os.path.join(house.state, "email", "bodies")
    long = "Sehr geehrte Damen und Herren. " * 4000
    house.imap.deliver(mail(101, long, sender="Ben <ben@klant.example>"))
    event = house.await_events(known + 1, "message.received")[known]
    kept, others = event["data"]["text_sha256"], len(os.listdir(bodies)) - 1
    assert "text" not in event["data"] and kept in os.listdir(bodies), event["data"]
    owners = os.path.join(house.state, "email", "owners")
    wait_for("it is known whose it is", lambda: f"{event['customer']}.{kept}" in os.listdir(owners))
    records, before = os.path.join(house.state, "email", "contacts"), len(house.smtp.mails())
    house.request("k-ben", "email=ben@klant.example", subject="Re", text=WORDS)
    house.await_mails(before + 1)

    def remembered():
        texts = []
        for name in os.listdir(records):
            with contextlib.suppress(FileNotFoundError), open(os.path.join(records, name), encoding="utf-8") as file:
                texts.append(file.read())
        return [text for text in texts if f'"{event["customer"]}"' in text]
    assert remembered()
    house.touchbus("--yes", "customer", "erase", "email=ben@klant.example")
    wait_for("nothing of the person is left", lambda: len(os.listdir(bodies)) == others == len(os.listdir(owners))
             and kept not in os.listdir(bodies) and not remembered())

    def confirmed():
        connectors = house.ask("customer", "receipt", event["customer"])["connectors"]
        return {row["name"]: row["state"] for row in connectors}.get("email") == "confirmed"
    wait_for("the erasure is confirmed", confirmed)


def main():
    with PostOffice(tls="tls") as house:
        house.open()
        house.start_connector()
        known_from_the_web(house)
        received = a_mail_is_the_same_customers(house)
        answer = the_answer_goes_out_in_the_thread(house, received)
        what_she_writes_back_is_of_the_same_thread(house, answer, received)
        kills_repeat_nothing(house)
        other_uids_repeat_nothing(house)
        a_bounce_is_the_contacts_outcome(house)
        marketing_can_be_stopped_by_mail(house)
        attachments_are_kept_once_and_go_with_the_person(house, any_writing_is_read(house))
        assert "correct-horse" not in house.log() and "klant.example" not in house.log(), house.log()
        assert house.connector.stop() == 0


main()
