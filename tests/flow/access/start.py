#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the broker refuses to start with, each with a line that names it; and who gets no answer of one that has keys."""
import os
import subprocess

import zmq
from certificates import Key, KeyHouse, Line, Publisher, pb

from harness import program, wait_for  # certificates has set the path

SECONDS = 60


def refuses(house, *arguments, names):
    done = subprocess.run([program("touchbusd"), "--state", house.state, "--port", str(house.port), *arguments], text=True, capture_output=True,
                          timeout=SECONDS, check=False)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 2), said
    for name in names:
        assert name in said, f"{name!r} is not in: {said}"
    return said


def test_refusals_are_named(house):
    keyed = ["--key", house.key_file, "--clients", house.clients]
    refuses(house, "--bind", "0.0.0.0", names=["--bind", "0.0.0.0", "--key"])
    refuses(house, "--bind", "0.0.0.0", "--key", house.key_file, names=["--bind", "--clients"])
    refuses(house, "--key", house.key_file, names=["--clients"])
    refuses(house, "--clients", house.clients, names=["--key"])
    refuses(house, "--key", house.key_file, "--clients", house.folder + "/none", names=["--clients", "/none"])
    refuses(house, *keyed, "--role", "web publsh=*", names=["--role", "'publsh=*'"])
    refuses(house, "--role", "web quota=many", names=["--role", "'quota=many'"])
    os.chmod(house.key_file, 0o640)
    refuses(house, *keyed, names=[house.key_file, "0640"])
    os.chmod(house.key_file, 0o600)
    refuses(house, "--key", os.path.join(house.clients, "web.key"), "--clients", house.clients, names=["web.key"])
    house.add("odd", "wizard")
    refuses(house, *keyed, names=["odd.key", "wizard"])
    refuses(house, *keyed, "--check", names=["odd.key", "wizard"])
    house.remove("odd")
    key = house.keys["web"]
    twin = Key("twin", "admin")
    twin.public = key.public
    twin.write(os.path.join(house.clients, "twin.key"))
    refuses(house, *keyed, names=["'twin'", "'web'"])
    house.remove("twin")
    twin.name = "torn"
    with open(os.path.join(house.clients, "torn.key"), "w", encoding="ascii") as file:
        file.write("curve\n    public-key = \"short\"\n")
    refuses(house, *keyed, names=["torn.key"])
    house.remove("torn")


def test_strangers_get_no_answer_on_any_address(house):
    for address in (f"tcp://127.0.0.1:{house.port}", f"ipc://{house.state}/publish"):
        for keys in (None, house.of(Key("stranger"))):
            line = Line(address, pb.PublishReply, keys)
            assert line.unanswered(pb.PublishRequest(request=1)), (address, keys)
            line.close()
    wrong = Publisher(house.port, keys=(Key("x").public, *house.of("web")[1:]))  # and who is fooled about the broker
    assert wrong.unanswered(pb.PublishRequest(request=1))
    known = Line(f"ipc://{house.state}/publish", pb.PublishReply, house.of("web"))
    known.send(pb.PublishRequest(request=1))
    assert known.receive().request == 1
    wait_for("it is said", lambda: "event=handshakes-refused" in house.broker.tail())
    assert house.of("web")[2].decode() not in house.broker.tail(1000)


def test_beyond_loopback(house):
    assert house.broker.stop() == 0
    house.start_keyed("--bind", "0.0.0.0", "--log-level", "debug")
    wait_for("all three are proved", lambda: house.lines("event=access-proved") == 3)
    assert house.publisher("web").ask().code == 0


def main():
    with KeyHouse(web="source") as house:
        assert zmq.has("curve")
        test_refusals_are_named(house)
        house.start_keyed()
        test_strangers_get_no_answer_on_any_address(house)
        test_beyond_loopback(house)
        assert house.broker.stop() == 0
    print("refused and named; strangers were not heard")


main()
