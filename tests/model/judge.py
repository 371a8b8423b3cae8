# SPDX-License-Identifier: Apache-2.0
"""Runs a history through the driver and says what does not hold: pairs of (property, text)."""
import model
from generator import SOURCES, START_US, WORDS

REFUSABLE = [("quote-conflict", "org.touchbus.quote.issued.v1"), ("merge-refused", "org.touchbus.merge.requested.v1"),
             ("split-refused", "org.touchbus.split.requested.v1")]
# What decide causes; it depends on what was there when.
SYSTEM = {"identity.changed", "standing.changed", "checkout.abandoned", "contact.decided", "interaction.routed", "merge.requested",
          "split.requested", "admin.acted", "configuration.changed"}
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
        answer = self.driver.query("customer.show", key=key)
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
            if (row["reason"], event["type"]) in REFUSABLE:
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

    def request(self, kind, numbers):
        """An agent says so. Whether it was done."""
        self.n_requests = getattr(self, "n_requests", 0) + 1
        event = {"specversion": "1.0", "id": f"{kind}-{self.n_requests}", "source": "/crm/main", "channel": "crm",
                 "type": f"org.touchbus.{kind}.requested.v1", "data": {"customers": [f"c{number}" for number in numbers], "reason": "told"}}
        Run.do_events(self, {"events": [event]})
        return bool(self.published[-1]["sequence"])

    def do_merge(self, step):
        numbers = step.get("customers") or list(map(self.customer, step["keys"]))
        return all(numbers) and self.request("merge", numbers)

    def do_split(self, step):
        numbers = step.get("customers") or [self.customer(step["keys"][0])]
        return all(numbers) and self.request("split", numbers)

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
        """By the customers as the model knows them; refused where the model refuses it."""
        registry = self.model.registry()
        keys = [tuple(key.split("=", 1)) for key in step["keys"]]
        owners = registry.owners(keys)
        if not all(registry.owners([key]) for key in keys):
            return
        now_us = self.now_us
        wanted = len(owners) > 1 and registry.refuses_merge(owners, now_us) is None
        head = self.driver.head()
        done = self.request("merge", [registry.owners([key])[0].number for key in keys])
        if done != wanted and len(owners) > 1:
            self.complain("asked", f"merge of {step['keys']}: done is {done}, the model says {wanted} ({registry.refuses_merge(owners, now_us)})")
        if done:
            self.model.act(head, lambda registry: registry.merge_asked(keys, now_us))

    def do_split(self, step):
        """Of the leaf that has the key."""
        registry = self.model.registry()
        key = tuple(step["keys"][0].split("=", 1))
        leaf = registry.owner.get(key)
        if leaf is None or leaf.erased_us is not None:
            return
        below = [one for one in registry.leaves if one.into is leaf]
        if leaf.into is None and len(below) == 1:
            leaf, below = below[0], []  # silent: of two, either is split off by its name
        wanted = leaf.into is not None
        head = self.driver.head()
        done = self.request("split", [leaf.number])
        if done != wanted:
            self.complain("asked", f"split of c{leaf.number} ({step['keys'][0]}): done is {done}, the model says {wanted}")
        if done and wanted:
            number = leaf.number
            self.model.act(head, lambda registry: registry.split(registry.leaves[number - 1]))


def time_us(text):
    from datetime import datetime, timezone
    since = datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
