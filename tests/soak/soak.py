"""Kill commands at random moments, many times, and say what survived: ``make soak``.

Each command is killed with SIGKILL at a moment drawn evenly over the time that it takes alone, up
to three times in a row, and then goes on to its end as its messages say. What it leaves is compared
with what an uninterrupted one made.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from scenarios import Bench, scenarios


def main() -> int:
    """Run it; 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="processes to kill, in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", help="one command: train, track, generate or reproduce")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [each for each in scenarios() if wanted.only in (None, each.name)]
    lost = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        os.environ["XDG_STATE_HOME"] = str(Path(name) / "state")
        bench = Bench(Path(name))
        for n, scenario in enumerate(chosen):
            kills = wanted.kills // len(chosen) + (n < wanted.kills % len(chosen))
            begin = time.perf_counter()
            chance = random.Random(wanted.seed + n)
            scenario.soak(bench.fresh, kills, chance, bench.prepare)
            moments = " ".join(f"{moment:.2f}" for moment in sorted(scenario.moments))
            survived = len(scenario.moments) - len(scenario.lost)
            print(
                f"{scenario.name}: {len(scenario.moments)} killed, {survived} survived, "
                f"{len(scenario.lost)} lost, {scenario.too_late} ended before the moment; "
                f"{time.perf_counter() - begin:.0f} s; killed after {moments} s",
                flush=True,
            )
            for complaint in scenario.lost:
                print(f"  lost: {complaint}", flush=True)
            lost += len(scenario.lost)
    print(f"{'LOST' if lost else 'nothing lost'}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
