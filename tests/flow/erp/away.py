#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Tryton that is away in every way: wrong password, unknown host or user, a certificate that does not fit, a server that takes the connection and
never answers, one that answers garbage, a database that was killed. Each time a clear word in the log, nothing parked, no password
anywhere, and the order that waits is a sale as soon as it is put right, by the same process."""
import os
import signal

from desk import House, Names, NamesError, Tryton, drained, order, publish, sale, skip_without_tryton, start, wait_for
from front import Authority, Front
from tryton_house import PASSWORD, USER

LAMP = ("LAMP-1", 1, "19.90")
numbers = iter(range(1000))


def write_secret(path, text):
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text + "\n")


class Erp:
    """The connector, and what its log has said since it was asked last."""

    def __init__(self, house, server, *arguments, **options):
        self.house, self.server, self.seen = house, server, 0
        self.process = start(house, "erp", "--tryton-timeout", "2s", *arguments, **options)

    def log(self):
        with open(self.process.log, encoding="utf-8") as file:
            return file.read()

    def says(self, *words, what="tryton=away"):
        """Waits for such a line with one of the words."""
        def said():
            lines = [line for line in self.log()[self.seen:].splitlines() if what in line]
            return any(word in line for line in lines for word in words)
        wait_for(f"the log says one of {words}", said)

    def waits(self, *words):
        """An order that cannot go: said why, and nobody's lane is parked."""
        number = next(numbers)
        publish(self.house, [order(f"o-{number}", [LAMP], f"user_id=u-{number}")])
        self.says(*words)
        assert self.house.ask("subscription", "show", "erp")["parked"] == 0
        assert self.process.alive()
        return f"o-{number}"

    def goes_on(self, order_id):
        drained(self.house, "erp")
        assert sale(self.server, order_id)["state"] == "processing"
        self.seen = len(self.log())


def passwords(house, server, front):
    """Refused once, not hammered; a password that is put right is taken at once."""
    secret = os.path.join(house.folder, "secret")
    write_secret(secret, "wrong " + PASSWORD[::-1])
    erp = Erp(house, server, "--tryton", front.url(), "--password-file", secret)
    waiting = erp.waits("refuses the user or the password")
    calls = front.calls
    wait_for("a second look", lambda: erp.house.ask("connector", "show", "erp")["state"] == "sink-away")
    assert front.calls == calls, "the refused password was tried again"
    os.chmod(secret, 0o644)
    write_secret(secret + ".new", PASSWORD)
    os.chmod(secret + ".new", 0o644)
    os.rename(secret + ".new", secret)
    erp.says("others")
    os.chmod(secret, 0o600)
    erp.goes_on(waiting)
    return erp


def servers(erp, server, front):
    for mode, words in (("closed", ["Empty reply", "Connection reset", "Recv failure"]), ("garbage", ["HTTP/0.9", "Unsupported", "Weird"]),
                        ("lie", ["no JSON"]), ("busy", ["status 503"]), ("hang", ["timed out", "Timeout"])):
        front.mode = mode
        waiting = erp.waits(*words)
        front.mode = "pass"
        erp.goes_on(waiting)
    server.postgres.kill()
    waiting = erp.waits("connection", "database")
    server.postgres.start()
    erp.goes_on(waiting)


def hosts(house, server):
    """A host that nobody knows, then one that is somebody else's, until the name leads to Tryton. Then the configuration names another
    host, and as another user, until it is put right and reloaded."""
    try:
        names = Names(house.folder)
    except NamesError as error:
        print(f"not tried, a host that becomes known: {error}")
        return
    conf = os.path.join(house.folder, "erp.conf")

    def address(host, user=USER):
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"tryton = http://{host}:{server.port}/erp\ntryton-user = {user}\npassword-file = {server.password_file}\n")

    def reload(host, **more):
        address(host, **more)
        erp.process.popen.send_signal(signal.SIGHUP)
        wait_for("it is reloaded", lambda: erp.log().count("reload=done") > reloads[0])
        reloads[0] += 1

    reloads = [0]
    address("erp.shop.example")
    erp = Erp(house, server, "--config", conf, under=names.under)
    waiting = erp.waits("resolve host: erp.shop.example")
    names.know("erp.shop.example", "127.0.0.2")  # nobody listens there
    erp.says("port")
    names.know("erp.shop.example")
    erp.goes_on(waiting)
    reload("erb.shop.example")
    waiting = erp.waits("resolve host: erb.shop.example")
    reload("erp.shop.example", user="touchbuz")
    erp.says("refuses the user or the password")
    reload("erp.shop.example")
    erp.goes_on(waiting)
    assert erp.process.stop() == 0, erp.process.tail()


def certificates(house, server):
    authority = Authority(house.folder)
    good, other = authority.issue("localhost"), authority.issue("elsewhere.example")
    with Front(server.port, other) as front:
        erp = Erp(house, server, "--tryton", front.url("localhost"), "--password-file", server.password_file, "--tryton-ca", authority.pem)
        waiting = erp.waits("certificate", "SSL")
        front.certificate = good
        erp.goes_on(waiting)
        assert erp.process.stop() == 0, erp.process.tail()


def main():
    skip_without_tryton()
    with Tryton() as server, House() as house, Front(server.port) as front:
        house.start_broker()
        erp = passwords(house, server, front)
        servers(erp, server, front)
        assert erp.process.stop() == 0, erp.process.tail()
        hosts(house, server)
        certificates(house, server)
        for word in (PASSWORD, PASSWORD[::-1]):
            assert word not in erp.log() and word not in str(house.ask("connector", "show", "erp")), "a password in the log"
        print("away in every way, and back")


main()
