# SPDX-License-Identifier: Apache-2.0
"""Host names that a test gives and takes while a program runs: the resolver of that program alone reads a hosts file of the test's.

    names = Names(folder)                                   # nothing but localhost is known
    process = house.start("touchbus-x", ..., under=names.under)
    names.know("mail.shop.example")                         # at 127.0.0.1, from the program's next look-up on
    names.forget("mail.shop.example")                       # "Name or service not known", at once: no server is asked

The program runs in a mount namespace of its own, in which that file lies over /etc/hosts, and an nsswitch.conf that knows files only
over /etc/nsswitch.conf; nothing of the machine is changed, and with the program's end it is all gone. Where nobody may make such a
namespace, not even of a user's own, NamesError says so. The process keeps its pid. Other files are laid over the machine's alike:
`over={"/etc/ssl/certs/ca-certificates.crt": file}`. Standard library and util-linux only.
"""
import os
import subprocess

LAY = 'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 126; shift 2; done; shift; exec "$@"'
TRY_S = 30


class NamesError(Exception):
    pass


class Names:
    def __init__(self, folder, over=None):
        self.folder = os.path.join(folder, "names")
        os.mkdir(self.folder, 0o755)
        self.known = {}
        self._write("nsswitch.conf", "passwd: files\ngroup: files\nservices: files\nprotocols: files\nhosts: files\n")
        self._publish()
        own_user = [] if os.geteuid() == 0 else ["--map-root-user"]
        files = {f"/etc/{name}": os.path.join(self.folder, name) for name in ("hosts", "nsswitch.conf")} | (over or {})
        self.under = ["unshare", "--mount", *own_user, "sh", "-c", LAY, "sh", *(word for path in files for word in (files[path], path)), "--"]
        done = subprocess.run([*self.under, "getent", "hosts", "localhost"], text=True, capture_output=True, timeout=TRY_S, check=False)
        if done.returncode != 0:
            raise NamesError(f"no mount namespace of a program's own: {done.stderr.strip()}")

    def know(self, name, address="127.0.0.1"):
        self.known[name] = address
        self._publish()

    def forget(self, name):
        self.known.pop(name, None)
        self._publish()

    def _publish(self):
        self._write("hosts", "".join(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **self.known}.items()))

    def _write(self, name, text):
        # In its place, never renamed: what was laid over /etc is this very file.
        file = os.open(os.path.join(self.folder, name), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, text.encode("ascii"), 0)
            os.ftruncate(file, len(text))
        finally:
            os.close(file)
