# SPDX-License-Identifier: Apache-2.0
"""The reference model: what CUSTOMER.md says, as plainly as it can be written. It keeps the list of what was said and, at each question,
goes through it from the start. It knows nothing of how the broker computes the same, and is no faster than it has to be.

Where CUSTOMER.md is silent, a comment says "silent:" and what the model takes for right.
"""
import unicodedata

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
AHEAD_US = 5 * MINUTE

# In order of strength. silent: within a class, kinds are equally strong.
CLASSES = [("strong", ["crm_id", "user_id", "account", "loyalty"]), ("medium", ["email", "phone", "fax"]),
           ("partner", ["partner_id", "gln", "vat_id"]), ("weak", ["anonymous_id", "cookie", "device", "chat_handle"]),
           ("shared", ["kiosk", "switchboard", "postal_address", "fax_header"])]
CLASS = {kind: name for name, kinds in CLASSES for kind in kinds}
STRENGTH = {kind: rank for rank, (_, kinds) in enumerate(CLASSES) for kind in kinds}
LIMITS = {"medium": (5, 365 * DAY), "weak": (20, 30 * DAY)}  # of one kind, within; strong: one ever
KEYS_MAX, MERGES_MAX, MERGES_A_DAY, CONTESTED_MAX, CONTESTED_US = 200, 20, 5, 10, 30 * DAY
NOBODY = {"", "0", "-1", "null", "none", "undefined", "nan", "anonymous", "guest", "true", "false", "[object object]"}


def normalise(kind, value):
    """The one written form; None where it is nobody's."""
    value = unicodedata.normalize("NFC", value).strip()
    if value.lower() in NOBODY or not value.strip("0"):
        return None
    return value.lower() if kind == "email" else value


class Leaf:
    """A customer record as decide made it. Merged ones keep what they had."""

    def __init__(self, number, said):
        self.number = number
        self.first = said
        self.keys = {}  # (kind, value) -> when it was attached
        self.into = None
        self.vetoes = set()
        self.said = []  # what was said of it
        self.erased_us = None


class Registry:
    """Who is whose, after everything that was said so far."""

    def __init__(self):
        self.leaves = []
        self.owner = {}       # (kind, value) -> leaf
        self.references = {}  # (kind, id) -> leaf
        self.shared = set()   # values that lead to nobody any more
        self.met = {}         # medium (kind, value) -> [(when, leaf that another's came with)]
        self.merges = []      # (when, survivor, the one that was merged into it)

    @staticmethod
    def survivor(leaf):
        while leaf.into is not None:
            leaf = leaf.into
        return leaf

    def members(self, customer):
        return [leaf for leaf in self.leaves if self.survivor(leaf) is customer]

    def keys(self, customer):
        return {key: since for leaf in self.members(customer) for key, since in leaf.keys.items()}

    def strong(self, customer):
        return {key for key in self.keys(customer) if CLASS[key[0]] == "strong"}

    def is_anonymous(self, customer):
        return all(CLASS[kind] == "weak" for kind, _ in self.keys(customer))

    def new(self, said):
        leaf = Leaf(len(self.leaves) + 1, said)
        self.leaves.append(leaf)
        return leaf

    def has_room(self, customer, key, now_us):
        keys = self.keys(customer)
        if len(keys) >= KEYS_MAX:
            return False
        if CLASS[key[0]] not in LIMITS:
            return True
        most, within_us = LIMITS[CLASS[key[0]]]
        return sum(kind == key[0] and since > now_us - within_us for (kind, _), since in keys.items()) < most

    def attach(self, leaf, key, now_us):
        before = self.owner.get(key)
        if before is not None and self.survivor(before) is self.survivor(leaf):
            return
        if not self.has_room(self.survivor(leaf), key, now_us):
            return
        if before is not None:
            del before.keys[key]
        leaf.keys[key] = now_us
        self.owner[key] = leaf

    # ---- merging

    def refuses_merge(self, customers, now_us):
        """Why these cannot become one, beside what their keys say; None where nothing speaks against it."""
        leaves = [leaf for customer in customers for leaf in self.members(customer)]
        numbers = {leaf.number for leaf in leaves}
        if any(leaf.vetoes & numbers for leaf in leaves):
            return "veto"
        if len(leaves) > MERGES_MAX:  # silent: 20 leaves in all (CUSTOMER.md, Leaves: at most 20)
            return "leaves"
        if sum(len(self.keys(customer)) for customer in customers) > KEYS_MAX:
            return "keys"
        ours = [when for when, survivor, gone in self.merges if self.survivor(survivor) in customers]
        if sum(when // DAY == now_us // DAY for when in ours) + len(customers) - 1 > MERGES_A_DAY:
            return "a-day"
        kinds = [kind for customer in customers for kind, _ in self.strong(customer)]
        if len(kinds) != len(set(kinds)):
            return "strong"
        return None

    def rank(self, customer):
        """The survivor names the customer: strongest key, then lowest first sequence."""
        return min((STRENGTH[kind] for kind, _ in self.keys(customer)), default=99), min(leaf.first for leaf in self.members(customer))

    def merge(self, customers, now_us):
        customers = sorted(customers, key=self.rank)
        for other in customers[1:]:
            other.into = customers[0]
            self.merges.append((now_us, customers[0], other))
        return customers[0]

    def refuses(self, keys, owners, verified, now_us):
        """Why these keys cannot all be one customer's."""
        strong = {key for owner in owners for key in self.strong(owner)} | {key for key in keys if CLASS[key[0]] == "strong"}
        if len({kind for kind, _ in strong}) != len(strong):
            return "strong"
        if len(owners) < 2:
            return None
        for owner in owners:
            if not any(self.owner.get(key) is not None and self.survivor(self.owner[key]) is owner and
                       (CLASS[key[0]] == "strong" or CLASS[key[0]] == "medium" and key in verified) for key in keys):
                return "class"
        return self.refuses_merge(owners, now_us)

    def fits_several(self, key, now_us):
        """Whether a key came with another customer's, too, lately."""
        mine = self.owners([key])
        others = {self.survivor(leaf) for when, leaf in self.met.get(key, []) if when > now_us - CONTESTED_US and leaf.erased_us is None}
        return bool(mine) and bool(others - set(mine))

    def owners(self, keys):
        found = []
        for key in keys:
            leaf = self.owner.get(key)
            if leaf is not None and leaf.erased_us is None and self.survivor(leaf) not in found:
                found.append(self.survivor(leaf))
        return found

    # ---- one event

    def place(self, said):
        """The leaf that an event goes to, or None; `said` is the event with its receipt. Attaches and merges on the way."""
        now_us = said.received_us
        keys = [key for key in said.keys if CLASS[key[0]] != "shared" and key not in self.shared]
        if not keys:
            return self.by_reference(said)
        if not self.owners(keys):
            erased = [self.owner[key] for key in keys if key in self.owner]
            if erased:
                anew = said.type == "customer.registered" and said.own_time_us is not None and \
                    all(said.own_time_us > leaf.erased_us for leaf in erased)
                if not anew:
                    said.redacted = True
                    return None
                for key in keys:
                    self.owner.pop(key, None)
        keys = [key for key in keys if key not in self.owner or self.owner[key].erased_us is None]
        firm = [key for key in keys if CLASS[key[0]] != "weak"]
        # silent: of two that are equally strong, the older record's; one that nobody has is weaker.
        firm.sort(key=lambda key: (STRENGTH[key[0]], self.owner[key].first if key in self.owner else 1 << 63))
        # A caller id that fits several customers attaches to none until one is picked: by a key that is theirs.
        # silent: with any other key beside it, it does.
        if len(said.keys) == 1 and CLASS[said.keys[0][0]] == "medium" and self.fits_several(said.keys[0], now_us):
            return None
        dropped = []
        weak = [key for key in keys if CLASS[key[0]] == "weak"]
        # The weakest key is dropped until the rest agrees. Weak ones never hold up the others: they come along or move.
        while firm and self.refuses(firm, self.owners(firm), said.verified, now_us):
            said.refused = self.refuses(firm, self.owners(firm), said.verified, now_us)
            dropped.append(firm.pop())
        owners = self.owners(firm)
        if not owners:
            owners = self.owners(weak)[:1]
            if owners and firm and self.refuses(firm, owners, said.verified, now_us):
                owners = []  # a shared device: its binding moves forward from here
        # The record that its strongest key owned when it came; what it brings about comes behind it.
        # silent: of two equally strong ones, the older record.
        owned = [(STRENGTH[key[0]], self.owner[key].first, self.owner[key].number) for key in firm + weak
                 if key in self.owner and self.survivor(self.owner[key]) in owners]
        leaf = self.leaves[min(owned)[2] - 1] if owned else self.new(said.order)
        said.came_to = self.survivor(leaf)
        customer = self.merge(owners, now_us) if owners else leaf
        for key in firm:
            self.attach(leaf, key, now_us)
        for key in dropped:
            self.met.setdefault(key, []).append((now_us, leaf))
        for key in weak:
            before = self.owner.get(key)
            other = None if before is None else self.survivor(before)
            if other is not None and other is not customer and firm and self.is_anonymous(other):
                why = self.refuses_merge([customer, other], now_us)
                if why is None:
                    customer = self.merge([customer, other], now_us)
                    continue
                said.refused = why  # its past stays where it is. silent: whether its binding moves forward all the same
            # silent: whether an address without a strong key moves a bound device's binding. A form filled in on it is no log-in.
            if other is None or other is customer or any(CLASS[kind] == "strong" for kind, _ in firm):
                self.attach(leaf, key, now_us)
        return leaf

    def by_reference(self, said):
        found = [self.references[reference] for reference in said.references if reference in self.references]
        living = [leaf for leaf in found if leaf.erased_us is None]
        if found and not living:
            said.redacted = True
        return living[0] if living else None

    def take(self, said):
        leaf = self.place(said)
        said.leaf = leaf
        said.customer = None if leaf is None else self.survivor(leaf)
        said.came_to = said.came_to or said.customer
        if leaf is not None:
            leaf.said.append(said)
            for reference in said.references:
                self.references.setdefault(reference, leaf)

    # ---- acts

    def erase(self, key, now_us):
        if self.owners([key]):
            for leaf in self.members(self.owners([key])[0]):
                leaf.erased_us = now_us

    def merge_asked(self, keys, now_us):
        """An agent or the CRM says they are one: what keys may do is not asked, everything else is."""
        owners = self.owners(keys)
        if len(owners) > 1 and self.refuses_merge(owners, now_us) is None:
            self.merge(owners, now_us)

    def split(self, leaf):
        """Cuts the pointer of a leaf: it goes with everything that was merged into it before."""
        rest = self.members(self.survivor(leaf))
        leaf.into = None
        gone = self.members(leaf)
        for other in rest:
            if other not in gone:
                for one in gone:
                    one.vetoes.add(other.number)


class Said:
    """An event as it was said: parsed, with its receipt and the sequence that the broker gave it."""

    def __init__(self, event, received_us, sequence, order, rank):
        from urllib.parse import parse_qsl
        from datetime import datetime, timezone
        self.event, self.received_us, self.sequence, self.order, self.rank = event, received_us, sequence, order, rank
        self.id = event["id"]
        self.type = event["type"].removeprefix("org.touchbus.").removesuffix(".v1")
        self.channel = event.get("channel", "")
        self.data = event.get("data") or {}
        self.keys, self.verified = [], set()
        for kind, value in parse_qsl(event.get("keys", ""), keep_blank_values=True):
            plain = kind.removesuffix("!")
            value = normalise(plain, value)
            if value is not None and (plain, value) not in self.keys:
                self.keys.append((plain, value))
            if value is not None and kind != plain:
                self.verified.add((plain, value))
        self.keys.sort(key=lambda key: STRENGTH[key[0]])  # stable: as they came within a class
        self.own_time_us = None
        if "time" in event:
            at = datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
            since = at - datetime(1970, 1, 1, tzinfo=timezone.utc)
            self.own_time_us = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
        time_us = received_us if self.own_time_us is None else self.own_time_us
        self.time_us = min(time_us, received_us + AHEAD_US)
        self.references = [(name, self.data[f"{name}_id"]) for name in
                           ("order", "quote", "case", "call", "conversation", "contact", "cart", "invoice") if f"{name}_id" in self.data]
        self.redacted, self.refused, self.leaf, self.customer, self.came_to = False, None, None, None, None


class Model:
    """What was said, in order, and the answers that follow from it."""

    def __init__(self):
        self.acts = []  # Said, or (sequence, function of the registry)

    def say(self, event, received_us, sequence, rank):
        self.acts.append(Said(event, received_us, sequence, len(self.acts), rank))
        return self.acts[-1]

    def act(self, head, what):
        """What an operator did when this was the last sequence: a function of the registry."""
        self.acts.append((head, what))

    def registry(self, before=None):
        """After everything, or after what has a lower sequence."""
        registry = Registry()
        for act in self.acts:
            if isinstance(act, Said):
                if before is None or act.sequence < before:
                    act.redacted, act.refused, act.came_to = False, None, None
                    registry.take(act)
            elif before is None or act[0] < before:
                act[1](registry)
        return registry


# ---- the profile of a customer: functions of what was said of its leaves

def said_of(registry, customer):
    return [said for leaf in registry.members(customer) for said in leaf.said]


def registers(said):
    """{attribute: value} that an event writes."""
    if said.type == "customer.identified":
        return said.data["traits"]
    if said.type == "customer.changed":
        return said.data["fields"]
    if said.type == "preference.set":
        return {f"preference.{name}": said.data[name] for name in ("channel", "hours", "language") if name in said.data}
    return {}


def attributes(registry, customer):
    """{name: (value, sequence)}: the last writer by (rank, time, id); null deletes, "" is a value."""
    last = {}
    for said in said_of(registry, customer):
        for name, value in registers(said).items():
            place = (said.rank, said.time_us, said.id.encode())
            if name not in last or place > last[name][0]:
                last[name] = (place, value, said.sequence)
    return {name: (value, sequence) for name, (_, value, sequence) in last.items() if value is not None}


def counters(registry, customer):
    """{(channel, type): (number, first, last)}."""
    found = {}
    for said in said_of(registry, customer):
        number, first, last = found.get((said.channel, said.type), (0, said.time_us, said.time_us))
        found[said.channel, said.type] = (number + 1, min(first, said.time_us), max(last, said.time_us))
    return found
