# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: what is measured for each, of whom, and what is divided by what.

A row's `round` is run once a round, with the systems it needs already filled; what it calls `note` with becomes a figure: the median of
all rounds. Ratios are made of medians; the lowest and highest ratio of one round stand beside.
"""
import os
import statistics
import time

from systems import LEAD_S, LEAD_ZIPF_S


class Figures:
    """Name -> what was measured, round by round, with everything that a reader has to know about it."""

    def __init__(self):
        self.all = {}

    def note(self, name, value, unit, what, system=None, durability=None):
        figure = self.all.setdefault(name, {"what": what, "system": system.label if system else "", "unit": unit, "runs": [],
                                            "durability": (durability or system.durability) if system else ""})
        figure["runs"].append(value)
        figure["median"] = statistics.median(figure["runs"])

    def median(self, name):
        return self.all[name]["median"] if name in self.all else None

    def ratio(self, over, under):
        """Of medians; and the extremes over the rounds."""
        a, b = self.all[over], self.all[under]
        pairs = [x / y for x, y in zip(a["runs"], b["runs"])]
        return a["median"] / b["median"], min(pairs), max(pairs)


def settle():
    """What others left to be written is written before the next is measured: nobody pays for another's."""
    os.sync()


def together(bench, jobs):
    """Load generators that start at one moment: (system, mode, options) each. Their figures, in that order."""
    at = time.monotonic() + (LEAD_ZIPF_S if bench.zipf else LEAD_S)
    loads = [system.load(mode, start=at, **options) for system, mode, options in jobs]
    return [load.take() for load in loads]


def peak(bench, figures, system, **options):
    """As many events a second as it takes."""
    settle()
    before = system.cpu_s()
    (run,) = together(bench, [(system, "publish", {"duration": bench.duration, **options})])
    return run["per_s"], (system.cpu_s() - before) * 1e6 / run["n"]


def acked(bench, figures, system, skew):
    name = f"acked.{system.name}.{skew}"
    rate, cpu_us = peak(bench, figures, system)
    figures.note(name, rate, "events/s", f"publish, record kept up to date, acked; customers {skew}", system)
    figures.note(f"{name}.cpu", cpu_us, "us/event", f"the server's processor time for it; customers {skew}", system)


def in_skews(bench, measure):
    for skew, exponent in bench.skews:
        bench.zipf = exponent
        measure(skew)
    bench.zipf = 0


def round_acked(bench, figures, systems):
    def measure(skew):
        for system in bench.turn(systems):
            acked(bench, figures, system, skew)
            if system.name == "nats" and skew == "uniform":
                rate, _ = peak(bench, figures, system, variant="stream")
                figures.note("stream.nats", rate, "events/s", "publish to the stream alone, no record", system)
    in_skews(bench, measure)


def round_single(bench, figures, systems):
    settle()
    for system in bench.turn(systems):
        if system.name == "touchbus":
            path = os.path.join(bench.folder, "appended")
            (run,) = together(bench, [(system, "single", {"duration": bench.duration, "connections": 1, "file": path})])
            figures.note("single.touchbus", run["p50_us"], "us", "one in flight, publish to ack, median", system)
            figures.note("single.append", run["other_p50_us"], "us", "the same bytes: write + fdatasync of a growing file, median",
                         durability="fdatasync")
            figures.note("single.touchbus.p99", run["p99_us"], "us", "the same, 99th percentile", system)
            figures.note("single.append.p99", run["other_p99_us"], "us", "the same, 99th percentile")
        else:
            mode = "single" if system.name == "nats" else "publish"
            (run,) = together(bench, [(system, mode, {"duration": "2s", "connections": 1, "in_flight": 1})])
            figures.note(f"single.{system.name}", run["p50_us"], "us", "one in flight, event and record acked, median", system)


class Row:
    """One line of the table that is judged."""

    def __init__(self, number, key, title, systems, run, over, under, floor, aim, more=True):
        self.number, self.key, self.title, self.systems, self.run = number, key, title, systems, run
        self.over, self.under, self.floor, self.aim = over, under, floor, aim
        self.more = more  # whether more is better

    def result(self, figures):
        """value, lowest and highest of a round; None where it was not measured."""
        if self.over not in figures.all or (self.under and self.under not in figures.all):
            return None
        if self.under:
            return figures.ratio(self.over, self.under)
        runs = figures.all[self.over]["runs"]
        return figures.median(self.over), min(runs), max(runs)

    def judge(self, value):
        reached = (lambda bound: value >= bound) if self.more else (lambda bound: value <= bound)
        return "aim" if reached(self.aim) else "floor" if reached(self.floor) else "below"


ROWS = [
    Row(1, "acked", "acked, on disk, view current / JetStream stream + key-value (no sync)", ["touchbus", "nats"], round_acked,
        "acked.touchbus.uniform", "acked.nats.uniform", 3, 10),
    Row(2, "synced", "the same / Redis Streams + record, appendfsync always", ["touchbus", "redis", "redis-everysec"], round_acked,
        "acked.touchbus.uniform", "acked.redis.uniform", 1, 4),
    Row(3, "single", "one in flight, p50 / one write + fdatasync of the same bytes", ["touchbus"], round_single,
        "single.touchbus", "single.append", 3.5, 1.5, more=False),
]
