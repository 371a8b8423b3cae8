#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the floors of README.md: which folder may include from which, and who may include lmdb.h.

Usage: floors.py ROOT        every source file below ROOT
       floors.py --self-test  plants one wrong include a rule and sees each refused
"""
import os
import re
import sys
import tempfile

# The first prefix that fits a file gives what its quoted includes may start with (beside files of its own folder).
MAY_INCLUDE = [
    ("schemas/", ["schemas/"]),
    ("broker/", ["broker/", "schemas/"]),
    ("connectors/client/examples/", []),
    ("connectors/client/", ["connectors/client/", "schemas/"]),
    ("connectors/kit/", ["connectors/kit/", "connectors/client/", "schemas/"]),
    ("connectors/dialect/", ["connectors/dialect/", "connectors/client/", "schemas/"]),
    ("connectors/", ["connectors/", "schemas/base/", "schemas/reasons.h", "schemas/limits.h"]),
    ("tools/", ["tools/", "connectors/client/", "schemas/"]),
]
ONLY_IN = {"lmdb.h": ["broker/stores/store"], "view.pb-c.h": ["broker/"]}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)
FOLDERS = ("schemas", "broker", "connectors", "tools")


def sources(root):
    for folder in FOLDERS:
        for path, names, files in os.walk(os.path.join(root, folder)):
            names[:] = [n for n in names if n != "build"]
            for name in files:
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.relpath(os.path.join(path, name), root)


def connector(path):
    """The connector's own folder of connectors/<name>/..., or None."""
    parts = path.split("/")
    return parts[1] if parts[0] == "connectors" and len(parts) > 2 else None


def wrong(path, include):
    if include in ONLY_IN and not path.startswith(tuple(ONLY_IN[include])):
        return f"only {' '.join(ONLY_IN[include])} may include {include}"
    if "/" not in include or not include.startswith(tuple(f + "/" for f in FOLDERS)):
        return None
    allowed = next(prefixes for prefix, prefixes in MAY_INCLUDE if path.startswith(prefix))
    if not include.startswith(tuple(allowed)):
        return f"may include from {' '.join(allowed) or 'no floor'} only"
    own, other = connector(path), connector(include)
    if own not in (None, "client", "kit", "dialect") and other not in (None, own, "client", "kit", "dialect"):
        return "a connector knows no other connector"
    return None


def check(root):
    found = []
    for path in sorted(sources(root)):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        for match in INCLUDE.finditer(text):
            why = wrong(path, match.group(2))
            if why:
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path}:{line}: includes {match.group(2)}: {why}")
    return found


def self_test():
    planted = {
        "schemas/a.c": '#include "broker/stores/log.h"',
        "connectors/client/a.c": '#include "connectors/kit/kit.h"',
        "connectors/kit/a.c": '#include "connectors/web/web.h"',
        "connectors/web/a.c": '#include "connectors/crm/crm.h"',
        "connectors/dialect/a.c": '#include "connectors/kit/kit.h"',
        "tools/a.c": '#include "broker/tick/tick.h"',
        "broker/a.c": '#include "connectors/client/touchbus.h"',
        "broker/stores/log.c": "#include <lmdb.h>",
    }
    with tempfile.TemporaryDirectory() as root:
        for path, line in planted.items():
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(line + "\n")
        named = {line.split(":")[0] for line in check(root)}
    missed = set(planted) - named
    if missed:
        sys.exit(f"floors.py: did not see the wrong include of {' '.join(sorted(missed))}")


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found = check(sys.argv[1])
    print("\n".join(found) if found else "floors: hold")
    sys.exit(bool(found))


main()
