# SPDX-License-Identifier: Apache-2.0
"""What the flows of the web connector share: the connector on a free port, plain and raw HTTP, and what the log holds."""
import base64
import http.client
import json
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import harness  # noqa: E402  (the harness is a folder up)


class WebHouse(harness.House):
    web, web_port = None, None

    def start_web(self, *arguments, port=0, wrap=(), state=None):
        """The connector, on the port it had before where it had one, so that senders find it again."""
        port = port or self.web_port or harness.free_ports(1)
        log = os.path.join(self.folder, "web.log")
        start = os.path.getsize(log) if os.path.exists(log) else 0
        self.web = harness.Process([*wrap, harness.program("touchbus-web"), "--broker", self.address, "--port", str(port), "--state",
                                    state or self.state, *arguments], log)
        self.processes.append(self.web)

        def listening():
            if not self.web.alive():
                raise AssertionError(f"touchbus-web ended with {self.web.popen.returncode}; log:\n{self.web.tail()}")
            with open(log, encoding="utf-8") as file:
                file.seek(start)
                found = re.search(r"listening=\S+ port=(\d+)", file.read())
            return found and int(found.group(1))
        self.web_port = harness.wait_for("touchbus-web listens", listening)
        return self.web

    def http(self, method, path, body=None, headers=None, seconds=30):
        """Status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=seconds)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def post(self, path, value, headers=None, **options):
        """Posts JSON; status and the JSON answer."""
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        status, _, text = self.http("POST", path, body, {"Content-Type": "application/json", **(headers or {})}, **options)
        return status, json.loads(text)

    def raw(self, data, seconds=30, shut=False):
        """Sends bytes as they are; everything that comes back until the other side closes."""
        with socket.create_connection(("127.0.0.1", self.web_port), timeout=seconds) as connection:
            for piece in data if isinstance(data, (list, tuple)) else [data]:
                try:
                    connection.sendall(piece)
                except (BrokenPipeError, ConnectionResetError):
                    break
            if shut:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            while True:
                try:
                    piece = connection.recv(65536)
                except (ConnectionResetError, socket.timeout):
                    break
                if not piece:
                    break
                received += piece
            return received

    def events(self):
        """Everything in the log that came from outside, as CloudEvents."""
        info = self.ask("--timeout", "60s", "log", "info")
        events = []
        for first in range(info["first"], info["next"], 1000):
            lines = self.touchbus("-j", "--timeout", "60s", "log", "get", str(first), "--count", "1000").stdout.splitlines()
            events += [event for event in map(json.loads, lines) if not event["source"].startswith("/touchbus")]
        return events

    def health(self):
        return json.loads(self.http("GET", "/health")[2])

    def counter(self, name):
        return self.health()["counters"][name]

    def quarantine(self):
        """What the connector put aside: (id, reason, bytes)."""
        path = os.path.join(self.state, "web", "quarantine.jsonl")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return [(row["id"], row["reason"], base64.b64decode(row["item"])) for row in rows]


def track(number, **more):
    return {"type": "track", "event": "Product Viewed", "userId": f"u-{number}", "messageId": f"m-{number}",
            "timestamp": "2026-03-02T08:00:00Z", "properties": {"sku": f"s-{number}"}, **more}


def batch(numbers, **more):
    return {"batch": [track(number) for number in numbers], **more}
