#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Somebody known from the web writes a mail, is answered, writes again: one customer, one timeline, one thread; and everything of it once,
though broker and connector are killed in between and the mailbox gets other UIDs."""
import os

from post_office import PostOffice, mail, wait_for

WORDS = "Grüße aus Gent"


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
    house.imap.empty()
    house.start_connector()
    house.imap.deliver(mail(100, subject="Nach dem Leeren"))
    house.await_events(10, "message.received")


def attachments_are_kept_once_and_go_with_the_person(house):
    bodies = os.path.join(house.state, "email", "bodies")
    long = "Sehr geehrte Damen und Herren. " * 4000
    house.imap.deliver(mail(101, long, sender="Ben <ben@klant.example>"))
    event = house.await_events(11, "message.received")[10]
    assert "text" not in event["data"] and os.listdir(bodies) == [event["data"]["text_sha256"]], event["data"]
    owners = os.path.join(house.state, "email", "owners")
    wait_for("it is known whose it is", lambda: os.listdir(owners) == [f"{event['customer']}.{event['data']['text_sha256']}"])
    records, before = os.path.join(house.state, "email", "contacts"), len(house.smtp.mails())
    house.request("k-ben", "email=ben@klant.example", subject="Re", text=WORDS)
    house.await_mails(before + 1)
    assert len(os.listdir(records)) == 6, os.listdir(records)
    house.touchbus("--yes", "customer", "erase", "email=ben@klant.example")
    wait_for("nothing of the person is left", lambda: os.listdir(bodies) == [] and os.listdir(owners) == [] and len(os.listdir(records)) == 5)

    def confirmed():
        connectors = house.ask("customer", "receipt", event["customer"])["connectors"]
        return {row["name"]: row["state"] for row in connectors}.get("email") == "confirmed"
    wait_for("the erasure is confirmed", confirmed)


def main():
    with PostOffice() as house:
        house.open()
        house.start_connector()
        known_from_the_web(house)
        received = a_mail_is_the_same_customers(house)
        answer = the_answer_goes_out_in_the_thread(house, received)
        what_she_writes_back_is_of_the_same_thread(house, answer, received)
        kills_repeat_nothing(house)
        other_uids_repeat_nothing(house)
        attachments_are_kept_once_and_go_with_the_person(house)
        assert "correct-horse" not in house.log() and "klant.example" not in house.log(), house.log()
        assert house.connector.stop() == 0


main()
