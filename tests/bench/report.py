# SPDX-License-Identifier: Apache-2.0
"""What a run says: the machine, the table for people, the JSON for programs."""
import os
import re
import subprocess
import sys


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def version(*words):
    try:
        done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError:
        return "not installed"
    found = re.search(r"v?=?(\d+\.\d+(\.\d+)?)", done.stdout)
    return found.group(1) if found else ""


def machine(folder):
    """The load when the run began says whether its absolute figures are of use."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    mount = subprocess.run(["findmnt", "-no", "FSTYPE", "-T", folder], text=True, capture_output=True, check=False).stdout.strip()
    return {"cores": os.cpu_count(), "processor": models[0] if models else "", "kernel": os.uname().release, "disk": mount,
            "load_before": os.getloadavg()[0], "nats-server": version("nats-server", "--version"),
            "redis-server": version("redis-server", "--version")}


def result(chosen, figures, arguments, before):
    rows = []
    for row in chosen:
        value = row.result(figures)
        entry = {"number": row.number, "key": row.key, "title": row.title, "floor": row.floor, "aim": row.aim, "more_is_better": row.more,
                 "over": row.over, "under": row.under, "value": None, "reached": "not measured"}
        if value:
            entry.update(value=value[0], lowest=value[1], highest=value[2], reached=row.judge(value[0]))
        rows.append(entry)
    return {"machine": {**before, "load_after": os.getloadavg()[0]}, "runs": arguments.runs, "seconds": arguments.seconds,
            "customers": arguments.customers, "work": arguments.work, "rows": rows, "figures": figures.all}


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(of):
    progress("")
    m = of["machine"]
    print(f"{m['cores']} cores ({m['processor']}), {m['disk']}, kernel {m['kernel']}; load {m['load_before']:.1f} before, "
          f"{m['load_after']:.1f} after; nats-server {m['nats-server']}, redis-server {m['redis-server']}")
    print(f"medians of {of['runs']} interleaved rounds, {of['seconds']:g} s each, {of['customers']:,} customers, {of['work']} events\n")
    print(f"{'':<25}{'what':<82}{'median':>9} {'unit':<10}durability of the system")
    for figure in of["figures"].values():
        print(f"{figure['system']:<25}{figure['what'][:81]:<82}{number(figure['median']):>9} {figure['unit']:<10}{figure['durability']}")
    print(f"\n{'row':<84}{'value':>9}{'lowest':>9}{'highest':>9}{'floor':>8}{'aim':>8}  reached")
    for row in of["rows"]:
        if row["value"] is None:
            values = f"{'-':>9}{'-':>9}{'-':>9}"
        else:
            values = "".join(f"{number(row[k]):>9}" for k in ("value", "lowest", "highest"))
        print(f"{row['number']:<3}{row['title'][:80]:<81}{values}{row['floor'] or '-':>8}{row['aim'] or '-':>8}  {row['reached']}")
