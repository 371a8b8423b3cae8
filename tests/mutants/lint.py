#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds mutants.txt, the guards in the sources, ctest's names and the lists of tests/README.md together.
Usage: lint.py BUILD"""
import fnmatch
import json
import re
import subprocess
import sys

from table import ROOT, guards, rows


def tests_of(build):
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], capture_output=True, text=True,
                            check=True)
    return [test["name"] for test in json.loads(listed.stdout)["tests"]]


def wrong_rows(tests):
    """A row without its guard, a guard without a row, a test that nobody knows."""
    used = guards()
    seen = set()
    for row in rows():
        where = f"mutants.txt:{row.line}: {row.name}"
        if row.name in seen:
            yield f"{where}: a second row"
        seen.add(row.name)
        if row.file not in used.get(row.name, ()):
            yield f"{where}: no GUARD({row.name}) in {row.file}"
        elif not row.file.endswith(".c") or len(used[row.name]) > 1:
            yield f"{where}: a guard stands in one C file, found in {', '.join(sorted(used[row.name]))}"
        if not any(re.fullmatch(row.test, test) for test in tests):
            yield f"{where}: no test is called {row.test}"
    for name in sorted(set(used) - seen):
        yield f"{', '.join(sorted(used[name]))}: GUARD({name}) has no row in tests/mutants/mutants.txt"


def wrong_builds():
    """Guards are left out by tests/mutants and the controls of tests/crash alone: no source or build file does, and no release build can."""
    listed = subprocess.run(["git", "-C", ROOT, "grep", "-l", "TOUCHBUS_WITHOUT" + "_"], capture_output=True, text=True)
    for path in listed.stdout.splitlines():
        if path != "schemas/base/guards.h" and not path.startswith(("tests/mutants/", "tests/crash/")):
            yield f"{path}: leaves guards out, which only tests/mutants and the controls of tests/crash may"
    with open(f"{ROOT}/CMakePresets.json", encoding="utf-8") as file:
        for preset in json.load(file)["configurePresets"]:
            if preset["name"] == "release" and "TOUCHBUS_FAULTPOINTS" in preset["cacheVariables"]:
                yield "CMakePresets.json: the release preset has fault points, with which guards can be left out"


def wrong_lists(tests):
    """A row of the README's lists that names no test, or one that does not exist."""
    in_list = False
    with open(f"{ROOT}/tests/README.md", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#"):
                in_list = line.startswith(("## Bad input", "## Where a promise"))
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not in_list or not line.startswith("|") or cells[-1] in ("test", "---"):
                continue
            named = re.findall(r"\b(?:unit_|flow/|crash/|faults/|fuzz_|contract/|lint/)[\w*-]+", cells[-1])
            if not named and not cells[-1].startswith("not here yet: "):
                yield f"tests/README.md:{number}: names no test"
            for name in named:
                if not fnmatch.filter(tests, name):
                    yield f"tests/README.md:{number}: no test is called {name}"


def main():
    if subprocess.run(["git", "-C", ROOT, "rev-parse"], capture_output=True, check=False).returncode:
        print("guards: SKIP: not a git checkout")
        sys.exit(77)
    tests = tests_of(sys.argv[1])
    found = [*wrong_rows(tests), *wrong_builds(), *wrong_lists(tests)]
    print("\n".join(found) if found else "guards: in order")
    sys.exit(bool(found))


main()
