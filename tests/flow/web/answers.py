#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The web connector's HTTP: what it answers to good and bad requests, with a real broker behind it. Each row of the table of bad
input is a function."""
import gzip
import json
import os
import subprocess
import time

import webhouse
from webhouse import batch, harness, track

PATIENT = ("--spool-after", "20s")  # on a busy machine the broker may be slow: that is not what is tested here
HEAD = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n"


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else answer


def check(value, expected, what):
    assert value == expected, f"{what}: {value!r}, expected {expected!r}"


def single_calls(house):
    calls = {"track": {"event": "Order Completed", "properties": {"order_id": 17, "currency": "EUR", "products": [
        {"product_id": "s-1", "price": 19.9, "quantity": 2, "name": "Lamp"}]}},
        "identify": {"traits": {"email": "ana@klant.example", "phone": "+31201234567"}},
        "page": {"name": "Shop", "properties": {"url": "https://shop.example/"}},
        "screen": {"name": "Start"}, "alias": {"previousId": "a-1"}, "group": {"groupId": 7, "traits": {"name": "g"}}}
    for call, members in calls.items():
        status, answer = house.post(f"/v1/{call}", {"userId": "u-1", "messageId": f"single-{call}",
                                                    "timestamp": "2026-03-02T08:00:00Z", **members})
        check((status, answer["success"], answer["quarantined"]), (200, True, []), call)
        assert int(answer["sequence"]) > 0
    events = {e["id"]: e for e in house.events()}
    order = events["single-track"]
    check(order["type"], "org.touchbus.order.placed.v1", "type")
    check(order["time"], "2026-03-02T08:00:00Z", "time")
    check(order["channel"], "web", "channel")
    check(order["keys"], "user_id=u-1", "keys")
    check((order["data"]["order_id"], order["data"]["lines"][0]["sku"], order["data"]["lines"][0]["price"]), ("17", "s-1", "19.9"), "data")
    assert "email=ana%40klant.example" in events["single-identify"]["keys"], events["single-identify"]
    check(events["single-group"]["data"]["group_id"], "7", "a number as id")
    customers = {events[f"single-{call}"].get("customer") for call in calls}
    check(len(customers), 1, "customers of one user")


def repeats(house):
    first, again = house.post("/v1/batch", batch([1, 2])), house.post("/v1/batch", batch([1, 2]))
    check((first[0], again[0]), (200, 200), "repeat")
    check(again[1]["sequence"], first[1]["sequence"], "sequence of a repeat")
    ids = [e["id"] for e in house.events()]
    check((ids.count("m-1"), ids.count("m-2")), (1, 1), "once each")


def made_ids(house):
    call = {"type": "track", "event": "E", "userId": "u-9", "timestamp": "2026-03-02T08:00:00Z"}
    before = len(house.events())
    check(house.post("/v1/batch", {"batch": [call], "sentAt": "2026-03-02T08:00:01Z"})[0], 200, "made id")
    check(house.post("/v1/batch", {"batch": [call], "sentAt": "2026-03-02T08:00:01Z"})[0], 200, "made id again")
    check(len(house.events()) - before, 1, "a repeat with a made id")
    bare = {"type": "track", "event": "E", "userId": "u-9"}
    house.post("/v1/batch", {"batch": [bare]})
    house.post("/v1/batch", {"batch": [bare]})
    check(len(house.events()) - before, 3, "two calls that do not say when they were")


def clocks(house):
    now = time.time()

    def stamp(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    house.post("/v1/batch", {"batch": [track("ahead", timestamp=stamp(now + 3600 - 5))], "sentAt": stamp(now + 3600)})
    house.post("/v1/batch", {"batch": [track("right", timestamp=stamp(now - 20))], "sentAt": stamp(now - 10)})
    events = {e["id"]: e.get("time") for e in house.events()}
    expected = {stamp(now - 5 + d) for d in (-2, -1, 0, 1, 2)}
    assert events["m-ahead"] in expected, (events["m-ahead"], expected)
    check(events["m-right"], stamp(now - 20), "a clock that is right")


def bad_items(house):
    before = len(house.quarantine())
    body = b'{"batch":[' + b",".join([
        json.dumps(track("good")).encode(), b"17", b'{"type":"nothing"}', b'{"type":"track","event":"E","event":"F"}',
        b'{"type":"track","event":"a\\u0000b"}', b'{"type":"track","event":"\xff"}', b'{"type":"track","event":}',
        b'{"type":"track","event":"deep","properties":' + b"[" * 99 + b"]" * 99 + b"}",
        json.dumps(track("large", properties={"x": "y" * (1 << 20)})).encode()]) + b"]}"
    status, answer = house.post("/v1/batch", body)
    check((status, [q["index"] for q in answer["quarantined"]]), (200, [1, 2, 3, 4, 5, 6, 7, 8]), "bad items")
    assert any(e["id"] == "m-good" for e in house.events())
    kept = house.quarantine()[before:]
    check(len(kept), 8, "put aside")
    assert b"17" in [item for _, _, item in kept]
    # What breaks the catalogue is the broker's to keep.
    status, answer = house.post("/v1/track", {"event": "Order Completed", "userId": "u-1", "messageId": "no-order"})
    check((status, [q["reason"] for q in answer["quarantined"]]), (200, ["quarantined"]), "breaks its schema")


def bad_bodies(house):
    for what, body in {"no JSON": b"hello", "empty": b"", "no batch": b"{}", "batch is no list": b'{"batch":{}}',
                       "cut": b'{"batch":[{"type":"track"', "behind": b'{"batch":[]}x', "twice": b'{"batch":[],"batch":[]}',
                       "NUL": b'{"batch":[]}\0'}.items():
        check(house.post("/v1/batch", body)[0], 400, what)
    for what, body in {"deep": b'{"event":"E","properties":' + b"[" * 5000 + b"]" * 5000 + b"}", "twice": b'{"event":"E","event":"F"}',
                       "NUL": b'{"event":"a\\u0000b"}', "not UTF-8": b'{"event":"\xff"}', "a list": b"[]"}.items():
        check(house.post("/v1/track", body)[0], 400, what)


def paths(house):
    check(house.http("POST", "/v1/nothing", "{}")[0], 404, "unknown path")
    check(house.http("GET", "/v1/batch")[0], 405, "other method")
    check(house.http("GET", "/")[0], 404, "root")
    check(house.post("/v1/batch/", batch([1]))[0], 404, "no redirect for a slash")
    status, headers, text = house.http("GET", "/metrics")
    check((status, headers["Content-Type"].split(";")[0]), (200, "text/plain"), "metrics")
    assert "# TYPE touchbus_connector_published_total counter\n" in text and 'touchbus_web_requests_total{name="web"} ' in text, text
    health = house.health()
    check((health["name"], health["state"]), ("web", "up"), "health")


def compressed(house):
    body = gzip.compress(json.dumps(batch(["gz"])).encode())
    # RudderStack labels its bodies so.
    odd = {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"}
    check(house.post("/v1/batch", body, odd)[0], 200, "gzip")
    check(house.post("/v1/batch", body[:-9], odd)[0], 400, "cut gzip")
    check(house.post("/v1/batch", body + b"x", odd)[0], 400, "something behind gzip")
    check(house.post("/v1/batch", gzip.compress(b" " * (200 << 20)), odd, seconds=60)[0], 413, "gzip bomb")
    check(house.post("/v1/batch", b"x", {"Content-Encoding": "br"})[0], 415, "unknown coding")


def sizes(house):
    large = batch(["large-body"], padding="x" * (3 << 20))
    check(house.post("/v1/batch", large)[0], 200, "3 MiB")
    answer = house.raw(HEAD + b"Content-Length: 5000000\r\n\r\n", shut=False)
    check(status_of(answer), 413, "announced 5 MB")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    answer = house.raw([HEAD + b"Transfer-Encoding: chunked\r\n\r\n"] + [chunk] * 80 + [b"0\r\n\r\n"])
    check(status_of(answer), 413, "5 MB in chunks")
    answer = house.raw(HEAD + b"X-Large: " + b"x" * 40000 + b"\r\n\r\n")
    check(status_of(answer), 431, "large headers")


def smuggling(house):
    inner = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    for what, headers in {"CL and TE": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
                          "TE and CL": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                          "two CL": b"Content-Length: 4\r\nContent-Length: 5\r\n",
                          "odd TE": b"Transfer-Encoding: xchunked\r\n"}.items():
        answer = house.raw(HEAD + headers + b"\r\n0\r\n\r\n" + inner)
        check(status_of(answer), 400, what)
        check(answer.count(b"HTTP/1.1 "), 1, f"{what}: closed after one answer")
    check(status_of(house.raw(HEAD + b"Content-Length: x\r\n\r\n")), 400, "a length that is none")


def slowness(house):
    house.web.stop()
    house.start_web("--headers-timeout", "1s", "--body-timeout", "1s", *PATIENT)
    check(status_of(house.raw(b"POST /v1/batch HTTP/1.1\r\nHost:")), 408, "slow headers")
    check(status_of(house.raw(HEAD + b"Content-Length: 10\r\n\r\n{")), 408, "slow body")
    assert house.counter("requests_slow_total") >= 2
    house.web.stop()
    house.start_web(*PATIENT)
    check(house.post("/v1/batch", batch(["after-slow"]))[0], 200, "others are served")


def cloudevents(house):
    event = {"specversion": "1.0", "id": "ce-1", "source": "/shop", "type": "org.touchbus.product.viewed.v1",
             "time": "2026-03-02T08:00:00.5Z", "keys": "user_id=u-1", "data": {"sku": "s-1"}}
    check(house.post("/events", event, {"Content-Type": "application/cloudevents+json; charset=utf-8"})[0], 200, "structured")
    bad = {**event, "id": "ce-3", "source": None}
    status, answer = house.post("/events", [{**event, "id": "ce-2"}, bad, "x"], {"Content-Type": "application/cloudevents-batch+json"})
    check((status, [q["index"] for q in answer["quarantined"]]), (200, [1, 2]), "batched")
    binary = {"ce-specversion": "1.0", "ce-id": "ce-4", "ce-source": "/shop", "ce-type": event["type"], "ce-time": event["time"],
              "ce-keys": "user_id=u-1", "ce-other": "caf%C3%A9"}
    check(house.post("/events", {"sku": "s-2"}, binary)[0], 200, "binary")
    events = {e["id"]: e for e in house.events()}
    for name in ("ce-1", "ce-2", "ce-4"):
        check({k: events[name].get(k) for k in ("source", "type", "keys")}, {k: event[k] for k in ("source", "type", "keys")}, name)
        check(events[name]["time"].rstrip("Z").rstrip("0"), "2026-03-02T08:00:00.5", name)
    check(events["ce-4"]["other"], "caf\u00e9", "a header's percent encoding")
    check(events["ce-4"]["data"], {"sku": "s-2"}, "data")
    check(house.post("/events", {"sku": "s"})[0], 415, "no CloudEvent")
    check(house.post("/events", {**event, "id": ""}, {"Content-Type": "application/cloudevents+json"})[0], 400, "no id")


def keys(house):
    house.web.stop()
    config = os.path.join(house.folder, "web.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write("write-key = right\nwrite-key = other\n")
    os.chmod(config, 0o644)
    done = subprocess.run([harness.program("touchbus-web"), "--state", house.state, "--config", config], capture_output=True, text=True,
                          timeout=60, check=False)
    check(done.returncode, 2, "a secret that others may read")
    assert "web.conf" in done.stderr, done.stderr
    os.chmod(config, 0o600)
    house.start_web("--config", config, *PATIENT)
    basic = {"Authorization": "Basic " + __import__("base64").b64encode(b"right:").decode()}
    check(house.post("/v1/batch", batch(["key-1"]), basic)[0], 200, "Basic")
    check(house.post("/v1/batch", batch(["key-2"]), {"Authorization": "Bearer other"})[0], 200, "Bearer")
    check(house.post("/v1/batch", batch(["key-3"], writeKey="right"))[0], 200, "writeKey")
    for what, headers in {"none": {}, "wrong": {"Authorization": "Bearer wrong"}, "malformed": {"Authorization": "Basic !"}}.items():
        check(house.post("/v1/batch", batch(["key-4"]), headers)[0], 401, what)
        check(house.post("/events", {}, headers)[0], 401, f"{what}, /events")
    # A reload takes the new keys; one that is bad as a whole keeps the old.
    for text, right, wrong in (("write-key = new\n", "new", "other"), ("write-key = newer\nnonsense = 1\n", "new", "newer")):
        size = os.path.getsize(house.web.log)
        with open(config, "w", encoding="utf-8") as file:
            file.write(text)
        house.web.popen.send_signal(1)

        def reloaded():
            with open(house.web.log, encoding="utf-8") as file:
                file.seek(size)
                return "reload=" in file.read()
        harness.wait_for("the reload", reloaded)
        check(house.post("/v1/batch", batch(["key-5"]), {"Authorization": f"Bearer {right}"})[0], 200, "after a reload")
        check(house.post("/v1/batch", batch(["key-5"]), {"Authorization": f"Bearer {wrong}"})[0], 401, "after a reload")


def privacy(house):
    canary = "canary-7f3a@klant.example"
    house.post("/v1/identify", {"userId": canary, "traits": {"email": canary}, "messageId": canary}, {"Authorization": f"Bearer new"})
    house.post("/v1/batch", {"batch": [{"type": canary, "userId": canary}]}, {"Authorization": "Bearer new"})
    house.post("/v1/batch", f'{{"x":"{canary}"', {"Authorization": "Bearer new"})
    with open(house.web.log, encoding="utf-8") as file:
        assert "canary" not in file.read()


def main():
    with webhouse.WebHouse() as house:
        house.start_broker()
        house.start_web("--headers-timeout", "60s", "--body-timeout", "60s", *PATIENT)
        harness.wait_for("the broker answers", lambda: house.health()["state"] == "up")
        for rule in (single_calls, repeats, made_ids, clocks, bad_items, bad_bodies, paths, compressed, sizes, smuggling, slowness,
                     cloudevents, keys, privacy):
            rule(house)
            print(f"{rule.__name__}: holds", flush=True)
        assert house.web.stop() == 0


main()
