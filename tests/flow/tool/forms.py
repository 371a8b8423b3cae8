# SPDX-License-Identifier: Apache-2.0
"""The tables of tools/README.md as data, and real output judged by them."""
import os
import re

SOURCE = os.environ.get("TOUCHBUS_SOURCE", ".")


def documented():
    """Heading -> {path: required} of the section "JSON forms"."""
    forms, heading = {}, None
    with open(os.path.join(SOURCE, "tools/README.md"), encoding="utf-8") as file:
        text = file.read()
    for line in text.split("## JSON forms")[1].split("\n## ")[0].splitlines():
        if line.startswith("### "):
            heading = ", ".join(re.findall(r"`([^`]+)`", line))
            forms[heading] = {}
        row = re.match(r"\| (\*?)`([^`]+)`\*? \|", line)
        if row:
            forms[heading][row[2]] = not row[1]
    return forms


def fits(path, rows):
    """The documented path that covers a real one: itself, or one with a map's `*` in it."""
    for name in rows:
        pattern = re.escape(name).replace(r"\*", ".+")
        if re.fullmatch(pattern, path):
            return name
    return None


def paths(value, prefix=""):
    """Every path of a JSON value, depth first; what stands below a documented leaf is judged by `covered`."""
    if isinstance(value, dict):
        for name, member in value.items():
            path = f"{prefix}.{name}" if prefix else name
            yield path
            yield from paths(member, path)
    elif isinstance(value, list):
        for member in value:
            yield from paths(member, f"{prefix}[]")


def differences(value, rows):
    """What the output has and the page does not, and what the page requires and the output does not have."""
    real, found = set(paths(value)), []
    leaves = {name for name in rows if name.endswith(("*.value", ".*"))}
    for path in sorted(real):
        inner = any(other.startswith(path + ".") or other.startswith(path + "[]") for other in rows)
        below = any(re.match(re.escape(leaf).replace(r"\*", "[^.]+") + r"[.\[]", path) for leaf in leaves)
        if not fits(path, rows) and not inner and not below and not covered_map(path, rows):
            found.append(f"{path}: not in the page")
    for name, required in rows.items():
        if required and not any(fits(path, {name: True}) for path in real):
            found.append(f"{name}: in the page, not in the output")
    return found


def covered_map(path, rows):
    """attributes.name is the name of a map member whose own members are documented as attributes.*.value."""
    return any(re.fullmatch(re.escape(name.rsplit(".*.", 1)[0]) + r"\.[^.]+", path) for name in rows if ".*." in name)
