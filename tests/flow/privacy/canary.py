#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Canaries: words that stand for a person and can be found again, whatever they were wrapped in. Looks for them in files as they are, as
base64 in each of its three alignments, hex, URL-encoded, JSON-escaped, UTF-16, and all of that inside gzip, zlib and base64 once more.

Every canary holds one random stem (and phone numbers one run of digits), so that a search is for the stem's forms only; what stands
around a finding tells which canary it was. With --self-test each form is planted and has to be found.
"""
import base64
import gzip
import io
import json
import os
import random
import re
import stat
import string
import sys
import tempfile
import urllib.parse
import zlib

FORM_BYTES_MIN = 10  # of a form: shorter ones would be found by chance
INFLATED_BYTES_MAX = 64 << 20
NESTING_MAX = 3
BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
COMPRESSED = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")


def base64_forms(word):
    """What a word looks like inside longer base64, by where in a group of three bytes it begins."""
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + word)
        first = -(-shift * 8 // 6)  # characters that other bytes have a part in are left out
        last = (shift + len(word)) * 8 // 6
        yield f"base64+{shift}", text[first:last]


def forms_of(word):
    plain = word.encode()
    quoted = "".join(f"%{byte:02X}" for byte in plain)
    forms = {"plain": plain, "hex": plain.hex().encode(), "HEX": plain.hex().upper().encode(), "url": quoted.encode(), "url-lower": quoted.lower().encode(),
             "utf-16-le": word.encode("utf-16-le"), "utf-16-be": word.encode("utf-16-be"),
             "json-escaped": "".join(f"\\u{byte:04x}" for byte in plain).encode(), "upper": plain.upper(), **dict(base64_forms(plain))}
    for name, form in list(forms.items()):
        if name.startswith("base64"):
            forms[f"{name}-url"] = form.replace(b"+", b"-").replace(b"/", b"_")
    assert all(len(form) >= FORM_BYTES_MIN for form in forms.values())
    return {form: name for name, form in forms.items()}  # equal forms once


class Canaries:
    def __init__(self, seed=None):
        draw = random.Random(seed)
        self.stem = "".join(draw.choice("bcdfghjkmnpqrstvwxz") for _ in range(16))
        self.digits = "".join(draw.choice(string.digits[1:]) for _ in range(11))
        self.forms = {**forms_of(self.stem), **forms_of(self.digits)}

    def word(self, place):
        return f"{place}{self.stem}"

    def email(self, place):
        return f"{place}{self.stem}@klant.example"

    def phone(self):
        return f"+{self.digits}"

    # ---- looking

    def find_in(self, data, where="", nesting=NESTING_MAX):
        """(form, what stands around it) for each form that is in the data, once."""
        found = []
        for form, name in self.forms.items():
            at = data.find(form)
            if at >= 0:
                around = data[max(0, at - 24):at + len(form) + 8]
                found.append((where + name, "".join(chr(b) if 32 <= b < 127 else "." for b in around)))
        if nesting == 0 or found:
            return found
        for match in COMPRESSED.finditer(data):
            inner = inflate(data[match.start():])
            if inner:
                found += self.find_in(inner, f"{where}compressed/", nesting - 1)
        for match in BASE64_RUN.finditer(data):
            text = match.group().rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
            for shift in range(4):  # what stands before it may look like base64 too
                inner = base64.b64decode(text[shift:shift + (len(text) - shift & ~3)])
                if COMPRESSED.search(inner) or nesting == NESTING_MAX:
                    found += self.find_in(inner, f"{where}base64/", nesting - 1)
        return found

    def find(self, *roots, leave_out=()):
        """[path, form, around] over all files under the roots, and their names."""
        found = []
        for path in files_under(roots):
            if any(part in path for part in leave_out):
                continue
            found += [[path, f"name/{form}", around] for form, around in self.find_in(os.path.basename(path).encode(), nesting=0)]
            try:
                if stat.S_ISREG(os.lstat(path).st_mode):
                    with open(path, "rb") as file:
                        found += [[path, form, around] for form, around in self.find_in(file.read())]
            except FileNotFoundError:
                pass  # written aside and renamed since it was listed: programs are at work here
        return found


def files_under(roots):
    for root in roots:
        if not os.path.isdir(root):
            yield root
        for folder, _, names in os.walk(root):
            yield folder
            for name in names:
                yield os.path.join(folder, name)


def inflate(data):
    """What a stream that begins here holds, up to where it is cut or damaged; empty where it is none."""
    stream, held = zlib.decompressobj(47), b""
    for size in (256, 1):  # the last piece once more, byte by byte: what it held before its end counts
        try:
            while data and not stream.eof and len(held) < INFLATED_BYTES_MAX:
                before = stream.copy()
                held += stream.decompress(data[:size], INFLATED_BYTES_MAX)
                data = data[size:]
        except zlib.error:
            stream = before
    return held


# ---- the scanner's own test

def planted(stem):
    """Every way to hide a word that the scanner has to see through."""
    word = f"<{stem}>"
    text = f"some text, ana@{stem}.example, more text"
    for shift in range(3):
        yield f"base64 {shift}", base64.b64encode(b"x" * shift + text.encode())
        yield f"urlsafe {shift}", base64.urlsafe_b64encode(b"\xff" * shift + text.encode())
    yield "plain", text.encode()
    yield "hex", text.encode().hex().encode()
    yield "HEX", text.encode().hex().upper().encode()
    yield "upper", text.upper().encode()
    yield "url, in part", urllib.parse.quote(text, safe="").encode()
    yield "url, all", "".join(f"%{byte:02x}" for byte in text.encode()).encode()
    yield "JSON", json.dumps({"a": text}).encode()
    yield "JSON escaped", "".join(f"\\u{ord(c):04x}" for c in text).encode()
    yield "UTF-16 LE", text.encode("utf-16-le")
    yield "UTF-16 BE", b"\0" + text.encode("utf-16-be")
    yield "gzip", gzip.compress(text.encode())
    yield "zlib", zlib.compress(text.encode(), 9)
    yield "zlib, fast", zlib.compress(text.encode(), 1)
    yield "gzip behind other bytes", b"header" + gzip.compress(word.encode()) + b"tail"
    yield "cut gzip", gzip.compress(b"".join(bytes([random.Random(i).randrange(256)]) for i in range(4096)) + text.encode() * 9)[:-8]
    yield "base64 of gzip", base64.b64encode(gzip.compress(text.encode()))
    yield "gzip of base64", gzip.compress(base64.b64encode(text.encode()))
    yield "base64 of base64", base64.b64encode(base64.b64encode(text.encode()))
    yield "hex in zlib in base64", base64.b64encode(zlib.compress(text.encode().hex().encode()))


def self_test():
    canaries = Canaries()
    for stem in (canaries.stem, canaries.digits):
        for name, data in planted(stem):
            with tempfile.TemporaryDirectory(prefix="touchbus-canary-") as folder:
                noise = random.Random(name).randbytes(100000)
                with open(os.path.join(folder, "file"), "wb") as file:
                    file.write(noise + data + noise)
                assert canaries.find(folder), f"{name}: not found"
                with open(os.path.join(folder, "file"), "wb") as file:
                    file.write(noise + data[:3] + noise)
                assert not canaries.find(folder), f"{name}: found though it is not there"
    with tempfile.TemporaryDirectory(prefix="touchbus-canary-") as folder:
        with io.open(os.path.join(folder, canaries.word("n")), "wb"):
            pass
        assert canaries.find(folder), "a file's name: not found"
    print("the scanner sees through every form, and finds nothing where nothing is")


if __name__ == "__main__":
    sys.exit(self_test())
