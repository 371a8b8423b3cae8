#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A wrong password, a host that is not known or named wrongly, a server that accepts and never answers, one that answers garbage, a
certificate that does not fit: each is said in one clear line, holds the events, parks none, and is over without a restart once it is put
right. No password in any log."""
import os
import shutil
import signal
import socket
import subprocess
import threading

from warehouse import House, Names, NamesError, Postgres, agrees, cloud, drained, log_end, publish, says, start, wait_for

SECRET = "not-the-password"
RETRY = ("--retry-attempts", "2", "--retry-min", "50ms", "--retry-max", "100ms")


class Impostor:
    """Listens where PostgreSQL should: never answers, or with what it is given."""

    def __init__(self, port, answer=None):
        self.answer, self.socket, self.held = answer, socket.create_server(("127.0.0.1", port)), []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
                self.held.append(peer)
                if self.answer:
                    peer.recv(4096)
                    peer.sendall(self.answer)
            except OSError:
                return

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        for peer in self.held:
            peer.close()


def pages(first, count):
    return [cloud(number, "page.viewed", {"url": "/"}, f"user_id=u-{number}") for number in range(first, first + count)]


def held(house):
    shown = house.ask("subscription", "show", "crm")
    assert shown["parked"] == 0 and shown["lag"] > 0, shown


def write_secret(path, text):
    with open(path, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text + "\n")


def certificate(folder, name):
    """A self-signed certificate for a host of that name; certificate and key."""
    paths = [os.path.join(folder, f"{name}.{end}") for end in ("crt", "key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


def wrong_password(house, server):
    secret = os.path.join(house.folder, "password")
    write_secret(secret, SECRET)
    process = start(house, "crm", "--postgres", server.uri, "--password-file", secret)
    publish(house, pages(1, 20))
    place = says(process, "password authentication failed")
    held(house)
    shutil.copy(server.password_file, secret)
    says(process, "sink=back", place)
    drained(house, "crm")
    return process


def silent(house, server, process):
    """It accepts and never answers, then speaks something else; then it is there again."""
    server.stop()
    place = log_end(process)
    for answer, complaint in ((None, "no answer within 5000 ms"), (b"220 mail.example ESMTP\r\n" * 10, "invalid response to SSL negotiation")):
        impostor = Impostor(server.port, answer)
        publish(house, pages(100 if answer else 200, 20))
        place = says(process, complaint, place)
        held(house)
        impostor.close()
    server.start()
    says(process, "sink=back", place)
    drained(house, "crm")


def hanging(house, server, process):
    """It stops in the middle of a session: what was sent is held, and comes when it goes on."""
    other = subprocess.Popen(["psql", "-X", "-q", "-h", server.folder, "-p", str(server.port), "-U", "postgres", "-d", "crm"],
                             stdin=subprocess.PIPE, text=True)
    other.stdin.write("BEGIN; LOCK TABLE touchbus.fences IN ACCESS EXCLUSIVE MODE;\n")
    other.stdin.flush()
    wait_for("the lock", lambda: server.one("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'fences'::regclass"))
    place = log_end(process)
    publish(house, pages(300, 20))
    says(process, "lock timeout", place)
    held(house)
    other.stdin.close()  # ends the session, and its lock
    assert other.wait(30) == 0
    drained(house, "crm")


def unknown(house, server):
    """A name that nobody knows, until it is known. Then the configuration names another one, until it is put right and reloaded."""
    try:
        names = Names(house.folder)
    except NamesError as error:
        print(f"not tried, a host that becomes known: {error}")
        return
    conf = os.path.join(house.folder, "crm.conf")

    def address(host):
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"postgres = postgresql://crm@{host}:{server.port}/crm?sslmode=disable\npassword-file = {server.password_file}\n")

    def reload(host, place):
        address(host)
        process.popen.send_signal(signal.SIGHUP)
        return says(process, "reload=done", place)

    address("warehouse.shop.example")
    process = start(house, "crm", "--config", conf, under=names.under)
    publish(house, pages(350, 20))
    place = says(process, 'could not translate host name "warehouse.shop.example"'.replace('"', "'"))
    held(house)
    names.know("warehouse.shop.example", "127.0.0.2")  # nobody listens there
    place = says(process, "Connection refused", place)
    names.know("warehouse.shop.example")
    place = says(process, "sink=back", place)
    drained(house, "crm")
    place = reload("wherehouse.shop.example", place)
    publish(house, pages(370, 20))
    place = says(process, "wherehouse.shop.example", place)
    held(house)
    place = reload("warehouse.shop.example", place)
    says(process, "sink=back", place)
    says(process, "outgoing=back", place)
    drained(house, "crm")
    assert process.stop() == 0, process.tail()


def tls(house, server):
    """The certificate is of another host; the right one is put in its place, and the server reads it."""
    uri = f"postgresql://crm@localhost:{server.port}/crm?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={house.folder}/localhost.crt"
    process = start(house, "crm", "--postgres", uri, "--password-file", server.password_file)
    publish(house, pages(400, 20))
    place = says(process, "certificate")
    held(house)
    for path, name in zip((house.localhost), ("server.crt", "server.key")):
        server.place(path, name)
    server.run("SELECT pg_reload_conf()")
    says(process, "sink=back", place)
    drained(house, "crm")
    assert server.one("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'touchbus-crm'") > 0
    return process


def refused_at_start(house, server):
    """What no waiting mends ends the program at once, and says why."""
    for uri, complaint in ((server.uri.replace("crm@", f"crm:{SECRET}@"), "has a password in it"), (f"host {SECRET}", "no URI")):
        done = house.start("touchbus-crm", "--broker", house.address, "--state", house.state, "--postgres", uri)
        assert done.wait() == 2 and complaint in done.tail(), done.tail()
        assert SECRET not in done.tail(), done.tail()


def main():
    with House() as house:
        house.localhost, elsewhere = certificate(house.folder, "localhost"), certificate(house.folder, "elsewhere.example")
        with Postgres(certificate=elsewhere[0], key=elsewhere[1], fsync="off") as server:
            house.start_broker(*RETRY)
            refused_at_start(house, server)
            process = wrong_password(house, server)
            silent(house, server, process)
            hanging(house, server, process)
            assert process.stop() == 0, process.tail()
            unknown(house, server)
            process = tls(house, server)
            assert process.stop() == 0, process.tail()
            print(agrees(house, server), "rows, nothing parked")
            with open(process.log, encoding="utf-8") as file:
                log = file.read()
            with open(server.password_file, encoding="ascii") as file:
                assert SECRET not in log and file.read().strip() not in log


main()
