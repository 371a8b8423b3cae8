#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The unsubscribe link of a marketing mail, by HTTP: the e-mail connector writes it, the web connector answers it. One click withdraws
(RFC 8058), to look does not; done is said when it is durable, and only for links that are ours, whole."""
import datetime
import os
import re
import subprocess
import sys

import webhouse
from webhouse import harness

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "email"))
from post_office import PostOffice  # noqa: E402  (the e-mail flows' house is a folder beside)

URL = "https://shop.example/unsubscribe/"
ANA, KIND = "ana@klant.example", {"Content-Type": "application/x-www-form-urlencoded"}
PURPOSES = ("marketing", "newsletter", "offers")
CLICK = "List-Unsubscribe=One-Click"
PATIENT = ("--spool-after", "20s")  # on a busy machine the broker may be slow


class House(PostOffice, webhouse.WebHouse):
    key = None

    def allow(self, purpose, user="u-1"):
        self.touchbus("pub", "consent.changed", "-i", f"user_id={user}", "--channel", "web", "-d",
                      f'{{"purpose":"{purpose}","address":"{ANA}","state":"granted","text_version":"1"}}')

    def may(self, contact_id, purpose="marketing"):
        return self.request(contact_id, "user_id=u-1", purpose=purpose, address=ANA, subject="Angebot", text="Nur heute")["verdict"]["verdict"]

    def link(self, contact_id, purpose="marketing"):
        """The path of the link in a mail that is sent now."""
        before = len(self.smtp.mails())
        assert self.may(contact_id, purpose) == "approved"
        message = self.await_mails(before + 1)[-1][2]
        assert message["List-Unsubscribe-Post"] == CLICK, message.as_string()
        by_http, by_mail = message["List-Unsubscribe"].replace("\n", "").split(",")
        assert by_http.strip().startswith(f"<{URL}") and by_mail.strip().startswith("<mailto:unsubscribe@example.com?"), message["List-Unsubscribe"]
        return by_http.strip(" <>").removeprefix("https://shop.example")

    def words(self):
        """What was said of consent."""
        return [(event["data"]["purpose"], event["data"]["state"]) for event in self.events("consent.changed")]

    def click(self, path):
        status, headers, text = self.http("POST", path, CLICK, KIND)
        assert headers["Content-Type"] == "text/html; charset=utf-8", headers
        return status, text


def test_to_look_changes_nothing(house):
    house.allow("marketing")
    house.path = house.link("m-1")
    for method in ("GET", "HEAD", "GET"):
        status, headers, text = house.http(method, house.path)
        assert status == 200 and headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer", (status, headers)
        assert headers["Content-Type"] == "text/html; charset=utf-8" and "default-src 'none'" in headers["Content-Security-Policy"], headers
        assert (int(headers["Content-Length"]) > 100) and (text == "") == (method == "HEAD"), text
    assert re.search(r'<form method="post">\s*<input type="hidden" name="List-Unsubscribe" value="One-Click">', text), text
    assert house.words() == [("marketing", "granted")] and house.may("m-2") == "approved", house.words()
    for method in ("PUT", "DELETE", "OPTIONS"):
        assert house.http(method, house.path)[0] == 405, method


def test_only_a_link_of_ours_that_is_whole(house):
    token = house.path.rsplit("/", 1)[1]
    other = "A" if token[40] != "A" else "B"
    for bad in (token[:-1], token[1:], token[:20], token[:40] + other + token[41:], token + "A", token + "/", token.swapcase(), "x", "", "A" * 9000,
                "%00", f"../{token}"):
        for method, body in (("POST", CLICK), ("GET", None)):
            status, headers, text = house.http(method, f"/unsubscribe/{bad}", body, KIND)
            assert status == 404 and "does not work" in text and "text/html" in headers["Content-Type"], (bad, status, text)
    assert house.http("POST", "/unsubscribe", CLICK, KIND)[0] == 404
    for body, kind in ((b"", KIND), (b"List-Unsubscribe=No", KIND), (CLICK, {"Content-Type": "text/plain"}), (CLICK, {}), (b"\0" * 100000, KIND)):
        status, _, text = house.http("POST", house.path, body, kind)
        assert status == 400 and "Nothing was changed" in text, (body, status, text)
    assert house.words() == [("marketing", "granted")], house.words()


def test_one_click_withdraws(house):
    house.allow("marketing")  # a moment ago: whole seconds would not do
    status, text = house.click(house.path)
    assert status == 200 and "Done" in text and "marketing" in text and ANA not in text, (status, text)
    event = house.events("consent.changed")[-1]
    assert event["data"] == {"purpose": "marketing", "address": ANA, "state": "withdrawn", "text_version": "list-unsubscribe", "channel": "email",
                             "proof": "token"}, event
    assert event["customer"] == house.ask("customer", "show", "user_id=u-1")["customer"] and ANA not in event["id"], event
    assert house.may("m-3") == "suppressed"


def test_a_repeat_is_the_same_event(house):
    def again():
        """Unless two fall into two spans of the ten seconds in which a repeat is one."""
        before = len(house.words())
        assert house.click(house.path)[0] == 200 and house.click(house.path)[0] == 200
        return len(house.words()) - before <= 1
    harness.wait_for("a repeat adds nothing", again)
    assert set(house.words()[2:]) == {("marketing", "withdrawn")} and house.may("m-4") == "suppressed"


def test_the_other_form(house):
    """multipart/form-data, chunked: RFC 8058 leaves both to the sender; and it is another purpose's."""
    house.allow("newsletter")
    body = f'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    status, _, text = house.http("POST", house.link("n-1", "newsletter"), iter([body.encode()[:30], body.encode()[30:]]),
                                 {"Content-Type": "multipart/form-data; boundary=x"})
    assert status == 200 and "newsletter" in text, (status, text)
    assert house.words()[-1] == ("newsletter", "withdrawn") and house.may("n-2", "newsletter") == "suppressed"


def test_the_spool_takes_it_while_the_broker_is_away(house):
    house.allow("offers")
    path = house.link("o-1", "offers")
    before = len(house.words())
    house.web.stop()
    house.start_web(*house.web_options, "--spool-after", "1s")
    house.broker.kill()
    status, text = house.click(path)
    assert status == 202 and "Done" in text, (status, text)
    clicked = datetime.datetime.now(datetime.timezone.utc)
    house.web.kill()
    house.open()
    house.start_web(*house.web_options)
    harness.wait_for("it is known", lambda: len(house.words()) == before + 1)
    event = house.events("consent.changed")[-1]
    assert datetime.datetime.fromisoformat(event["time"]) <= clicked, "it was withdrawn when it was clicked"
    assert house.may("o-2", "offers") == "suppressed"


def test_a_key_is_asked_for(house):
    """Without a key there are no such links; with one that is none, or not private, it does not start. Nor does it with links that are none."""
    def check(*options, name="web"):
        done = subprocess.run([harness.program(f"touchbus-{name}"), "--state", house.state, *options, "--check"], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stderr
    assert check("--unsubscribe-key", house.key)[0] == 0
    for content, mode, word in ((None, 0, "No such file"), (b"x" * 31, 0o600, "no key"), (b"x" * 33, 0o600, "no key"), (b"x" * 32, 0o644, "0644")):
        file = os.path.join(house.folder, "other.key")
        if content:
            with open(file, "wb") as out:
                out.write(content)
            os.chmod(file, mode)
        status, said = check("--unsubscribe-key", file)
        assert status != 0 and "unsubscribe-key" in said and word in said, (status, said)
    mails = ("--smtp", "smtps://localhost", "--sender", "desk@example.com", "--unsubscribe-url")
    assert check(*mails, URL, name="email")[0] == 0 and check(*mails, f"{URL}?token=", name="email")[0] == 0
    for url, word in ((URL.rstrip("/"), "the token is appended"), (URL.replace("https", "http"), "https")):
        status, said = check(*mails, url, name="email")
        assert status != 0 and word in said, (status, said)
    house.web.stop()
    house.start_web()
    assert house.click(house.path)[0] == 404 and house.http("GET", house.path)[0] == 404


def test_it_is_not_done_where_the_role_may_not(house, path, key):
    web = (*PATIENT, "--unsubscribe-key", key, "--key", house.admit("web", "web"), "--broker-key", os.path.join(house.keys, "broker.key"))
    house.start_broker("--role", "web publish=page.*")
    house.start_web(*web)
    harness.wait_for("it is connected", lambda: house.health()["state"] == "up")
    status, headers, text = house.http("POST", path, CLICK, KIND)
    assert status == 503 and "Done" not in text and "again" in text and int(headers["Retry-After"]) > 0, (status, text)
    assert "unsubscribe=refused reason=forbidden" in house.web.tail()


class KeyedHouse(webhouse.WebHouse, harness.KeyedHouse):
    pass


def main():
    with House(tls="tls") as house:
        house.open()
        house.start_connector("--unsubscribe-url", URL, *(part for name in PURPOSES for part in ("--marketing", name)))
        made = os.path.join(house.state, "email", "token.key")
        harness.wait_for("the e-mail connector made its key", lambda: os.path.exists(made))
        house.key = os.path.join(house.folder, "unsubscribe.key")
        with open(made, "rb") as file, open(house.key, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as copy:
            copy.write(file.read())
        house.web_options = (*PATIENT, "--write-key", "not-asked-for", "--unsubscribe-key", house.key)
        house.start_web(*house.web_options)
        house.touchbus("pub", "customer.identified", "-i", "user_id=u-1", "-i", f"email={ANA}", "-d", '{"traits":{"name":"Ana"}}')
        for test in (test_to_look_changes_nothing, test_only_a_link_of_ours_that_is_whole, test_one_click_withdraws, test_a_repeat_is_the_same_event,
                     test_the_other_form, test_the_spool_takes_it_while_the_broker_is_away, test_a_key_is_asked_for):
            test(house)
            print(test.__name__, "ok", flush=True)
        with open(house.web.log, encoding="utf-8") as file:
            log = file.read()
        assert "klant.example" not in log and house.path.rsplit("/", 1)[1] not in log, log
        ended = house.web.stop(), house.connector.stop()
        assert ended == (0, 0), (ended, house.web.tail())
        with KeyedHouse() as keyed:
            test_it_is_not_done_where_the_role_may_not(keyed, house.path, house.key)
    print("ok", flush=True)


main()
