# SPDX-License-Identifier: Apache-2.0
"""The rows of the table: what is measured for each, of whom, and what is divided by what.

A row's `round` is run once a round, with the systems it needs already filled; what it calls `note` with becomes a figure: the median of
all rounds. Ratios are made of medians; the lowest and highest ratio of one round stand beside.
"""
import os
import statistics


class Figures:
    """Name -> what was measured, round by round, with everything that a reader has to know about it."""

    def __init__(self):
        self.all = {}

    def note(self, name, value, unit, what, system=None, durability=None):
        figure = self.all.setdefault(name, {"what": what, "system": system.label if system else "", "unit": unit, "runs": [],
                                            "durability": durability or (system.durability if system else "")})
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


def together(bench, jobs, began=None, ended=None):
    """Load generators that start at one moment: (system, mode, options) each. Their figures, in that order. `began` is called when all are
    ready, `ended` when the first one has ended."""
    loads = []
    try:
        loads += [system.load(mode, **options) for system, mode, options in jobs]
        for load in loads:
            load.ready()
        if began:
            began()
        for load in loads:
            load.go()
        found = [loads[0].take()]
        if ended:
            ended()
        found += [load.take() for load in loads[1:]]
    finally:
        for load in loads:
            load.stop()
    for (system, mode, _), run in zip(jobs, found):
        system.n_events += run["n"] if mode == "publish" else 0
    return found


def peak(bench, figures, system, **options):
    """As many events a second as it takes."""
    settle()
    used = []
    (run,) = together(bench, [(system, "publish", {"duration": bench.duration, **options})], lambda: used.append(system.cpu_s()),
                      lambda: used.append(system.cpu_s()))
    return run["per_s"], (used[1] - used[0]) * 1e6 / run["n"]


def acked(bench, figures, system, kind, what, **options):
    rate, cpu_us = peak(bench, figures, system, **options)
    figures.note(f"acked.{system.name}.{kind}", rate, "events/s", f"publish, record kept up to date, acked; {what}", system)
    figures.note(f"acked.{system.name}.{kind}.cpu", cpu_us, "us/event", f"the server's processor time for it; {what}", system)


def round_acked(bench, figures, systems):
    for skew, exponent in bench.skews:
        bench.zipf = exponent
        for system in bench.turn(systems):
            acked(bench, figures, system, skew, f"plain, customers {skew}")
            if system.name == "nats" and skew == "uniform":
                rate, _ = peak(bench, figures, system, variant=system.stream)
                figures.note("stream.nats", rate, "events/s", "publish to the stream alone, no record", system)
            if system.name == "redis" and skew == "uniform":
                acked(bench, figures, system, "one", "plain, customers uniform, one connection", connections=1)
    bench.zipf = 0


def round_mix(bench, figures, systems):
    """With orders, carts and feedback; of touchbus in a house of its own, so that plain customers stay plain."""
    with bench.mixed():
        for system in bench.turn(systems):
            acked(bench, figures, bench.mix_house() if system.name == "touchbus" else system, "mix", "mix, customers uniform")


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


SUBSCRIBERS = 3
LOOKUPS_PER_S = 200


def fan(bench, system, lookups=False, **options):
    """Publishing at saturation, three durable subscribers that settle what they get, look-ups or none: events out a second, those in a
    second, and the look-ups."""
    settle()
    time_option = {"duration": bench.duration}
    jobs = [(system, "subscribe", {"name": system.new_name(), "variant": system.consumer, **time_option}) for _ in range(SUBSCRIBERS)]
    jobs.append((system, "publish", {**time_option, **options}))
    if lookups:
        jobs.append((system, "lookup", {"rate": LOOKUPS_PER_S, **time_option}))
    runs = together(bench, jobs)
    out = sum(run["n"] for run in runs[:SUBSCRIBERS]) / bench.seconds
    return out, runs[SUBSCRIBERS]["per_s"], runs[-1]


def catch_up(bench, system):
    """Three durable subscribers from the beginning, nothing published meanwhile: events out a second."""
    system.grow(bench.backlog)
    settle()
    runs = together(bench, [(system, "subscribe", {"name": system.new_name(), "variant": system.consumer, "count": bench.backlog})
                            for _ in range(SUBSCRIBERS)])
    return sum(run["n"] for run in runs) / max(run["seconds"] for run in runs)


def round_fanout(bench, figures, systems):
    for system in bench.turn(systems):
        # JetStream is judged without the records that touchbus keeps up to date all the same.
        plain = {"variant": system.stream} if system.stream else {}
        out, acked_per_s, _ = fan(bench, system, **plain)
        note = " (no record kept)" if plain else ""
        figures.note(f"fanout.{system.name}", out, "events/s", f"out to three durable subscribers while publishing{note}", system)
        figures.note(f"fanout.{system.name}.in", acked_per_s, "events/s", f"acked meanwhile{note}", system)
        if plain:
            out, acked_per_s, _ = fan(bench, system)
            figures.note(f"fanout.{system.name}.kept", out, "events/s", "out to three durable subscribers while publishing, record kept", system)
            figures.note(f"fanout.{system.name}.kept.in", acked_per_s, "events/s", "acked meanwhile, record kept", system)
        figures.note(f"catchup.{system.name}", catch_up(bench, system), "events/s", "out to three durable subscribers that catch up", system)


def round_whole(bench, figures, systems):
    for system in bench.turn(systems):
        out, acked_per_s, lookup = fan(bench, system, lookups=True)
        figures.note(f"whole.{system.name}", acked_per_s, "events/s", "acked with record, while three subscribe and customers are looked up", system)
        figures.note(f"whole.{system.name}.out", out, "events/s", "out to the three meanwhile", system)
        figures.note(f"whole.{system.name}.lookup", lookup["p99_us"], "us", "look-up of a customer meanwhile, 99th percentile", system)


def round_replay(bench, figures, systems):
    for system in bench.turn(systems):
        system.grow(bench.backlog)
        settle()
        (run,) = together(bench, [(system, "replay", {"count": bench.backlog})])
        figures.note(f"replay.{system.name}", run["per_s"], "events/s", "from the beginning to one subscriber without acks", system)


def round_lookup(bench, figures, systems):
    for system in bench.turn(systems):
        # The peak of now: a house ages with every row before this one, and a rate of its youth may be all that it takes.
        at_peak, _ = peak(bench, figures, system)
        figures.note(f"lookup.{system.name}.peak", at_peak, "events/s", "publish, record kept up to date, acked; right before", system)
        settle()
        rate = round(at_peak * 0.7)
        paced, asked = together(bench, [(system, "publish", {"duration": bench.duration, "rate": rate}),
                                        (system, "lookup", {"duration": bench.duration, "rate": LOOKUPS_PER_S})])
        figures.note(f"lookup.{system.name}", asked["p99_us"] / 1000, "ms", "look-up of a customer at 70 % of the peak, 99th percentile", system)
        figures.note(f"lookup.{system.name}.p50", asked["p50_us"] / 1000, "ms", "the same, median", system)
        figures.note(f"lookup.{system.name}.paced", paced["per_s"], "events/s", "acked meanwhile", system)


def round_customers(bench, figures, systems):
    """The same load on two houses that differ in the number of their customers."""
    (small,) = systems
    for system in bench.turn([small, bench.large_house()]):
        rate, cpu_us = peak(bench, figures, system)
        n = system.customers
        figures.note(f"customers.{'small' if system is small else 'large'}", 1e6 / rate, "us/event", f"time an event at saturation, {n:,} customers", system)
        figures.note(f"customers.{'small' if system is small else 'large'}.cpu", cpu_us, "us/event", f"the server's processor time, {n:,} customers", system)


def round_http(bench, figures, systems):
    settle()
    calls = bench.web(systems[0]).calls(bench.seconds)
    figures.note("http", calls["n"] / calls["seconds"], "calls/s", "single Segment track calls through the web connector, acked", systems[0])
    figures.note("http.p50", calls["p50_us"] / 1000, "ms", "call to answer, median", systems[0])
    figures.note("http.p99", calls["p99_us"] / 1000, "ms", "call to answer, 99th percentile", systems[0])


class Row:
    """One line of the second part; without floor and aim it is shown and not judged."""

    def __init__(self, number, key, title, systems, run, over, under, floor=None, aim=None, more=True):
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
        if self.floor is None:
            return "-"
        reached = (lambda bound: value >= bound) if self.more else (lambda bound: value <= bound)
        return "aim" if reached(self.aim) else "floor" if reached(self.floor) else "below"


T, N, R, E = "touchbus", "nats", "redis", "redis-everysec"
ROWS = [
    Row(1, "acked", "plain: acked, on disk, view current / JetStream stream + key-value (no sync)", [T, N], round_acked,
        "acked.touchbus.uniform", "acked.nats.uniform", 3, 10),
    Row(2, "synced", "plain: the same / Redis Streams + record, appendfsync always", [T, R, E], round_acked,
        "acked.touchbus.uniform", "acked.redis.uniform", 1, 4),
    Row("2p", "synced-one", "plain: the same / Redis through one pipelined connection, as touchbus", [T, R], round_acked,
        "acked.touchbus.uniform", "acked.redis.one", 1, 4),
    Row("1m", "acked-mix", "mix (carts, feedback, every 6th an order): acked / JetStream stream + key-value", [T, N], round_mix,
        "acked.touchbus.mix", "acked.nats.mix"),
    Row("2m", "synced-mix", "mix: the same / Redis Streams + record, appendfsync always", [T, R], round_mix,
        "acked.touchbus.mix", "acked.redis.mix"),
    Row(3, "single", "one in flight, p50 / one write + fdatasync of the same bytes", [T, N, R], round_single,
        "single.touchbus", "single.append", 3.5, 1.5, more=False),
    Row(4, "fanout", "out to three durable subscribers at saturation / JetStream, three consumers", [T, N, R], round_fanout,
        "fanout.touchbus", "fanout.nats", 1.5, 6),
    Row("4r", "fanout-kept", "the same / JetStream that keeps records up to date as well", [T, N, R], round_fanout,
        "fanout.touchbus", "fanout.nats.kept"),
    Row(5, "replay", "replay from the log to one subscriber / JetStream's ordered consumer", [T, N, R], round_replay,
        "replay.touchbus", "replay.nats", 2, 5),
    Row(6, "lookup", "look-up of a customer, p99 in ms, while publishing at 70 % of the peak", [T, N, R], round_lookup,
        "lookup.touchbus", None, 2, 0.3, more=False),
    Row(7, "customers", "cost per event at 10^6 customers / at 10^5", [T], round_customers,
        "customers.large", "customers.small", 3, 1.5, more=False),
    Row(8, "http", "HTTP: single Segment track calls through the web connector, acked, a second", [T], round_http,
        "http", None, 8000, 20000),
    Row(9, "catchup", "out to three durable subscribers that catch up / JetStream, three consumers", [T, N, R], round_fanout,
        "catchup.touchbus", "catchup.nats"),
    Row(10, "whole", "all at once: publish, record, three subscribers, look-ups; acked / JetStream", [T, N, R], round_whole,
        "whole.touchbus", "whole.nats"),
]
