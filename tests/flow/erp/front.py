# SPDX-License-Identifier: Apache-2.0
"""A door in front of trytond that can be any bad server: the connector's URL leads to it, what is behind changes while it runs. And one who
holds the door: just before a call of a method is let through, something else happens behind it."""
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading

HANG_S = 60
GARBAGE = b"220 mail.example ESMTP ready\r\n"
LIE = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<html>Hello.</p"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Front:
    """`mode` is one of: pass, hang, garbage, lie, busy, closed. With a certificate (path of PEM, key within) it speaks TLS."""

    def __init__(self, port, certificate=None):
        self.behind, self.mode, self.certificate = port, "pass", certificate
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.calls, self.over, self.meanwhile, self.trouble = 0, threading.Event(), {}, None
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.socket.close()

    def url(self, host="127.0.0.1"):
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}/erp"

    def accept(self):
        while not self.over.is_set():
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.calls += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            try:
                if self.certificate:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(self.certificate)
                    client = context.wrap_socket(client, server_side=True)
                self.answer(client)
            except OSError:
                pass

    def answer(self, client):
        said = {"garbage": GARBAGE, "lie": LIE, "busy": BUSY}.get(self.mode)
        if said:
            client.recv(65536)
            client.sendall(said)
        elif self.mode == "hang":
            self.over.wait(HANG_S)
        elif self.mode == "pass":
            self.relay(client)

    def before(self, method, does, times=1):
        """When the method is called next, so many times, this is done first."""
        self.meanwhile[method] = [does] * times

    def hold(self, client):
        """The whole request, when what was to be done before it is done."""
        request = b""
        while (end := request.find(b"\r\n\r\n")) < 0 or len(request) < end + 4 + int(re.search(rb"(?i)content-length: *(\d+)", request)[1]):
            data = client.recv(65536)
            if not data:
                return request
            request += data
        method = re.search(rb'"method": *"([^"]+)"', request[end:])
        does = self.meanwhile.get(method[1].decode() if method else None)
        if does:
            try:
                does.pop()()
            except Exception as error:  # a thread's own: told by the test
                self.trouble = error
        return request

    def relay(self, client):
        """One request: trytond closes when it has answered."""
        request = self.hold(client)
        with socket.create_connection(("127.0.0.1", self.behind)) as server:
            server.sendall(request)

            def up():
                try:
                    while data := client.recv(65536):
                        server.sendall(data)
                except OSError:
                    pass
            threading.Thread(target=up, daemon=True).start()
            while data := server.recv(65536):
                client.sendall(data)


class Authority:
    """Certificates of an authority of the test's own, by openssl."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "ca")
        os.mkdir(self.folder)
        self.run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem")
        self.pem = os.path.join(self.folder, "ca.pem")

    def run(self, *arguments):
        subprocess.run([shutil.which("openssl"), *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def issue(self, name):
        """A certificate and its key in one file, for that host name."""
        with open(os.path.join(self.folder, f"{name}.ext"), "w", encoding="ascii") as file:
            file.write(f"subjectAltName=DNS:{name}\n")
        self.run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
                 f"{name}.ext", "-out", f"{name}.crt")
        path = os.path.join(self.folder, f"{name}.pem")
        with open(path, "wb") as whole:
            for part in (f"{name}.crt", f"{name}.key"):
                with open(os.path.join(self.folder, part), "rb") as file:
                    whole.write(file.read())
        return path
