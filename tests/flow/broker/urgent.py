#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Look-ups go ahead of everything else where the process may, for a share of the time; where it may not, it starts and answers
all the same and says so once."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire")]
from harness import House, wait_for  # noqa: E402
from wire import Line, pb  # noqa: E402

QUERY_PATH = {"query", "ZMQbg/IO/1"}
AT_ONCE = 200


def urgent_threads(broker):
    """The names of the threads that run at real-time priority."""
    names = set()
    for thread in os.listdir(f"/proc/{broker.pid}/task"):
        if os.sched_getscheduler(int(thread)) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR:
            with open(f"/proc/{broker.pid}/task/{thread}/comm", encoding="ascii") as file:
                names.add(file.read().strip())
    return names


def may_be_urgent():
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    except PermissionError:
        return False
    return True


# Without the capability, and with the limit that a login has.
TAKEN_AWAY = ("prlimit", "--rtprio=0", *(("setpriv", "--bounding-set=-sys_nice") if os.geteuid() == 0 else ()))


def ask_many(line):
    for number in range(AT_ONCE):
        line.send(pb.Query(request=number + 1, verb="status"))
    for _ in range(AT_ONCE):
        assert line.receive().code == 0


def start(house, *options, under=()):
    house.broker = house.start("touchbusd", "--state", house.state, "--port", str(house.port), *options, under=under)
    house.await_broker()
    assert house.ask("status")["subscriptions"] == []
    return house.broker


def test_who_may_not_answers_all_the_same(house):
    broker = start(house, under=TAKEN_AWAY if may_be_urgent() else ())
    assert not urgent_threads(broker)
    assert broker.tail(100).count("event=not-urgent") == 1, broker.tail()
    assert broker.stop() == 0


def test_an_operator_may_say_never(house):
    broker = start(house, "--urgent-percent", "0")
    assert not urgent_threads(broker)
    assert broker.stop() == 0


def test_the_query_path_alone_is_urgent_and_a_flood_is_not(house):
    broker = start(house, "--urgent-percent", "1")
    wait_for("look-ups are urgent", lambda: urgent_threads(broker) == QUERY_PATH)
    line = Line(house.port + 2, pb.Answer)

    def flooded():
        ask_many(line)
        return not urgent_threads(broker)
    wait_for("a flood is not", flooded, pause=0)
    wait_for("when it has ended they are again", lambda: urgent_threads(broker) == QUERY_PATH)
    line.close()
    assert broker.stop() == 0


def main():
    with House() as house:
        test_who_may_not_answers_all_the_same(house)
        test_an_operator_may_say_never(house)
        if may_be_urgent():
            test_the_query_path_alone_is_urgent_and_a_flood_is_not(house)


main()
