#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Leaves guards out, one at a time, and wants the test that watches over each to fail.

Builds in build/mutants with the dev preset's flags. First the tests named have to pass with every guard in; then each
mutant recompiles one file, links what its test needs, and runs it. Nothing of it reaches another build: the guard is left
out by the compiler launcher of that folder (compile.sh).
"""
import argparse
import datetime
import json
import os
import random
import re
import subprocess
import sys
import time

from table import ROOT, rows

BUILD = f"{ROOT}/build/mutants"
BUILD_SECONDS_MAX = 900
TEST_SECONDS_MAX = 600
SLOW_MAX = 1  # of a draw: flows take up to a minute and a half, most unit tests a blink
LEFT_OUT = f"{BUILD}/left-out"  # the file that was last compiled without its guard
OBJECTS = {}  # source file -> what it is compiled to


def run(command, seconds, mutant=None):
    """(return code or None after `seconds`, output)"""
    environment = dict(os.environ)
    environment.pop("TOUCHBUS_MUTANT", None)
    environment.pop("TOUCHBUS_SLOW", None)  # a campaign at its usual length is enough to fail
    environment.setdefault("CCACHE_BASEDIR", ROOT)
    if mutant:
        environment["TOUCHBUS_MUTANT"] = f"{mutant.name} {mutant.file}"
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=seconds, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired as late:
        return None, str(late)
    return done.returncode, done.stdout


def must(command):
    code, output = run(command, BUILD_SECONDS_MAX)
    if code != 0:
        sys.exit(f"mutants: {' '.join(command[:4])} failed ({code}):\n{output[-4000:]}")
    return output


def configure():
    must(["cmake", "--preset", "dev", "-B", BUILD, f"-DCMAKE_C_COMPILER_LAUNCHER={ROOT}/tests/mutants/compile.sh"])
    with open(f"{BUILD}/compile_commands.json", encoding="utf-8") as file:
        for command in json.load(file):
            built = re.search(r" -o (\S+\.o) ", command["command"]).group(1)
            OBJECTS.setdefault(os.path.relpath(command["file"], ROOT), []).append(f"{command['directory']}/{built}")
    if os.path.exists(LEFT_OUT):  # a run that was interrupted left a mutant behind
        with open(LEFT_OUT, encoding="utf-8") as file:
            forget(file.read())


def known_tests():
    """Test name -> the words of its command. Not from ctest, which leaves out a command that is not built yet."""
    found = {}
    for folder, _, files in os.walk(BUILD):
        if "CTestTestfile.cmake" in files:
            with open(f"{folder}/CTestTestfile.cmake", encoding="utf-8") as file:
                for name, words in re.findall(r"^add_test\(\[=\[(.*?)\]=\] (.*)\)$", file.read(), re.MULTILINE):
                    found[name] = re.findall(r'"([^"]*)"', words)
    return found


def programs():
    """What the tests that are scripts run: every program that is no test itself, and what is preloaded."""
    wanted = []
    for line in must(["ninja", "-C", BUILD, "-t", "targets", "all"]).splitlines():
        target = line.split(":")[0]
        if re.match(r"bin/(?!test_|replay_|fuzz_)[^/]+$", target):
            wanted.append(target)
    return wanted


def targets_of(names, tests, scripts_need):
    """What to build before the tests `names` can run."""
    wanted = set()
    for name in names:
        command = tests[name]
        own = [os.path.relpath(word, BUILD) for word in command if word.startswith(f"{BUILD}/bin/")]
        if command and command[0].startswith(f"{BUILD}/bin/"):
            wanted.update(own[:1])
        else:
            wanted.update(scripts_need)
    return sorted(wanted)


def forget(file):
    """Removes the objects of a source file, so that the next build compiles it again."""
    for built in OBJECTS.get(file, []):
        try:
            os.remove(built)
        except FileNotFoundError:
            pass


def build(targets, mutant):
    """Compiles the mutant's file again and links. An error's text, or None."""
    forget(mutant.file)
    code, output = run(["ninja", "-C", BUILD, *targets], BUILD_SECONDS_MAX, mutant)
    return None if code == 0 else output[-3000:]


def test(names):
    """(failed, timed out, output)"""
    pattern = "^(" + "|".join(re.escape(name) for name in names) + ")$"
    code, output = run(["ctest", "--test-dir", BUILD, "-R", pattern, "--output-on-failure", "--timeout",
                        str(TEST_SECONDS_MAX)], TEST_SECONDS_MAX * (1 + len(names)))
    return code != 0, code is None or "***Timeout" in output, output


def judge(row, names, targets):
    """(verdict, what to show where it is not "caught")"""
    with open(LEFT_OUT, "w", encoding="utf-8") as file:
        file.write(row.file)
    try:
        error = build(targets, row)
        if error:
            return "does not build", error
        failed, late, output = test(names)
    finally:
        forget(row.file)
    if not failed:
        return "SURVIVED", output
    if late:
        return "timed out", output
    return "caught", ""


def chosen(arguments, table):
    if arguments.name:
        unknown = set(arguments.name) - {row.name for row in table}
        if unknown:
            sys.exit(f"mutants: no row for {', '.join(sorted(unknown))}")
        return [row for row in table if row.name in arguments.name]
    if arguments.all or os.environ.get("TOUCHBUS_SLOW") or arguments.number >= len(table):
        return table
    dice = random.Random(arguments.seed)
    quick = [row for row in table if row.test.startswith(("unit_", "faults/connector"))]
    slow = [row for row in table if row not in quick and not row.test.startswith("crash/")]  # those: all or by name
    n_slow = min(SLOW_MAX, len(slow), arguments.number)
    return dice.sample(quick, min(len(quick), arguments.number - n_slow)) + dice.sample(slow, n_slow)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="only these guards")
    parser.add_argument("--all", action="store_true", help="every row (also with TOUCHBUS_SLOW=1)")
    parser.add_argument("-n", "--number", type=int, default=10, help="how many, drawn by the seed (default: 10)")
    parser.add_argument("--seed", type=int, default=datetime.date.today().toordinal(), help="default: the day's number")
    arguments = parser.parse_args()
    picked = chosen(arguments, rows())
    if not picked:
        sys.exit("mutants: no rows")
    print(f"mutants: {len(picked)} guards, --seed {arguments.seed}", flush=True)

    configure()
    tests = known_tests()
    scripts_need = programs()
    named = {row.name: [name for name in tests if re.fullmatch(row.test, name)] for row in picked}
    for row in picked:
        if not named[row.name]:
            sys.exit(f"mutants.txt:{row.line}: no test is called {row.test}")
    every = sorted({name for names in named.values() for name in names})
    must(["ninja", "-C", BUILD, *targets_of(every, tests, scripts_need)])
    failed, _, output = test(every)
    if failed:
        sys.exit(f"mutants: with every guard in, the tests do not pass:\n{output[-6000:]}")

    bad = 0
    for row in picked:
        begin = time.monotonic()
        verdict, show = judge(row, named[row.name], targets_of(named[row.name], tests, scripts_need))
        print(f"{verdict:14} {time.monotonic() - begin:5.1f} s  {row.name:28} {' '.join(named[row.name])}", flush=True)
        if verdict != "caught":
            bad += 1
            print(f"  without it: {row.why}\n{show}", flush=True)
    print(f"mutants: {len(picked) - bad} of {len(picked)} caught")
    sys.exit(bool(bad))


main()
