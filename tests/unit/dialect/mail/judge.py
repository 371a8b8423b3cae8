#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds what the mail dialect makes of a corpus against what was written down for each message, and against Python's parser.

Usage: judge.py MAIL_DUMP

corpus/NAME.eml is a message as mail programs really write them, broken ones too; NAME.json says what has to come out: members
of what mail_dump prints, `type` and `data` (a part of it) of its first event, and `python`: what Python sees otherwise, with
good reason (an unlabelled charset, a joined flowed text). Besides, messages are made with Python's library, every charset
with every encoding, and read back.
"""
import email
import email.message
import email.policy
import email.utils
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile

CORPUS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
MESSAGES_MIN = 40
TEXTS = {
    "us-ascii": "Where is my order 17?\nAna\n",
    "utf-8": "Grüße, 注文, заказ, 😀\n",
    "iso-8859-1": "Grüße aus Köln\n",
    "iso-8859-2": "Żółć, dzięki\n",
    "iso-8859-15": "nur 3 € für Käse\n",
    "windows-1252": "„nur“ 3 € – für Käse\n",
    "windows-1251": "Где мой заказ?\n",
    "koi8-r": "Где мой заказ?\n",
    "iso-2022-jp": "注文はいつ届きますか。\nよろしく\n",
    "shift_jis": "注文はいつ届きますか。\n",
    "euc-jp": "注文はいつ届きますか。\n",
    "gb2312": "订单在哪里\n",
    "gb18030": "订单在哪里\n",
    "big5": "訂單在哪裡\n",
    "euc-kr": "주문은 어디에 있나요\n",
}
FAILED = []


def claim(ok, name, what, got, wanted):
    if not ok:
        FAILED.append(f"{name}: {what}\n    is      {got!r}\n    should  {wanted!r}")


def dump(program, paths):
    lines = subprocess.run([program, *paths], capture_output=True, timeout=60, check=True).stdout.splitlines()
    assert len(lines) == len(paths), f"{len(lines)} answers to {len(paths)} messages"
    return [json.loads(line) for line in lines]


def against_written(name, wanted, got):
    event = got.get("events", [{}])[0]
    for member, value in wanted.items():
        if member == "type":
            claim(event["type"] == value, name, "type of the event", event["type"], value)
        elif member == "data":
            for field, text in value.items():
                claim(event["data"].get(field) == text, name, f"data.{field}", event["data"].get(field), text)
        elif member != "python":
            claim(got.get(member) == value, name, member, got.get(member), value)


def plain(text):
    """As both see it: Python keeps some line breaks that are not the text's."""
    return "\n".join(line for line in text.replace("\r\n", "\n").rstrip("\n").split("\n"))


def content(part):
    """What is in an attachment; of a message in a message Python writes its own, so its bytes are not compared."""
    return part.get_payload(decode=True) if part.get_content_maintype() != "message" else None


def against_python(name, path, but, got):
    with open(path, "rb") as file:
        message = email.message_from_binary_file(file, policy=email.policy.default)
    if "subject" not in but:
        wanted = " ".join(str(message["Subject"] or "").split())
        claim(" ".join(got["subject"].split()) == wanted, name, "subject as Python has it", got["subject"], wanted)
    if "from" not in but:
        wanted = [(a.display_name, a.addr_spec) for a in message["From"].addresses][:1] if message["From"] else []
        claim([tuple(got["from"])] == wanted, name, "from as Python has it", got["from"], wanted)
    if "id" not in but and message["Message-ID"]:
        wanted = str(message["Message-ID"]).strip()[1:-1]
        claim(got["message_id"] == wanted, name, "Message-ID as Python has it", got["message_id"], wanted)
    if message["Date"] and getattr(message["Date"], "datetime", None):
        wanted = int(message["Date"].datetime.timestamp())
        claim(got["date"] == wanted, name, "date as Python has it", got["date"], wanted)
    body = message.get_body(preferencelist=("plain",))
    if "text" not in but and body is not None and got["kind"] == "message" and not body.get_filename():
        wanted = plain(body.get_content())
        claim(plain(got["text"]) == wanted, name, "text as Python has it", got["text"], wanted)
    named = [part for part in message.walk() if part.get_filename() and not part.is_multipart()]
    if "names" not in but and named:
        wanted = [(part.get_filename(), hashlib.sha256(content(part)).hexdigest()) for part in named]
        found = [(one["name"], one["sha256"]) for one in got["attachments"] if one["name"]]
        claim(found == wanted, name, "attachments as Python has them", found, wanted)


def corpus(program):
    names = sorted(name[:-4] for name in os.listdir(CORPUS) if name.endswith(".eml"))
    assert len(names) >= MESSAGES_MIN, f"only {len(names)} messages"
    paths = [os.path.join(CORPUS, name + ".eml") for name in names]
    for name, path, got in zip(names, paths, dump(program, paths)):
        with open(path[:-4] + ".json", encoding="utf-8") as file:
            wanted = json.load(file)
        if "error" in got:
            FAILED.append(f"{name}: refused: {got['why']}")
            continue
        against_written(name, wanted, got)
        against_python(name, path, wanted.get("python", []), got)
    return len(names)


def made(number, draw):
    """A message out of Python's library, and what is in it."""
    charset = list(TEXTS)[number % len(TEXTS)]
    text = TEXTS[charset] * draw.choice([1, 1, 30])
    message = email.message.EmailMessage()
    name, subject = text.split("\n")[0].replace("\n", ""), " ".join(draw.choices(text.split(), k=draw.randint(1, 12)))
    message["From"] = email.utils.formataddr((name, "ana@klant.example"))
    message["To"] = "shop@touchbus.example"
    message["Subject"] = subject
    message["Message-ID"] = f"<{number}@klant.example>"
    message["Date"] = email.utils.format_datetime(email.utils.parsedate_to_datetime("Mon, 02 Mar 2026 09:00:00 +0100"))
    codings = ["base64", "quoted-printable", "8bit"] if charset != "us-ascii" else ["7bit", "base64", "quoted-printable"]
    if charset == "iso-2022-jp":
        codings = ["7bit", "base64", "quoted-printable"]
    message.set_content(text, charset=charset, cte=draw.choice(codings))
    if draw.random() < 0.5:
        message.add_alternative(f"<p>{text}</p>", subtype="html", charset="utf-8")
    wanted = []
    for i in range(draw.choice([0, 0, 1, 3])):
        data = draw.randbytes(draw.randint(1, 3000))
        file = f"{name[:20]} {i}.bin"
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=file)
        wanted.append({"name": file, "type": "application/octet-stream", "size": len(data),
                       "sha256": hashlib.sha256(data).hexdigest()})
    return message, {"subject": subject, "from": [name, "ana@klant.example"], "text": text, "attachments": wanted,
                     "message_id": f"{number}@klant.example", "date": 1772438400, "kind": "message", "automatic": None}


def generated(program, count):
    draw = random.Random(17)
    with tempfile.TemporaryDirectory() as folder:
        paths, all_wanted = [], []
        for number in range(count):
            message, wanted = made(number, draw)
            paths.append(os.path.join(folder, f"{number}.eml"))
            written = message.as_bytes(policy=draw.choice([email.policy.SMTP, email.policy.default]))
            with open(paths[-1], "wb") as file:
                file.write(written)
            # Python's writer loses blanks between encoded words; its reader tells which.
            wanted["subject"] = str(email.message_from_bytes(written, policy=email.policy.default)["Subject"])
            all_wanted.append(wanted)
        for number, (wanted, got) in enumerate(zip(all_wanted, dump(program, paths))):
            against_written(f"made {number}", wanted, got)


def main():
    count = 3000 if os.environ.get("TOUCHBUS_SLOW") else 150
    n = corpus(sys.argv[1])
    generated(sys.argv[1], count)
    for line in FAILED:
        print(line)
    print(f"judge: {n} messages and {count} made ones, {len(FAILED)} claims do not hold")
    sys.exit(bool(FAILED))


main()
