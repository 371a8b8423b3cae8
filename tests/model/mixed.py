# SPDX-License-Identifier: Apache-2.0
"""Whatever happens: every event has its sequence, and the rebuilt view is the live one."""
import judge
from generator import World


def make(seed):
    """Everything together, for what must hold whatever happens."""
    world = World(seed, "mixed")
    steps = []
    target = world.dice.randint(20, 55)
    while world.events < target:
        pause = world.pause()
        world.clock_us += pause
        act = world.dice.randrange(60)
        if act == 0:
            steps.append({"do": "erase", "key": "=".join(world.some(world.some(world.people).strong))})
        elif act == 1:
            steps.append({"do": "trim", "share": world.some([0.3, 0.7, 1.0])})
        elif act == 2:
            steps.append({"do": "restart", "clean": world.one_in(2)})
        elif act == 3:
            steps.append({"do": "policy", "number": world.dice.randrange(3)})
        elif act < 6:
            people = [world.some(world.people) for _ in range(2)]
            steps.append({"do": "split" if world.one_in(2) else "merge", "keys": ["=".join(world.some(one.strong)) for one in people]})
        elif act == 6:
            steps.append({"do": "again", "back": world.dice.randint(1, 5)})
        else:
            steps.append({"do": "events", "events": [world.event() for _ in range(world.some([1, 1, 1, 2, 5]))]})
        steps[-1]["after_us"] = pause
    return steps


class Mixed:
    make = staticmethod(make)

    @staticmethod
    def run(driver, steps):
        return judge.Run(driver, "{}\n").play(steps).end()
