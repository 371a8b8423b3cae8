#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two tests side by side never choose the same port, though neither has bound its own yet: what one call of `free_ports` gave, no other
gives, in this process or another, until the process that has it ends."""
import os
import random
import subprocess
import sys

import harness

CALLS = 20
OTHERS = "import harness, random; random.seed({seed}); print(*[harness.free_ports() for _ in range({calls})], flush=True); input()"


def calls(seed):
    """The first ports of as many calls as CALLS, by a process that lives on; a seed makes every process choose alike."""
    process = subprocess.Popen([sys.executable, "-c", OTHERS.format(seed=seed, calls=CALLS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, cwd=os.path.dirname(os.path.abspath(__file__)))
    return process, [int(word) for word in process.stdout.readline().split()]


def main():
    seed = random.randrange(1 << 30)
    one, first = calls(seed)
    other, second = calls(seed)
    taken = {port + offset for port in first for offset in range(3)}
    assert len(first) == len(second) == CALLS and len(taken) == 3 * CALLS, f"seed {seed}: a port given twice in one process: {sorted(first)}"
    twice = {port + offset for port in second for offset in range(3)} & taken
    assert not twice, f"seed {seed}: ports {sorted(twice)} were given to two living processes"
    for process in (one, other):
        process.communicate("\n", timeout=harness.START_S)
    random.seed(seed)
    again = {harness.free_ports() for _ in range(CALLS)}
    assert again & set(first), f"seed {seed}: none of {sorted(first)} is given again, though who had them has ended: {sorted(again)}"


if __name__ == "__main__":
    main()
