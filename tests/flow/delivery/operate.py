#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What operators do with subscriptions: pause, resume, reset, remove; and what a subscription is told when retention could not wait
for it."""
from common import PATIENT, House, Stream, Subscriber, ask, show, take, wait_for

NOT_FOUND, IN_USE, BAD_CURSOR, TRIMMED, BAD_ARGUMENT = 300, 302, 105, 106, 103
SETTINGS = ("--retention-bytes", "1M", "--retention-subscription-bytes", "1M", "--restore-interval", "500ms", *PATIENT)


def drain(subscriber, count, seconds=0.7):
    """The next `count` and what comes right behind them."""
    sequences = []
    while events := take(subscriber, *([seconds] if len(sequences) >= count else [])):
        sequences += [e.sequence for e, _ in events if e.source == "/flow"]
        subscriber.settle(delivered=[e.sequence for e, _ in events])
    return sequences


def test_pause_reset_and_remove(house, stream):
    subscriber = Subscriber(house.port, "crm", credit=100, beginning=True)
    first = stream.publish(50, lambda n: f"u-{n}")
    assert drain(subscriber, len(first)) == first
    code, body = ask(house.port, "subscription.pause", name="crm")
    assert code == 0 and body["state"] == "paused", body
    second = stream.publish(50, lambda n: f"u-{n}")
    assert drain(subscriber, 0) == []
    assert show(house.port, "crm")["lag"] >= 50
    assert ask(house.port, "subscription.reset", name="crm", **{"from": "beginning"})[0] == IN_USE
    assert ask(house.port, "subscription.rm", name="crm")[0] == IN_USE
    assert ask(house.port, "subscription.resume", name="crm")[1]["state"] == "active"
    assert drain(subscriber, len(second)) == second
    code, body = ask(house.port, "subscription.reset", name="crm", force="true", **{"from": str(second[10])})
    assert code == 0 and body["cursor"] == second[10] - 1, body
    assert drain(subscriber, len(second) - 10) == second[10:]
    assert ask(house.port, "subscription.reset", name="crm", force="true", **{"from": "999999"})[0] == BAD_CURSOR
    assert ask(house.port, "subscription.reset", name="crm", force="true", **{"from": "soon"})[0] == BAD_ARGUMENT
    subscriber.leave()
    wait_for("nobody", lambda: show(house.port, "crm")["members"] == 0)
    assert ask(house.port, "subscription.reset", name="crm", **{"from": "beginning"})[0] == 0
    assert house.broker.stop() == 0
    house.start_broker(*SETTINGS)  # all of it is on disk
    assert show(house.port, "crm")["cursor"] == 0
    assert ask(house.port, "subscription.rm", name="crm")[0] == 0
    assert ask(house.port, "subscription.show", name="crm")[0] == NOT_FOUND
    assert house.broker.stop() == 0
    house.start_broker(*SETTINGS)
    assert ask(house.port, "subscription.show", name="crm")[0] == NOT_FOUND


def test_is_told_what_it_lost(house, stream):
    Subscriber(house.port, "absent", beginning=True).leave()
    wait_for("nobody", lambda: show(house.port, "absent")["members"] == 0)
    stream.publish(30000, lambda n: f"u-{n % 700}")

    def trimmed():
        stream.publish(500, lambda n: f"u-{n % 700}")
        try:
            Subscriber(house.port, sequence=1).close()
        except AssertionError as error:
            assert error.args[0].refused.code == TRIMMED, error
            return error.args[0].refused.floor
        return 0

    floor = wait_for("retention goes past it", trimmed)
    subscriber = Subscriber(house.port, "absent", credit=500)
    lost = None
    for _ in range(100):
        message = subscriber.await_body()
        if message.WhichOneof("body") == "progress" and message.progress.lost_first:
            lost = message.progress
            break
    assert lost and lost.lost_first == subscriber.subscribed.cursor + 1 and lost.lost_last >= floor - 1, lost
    events = take(subscriber)
    assert events[0][0].sequence == lost.lost_last + 1, (events[0][0].sequence, lost)
    subscriber.leave()
    return lost.lost_last - lost.lost_first + 1


def main():
    with House() as house:
        house.start_broker(*PATIENT)
        stream = Stream(house.port)
        test_pause_reset_and_remove(house, stream)
        lost = test_is_told_what_it_lost(house, stream)
        assert house.broker.stop() == 0
        print(f"paused, resumed, reset, removed; told of {lost} lost events")


main()
