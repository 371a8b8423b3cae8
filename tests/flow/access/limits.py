#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What one key may have of everything: producers, reports, requests, connections, durable subscriptions (also those it made before a restart)."""
from certificates import BUSY, FORBIDDEN, TOO_MANY, KeyHouse, Line, pb
from curve import connected
from events import make

from harness import wait_for  # certificates has set the path

CONNECTIONS_MAX, SUBSCRIPTIONS_MAX = 64, 64  # broker/guard.h, broker/access.h
PRODUCERS_MAX, REPORTS_MAX = 512, 32  # broker/bounds.h, broker/query/registry.h
QUARANTINE_MAX, LATE_MAX, BATCH, QUARANTINED = 100000, 1000, 2048, 2  # broker/bounds.h
QUESTIONS_OF_A_KEY, EMPTY_MAPS, GROWTH_MIB_MAX, BAD_CURSOR = 64, 65000, 200, 105
QUESTIONS = 300  # more than are answered at a time: broker/query/verbs.h
HELLO = b"\x08\x01\x10\x07"


def is_open(peer):
    peer.connection.settimeout(0.001)
    try:
        while True:
            if not peer.connection.recv(4096):
                return False
    except TimeoutError:
        return True
    except OSError:
        return False


def test_connections_beyond_the_bound_are_cut(house):
    peers = []
    for number in range(CONNECTIONS_MAX + 20):
        peer = connected(house.port + number % 3, house.of("many"))
        peer.send(peer.message(HELLO, False))
        peers.append(peer)
    wait_for("those beyond it are cut", lambda: sum(map(is_open, peers)) <= CONNECTIONS_MAX)
    # A peer that does not answer heartbeats goes by itself on a slow machine; what the guard cut is in the log.
    cuts = house.lines("too many connections of one key")
    with open(house.broker.log, encoding="utf-8") as file:
        cuts += sum(int(line.rsplit("=", 1)[1]) for line in file if "event=connections-cut" in line)
    assert 0 < cuts <= 25, cuts
    assert house.publisher("other").ask().code == 0  # nobody else's business
    for peer in peers:
        peer.close()


def make_subscription(house, number):
    line, message = house.subscribe("many", f"many/{number}", ["page.viewed"], end=True)
    line.send(pb.SubscriberMessage(leave=True))
    line.close()
    return message.refused.code if message.WhichOneof("body") == "refused" else 0


def test_subscriptions_beyond_the_bound_are_refused_also_after_a_restart(house):
    for number in range(SUBSCRIPTIONS_MAX):
        assert make_subscription(house, number) == 0, number
    assert make_subscription(house, "more") == TOO_MANY
    assert make_subscription(house, 3) == 0  # one that there is
    assert house.broker.stop() == 0
    house.start_keyed()
    assert make_subscription(house, "more") == TOO_MANY
    assert house.query("boss", "subscription.rm", name="many/3", force="true").code == 0
    assert make_subscription(house, "more") == 0


def test_questions_that_wait_are_bounded(house):
    """A question may wait a second for a sequence; one key that asks without end leaves room for the others'."""
    line = Line(house.port + 2, pb.Answer, house.of("many"))
    for number in range(QUESTIONS):
        line.send(pb.Query(request=number + 1, verb="log.info", min_sequence=1 << 40))
        if number == 0:  # it asks nothing that it may not, and does not wait to hear so
            assert line.receive().code == FORBIDDEN
    for number in range(QUESTIONS):
        line.send(pb.Query(request=number + 1, verb="customer.tombstoned", min_sequence=1 << 40))
    codes = {line.receive().code for _ in range(QUESTIONS)}  # those that are refused come first
    other = house.query("other", "customer.tombstoned").code
    line.close()
    assert codes <= {FORBIDDEN, BUSY} and other != BUSY, (codes, other)


def test_producers_of_one_key_are_bounded(house):
    line = house.publisher("many", "many/0", 1)
    codes = []
    for number in range(PRODUCERS_MAX + 1):
        line.producer = f"many/{number}"
        codes.append(line.ask([make(pb, f"p-{number}", source="many")], number=1).code)
    assert codes == [0] * PRODUCERS_MAX + [TOO_MANY], codes
    line.producer = "many/1"
    assert line.ask([make(pb, "p-again", source="many")], number=2).code == 0  # one that there is
    line.close()
    assert house.publisher("other", "other", 1).ask([make(pb, "p-other", source="other")], number=1).code == 0


def test_connectors_that_report_by_one_key_are_bounded(house):
    report = {"kind": "source", "state": "running"}
    codes = [house.query("many", "connector.report", name=f"many/{number}", **report).code for number in range(REPORTS_MAX + 1)]
    assert codes == [0] * REPORTS_MAX + [TOO_MANY], codes
    assert house.query("many", "connector.report", name="many/1", **report).code == 0
    assert house.query("other", "connector.report", name="other", **report).code == 0


def memory_mib(house):
    """The broker's resident memory at its highest."""
    with open(f"/proc/{house.broker.pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024


def test_a_question_that_waits_takes_what_it_has_on_the_wire(house):
    """Unpacked a body may take two hundred times as much."""
    line = Line(house.port + 2, pb.Answer, house.of("many"))
    before, asked = memory_mib(house), QUESTIONS_OF_A_KEY - 4
    body = b"\x81\xa1a\xdd" + EMPTY_MAPS.to_bytes(4, "big") + b"\x80" * EMPTY_MAPS
    for number in range(asked):
        line.send(pb.Query(request=number + 1, verb="customer.tombstoned", min_sequence=1 << 40, body=body))
    assert {line.receive().code for _ in range(asked)} == {BAD_CURSOR}  # after a second
    assert memory_mib(house) - before < GROWTH_MIB_MAX, (before, memory_mib(house))
    line.close()


def test_the_quarantine_is_not_one_keys(house):
    """What one key floods it with takes one half; another's malformed event does not hold up what comes behind it."""
    line, codes, number = house.publisher("many"), [], 0
    while BUSY not in codes:
        assert number < QUARANTINE_MAX, "it is full"
        reply = line.ask([make(pb, f"q-{number + n}", "order.placed", {"order_id": "o"}, source="many") for n in range(BATCH)])
        codes += [outcome.code for outcome in reply.outcomes if outcome.code == QUARANTINED or "quarantine" in outcome.detail]
        number += BATCH
    assert QUARANTINE_MAX / 2 <= codes.count(QUARANTINED) <= QUARANTINE_MAX / 2 + LATE_MAX, codes.count(QUARANTINED)
    line.close()
    broken = make(pb, "q-other", "order.placed", {"order_id": "o"}, source="other")
    reply = house.publisher("other", "other.q", 1).ask([broken, make(pb, "q-behind", source="other")], number=1)
    assert [outcome.code for outcome in reply.outcomes] == [QUARANTINED] and reply.expected == 3, reply


def main():
    with KeyHouse(many="connector", other="connector", boss="admin") as house:
        house.start_keyed()
        for test in (test_a_question_that_waits_takes_what_it_has_on_the_wire, test_producers_of_one_key_are_bounded,
                     test_connectors_that_report_by_one_key_are_bounded, test_connections_beyond_the_bound_are_cut,
                     test_subscriptions_beyond_the_bound_are_refused_also_after_a_restart, test_the_quarantine_is_not_one_keys,
                     test_questions_that_wait_are_bounded):
            test(house)
            print(test.__name__, flush=True)
        assert house.broker.stop() == 0


main()
