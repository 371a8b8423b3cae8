#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` puts where: the whole list under a DESTDIR, the installed programs judging the installed sample
configurations, and the hardening of every ELF file, read from the files themselves."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.environ["TOUCHBUS_BUILD"]
PROGRAMS = ("touchbusd", "touchbus", "touchbus-web", "touchbus-email", "touchbus-crm", "touchbus-erp", "touchbus-scm")
WANTED = [f"bin/{p}" for p in PROGRAMS] + [f"share/man/man1/{p}.1" for p in PROGRAMS] + [
    "include/touchbus.h", "include/touchbus-kit/connectors/kit/kit.h", "LIB/libtouchbus.so.0", "LIB/libtouchbus.a",
    "LIB/libtouchbus-kit.a", "LIB/pkgconfig/touchbus.pc", "LIB/pkgconfig/touchbus-kit.pc",
    "lib/systemd/system/touchbusd.service", "lib/systemd/system/touchbus-connector@.service",
    "lib/sysusers.d/touchbus.conf", "lib/sysusers.d/touchbus-connectors.conf", "lib/tmpfiles.d/touchbus.conf",
    "share/touchbus/touchbus.proto", "share/touchbus/catalogue.txt", "share/touchbus/reasons.def",
    "share/doc/touchbus/README.md", "share/doc/touchbus/LICENSE", "share/doc/touchbus/NOTICE",
    *(f"share/doc/touchbus/examples/{name}.conf" for name in ("touchbusd", "web", "email", "crm", "erp", "scm"))]


def run(*arguments, environment=None):
    done = subprocess.run(arguments, text=True, capture_output=True, timeout=120, check=False, env={**os.environ, **(environment or {})})
    assert done.returncode == 0, f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def installed(folder):
    run("cmake", "--install", BUILD, "--prefix", "/usr", environment={"DESTDIR": folder})
    return os.path.join(folder, "usr")


def cache(name):
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as file:
        found = re.search(rf"^{name}:\w+=(.*)$", file.read(), re.MULTILINE)
    return found.group(1) if found else ""


def test_everything_is_where_an_administrator_looks(usr):
    library = cache("CMAKE_INSTALL_LIBDIR") or "lib"
    missing = [path for path in WANTED if not os.path.isfile(os.path.join(usr, path.replace("LIB", library)))]
    assert not missing, missing
    outside = [d for d in os.listdir(os.path.dirname(usr)) if d != "usr"]
    assert not outside, f"installed outside the prefix: {outside}"
    with open(os.path.join(usr, "lib/systemd/system/touchbusd.service"), encoding="utf-8") as file:
        unit = file.read()
    assert "ExecStart=/usr/bin/touchbusd " in unit and "@" not in unit.replace("@system-service", "").replace("@privileged", ""), unit
    for program in PROGRAMS:
        with open(os.path.join(usr, f"share/man/man1/{program}.1"), encoding="utf-8") as file:
            page = file.read()
        assert page.startswith(f".TH {program.upper()} 1") and ".SH SYNOPSIS" in page and ".SH OPTIONS" in page, page[:300]


def test_the_samples_are_valid_for_their_programs(usr):
    examples = os.path.join(usr, "share/doc/touchbus/examples")
    for name in sorted(os.listdir(examples)):
        program = name.removesuffix(".conf")
        program = program if program == "touchbusd" else f"touchbus-{program}"
        run(os.path.join(usr, "bin", program), "--config", os.path.join(examples, name), "--check")
        run(os.path.join(usr, "bin", "touchbus"), "check-config", os.path.join(examples, name), "--program", program)
        check_what_is_commented_out(os.path.join(usr, "bin", program), os.path.join(examples, name))


def check_what_is_commented_out(program, sample):
    """A line that only its # keeps out names an option there is."""
    named = {line[1:].split("=")[0].strip() for line in open(sample, encoding="utf-8") if re.match(r"#[a-z-]+ = ", line)}
    known = set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", run(program, "--help"), re.MULTILINE))
    assert named <= known, f"{sample}: {named - known}"


def elf_files(usr):
    for folder, _, names in os.walk(usr):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                if not os.path.islink(path) and file.read(4) == b"\x7fELF":
                    yield path


def test_elf_files_are_hardened(usr):
    seen = []
    for path in elf_files(usr):
        name = os.path.basename(path)
        header, program, dynamic = (run("readelf", option, path) for option in ("-hW", "-lW", "-dW"))
        symbols = run("readelf", "-sW", "--dyn-syms", path)
        assert "DYN" in header.split("Type:")[1].splitlines()[0], f"{name}: not position-independent"
        if ".so" not in name:
            assert re.search(r"FLAGS_1.*PIE", dynamic), f"{name}: not a PIE"
        assert re.search(r"GNU_STACK.* RW +0x", program), f"{name}: executable stack"
        assert "GNU_RELRO" in program and "NOW" in dynamic, f"{name}: relocations stay writable"
        assert not re.search(r"TEXTREL|RPATH|RUNPATH", dynamic), f"{name}: text relocations or a search path"
        assert not re.search(r"LOAD .* RWE ", program), f"{name}: memory both writable and executable"
        assert "__stack_chk_fail" in symbols, f"{name}: no canaries"
        assert re.search(r"__\w+_chk@", symbols), f"{name}: no checked copies"
        seen.append(name)
    assert len(seen) >= len(PROGRAMS) + 1, seen


def main():
    folder = tempfile.mkdtemp(prefix="touchbus-install-")
    try:
        usr = installed(folder)
        tests = [test_everything_is_where_an_administrator_looks, test_the_samples_are_valid_for_their_programs]
        if not cache("TOUCHBUS_SANITIZE"):  # sanitizers bring other flags
            tests.append(test_elf_files_are_hardened)
        for test in tests:
            test(usr)
            print(test.__name__)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
