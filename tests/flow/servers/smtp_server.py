# SPDX-License-Identifier: Apache-2.0
"""The process that smtp.py starts: FOLDER PORT CERTIFICATE KEY starttls|tls|none. It reads FOLDER/behaviour and writes FOLDER/mails.
Behaviour with "user": null takes mail without a log-in."""
import asyncio
import itertools
import json
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


def serve(folder, port, certificate, key, kind):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    count = itertools.count(len(os.listdir(os.path.join(folder, "mails"))))

    def behaviour():
        with open(os.path.join(folder, "behaviour"), encoding="ascii") as file:
            return json.load(file)

    class Handler:
        async def handle_MAIL(self, server, session, envelope, address, options):
            envelope.mail_from = address
            return behaviour().get("mail", "250 OK")

        async def handle_RCPT(self, server, session, envelope, address, options):
            answer = behaviour().get("rcpt", "250 OK")
            if answer.startswith("250"):
                envelope.rcpt_tos.append(address)
            return answer

        async def handle_DATA(self, server, session, envelope):
            behaves = behaviour()
            if "data" in behaves:
                return behaves["data"]
            path = os.path.join(folder, "mails", f"{next(count):06}.json")
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                json.dump({"from": envelope.mail_from, "to": envelope.rcpt_tos, "content": envelope.content.decode("utf-8", "replace")}, file)
            os.rename(f"{path}.new", path)
            if behaves.get("hang"):
                await asyncio.sleep(3600)
            return "250 OK"

    def authenticate(server, session, envelope, mechanism, data):
        behaves = behaviour()
        with open(os.path.join(folder, "passwords"), "ab") as file:
            file.write(b".")
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (behaves["user"], behaves["password"])
        return AuthResult(success=good, handled=False)

    def make():
        return SMTP(Handler(), hostname="localhost", tls_context=context if kind == "starttls" else None, require_starttls=kind == "starttls",
                    authenticator=authenticate, auth_required=behaviour()["user"] is not None, auth_require_tls=kind == "starttls", timeout=60)

    async def main():
        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", port, ssl=context if kind == "tls" else None)
        await server.serve_forever()
    asyncio.run(main())


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
