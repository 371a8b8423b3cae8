#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the golden samples: NAME.txt -> NAME.bin.

Usage: make.py            writes what is missing or differs
       make.py --check    writes nothing; exits 1 where something is missing or differs

The first line of a .txt names what it is: `# touchbus.Query` (protobuf text format, encoded by protoc, so not by our
own code) or `# body` (JSON, encoded as msgpack here). `${NAME}` stands for the bytes of the sample NAME.
To add a sample: write its .txt and run make.py.
"""
import base64
import json
import pathlib
import re
import struct
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent / "touchbus.proto"


def header(fixed, fixed_max, forms, length):
    """The shortest msgpack header: forms are (limit, first byte, struct format)."""
    if length <= fixed_max:
        return bytes([fixed | length])
    limit, first, form = next(row for row in forms if length < row[0])
    return bytes([first]) + struct.pack(form, length)


def integer(value):
    if -32 <= value < 128:
        return struct.pack("b", value)
    rows = [(0xcc, ">B"), (0xcd, ">H"), (0xce, ">I"), (0xcf, ">Q")] if value > 0 else \
           [(0xd0, ">b"), (0xd1, ">h"), (0xd2, ">i"), (0xd3, ">q")]
    for first, form in rows:
        try:
            return bytes([first]) + struct.pack(form, value)
        except struct.error:
            continue
    raise ValueError(value)


def msgpack(value):
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        text = value.encode()
        return header(0xa0, 31, [(1 << 8, 0xd9, ">B"), (1 << 16, 0xda, ">H"), (1 << 32, 0xdb, ">I")], len(text)) + text
    if isinstance(value, list):
        return header(0x90, 15, [(1 << 16, 0xdc, ">H"), (1 << 32, 0xdd, ">I")], len(value)) + \
            b"".join(msgpack(v) for v in value)
    if list(value) == ["$binary"]:
        data = base64.b64decode(value["$binary"], validate=True)
        return header(0, -1, [(1 << 8, 0xc4, ">B"), (1 << 16, 0xc5, ">H"), (1 << 32, 0xc6, ">I")], len(data)) + data
    return header(0x80, 15, [(1 << 16, 0xde, ">H"), (1 << 32, 0xdf, ">I")], len(value)) + \
        b"".join(msgpack(k) + msgpack(v) for k, v in value.items())


def encode(name, made):
    if name not in made:
        kind, text = (HERE / f"{name}.txt").read_text(encoding="utf-8").split("\n", 1)
        kind = kind.removeprefix("# ")
        if kind == "body":
            made[name] = msgpack(json.loads(text))
        else:
            def insert(match):
                return '"' + "".join(f"\\{byte:03o}" for byte in encode(match.group(1), made)) + '"'
            text = re.sub(r"\$\{(\w+)\}", insert, text)
            made[name] = subprocess.run(["protoc", f"--encode={kind}", f"--proto_path={PROTO.parent}", PROTO.name],
                                        input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
    return made[name]


def main():
    made, differ = {}, []
    for path in sorted(HERE.glob("*.txt")):
        wanted = encode(path.stem, made)
        out = path.with_suffix(".bin")
        if not out.exists() or out.read_bytes() != wanted:
            differ.append(out.name)
            if "--check" not in sys.argv:
                out.write_bytes(wanted)
    orphans = [p.name for p in HERE.glob("*.bin") if p.stem not in made]
    print(f"{len(made)} samples; {'differ' if '--check' in sys.argv else 'written'}: {' '.join(differ) or 'none'}"
          + (f"; without a .txt: {' '.join(orphans)}" if orphans else ""))
    sys.exit(bool(orphans or (differ and "--check" in sys.argv)))


main()
