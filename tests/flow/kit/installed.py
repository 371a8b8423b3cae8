#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A connector outside the tree: the kit is installed under a prefix of its own, the example is built with nothing but pkg-config,
and runs against the real broker, both ways."""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import harness  # noqa: E402  (the harness is a folder up)

BUILD, SOURCE = os.environ["TOUCHBUS_BUILD"], os.environ["TOUCHBUS_SOURCE"]


def run(*arguments, **options):
    done = subprocess.run(arguments, text=True, capture_output=True, timeout=300, check=False, **options)
    assert done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(folder):
    prefix, outside = os.path.join(folder, "prefix"), os.path.join(folder, "outside")
    run("cmake", "--install", BUILD, "--prefix", prefix)
    os.mkdir(outside)
    shutil.copy(os.path.join(SOURCE, "connectors/kit/example/notes.c"), outside)
    (pc,) = [os.path.join(d, f) for d, _, files in os.walk(prefix) for f in files if f == "touchbus-kit.pc"]
    libraries = os.path.dirname(os.path.dirname(pc))
    flags = run("pkg-config", "--cflags", "--libs", "touchbus-kit", env={**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc)}).split()
    run("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "notes.c", "-o", "touchbus-notes", *flags, cwd=outside)
    exported = {line.split()[-1] for line in run("nm", "-g", "--defined-only", os.path.join(libraries, "libtouchbus-kit.a")).splitlines()
                if len(line.split()) == 3}
    foreign = {name for name in exported if not name.startswith(("kit_", "exchange_", "inbox_", "outbox_", "logging_", "clock_", "options_"))}
    assert exported and not foreign, f"libtouchbus-kit.a exports {foreign}"
    return os.path.join(outside, "touchbus-notes"), libraries


def main():
    with harness.House() as house:
        program, libraries = build(house.folder)
        lines, copy = os.path.join(house.folder, "in.txt"), os.path.join(house.folder, "out.txt")
        with open(lines, "w", encoding="utf-8") as file:
            file.write("first\nsecond\n")
        house.start_broker()
        arguments = [program, "--broker", house.address, "--state", house.state, "--lines", lines, "--copy", copy]

        def start():
            notes = harness.Process(arguments, os.path.join(house.folder, "notes.log"), {"LD_LIBRARY_PATH": libraries})
            house.processes.append(notes)
            return notes

        def copied():
            if not os.path.exists(copy):
                return []
            with open(copy, encoding="utf-8") as file:
                return [line.split(" ", 1)[1].rstrip() for line in file]
        notes = start()
        harness.wait_for("the lines come back", lambda: copied() == ["note.written first", "note.written second"])
        assert notes.stop() == 0
        with open(lines, "a", encoding="utf-8") as file:
            file.write("third\n")
        house.touchbus("pub", "product.viewed", "--attr", "sku=s-1", "--identity", "user_id=u-1")
        house.touchbus("pub", "page.viewed", "--attr", "url=/", "--identity", "user_id=u-1")
        notes = start()
        harness.wait_for("what came meanwhile", lambda: len(copied()) >= 4)
        assert sorted(copied()[2:]) == ["note.written third", "product.viewed"], copied()
        assert notes.stop() == 0
        print("installed, built outside the tree, ran both ways")


main()
