#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Keys come, go and change while everything runs: SIGHUP alone, no restart, and the log tells whose."""
import os

from certificates import FORBIDDEN, Key, KeyHouse, Line, hear, pb, refused

from events import make  # certificates has set the path


def publish(house, line, number):
    return line.ask([make(pb, f"n-{number}", source="/web")])


def test_a_new_key_of_the_same_name_works_beside_the_old_one(house):
    old = house.publisher("web", "web", 1)
    assert old.ask([make(pb, "o-1", source="/web")], number=1).sequences[0]
    before = house.keys["web"]
    house.add("web", "connector", file="web-2")
    house.reload()
    new = house.publisher("web", "web", 1)
    assert new.ask([make(pb, "o-2", source="/web")], number=2).sequences[0]
    assert old.ask([make(pb, "o-3", source="/web")], number=3).sequences[0]
    house.remove("web")
    house.reload()
    assert old.ask([make(pb, "o-4", source="/web")], number=4).code == FORBIDDEN
    assert new.ask([make(pb, "o-5", source="/web")], number=4).sequences[0]
    late = house.publisher(before)
    assert late.unanswered(pb.PublishRequest(request=1))  # and is not let in again


def test_a_removed_key_is_refused_on_every_socket_at_once(house):
    house.add("gone", "everything")
    house.reload()
    publisher = house.publisher("gone")
    assert publisher.ask([make(pb, "g-1", source="/gone")]).sequences[0]
    named, message = house.subscribe("gone", "gone", ["page.*"], end=True)
    assert message.WhichOneof("body") == "subscribed"
    tail, _ = house.subscribe("gone", "", ["page.*"], end=True)
    questions = Line(house.port + 2, pb.Answer, house.of("gone"))
    questions.send(pb.Query(request=1, verb="status"))
    assert questions.receive().code == 0
    house.remove("gone")
    house.reload()
    assert refused(hear(named)) and refused(hear(tail))  # without a word of theirs
    assert publisher.ask([make(pb, "g-2", source="/gone")]).code == FORBIDDEN
    questions.send(pb.Query(request=2, verb="status"))
    assert questions.receive().code == FORBIDDEN
    named.send(pb.SubscriberMessage(subscribe=pb.Subscribe(name="gone", credit=10)))
    assert refused(hear(named))
    for line in (named, tail, questions, publisher):
        line.close()


def test_a_role_that_shrinks_shuts_out_what_it_covered(house):
    line, message = house.subscribe("crm", "crm", ["page.*"], end=True)
    assert message.WhichOneof("body") == "subscribed"
    house.add("crm", "deaf")  # another certificate in the same file: the key is another one, too
    house.reload()
    assert refused(hear(line))
    line.close()


def test_a_bad_reload_leaves_what_was_in_force(house):
    path = os.path.join(house.clients, "bad.key")
    Key("bad", "wizard").write(path)
    house.add("waits", "connector")
    house.reload()
    assert "bad.key" in house.broker.tail() and "what was in force stays" in house.broker.tail()
    waits = house.publisher("waits")
    assert waits.unanswered(pb.PublishRequest(request=1))
    waits.close()
    assert publish(house, house.publisher("web"), "kept").sequences[0]
    os.remove(path)
    house.reload()
    assert house.publisher("waits").ask().code == 0


def test_the_log_tells_who_came_and_went(house):
    line, _ = house.subscribe("boss", "", ["configuration.changed"], beginning=True)
    told = b""
    while b"waits" not in told:
        told += b"".join(pb.Event.FromString(data).data for data in hear(line).delivery.events)
    line.close()
    for word in (b"added", b"removed", b"changed", b"gone", b"web", house.keys["gone"].public[:8], house.keys["web"].public[:8]):
        assert word in told, word
    for key in house.keys.values():
        assert key.secret not in told and key.public not in told


def main():
    with KeyHouse(web="connector", crm="sink", boss="admin") as house:
        house.start_keyed("--role", "everything publish=* subscribe=* receive=* read=* watch", "--role", "deaf subscribe=crm receive=case.*")
        for test in (test_a_new_key_of_the_same_name_works_beside_the_old_one, test_a_removed_key_is_refused_on_every_socket_at_once,
                     test_a_role_that_shrinks_shuts_out_what_it_covered, test_a_bad_reload_leaves_what_was_in_force,
                     test_the_log_tells_who_came_and_went):
            test(house)
            print(test.__name__, flush=True)
        assert house.broker.stop() == 0


main()
