# SPDX-License-Identifier: Apache-2.0
"""The rows of mutants.txt, and which guards stand in the tree. Knows nothing of building."""
import collections
import os
import re
import subprocess

Row = collections.namedtuple("Row", "name file test why line")
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
USE = re.compile(r"\bGUARD\((\w+)\)")


def rows():
    """Every row; a line that is none raises ValueError."""
    found = []
    with open(f"{HERE}/mutants.txt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.split(None, 3)
            if len(fields) != 4:
                raise ValueError(f"mutants.txt:{number}: wants NAME FILE TEST WHY")
            found.append(Row(*fields[:3], fields[3].strip(), number))
    return found


def guards():
    """Guard name -> the files it is used in, over all committed or added sources."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "*.c", "*.h"], capture_output=True, text=True, check=True)
    found = collections.defaultdict(set)
    for path in listed.stdout.splitlines():
        if path == "schemas/base/guards.h" or not os.path.exists(f"{ROOT}/{path}"):
            continue
        with open(f"{ROOT}/{path}", encoding="utf-8") as file:
            for name in USE.findall(file.read()):
                found[name].add(path)
    return found
