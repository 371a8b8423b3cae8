// SPDX-License-Identifier: Apache-2.0
// touchbus bench in the table of commands: it parses its own options (tools/bench).
#include "tools/bench.h"
#include "tools/touchbus/groups.h"

const struct command command_bench = {
    .name = "bench",
    .synopsis = "[options]",
    .description = "Measure a broker: acked events a second, latencies, delivery, replay, queries.",
    .raw = bench_main,
};
