#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Publishing to the real broker: numbers, duplicates, conflicts, quarantine, identity, restarts, and what an ack means."""
import errno
import os
import signal
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire"), HERE]
from harness import House, program, wait_for  # noqa: E402
from wire import Publisher, Subscriber, pb, query  # noqa: E402
from events import make, order  # noqa: E402

OK, DUPLICATE, QUARANTINED, TOO_LARGE, BAD_ARGUMENT = 0, 1, 2, 102, 103
CONFLICT, NUMBER_GAP, FENCED, BUSY = 200, 201, 202, 203


def codes(reply):
    """The code of each event."""
    found = {outcome.index: outcome.code for outcome in reply.outcomes}
    return [found.get(index, OK) for index in range(len(reply.sequences))]


def test_an_ack_means_visible(house):
    publisher = Publisher(house.port)
    for number in range(20):
        reply = publisher.ask([make(pb, f"visible-{number}", keys=[("user_id", f"visible-{number}")])])
        assert codes(reply) == [OK], reply
        answer = query(house.port, "customer.show", key=f"user_id=visible-{number}")[-1]
        assert answer.code == 0 and answer.as_of >= reply.sequences[0], answer


def test_the_same_event_again_is_a_duplicate(house):
    publisher = Publisher(house.port)
    event = make(pb, "again", keys=[("user_id", "again")])
    first = publisher.ask([event])
    again = publisher.ask([event, event])
    assert codes(again) == [DUPLICATE, DUPLICATE] and list(again.sequences) == [first.sequences[0]] * 2, again
    assert list(again.customers) == [first.customers[0]] * 2, again
    event.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    event.time_us, event.has_time = 17, True
    assert codes(publisher.ask([event])) == [DUPLICATE]
    twice = make(pb, "twice in one request")
    both = publisher.ask([twice, twice])
    assert codes(both) == [OK, DUPLICATE] and both.sequences[0] == both.sequences[1], both


def test_the_same_id_with_another_body_is_a_conflict(house):
    publisher = Publisher(house.port)
    assert codes(publisher.ask([make(pb, "conflict", data={"url": "a"})])) == [OK]
    reply = publisher.ask([make(pb, "conflict", data={"url": "b"})])
    assert codes(reply) == [CONFLICT] and list(reply.sequences) == [0], reply
    assert codes(publisher.ask([make(pb, "conflict", data={"url": "b"}, source="/other")])) == [OK]


def test_numbers_have_no_gap(house):
    publisher = Publisher(house.port, "numbers", 7)
    assert publisher.ask().expected == 1
    gap = publisher.ask([make(pb, "n-2")], number=2)
    assert gap.code == NUMBER_GAP and gap.expected == 1, gap
    first = publisher.ask([make(pb, f"n-{n}") for n in range(1, 4)], number=1)
    assert codes(first) == [OK] * 3 and first.expected == 4, first
    overlap = publisher.ask([make(pb, f"n-{n}") for n in range(2, 6)], number=2)
    assert codes(overlap) == [DUPLICATE, DUPLICATE, OK, OK] and overlap.expected == 6, overlap
    assert list(overlap.sequences)[:2] == list(first.sequences)[1:], overlap
    assert publisher.ask().expected == 6
    for number in (0, 2**63, 2**64 - 1):
        refused = publisher.ask([make(pb, "x")], number=number)
        assert refused.code == BAD_ARGUMENT, refused


def test_a_lower_epoch_is_fenced(house):
    Publisher(house.port, "fence", 5).ask([make(pb, "f-1")], number=1)
    assert Publisher(house.port, "fence", 4).ask([make(pb, "f-2")], number=1).code == FENCED
    newer = Publisher(house.port, "fence", 6)
    assert newer.ask().expected == 1
    assert codes(newer.ask([make(pb, "f-3")], number=1)) == [OK]
    assert Publisher(house.port, "fence", 5).ask([make(pb, "f-4")], number=2).code == FENCED


def test_what_is_refused_for_good_settles_its_number(house):
    publisher = Publisher(house.port, "settled", 1)
    events = [make(pb, "s-1"), b"\xff\xff", make(pb, "s-3", "order.placed", {"order_id": "o"}), make(pb, "s-4")]
    reply = publisher.ask(events, number=1)
    assert codes(reply) == [OK, 100, QUARANTINED, OK] and reply.expected == 5, reply
    assert list(reply.sequences)[1:3] == [0, 0] and reply.sequences[3] == reply.sequences[0] + 1, reply
    again = publisher.ask(events, number=1)
    assert codes(again) == [DUPLICATE, 100, QUARANTINED, DUPLICATE] and again.expected == 5, again


def test_a_broken_schema_is_put_aside_once(house):
    publisher = Publisher(house.port)
    broken = order(pb, "broken", "o-broken")
    broken.data = broken.data.replace(b"currency", b"kurrency")
    for _ in range(2):
        reply = publisher.ask([broken])
        assert codes(reply) == [QUARANTINED] and "currency" in reply.outcomes[0].detail, reply
    assert codes(publisher.ask([order(pb, "broken", "o-broken")])) == [OK]  # its id is still free


def test_a_refused_merge_says_so_behind_its_event(house):
    publisher = Publisher(house.port)
    reply = publisher.ask([make(pb, "m-1", keys=[("email", "m@klant.example")]), make(pb, "m-2", keys=[("user_id", "m-2")]),
                           make(pb, "m-3", keys=[("email", "M@klant.example"), ("user_id", "m-2")]), make(pb, "m-4")])
    one, two, three, four = reply.sequences
    assert (two, three, four) == (one + 1, one + 2, one + 4), reply  # identity.changed is one + 3
    assert reply.customers[2] == reply.customers[1] != reply.customers[0], reply


def test_limits_are_refused_as_too_large(house):
    publisher = Publisher(house.port)
    assert publisher.ask([make(pb, f"many-{n}") for n in range(2049)]).code == TOO_LARGE
    large = make(pb, "large", "acme.large", {"pad": "x" * (1 << 20)})
    assert codes(publisher.ask([large, make(pb, "small")])) == [TOO_LARGE, OK]
    largest = make(pb, "largest", "acme.large", {"pad": "x" * ((1 << 20) - 200)}, keys=[("user_id", "largest")])
    assert codes(publisher.ask([largest])) == [OK]
    four = [make(pb, f"four-{n}", "acme.large", {"pad": "x" * ((1 << 20) - 400)}) for n in range(3)]
    assert codes(publisher.ask(four)) == [OK] * 3


def test_a_second_broker_on_the_same_state_is_refused(house):
    second = house.start("touchbusd", "--state", house.state, "--port", str(house.port + 10))
    assert second.wait() == 1
    assert f"pid={house.broker.pid}" in second.tail(), second.tail()


def test_a_restart_keeps_numbers_ids_and_customers(house):
    publisher = Publisher(house.port, "restart", 3)
    events = [make(pb, f"r-{n}", keys=[("user_id", f"r-{n}")]) for n in range(50)]
    first = publisher.ask(events, number=1)
    publisher.close()
    for end in (signal.SIGTERM, signal.SIGKILL):
        house.broker.popen.send_signal(end)
        status = house.broker.wait()
        assert status == (0 if end == signal.SIGTERM else -9), status
        house.start_broker()
        publisher = Publisher(house.port, "restart", 3)
        assert publisher.ask().expected == 51
        again = publisher.ask(events, number=1)
        assert codes(again) == [DUPLICATE] * 50 and list(again.sequences) == list(first.sequences), again
        assert list(again.customers) == list(first.customers) and again.incarnation == first.incarnation
        unnumbered = Publisher(house.port).ask([events[7]])
        assert codes(unnumbered) == [DUPLICATE] and unnumbered.sequences[0] == first.sequences[7], unnumbered
        assert Publisher(house.port, "restart", 2).ask().code == FENCED
        publisher.close()


def test_a_state_folder_with_a_long_path_has_tcp_only(house):
    with House() as other:
        other.state = os.path.join(other.folder, "x" * 70, "y" * 70)
        os.makedirs(other.state)
        other.start_broker()
        assert query(other.port, "log.info")[-1].code == 0
        assert "event=no-ipc" in other.broker.tail()
        assert other.broker.stop() == 0


def test_every_socket_listens_on_ipv6(house):
    with socket.socket(socket.AF_INET6) as probe:
        if probe.connect_ex(("::1", 9)) not in (0, errno.ECONNREFUSED):
            print("SKIP: no IPv6 loopback")
            return
    with House() as other:
        other.start_broker("--bind", "::1", wait=False)
        for port in range(other.port, other.port + 3):
            def listening(port=port):
                with socket.socket(socket.AF_INET6) as probe:
                    return probe.connect_ex(("::1", port)) == 0
            wait_for(f"port {port} on ::1", listening)
        assert other.broker.stop() == 0


def test_wrong_usage_is_named(house):
    for arguments, words in ((["--state", house.state, "--bind", "0.0.0.0"], "loopback"), ([], "--state"),
                             (["--state", house.state, "--port", "0"], "out of range"),
                             (["--state", house.state, "--nonsense"], "unknown option")):
        process = house.start("touchbusd", *arguments)
        assert process.wait() == 2, arguments
        assert words in process.tail(), process.tail()


def test_a_nearly_full_disk_is_answered_busy(house):
    house.broker.stop()
    house.start_broker("--disk-reserve", "32T")
    publisher = Publisher(house.port, "disk", 1)

    def busy():
        reply = publisher.ask([make(pb, "disk")], number=publisher.ask().expected)
        return reply if BUSY in codes(reply) else None
    reply = wait_for("busy", busy)
    expected = publisher.ask().expected
    two = publisher.ask([make(pb, "disk-1"), make(pb, "disk-2")], number=expected)
    assert codes(two) == [BUSY, NUMBER_GAP] or codes(two) == [BUSY, BUSY], two
    assert two.expected == expected == reply.expected and list(two.sequences) == [0, 0], two
    house.broker.stop()
    house.start_broker()


def test_a_reload_takes_ranks_and_refuses_nonsense(house):
    path = os.path.join(house.folder, "touchbusd.conf")

    def write(text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def reload(words):
        house.broker.popen.send_signal(signal.SIGHUP)
        wait_for(words, lambda: words in house.broker.tail(8))

    def rank(number):
        sequence = publisher.ask([make(pb, f"rank-{number}", source="/crm/a")]).sequences[0]
        reader = Subscriber(house.port, until=sequence, sequence=sequence)
        return [event.rank for event, _ in reader.events()][0]
    write("rank = /crm/*=5\n")
    house.broker.stop()
    house.start_broker("--config", path)
    publisher = Publisher(house.port)
    assert rank(1) == 5
    write("rank = /crm/*=7\nport = 1\n")
    reload("option=rank reloaded=true")
    reload("event=reloaded whole=true")
    assert rank(2) == 7
    write("rank = /crm/*=8\nnonsense = 1\n")
    reload("event=reload-refused")
    assert rank(3) == 7
    write("rank = nonsense\n")
    reload("option=rank value=nonsense")
    assert rank(4) == 7
    house.broker.stop()
    house.start_broker()


def main():
    tests = [value for name, value in sorted(globals().items()) if name.startswith("test_")]
    with House() as house:
        house.start_broker()
        for test in tests:
            test(house)
            print(test.__name__, flush=True)
        assert house.broker.stop() == 0


assert program("touchbusd")
main()
