// SPDX-License-Identifier: Apache-2.0
// touchbus bench: how many events a broker takes, hands out, replays, and answers questions about.
#pragma once

// argv[0] is the program, then the options of tools/bench/bench.c, among them the global --broker
// and -j. Returns the exit code of the command line tool: 0 done, 1 it failed, 2 wrong usage, 3 the
// broker is not there.
int bench_main(int argc, char **argv);
