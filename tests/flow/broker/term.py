#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM in the middle of commits: what was begun is finished, synced and answered, the next start has nothing to fold, and
what was acked is there."""
import os
import signal
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "wire"), HERE]
from harness import House, wait_for  # noqa: E402
from wire import Publisher, pb  # noqa: E402
from events import make  # noqa: E402

ROUNDS, BATCH, DUPLICATE = 5, 200, 1


class Load(threading.Thread):
    """Publishes batches until the broker is gone. acked: what it was answered for, id -> sequence."""

    def __init__(self, port, name):
        super().__init__(daemon=True)
        self.port, self.label, self.acked, self.stop = port, name, {}, False

    def run(self):
        publisher = Publisher(self.port)
        number = 0
        while not self.stop:
            ids = [f"{self.label}-{number}-{n}" for n in range(BATCH)]
            publisher.send(pb.PublishRequest(version=1, request=number + 1, events=[make(pb, i).SerializeToString() for i in ids]))
            while (reply := publisher.receive(2)) is None and not self.stop:
                pass  # a disk that stands still
            if reply is None:
                break
            self.acked.update((i, s) for i, s in zip(ids, reply.sequences) if s)
            number += 1
        publisher.close()


def main():
    with House() as house:
        for round_ in range(ROUNDS):
            house.start_broker()
            loads = [Load(house.port, f"{round_}-{n}") for n in range(3)]
            for load in loads:
                load.start()
            wait_for("the loads are acked", lambda: sum(len(load.acked) for load in loads) >= 5 * BATCH, pause=0.01)  # noqa: B023
            house.broker.popen.send_signal(signal.SIGTERM)
            assert house.broker.wait() == 0, house.broker.tail()
            for load in loads:
                load.stop = True
                load.join(30)
            house.start_broker()
            assert "view=caught-up" not in house.broker.tail(50), house.broker.tail(50)
            publisher = Publisher(house.port)
            for load in loads:
                ids = list(load.acked)[-BATCH:]
                reply = publisher.ask([make(pb, i) for i in ids])
                assert [o.code for o in reply.outcomes] == [DUPLICATE] * len(ids), reply
                assert list(reply.sequences) == [load.acked[i] for i in ids], "acked under another sequence"
            publisher.close()
            assert house.broker.stop() == 0
            print(f"round {round_}: {sum(len(load.acked) for load in loads)} acked", flush=True)


main()
