# SPDX-License-Identifier: Apache-2.0
"""Runs a history through the driver and says what does not hold: pairs of (property, text)."""
import model
from generator import SOURCES, START_US, WORDS

NEVER_BUT = ("ok", "duplicate")  # an event that is well-formed is answered otherwise only where a rule refuses it
POLICIES = [
    """{contact: {cap_day: 2}, identity: {contested_max: 3}}""",
    """{standing: {client_orders: 2, client_visit_days: 1, checkout: 10m}, contact: {quiet_from: "00:00", quiet_until: "00:00"}}""",
    """{organisation: {zone: America/New_York}, identity: {merges_a_day: 1, keys_max: 5}}""",
]


class Run:
    """One history under way. What was published and answered is kept as it was said."""

    def __init__(self, driver, policy=None):
        self.driver = driver
        self.now_us = START_US
        self.published = []  # (event, sequence, customer, reason, verdict, received_us), in order
        self.findings = []
        driver.open(self.now_us, policy, WORDS)

    def complain(self, name, text):
        self.findings.append((name, text))

    def customer(self, key):
        """The number of the living customer that a key leads to now; 0: none."""
        answer = self.driver.query("customer.find", key=key)
        return int(answer["parts"][0]["customer"][1:]) if answer["reason"] == "ok" else 0

    # ---- steps

    def do_events(self, step):
        answer = self.driver.publish(step["events"])
        outcomes = {row["index"]: row for row in answer["outcomes"]}
        for index, event in enumerate(step["events"]):
            row = outcomes.get(index, {"reason": "ok"})
            if answer["reason"] != "ok":
                self.complain("accepted", f"{answer['reason']} for a request")
                return
            self.published.append({"event": event, "sequence": answer["sequences"][index], "customer": answer["customers"][index],
                                   "reason": row["reason"], "verdict": row.get("verdict"), "received_us": self.now_us})
            if row["reason"] == "quote-conflict" and "quote.issued" in event["type"]:
                continue
            if row["reason"] not in NEVER_BUT or answer["sequences"][index] == 0:
                self.complain("accepted", f"{event['id']} {event['type']}: {row}")

    def do_again(self, step):
        back = [row for row in self.published if row["sequence"]][-step["back"]:][:1]
        for row in back:
            answer = self.driver.publish([row["event"]])
            if answer["sequences"] != [row["sequence"]]:
                self.complain("once", f"{row['event']['id']} again: {answer}, was {row['sequence']}")

    def do_erase(self, step):
        self.driver.query("customer.erase", key=step["key"])

    def request(self, kind, step):
        numbers = step.get("customers") or list(map(self.customer, step["keys"]))
        customers = [f"c{number}" for number in numbers]
        if all(numbers):
            event = {"specversion": "1.0", "id": f"{kind}-{self.now_us}-{len(self.published)}", "source": "/crm/main",
                     "type": f"org.touchbus.{kind}.requested.v1", "channel": "crm", "data": {"customers": customers, "reason": "told"}}
            self.do_events({"events": [event]})

    def do_merge(self, step):
        self.request("merge", step)

    def do_split(self, step):
        self.request("split", step)

    def do_trim(self, step):
        head = self.driver.head()
        if head > 0:
            self.driver.broker.call("trim", before=max(1, int(head * step["share"])))

    def do_restart(self, step):
        self.driver.broker.call("restart", clean=step["clean"])

    def do_policy(self, step):
        self.driver.write_policy(POLICIES[step["number"]])
        self.driver.broker.call("reload", events=[])

    def do_turn(self, step):
        self.driver.turn()

    def play(self, steps):
        for step in steps:
            self.now_us += step["after_us"]
            self.driver.clock(self.now_us)
            getattr(self, "do_" + step["do"])(step)
        return self

    def end(self):
        equal, hashes = self.driver.equal()
        if not equal:
            self.complain("rebuilt", f"the live view hashes to {hashes[0][:16]}, rebuilt from base and log to {hashes[1][:16]}")
        self.driver.close()
        return self.findings


class Modelled(Run):
    """A run that the model follows."""

    def __init__(self, driver, policy=None):
        super().__init__(driver, policy)
        self.model = model.Model()

    def do_events(self, step):
        n = len(self.published)
        super().do_events(step)
        for row in self.published[n:]:
            if row["sequence"]:
                row["said"] = self.model.say(row["event"], row["received_us"], row["sequence"], SOURCES.get(row["event"]["source"], 0))

    def do_erase(self, step):
        super().do_erase(step)
        key, now_us = tuple(step["key"].split("=", 1)), self.now_us
        self.model.act(self.driver.head(), lambda registry: registry.erase(key, now_us))

    def do_merge(self, step):
        pass

    do_split = do_merge


def time_us(text):
    from datetime import datetime, timezone
    since = datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
