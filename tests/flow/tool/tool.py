#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every command of the command line tool against a real broker: output, exit codes, pipes, quoting.

The functions run in the order of the file and build on each other's events; the first failure is the cause.
"""
import json
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire")]
sys.dont_write_bytecode = True
import forms
from harness import House, program, wait_for
from wire import Subscriber, query

FORMS = forms.documented()
CHECKED = set()
TRIES = 3  # what a slow machine made the client send again counts as its own
LINES = [{"sku": "s-1", "quantity": 2, "price": "9.90", "name": "Thé vert"}]


def check_form(heading, value):
    CHECKED.add(heading)
    assert heading in FORMS, f"tools/README.md has no section {heading}"
    found = forms.differences(value, FORMS[heading])
    assert not found, f"{heading}: " + "; ".join(found)


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


def exits(house, status, *arguments, **options):
    done = house.touchbus(*arguments, check=False, **options)
    assert done.returncode == status, f"touchbus {arguments}: exit {done.returncode}, not {status}\n{done.stdout}{done.stderr}"
    return done


def order(house, key, order_id, **options):
    return house.ask("pub", "order.placed", "--identity", key, "--channel", "web", "--data",
                     json.dumps({"order_id": order_id, "currency": "EUR", "lines": LINES}), **options)


# ---- without a broker

def test_usage_is_2(house):
    for arguments in ([], ["nothing"], ["log"], ["customer", "show"], ["log", "info", "more"], ["status", "--nothing"],
                      ["status", "-o", "xml"], ["customer", "show", "neither"], ["pub"], ["pub", "a.b", "--from", "x"],
                      ["sub", "--from", "yesterday"], ["sub", "--since", "1x"], ["sub", "--since", "1h", "--from", "1"],
                      ["pub", "a.b", "--identity", "nokind"], ["pub", "a.b", "--data", "[1]"], ["replay", "--rate", "x"],
                      ["pub", "--from", "/nonexistent/file"], ["restore"], ["log", "trim"], ["subscription", "reset", "x"]):
        exits(house, 2, *arguments)


def test_help_of_every_command_names_its_options(house):
    text = house.touchbus("--help").stdout
    commands = [line[7:28].strip() for line in text.split("COMMANDS\n")[1].split("\n\n")[0].splitlines()]
    assert len(commands) > 30, commands
    for command in commands:
        page = house.touchbus(*command.split(), "--help").stdout
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"):
            assert f"{section}\n" in page or (command, section) == ("bench", "EXAMPLES"), f"{command} --help has no {section}"


def test_broker_away_is_3(house):
    for arguments in (["status"], ["log", "info"], ["customer", "show", "c1"], ["pub", "a.b"], ["sub"], ["replay"],
                      ["view", "verify"], ["log", "verify"], ["backup", "/tmp/nowhere"], ["top", "-n", "1"],
                      ["pub", "--from", "/dev/null"], ["log", "export"], ["quarantine", "ls"]):
        began = time.monotonic()
        done = exits(house, 3, "-j", "--timeout", "300ms", *arguments)
        assert time.monotonic() - began < 20
        assert json.loads(done.stderr.splitlines()[-1])["error"] == "unavailable", done.stderr
    done = exits(house, 3, "status", "--timeout", "300ms", environment={"TOUCHBUS_BROKER": "127.0.0.1:1"})
    assert done.stdout == ""


# ---- publishing

def test_pub_prints_the_ack(house):
    ack = order(house, "email=Ana@Klant.example", "o-1")
    check_form("pub", ack)
    assert (ack["sequence"], ack["duplicate"], ack["customer"]) == (1, False, "c1"), ack
    first = house.ask("pub", "my.own", "--id", "same", "--attr", "a=1", "--attr", "n:=[1,2]")
    again = house.ask("pub", "my.own", "--id", "same", "--attr", "a=1", "--attr", "n:=[1,2]")
    assert again["duplicate"] is True and again["sequence"] == first["sequence"], (first, again)
    assert first["customer"] is None
    assert "time" in house.ask("log", "get", str(first["sequence"])), "an event that says no time happens now"
    done = exits(house, 1, "-j", "pub", "my.own", "--id", "same", "--attr", "a=2")
    assert json.loads(done.stderr)["error"] == "conflict"


def test_pub_keeps_what_the_shell_gives_it(house):
    odd = "it's \"quoted\" $HOME `x` \\ \t é 茶 'end'"
    sequence = house.ask("pub", "my.own", "--attr", f"text={odd}", "--attr", "subject=a b=c", "--identity",
                         "handle=x=y&z!", "--attr", "actor=Ana & Co")["sequence"]
    event = house.ask("log", "get", str(sequence))
    assert event["data"]["text"] == odd, event
    assert event["subject"] == "a b=c" and event["actor"] == "Ana & Co", event
    assert event["keys"] == "handle=x%3Dy%26z%21", event
    quoted = house.ask("pub", "my.own", "--attr", "time=2001-02-03T04:05:06.000007Z", "--identity", "email!=bo@klant.example")
    event = house.ask("log", "get", str(quoted["sequence"]))
    assert event["time"] == "2001-02-03T04:05:06.000007Z" and event["keys"] == "email!=bo%40klant.example", event


def test_pub_from_names_bad_lines(house):
    text = "".join(json.dumps({"specversion": "1.0", "id": f"f{i}", "source": "/file", "type": "org.touchbus.page.viewed.v1",
                               "keys": f"user_id=u-{i % 7}", "channel": "web", "data": {"url": f"/{i}"}}) + "\n" for i in range(3000))
    bad = 'no json\n{"specversion":"1.0","id":"q1","source":"/file","type":"org.touchbus.page.viewed.v1","data":{}}\n\n'
    done = exits(house, 1, "-j", "pub", "--from", "-", text=bad + text)
    summary = json.loads(done.stdout)
    check_form("pub --from", summary)
    assert (summary["accepted"], summary["malformed"], summary["quarantined"]) == (3000, 1, 1), summary
    assert "line 1:" in done.stderr and "line 2: quarantined" in done.stderr, done.stderr
    end = house.ask("log", "info")["next"]
    for _ in range(TRIES):
        summary = json.loads(exits(house, 0, "-j", "pub", "--from", "-", text=text).stdout)
        assert summary["accepted"] + summary["duplicates"] == 3000 and house.ask("log", "info")["next"] == end, summary
        if summary["duplicates"] == 3000:
            return
    raise AssertionError(f"duplicates are told as accepted: {summary}")


# ---- asking

def test_log_info_counts(house):
    info = house.ask("log", "info")
    check_form("log info", info)
    assert info["first"] == 1 and info["events"] == info["next"] - info["first"] == info["as_of"], info
    assert info["bytes"] > 0


def test_log_get_and_verify(house):
    events = json_lines(house.touchbus("-j", "log", "get", "1", "-n", "1000").stdout)
    assert [int(e["sequence"]) for e in events] == list(range(1, 1001))
    assert events[0]["type"] == "org.touchbus.order.placed.v1" and events[0]["data"]["lines"] == LINES, events[0]
    exits(house, 1, "log", "get", "1000000")
    exits(house, 1, "log", "get", "0")
    verified = house.ask("log", "verify")
    check_form("log verify", verified)
    assert verified["sound"] is True and verified["events"] == house.ask("log", "info")["events"]


def test_customer_show_reads_its_own_write(house):
    house.touchbus("pub", "customer.identified", "--identity", "email=ana@klant.example", "--channel", "shop",
                   "--attr", 'traits:={"name":"Ana","age":42,"tags":["a","b"],"nested":{"x":1}}')
    ack = house.ask("pub", "quote.issued", "--identity", "email=ana@klant.example", "--channel", "web", "--data",
                    json.dumps({"quote_id": "q-1", "revision": 1, "lines": LINES, "valid_until": "2030-01-01T00:00:00Z", "currency": "EUR"}))
    shown = house.ask("customer", "show", "email=ANA@klant.example", "--min-seq", str(ack["sequence"]))
    check_form("customer show", shown)
    assert shown["as_of"] >= ack["sequence"] and shown["customer"] == "c1", shown
    assert shown["attributes"]["name"]["value"] == "Ana" and shown["attributes"]["name"]["sequence"] == ack["sequence"] - 1
    assert [o["order_id"] for o in shown["orders"]] == ["o-1"] and [q["state"] for q in shown["quotes"]] == ["open"]
    assert shown["keys"][0]["value"] == "ana@klant.example"
    assert house.ask("customer", "show", "c1")["keys"] == shown["keys"]
    exits(house, 1, "customer", "show", "email=nobody@klant.example")
    exits(house, 1, "customer", "show", "c99999")
    exits(house, 1, "customer", "show", "c1", "--min-seq", "99999999")


def test_customer_timeline_pages(house):
    rows = json_lines(house.touchbus("-j", "customer", "timeline", "user_id=u-3", "-n", "1000").stdout)
    check_form("customer timeline", rows[0])
    assert len(rows) == 429 and [r["sequence"] for r in rows] == sorted((r["sequence"] for r in rows), reverse=True)
    second = json_lines(house.touchbus("-j", "customer", "timeline", "user_id=u-3", "-n", "10", "--before",
                                       str(rows[9]["sequence"])).stdout)
    assert second == rows[10:20]


def test_customer_export_is_everything(house):
    lines = json_lines(house.touchbus("-j", "customer", "export", "user_id=u-3").stdout)
    check_form("customer export", lines[-1])
    events = [line for line in lines[1:-1] if "specversion" in line]
    assert lines[0]["customer"] == lines[-1]["customer"] and lines[-1]["events"] == len(events) == 429, lines[-1]
    assert {e["customer"] for e in events} == {lines[0]["customer"]}
    document = json.loads(house.touchbus("customer", "export", "user_id=u-3").stdout)
    assert document["events"] == events and document["counts"] == lines[-1] and "what" in document["about"], document["counts"]


def test_quarantine(house):
    rows = json_lines(house.touchbus("-j", "quarantine", "ls").stdout)
    assert len(rows) == 1
    check_form("quarantine ls", rows[0])
    name = rows[0]["id"]
    shown = house.ask("quarantine", "show", name)
    check_form("quarantine show", shown)
    assert shown["event"]["id"] == "q1", shown
    exits(house, 1, "quarantine", "fix", name)
    exits(house, 2, "quarantine", "fix", name, "--data", "[]")
    fixed = house.ask("quarantine", "fix", name, "--data", '{"url":"/repaired"}')
    check_form("quarantine fix", fixed)
    assert house.ask("log", "get", str(fixed["sequence"]))["data"] == {"url": "/repaired"}
    exits(house, 1, "quarantine", "show", name)
    exits(house, 1, "pub", "page.viewed", "--id", "q2")
    name = json_lines(house.touchbus("-j", "quarantine", "ls").stdout)[0]["id"]
    exits(house, 2, "quarantine", "drop", name)  # nobody to ask, no --yes
    check_form("quarantine drop", house.ask("--yes", "quarantine", "drop", name))
    assert house.touchbus("-j", "quarantine", "ls").stdout == ""
    exits(house, 2, "quarantine", "show")
    exits(house, 1, "quarantine", "show", "nonsense")


def test_status_top_connector(house):
    check_form("status", house.ask("status"))
    check_form("top", house.ask("top", "-n", "1"))
    lines = json_lines(house.touchbus("-j", "top", "-n", "3", "--interval", "100ms").stdout)
    assert len(lines) == 3
    assert house.touchbus("-j", "connector", "ls").stdout == ""
    exits(house, 1, "connector", "show", "crm")
    exits(house, 1, "connector", "reload", "crm")
    query(house.port, "connector.report", name="crm", kind="sink", state="up", instance="i-1")
    check_form("connector ls", house.ask("connector", "ls"))
    check_form("connector show", house.ask("connector", "show", "crm"))
    check_form("connector reload", house.ask("connector", "reload", "crm"))
    assert house.ask("connector", "show", "crm")["reload_pending"] is True


def test_config(house):
    check_form("config show", house.ask("config", "show"))
    check_form("config reload", house.ask("config", "reload", "--actor", "ana"))


def test_scorecard(house):
    house.touchbus("pub", "visit.recorded", "--channel", "shop", "--data", '{"kind":"advice","place":"p","actor":"a"}')
    house.touchbus("pub", "message.received", "--channel", "fax", "--attr", "from=x", "--attr", "ref=r-score")
    house.touchbus("pub", "message.sent", "--channel", "fax", "--attr", "to=x", "--attr", "in_reply_to=r-score")
    *rows, rest = json_lines(house.touchbus("-j", "scorecard", "--by", "hour", "--by", "channel", "--by", "tier", "--since", "1d").stdout)
    row = next(row for row in rows if row["channel"] == "shop" and row["tier"] == "")
    assert (row["contacts"], row["handled"], row["cost"], row["cost_per_contact"], row["roi"]) == (1, 1, "6.00", "6.00", "-1.00"), row
    for row in rows:
        check_form("scorecard --by", row)
    check_form("scorecard", rest)
    assert rest["given"] == len(rows) and rest["currency"] == "EUR"
    *rows, _ = json_lines(house.touchbus("-j", "scorecard", "--channel", "fax").stdout)
    assert [(row["channel"], row["contacts"], row["response"]["number"]) for row in rows] == [("fax", 2, 1)], rows
    exits(house, 1, "scorecard", "--by", "colour")


def test_tables_are_for_people(house):
    for arguments in (["status"], ["log", "info"], ["customer", "show", "c1"], ["customer", "timeline", "c1"],
                      ["quarantine", "ls"], ["connector", "ls"], ["scorecard"], ["connector", "show", "crm"], ["subscription", "ls"], ["log", "get", "1"], ["parked", "ls"]):
        text = house.touchbus(*arguments).stdout
        assert text and not text.startswith("{"), (arguments, text)
    house.touchbus("pub", "my.own", "--identity", "email=esc@klant.example", "--attr", "actor=x")
    house.touchbus("pub", "customer.identified", "--identity", "email=esc@klant.example", "--channel", "web",
                   "--attr", 'traits:={"name":"\\u001b[31mred\\u009b\\u0007"}')
    text = house.touchbus("customer", "show", "email=esc@klant.example").stdout
    assert "\x1b" not in text and "\x9b" not in text and "\x07" not in text and "red" in text, text


# ---- streams

def test_sub_since_to_head(house):
    """What `touchbus sub --type 'order.*' --since 1h -o json | head` does in a shell."""
    command = f"'{program('touchbus')}' --broker {house.address} sub --type 'page.*' --since 1h -o json | head"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    events = json_lines(done.stdout)
    assert done.returncode == 0 and len(events) == 10 and done.stderr == "", done
    assert {e["type"] for e in events} == {"org.touchbus.page.viewed.v1"}
    command = f"'{program('touchbus')}' --broker {house.address} sub --type 'order.*' --since 1h -o json | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert len(json_lines(done.stdout)) == 1 and done.stderr == "", done  # ends although nothing more comes


def test_sub_follows_live_and_counts(house):
    with subprocess.Popen([program("touchbus"), "--broker", house.address, "sub", "--type", "live.*", "-o", "raw", "--count", "3"],
                          stdout=subprocess.PIPE, text=True) as tail:
        wait_for("the tail", lambda: order(house, "user_id=u-0", "o-x") and house.ask("pub", "live.a", "--attr", "n:=0")
                 and tail.poll() is None and select_readable(tail.stdout), pause=0.1)
        for i in range(1, 4):
            house.touchbus("pub", "live.b", "--attr", f"n:={i}")
        lines = tail.stdout.read().splitlines()
        assert tail.wait(30) == 0
    assert len(lines) == 3 and all(set(json.loads(line)) == {"n"} for line in lines), lines


def select_readable(stream):
    import select
    return bool(select.select([stream], [], [], 0.3)[0])


def test_sub_ends_on_a_signal_and_filters(house):
    customer = house.ask("customer", "show", "user_id=u-3")["customer"]
    done = house.touchbus("-j", "sub", "--from", "beginning", "--customer", "user_id=u-3", "--channel", "web", "--until", "2000", "--stats")
    events = json_lines(done.stdout)
    assert events and {e["customer"] for e in events} == {customer} and int(events[-1]["sequence"]) <= 2000
    check_form("sub --stats, replay -j", json.loads(done.stderr.splitlines()[-1]))
    process = house.start("touchbus", "--broker", house.address, "sub", "live.tail", "--from", "end")
    wait_for("the member", lambda: house.touchbus("subscription", "show", "live.tail", check=False).returncode == 0)
    process.popen.send_signal(signal.SIGINT)
    assert process.wait() == 0


def test_replay_reads_one_customers_blocks(house):
    head = house.ask("log", "info")["next"] - 1
    done = house.touchbus("-j", "replay", "--customer", "email=ana@klant.example")
    events, stats = json_lines(done.stdout), json.loads(done.stderr.splitlines()[-1])
    assert {e["customer"] for e in events} == {"c1"} and len(events) == stats["events"] == house.ask("customer", "show", "c1")["events"]
    assert 0 < stats["blocks_read"] <= len(events) and stats["head"] >= head, stats
    all_of_it = json_lines(house.touchbus("-j", "replay").stdout)
    assert [int(e["sequence"]) for e in all_of_it] == list(range(1, len(all_of_it) + 1)) and len(all_of_it) >= head
    began = time.monotonic()
    assert len(json_lines(house.touchbus("replay", "-o", "json", "--until", "40", "--rate", "100/s").stdout)) == 40
    assert time.monotonic() - began > 0.3
    assert house.touchbus("-j", "replay", "--from", "end").stdout == ""
    assert house.touchbus("-j", "replay", "--from", str(10 ** 12)).stdout == ""
    table = house.touchbus("replay", "--until", "3")
    assert len(table.stdout.splitlines()) == 3 and "blocks read" in table.stderr


def test_named_sub_acks_what_it_printed(house):
    first = json_lines(house.touchbus("-j", "sub", "audit", "--from", "beginning", "--count", "100").stdout)
    assert [int(e["sequence"]) for e in first] == list(range(1, 101))
    shown = house.ask("subscription", "show", "audit")
    check_form("subscription show", shown)
    assert shown["name"] == "audit" and shown["cursor"] >= 1 and shown["lag"] >= 0
    second = json_lines(house.touchbus("-j", "sub", "audit", "--count", "50").stdout)
    assert [int(e["sequence"]) for e in second] == list(range(101, 151)), second[:2]
    wait_for("the cursor", lambda: house.ask("subscription", "show", "audit")["cursor"] == 150)


def test_subscription_commands(house):
    rows = json_lines(house.touchbus("-j", "subscription", "ls").stdout)
    check_form("subscription ls", next(r for r in rows if r["name"] == "audit"))
    house.touchbus("subscription", "pause", "audit")
    assert house.ask("subscription", "show", "audit")["state"] == "paused"
    house.touchbus("subscription", "resume", "audit")
    assert house.ask("subscription", "show", "audit")["state"] != "paused"
    exits(house, 2, "subscription", "reset", "audit", "--to", "11")
    exits(house, 0, "-y", "subscription", "reset", "audit", "--to", "11")
    again = json_lines(house.touchbus("-j", "sub", "audit", "--count", "2").stdout)
    assert [int(e["sequence"]) for e in again] == [11, 12], again
    exits(house, 1, "-y", "subscription", "reset", "audit", "--to", str(10 ** 9))
    exits(house, 1, "subscription", "show", "nobody")
    exits(house, 1, "-y", "subscription", "rm", "nobody")
    assert house.touchbus("-j", "parked", "ls", "audit").stdout == ""
    exits(house, 1, "parked", "show", "audit", "12345")
    exits(house, 1, "parked", "retry", "audit", "12345")
    exits(house, 1, "-y", "parked", "drop", "audit", "12345")
    check_form("subscription rm", house.ask("-y", "subscription", "rm", "audit"))
    exits(house, 1, "subscription", "show", "audit")


def test_parked_lanes(house):
    member = Subscriber(house.port, name="sink", types=["poison.*"], end=True)
    events = member.events()

    def publish(who):
        return house.ask("pub", "poison.a", "--identity", f"email={who}@klant.example")

    def taken(sequence, reject=False):
        event, _ = next(events)
        assert event.sequence == sequence, (event.sequence, sequence)
        member.settle(**({"failures": [(sequence, True, "no such article")]} if reject else {"delivered": [sequence]}))
    first = publish("bad")
    taken(first["sequence"], reject=True)
    rows = wait_for("the parked lane", lambda: json_lines(house.touchbus("-j", "parked", "ls", "sink").stdout))
    check_form("parked ls", rows[0])
    lane = rows[0]["lane"]
    assert (lane, rows[0]["first"], rows[0]["detail"]) == (first["customer"], first["sequence"], "no such article"), rows
    taken_later = [publish("bad") for _ in range(2)]
    taken(publish("good")["sequence"])
    shown = wait_for("what waits", lambda: (lambda row: row["waiting"] == 3 and row)(house.ask("parked", "show", "sink", lane)))
    check_form("parked ls", shown)
    assert house.ask("subscription", "show", "sink")["parked"] == 1
    retried = house.ask("parked", "retry", "sink", lane)
    check_form("parked retry", retried)
    assert retried["released"] == 1
    for ack in [first, *taken_later]:
        taken(ack["sequence"])
    wait_for("the lane to be free", lambda: house.touchbus("-j", "parked", "ls").stdout == "")
    again = publish("bad")
    taken(again["sequence"], reject=True)
    wait_for("the parked lane", lambda: house.touchbus("-j", "parked", "ls", "sink").stdout)
    exits(house, 2, "parked", "drop", "sink", lane)
    dropped = house.ask("-y", "parked", "drop", "sink", lane)
    check_form("parked drop", dropped)
    assert (dropped["first"], dropped["last"], dropped["dropped"]) == (again["sequence"], again["sequence"], 1), dropped
    after = publish("bad")
    taken(after["sequence"])
    member.leave()
    exits(house, 1, "parked", "retry", "sink", lane)


def test_acts_are_in_the_log(house):
    acts = [e["data"] for e in json_lines(house.touchbus("-j", "replay", "--type", "admin.acted").stdout)]
    for what in ("quarantine.fix", "quarantine.drop", "subscription.pause", "subscription.reset", "subscription.rm",
                 "parked.retry", "parked.drop"):
        assert any(a["what"] == what and a["actor"] == "operator" for a in acts), (what, acts)


def test_replay_into(house):
    process = house.start("touchbus", "--broker", house.address, "-j", "sub", "again", "--from", "end",
                          stdout=open(os.path.join(house.folder, "again.out"), "w", encoding="utf-8"))
    wait_for("the subscription", lambda: house.touchbus("subscription", "show", "again", check=False).returncode == 0)
    check_form("replay --into", house.ask("replay", "--into", "again", "--type", "my.own"))

    def replayed():
        with open(os.path.join(house.folder, "again.out"), encoding="utf-8") as file:
            return [e for e in json_lines(file.read()) if e["type"] == "my.own"]
    wanted = len(json_lines(house.touchbus("-j", "replay", "--type", "my.own").stdout))
    wait_for("the events once more", lambda: len(replayed()) >= wanted)
    process.stop(20)


# ---- the whole log, and the state folder

def test_export_import(house):
    exported = house.touchbus("log", "export").stdout
    events = json_lines(exported)
    assert len(events) == house.ask("log", "info")["events"]
    with House() as other:
        other.start_broker()
        path = os.path.join(other.folder, "export.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(exported)
        summary = json.loads(other.touchbus("-j", "log", "import", path).stdout)
        check_form("pub --from", summary)
        # What the other broker has said of its own, by the same ids, is there already.
        assert summary["accepted"] + summary["duplicates"] == len(events) and summary["duplicates"] < 100, summary
        mine, theirs = house.ask("customer", "show", "email=ana@klant.example"), other.ask("customer", "show", "email=ana@klant.example")
        assert {n: a["value"] for n, a in mine["attributes"].items()} == {n: a["value"] for n, a in theirs["attributes"].items()}
        assert other.ask("view", "verify")["equal"] is True
        assert other.broker.stop() == 0


def test_view(house):
    verified = house.ask("view", "verify")
    check_form("view verify", verified)
    assert verified["equal"] is True and verified["live_hash"] == verified["rebuilt_hash"] and len(verified["live_hash"]) == 64
    exits(house, 2, "view", "rebuild")
    check_form("view rebuild", house.ask("-y", "view", "rebuild"))


def test_check_config(house):
    good, bad = os.path.join(house.folder, "good.conf"), os.path.join(house.folder, "bad.conf")
    with open(good, "w", encoding="utf-8") as file:
        file.write(f"# fine\nstate = {house.state}\nport = 7400\n")
    with open(bad, "w", encoding="utf-8") as file:
        file.write("state = x\nprot = 7400\n")
    check_form("check-config", house.ask("check-config", good))
    done = exits(house, 1, "check-config", bad)
    assert "bad.conf:2" in done.stderr and "prot" in done.stderr, done.stderr
    exits(house, 2, "check-config", good, "--program", "no-such-program")


def test_keygen(house):
    keys = os.path.join(house.folder, "keys")
    os.mkdir(keys)
    made = house.ask("keygen", "crm", "--role", "sink", "--dir", keys)
    check_form("keygen", made)
    public, secret = (os.path.join(keys, f"crm.key{end}") for end in ("", "_secret"))
    assert (made["public"], made["secret"]) == (public, secret), made
    assert sorted(os.listdir(keys)) == ["crm.key", "crm.key_secret"], "nothing is left over"
    assert [os.stat(f).st_mode & 0o777 for f in (public, secret)] == [0o644, 0o600]
    with open(secret, encoding="ascii") as file:
        text = file.read()
    with open(public, encoding="ascii") as file:
        assert "secret-key" not in file.read()
    assert made["public_key"] in text and 'name = "crm"' in text and 'role = "sink"' in text, text
    done = exits(house, 1, "keygen", "crm", "--role", "admin", "--dir", keys)
    assert f"{public}: is there already" in done.stderr, done.stderr
    os.unlink(secret)
    exits(house, 1, "keygen", "crm", "--role", "admin", "--dir", keys)
    assert not os.path.exists(secret), "half a pair of another key"
    os.chmod(public, 0o600)
    with open(secret, "w", encoding="ascii") as file:
        os.chmod(secret, 0o644)
        file.write("old")
    again = house.ask("keygen", "crm", "--role", "sink", "--dir", keys, "--force")
    assert again["public_key"] != made["public_key"]
    assert [os.stat(f).st_mode & 0o777 for f in (public, secret)] == [0o644, 0o600], "not the old file's mode"
    exits(house, 2, "keygen", "crm")
    exits(house, 2, "keygen", "../crm", "--role", "sink", "--dir", keys)
    exits(house, 2, "keygen", "crm", "--role", "a b", "--dir", keys)
    exits(house, 1, "keygen", "x", "--role", "sink", "--dir", "/nonexistent/folder")


def test_backup_restore(house):
    before = house.ask("log", "info")
    backup, keys = os.path.join(house.folder, "backup"), os.path.join(house.folder, "backup-keys")
    done = house.touchbus("-j", "backup", backup)
    check_form("backup", json.loads(done.stdout))
    assert "keys are not in it" in done.stderr, done.stderr
    exits(house, 1, "backup", backup)
    exits(house, 1, "backup", "/nonexistent/folder/b")
    exits(house, 2, "backup", backup, "--verify", backup)
    check_form("backup", house.ask("backup", "--keys", keys))
    check_form("backup --verify", house.ask("backup", "--verify", backup, "--keys", keys, "--scratch", house.folder))
    exits(house, 1, "backup", "--verify", house.folder)
    exits(house, 1, "backup", "--state", house.state, backup + "-cold")
    after = order(house, "email=ana@klant.example", "o-after")
    state = os.path.join(house.folder, "restored")
    exits(house, 2, "restore", "--from", backup, "--state", state)
    exits(house, 1, "restore", "--from", house.folder, "--keys", keys, "--state", state)
    exits(house, 1, "restore", "--from", keys, "--keys", keys, "--state", state)
    exits(house, 1, "restore", "--from", backup, "--keys", backup, "--state", state)
    exits(house, 1, "restore", "--from", backup, "--keys", keys, "--state", house.state)
    exits(house, 1, "restore", "--from", backup, "--keys", keys, "--state", house.state, "--replace")
    check_form("restore", house.ask("restore", "--from", backup, "--keys", keys, "--state", state))
    exits(house, 1, "restore", "--from", backup, "--keys", keys, "--state", state)
    with House() as other:
        other.state = state
        other.start_broker()
        info = other.ask("log", "info")
        assert before["next"] <= info["next"] <= after["sequence"] and info["incarnation"] != before["incarnation"], (before, info)
        assert other.ask("customer", "show", "email=ana@klant.example")["attributes"]["name"]["value"] == "Ana"
        assert other.ask("view", "verify")["equal"] is True
        assert other.broker.stop() == 0


def test_trim(house):
    info = house.ask("log", "info")
    exits(house, 2, "log", "trim", "--before", "1000")
    exits(house, 1, "-y", "log", "trim", "--before", str(info["next"] + 1000))
    for row in json_lines(house.touchbus("-j", "subscription", "ls").stdout):
        house.touchbus("-y", "subscription", "rm", row["name"])
    trimmed = wait_for("the trim", lambda: (lambda d: json.loads(d.stdout) if d.returncode == 0 else None)(
        house.touchbus("-j", "-y", "log", "trim", "--before", "1000", check=False)))
    check_form("log trim", trimmed)
    assert 1 < trimmed["first"] <= 1000 and house.ask("log", "info")["first"] == trimmed["first"], trimmed
    exits(house, 1, "log", "get", "1")
    assert house.ask("log", "verify")["sound"] is True and house.ask("view", "verify")["equal"] is True


def test_contact(house):
    house.ask("pub", "customer.identified", "-i", "user_id=u-7", "-i", "email=u-7@klant.example", "-d", '{"traits":{}}')
    asked = ("contact", "user_id=u-7", "--content", "terms-2", "--purpose", "legal", "--channel", "email")
    verdict = house.ask(*asked, "--contact-id", "k-7")
    check_form("contact", verdict)
    assert verdict["verdict"] == "approved" and verdict["channel"] == "email", verdict
    again = json.loads(exits(house, 5, "-j", *asked).stdout)
    check_form("contact", again)
    assert again["verdict"] == "suppressed" and again["reasons"] == ["same-content"], again
    assert again["decided_by"] == [verdict["sequence"]], again
    assert house.ask(*asked, "--contact-id", "k-7")["sequence"] == verdict["sequence"]
    exits(house, 2, "contact", "user_id=u-7", "--content", "terms-2")
    exits(house, 2, "contact", "--content", "terms-2", "--purpose", "legal")
    exits(house, 2, "contact", "user_id=u-7", "--content", "a\nb", "--purpose", "legal")


def test_merging_and_splitting(house):
    for key in ("account=merge-1", "loyalty=merge-2"):
        house.ask("pub", "page.viewed", "--identity", key, "--data", '{"url": "/"}')
    heading = "customer merge, customer split"
    merged = house.ask("customer", "merge", "account=merge-1", "loyalty=merge-2", "--reason", "same passport")
    check_form(heading, merged)
    assert len(set(merged["customers"].values())) == 1, merged
    leaf = list(merged["customers"])[1]
    assert "is a part of" in house.touchbus("customer", "merge", *merged["customers"]).stdout  # again: nothing changes
    split = house.ask("customer", "split", "loyalty=merge-2")
    check_form(heading, split)
    assert split["customers"] == {leaf: leaf}, split
    assert json.loads(exits(house, 1, "-j", "customer", "split", leaf).stderr)["error"] == "split-refused"
    assert json.loads(exits(house, 1, "-j", "customer", "merge", *merged["customers"]).stderr)["error"] == "merge-refused"
    exits(house, 2, "customer", "merge", leaf)


def test_erasing_a_customer(house):
    exits(house, 2, "customer", "erase", "user_id=u-3", text="")
    exits(house, 1, "customer", "receipt", "user_id=u-3")
    for command in ("erase", "receipt"):
        check_form("customer erase, customer receipt", house.ask("customer", command, "user_id=u-3", *["--yes"][command != "erase":]))
    assert json.loads(exits(house, 1, "-j", "customer", "show", "user_id=u-3").stderr)["error"] == "erased"
    assert "key" in house.touchbus("customer", "receipt", "user_id=u-3").stdout


def test_rebuild_at_the_next_start(house):
    before = house.ask("view", "verify")["live_hash"]
    assert house.broker.stop() == 0
    house.start_broker()
    after = house.ask("view", "verify")
    assert after["equal"] is True and after["live_hash"] == before, (before, after)


ALONE = [test_usage_is_2, test_help_of_every_command_names_its_options, test_broker_away_is_3]


def main():
    tests = [value for name, value in globals().items() if name.startswith("test_")]
    chosen = [t for t in tests if t in ALONE or not sys.argv[1:] or any(a in t.__name__ for a in sys.argv[1:])]
    with House() as house:
        for test in chosen:
            if test not in ALONE and house.broker is None:
                house.start_broker()
            began = time.monotonic()
            test(house)
            print(f"{test.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        if house.broker:
            assert house.broker.stop() == 0
    elsewhere = {"bench", "screen", "customer why", "segment", "segment NAME", "segment NAME --contact"}  # their own tests look at them
    unseen = set(FORMS) - CHECKED - elsewhere
    assert sys.argv[1:] or not unseen, f"no test looks at these forms: {unseen}"


main()
