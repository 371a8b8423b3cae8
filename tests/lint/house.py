#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the house rules forbid and a search can find. Usage: house.py ROOT, in a git checkout."""
import re
import subprocess
import sys

CALLS = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|alloca)\s*\(")
WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK|not implemented|for now)\b", re.IGNORECASE)
GENERATED = re.compile(r"(\.pb-c\.[ch]|\.o|\.mdb)$|(^|/)build/")


def main():
    root = sys.argv[1]
    listed = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True)
    if listed.returncode:
        print("house: SKIP: not a git checkout")
        sys.exit(77)
    found = []
    for path in listed.stdout.splitlines():
        if GENERATED.search(path):
            found.append(f"{path}: generated, must not be committed")
        if not path.endswith((".c", ".h")):
            continue
        try:
            with open(f"{root}/{path}", encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            continue
        if not lines or "SPDX-License-Identifier: Apache-2.0" not in lines[0]:
            found.append(f"{path}:1: the first line is the SPDX line")
        for number, line in enumerate(lines, 1):
            if CALLS.search(line) and not line.lstrip().startswith("//"):
                found.append(f"{path}:{number}: a call that the style rules out: {line.strip()}")
            if WORDS.search(line):
                found.append(f"{path}:{number}: a word of unfinished work: {line.strip()}")
            if len(line) > 100:
                found.append(f"{path}:{number}: longer than 100 columns")
    print("\n".join(found) if found else "house: in order")
    sys.exit(bool(found))


main()
