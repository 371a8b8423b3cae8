#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The benchmark runs from end to end, on touchbus alone, and its JSON names what README.md says. Nothing here looks at a time."""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = ("acked", "single", "fanout", "replay", "lookup")


def main():
    with tempfile.TemporaryDirectory(prefix="touchbus-test-") as folder:
        path = os.path.join(folder, "figures.json")
        done = subprocess.run([os.path.join(HERE, "run"), "--bin", os.environ["TOUCHBUS_BIN"], "--quick", "--seconds", "0.2", "--customers", "300",
                               "--peers", "none", "--only", ",".join(ROWS), "--folder", folder, "--json", path],
                              text=True, capture_output=True, timeout=240, check=False)
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        assert os.listdir(folder) == ["figures.json"], os.listdir(folder)
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        assert [row["key"] for row in result["rows"]] == list(ROWS), result["rows"]
        for row in result["rows"]:
            assert {"number", "title", "floor", "aim", "value", "reached", "more_is_better"} <= set(row), row
            assert (row["value"] is None) == (row["key"] in ("acked", "fanout", "replay")), row  # those are divided by a peer's
        for name in ("acked.touchbus.uniform", "single.append", "fanout.touchbus", "catchup.touchbus", "replay.touchbus", "lookup.touchbus"):
            figure = result["figures"][name]
            # What three subscribers get within a fifth of a second may be nothing on a busy machine; all others end when something came.
            assert figure["median"] > 0 or name == "fanout.touchbus", (name, figure)
            assert len(figure["runs"]) == 1 and figure["unit"] and figure["durability"], (name, figure)
        assert result["machine"]["cores"] > 0, result["machine"]
    done = subprocess.run([os.path.join(HERE, "run"), "--only", "nonsense"], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode != 0 and "nonsense" in done.stderr, done
    print("bench: every row ran")


if __name__ == "__main__":
    sys.exit(main())
