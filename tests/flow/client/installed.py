#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libtouchbus as a program outside the tree meets it: installed under a prefix of its own, found by pkg-config, linked
shared and static, with nothing exported but touchbus_*. Needs no broker."""
import os
import re
import shutil
import subprocess
import tempfile

BUILD, SOURCE = os.environ["TOUCHBUS_BUILD"], os.environ["TOUCHBUS_SOURCE"]
CLASH = """// A program whose own names are those inside the library.
#include <stdio.h>
#include <touchbus.h>
int arena_new(void);
int arena_new(void) { return 1; }
int window_new(void);
int window_new(void) { return 2; }
int main(void) { printf("%s %d\\n", touchbus_version(), arena_new() + window_new()); return 0; }
"""


def run(*arguments, **options):
    done = subprocess.run(arguments, text=True, capture_output=True, timeout=300, check=False, **options)
    assert done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def main():
    prefix = tempfile.mkdtemp(prefix="touchbus-install-")
    try:
        run("cmake", "--install", BUILD, "--prefix", prefix)
        (pc,) = [os.path.join(d, f) for d, _, files in os.walk(prefix) for f in files if f == "touchbus.pc"]
        libraries = os.path.dirname(os.path.dirname(pc))
        environment = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc)}
        flags = run("pkg-config", "--cflags", "--libs", "touchbus", env=environment).split()
        private = run("pkg-config", "--static", "--libs-only-l", "touchbus", env=environment).split()
        private.remove("-ltouchbus")
        for name in ("publish", "subscribe", "query", "screen"):
            out = os.path.join(prefix, name)
            run("gcc", "-std=c11", "-Wall", "-Werror", f"{SOURCE}/connectors/client/examples/{name}.c", "-o", out, *flags)
            assert "libtouchbus.so.0" in run("ldd", out, env={**os.environ, "LD_LIBRARY_PATH": libraries})
        run("g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags[:1], "-x", "c++", "-", input="#include <touchbus.h>\n")
        clash = os.path.join(prefix, "clash.c")
        with open(clash, "w", encoding="utf-8") as file:
            file.write(CLASH)
        for kind, link in (("shared", flags), ("static", [flags[0], os.path.join(libraries, "libtouchbus.a"), *private])):
            out = os.path.join(prefix, kind)
            run("gcc", "-std=c11", "-Wall", "-Werror", clash, "-o", out, *link)
            printed = run(out, env={**os.environ, "LD_LIBRARY_PATH": libraries})
            assert printed.split()[1] == "3", printed
        for options, path in ((["-D"], "libtouchbus.so"), (["-g"], "libtouchbus.a")):
            symbols = run("nm", *options, "--defined-only", os.path.join(libraries, path))
            exported = [line.split()[-1] for line in symbols.splitlines() if re.match(r"^[0-9a-f]+ [A-Z] ", line)]
            foreign = [s for s in exported if not re.match(r"touchbus_[a-z]", s)]
            assert exported and not foreign, f"{path} exports {foreign}"
        print(f"installed, linked shared and static; {len(exported)} names exported")
    finally:
        shutil.rmtree(prefix)


main()
