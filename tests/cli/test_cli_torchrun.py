"""``torchrun ... scalor-ppl train``, as a user starts and stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import metrics_of

from scalor_ppl.training.checkpoints import last_checkpoint, load_training
from scalor_ppl.training.runs import METRICS
from scalor_ppl.training.state import OTHERS

LIMIT = 300  # seconds


def torchrun(*words: str) -> subprocess.Popen[str]:
    """Two processes of the command."""
    # By its module: the command itself is not always on the path.
    starts = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = str(Path(sys.executable).with_name("scalor-ppl"))
    return subprocess.Popen(
        [*starts, "--no-python", command, "train", "--device", "cpu", *words],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_a_mistake_is_told_once_and_a_signal_ends_all(place: Path) -> None:
    train = ("--config", "tiny.toml", "--data", "clips.nc", "--out", "run")
    wrong = torchrun(*train, "--set", "train.batch=3")
    _, said = wrong.communicate(timeout=LIMIT)
    assert wrong.returncode == 1  # torchrun's own
    assert [line for line in said.splitlines() if line.startswith("error: ")] == [
        "error: train.batch = 3 cannot be shared by 2 processes: give a multiple of 2, such as "
        "--set train.batch=2"
    ]
    part = torchrun("--only", "priors", "--from", "pretrained:dsprites-vld", "--out", "run")
    _, said = part.communicate(timeout=LIMIT)
    line = "error: --only priors takes one process: leave torchrun out"
    assert [each for each in said.splitlines() if each.startswith("error: ")] == [line]
    assert not (place / "run").exists()

    going = torchrun(*train, "--steps", "100000", "--set", "train.checkpoint_every=100000")
    until = time.monotonic() + LIMIT
    while not (place / "run" / METRICS).is_file() and time.monotonic() < until:
        time.sleep(0.2)
    going.send_signal(signal.SIGTERM)
    _, said = going.communicate(timeout=LIMIT)
    steps = len(metrics_of(place / "run"))
    assert f"stopped after step {steps}; go on with: " in said
    assert said.count("stopped after step") == 1
    assert last_checkpoint(place / "run").name == f"step_{steps:07d}"
    assert len(load_training(last_checkpoint(place / "run"))[OTHERS]) == 1
