# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of the test's own, and certificates for hosts, by openssl."""
import os
import subprocess

OPENSSL_S = 60


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=OPENSSL_S)


class Authority:
    """DIR/NAME-ca.pem, and with `issue` DIR/HOST.pem with its key; all readable by anybody who may enter the folder."""

    def __init__(self, folder, name="own"):
        self.folder, self.file, self.key = folder, os.path.join(folder, f"{name}-ca.pem"), os.path.join(folder, f"{name}-ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", self.key, "-out", self.file,
                "-days", "2", "-subj", f"/CN={name} test authority", "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name, alternative):
        """The certificate and the key of a server with these names: `DNS:localhost,IP:127.0.0.1`."""
        certificate, key = os.path.join(self.folder, f"{name}.pem"), os.path.join(self.folder, f"{name}.key")
        request, extensions = os.path.join(self.folder, f"{name}.csr"), os.path.join(self.folder, f"{name}.ext")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        with open(extensions, "w", encoding="ascii") as file:
            file.write(f"subjectAltName={alternative}\n")
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial", "-out", certificate, "-days", "2",
                "-extfile", extensions)
        for path in (certificate, key, self.file):
            os.chmod(path, 0o644)
        return certificate, key
