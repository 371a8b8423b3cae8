# SPDX-License-Identifier: Apache-2.0
"""Timers: a cart that nobody touches for half an hour is said to be left, once, also when the broker was down; touched again in time, it is
not; and no jump of the wall clock says so."""
import judge
from generator import DAY, HOUR, MINUTE, SECOND, World

LEFT_US = 30 * MINUTE
POLICY = "{standing: {checkout: 30m}}"


def make(seed):
    world = World(seed, "carts")
    dice = world.dice
    steps = []
    for _ in range(dice.randint(3, 25)):
        pause = world.some([0, SECOND, 10 * MINUTE, 29 * MINUTE, 31 * MINUTE, HOUR, DAY])
        person = world.some(world.people[:2])
        act = dice.randrange(12)
        if act < 6:
            event = world.event("cart.changed", [(*person.strong[0], False)], data={
                "cart_id": f"cart-{person.number}-{dice.randint(1, 2)}", "lines": world.lines()})
            event.pop("time", None)
            step = {"do": "events", "events": [event]}
        elif act < 8:
            step = {"do": "turn"}
        elif act == 8:
            step = {"do": "restart", "clean": world.one_in(2)}
        elif act == 9:
            step = {"do": "jump", "by_us": world.some([5 * 365 * DAY, -DAY, 20 * DAY])}
        else:
            step = {"do": "events", "events": [world.event("page.viewed", [(*person.strong[0], False)])]}
        steps.append({**step, "after_us": pause})
    return steps


class Carts(judge.Run):
    make = staticmethod(make)

    @classmethod
    def run(cls, driver, steps):
        run = cls(driver, POLICY).play([*steps, {"do": "turn", "after_us": HOUR}, {"do": "turn", "after_us": HOUR}])
        run.compare()
        return run.end()

    def do_jump(self, step):
        """The wall clock is wrong, the tick runs, and it is set right again."""
        self.driver.broker.call("jump", at_us=self.now_us + step["by_us"])
        self.driver.turn()
        self.driver.broker.call("jump", at_us=self.now_us)
        self.driver.turn()

    def compare(self):
        """Receipts never go back, so after a jump ahead they say nothing; what is told here is by the time that was told."""
        left, touched, published = {}, {}, {row["sequence"]: row for row in self.published}
        for event in self.driver.log(1):
            kind, cart = event["type"], event["data"].get("cart_id") if isinstance(event.get("data"), dict) else None
            sequence = int(event["sequence"])
            if kind.endswith("cart.changed.v1") and sequence in published:
                touched.setdefault(cart, []).append((sequence, published[sequence]["received_us"]))
            if kind.endswith("checkout.abandoned.v1"):
                left.setdefault(cart, []).append(sequence)
        for cart, times in touched.items():
            for index, (sequence, at_us) in enumerate(times):
                next_sequence, next_us = times[index + 1] if index + 1 < len(times) else (1 << 63, self.now_us)
                told = [one for one in left.get(cart, []) if sequence < one < next_sequence]
                due = next_us - at_us > LEFT_US
                if len(told) > 1 or len(told) == 1 and next_us - at_us < LEFT_US:
                    self.complain("timers", f"{cart} was touched with {sequence}, {(next_us - at_us) / MINUTE:.0f} min passed, "
                                            f"and it was said to be left with {told}")
                if not told and due and index + 1 == len(times):
                    self.complain("timers", f"{cart} was touched last with {sequence}, {(next_us - at_us) / MINUTE:.0f} min ago, and was not left")
