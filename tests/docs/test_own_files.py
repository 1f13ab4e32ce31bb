"""The files of one's own that the pages show: they train, and keep what a program promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pyro import poutine
from tiny import ALONE, CPU, CommandLine, weights_of, write_images

from scalor_ppl.objectives.particles import latent_and_observed
from scalor_ppl.programs import Memory
from scalor_ppl.training.runs import Program, load_run

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "docs" / "my_program.py"
SMALL = ("train.steps=3", "train.batch=2", "train.frames=3", "train.warmup=0", "model.latent=4")


def settings(*texts: str) -> list[str]:
    """``--set`` for each."""
    return [word for text in texts for word in ("--set", text)]


@pytest.fixture
def markov(cli: CommandLine, place: Path) -> Path:
    """A run of ``my_program.py``."""
    files = ("--model", PROGRAM, "--guide", PROGRAM)
    said = cli("train", *files, "--data", "clips.nc", *settings(*SMALL), "--out", "run", *ALONE)
    assert said.code == 0, said
    return place / "run"


def test_a_program_of_ones_own_trains_and_samples(cli: CommandLine, markov: Path) -> None:
    program = load_run(markov, CPU)
    assert program.name == "deep-markov"
    assert program.config.model.latent == 4  # type: ignore[attr-defined]
    torch.manual_seed(0)
    scratch = program.model(videos=2, frames=3)
    assert scratch.image.shape == (2, 3, 3, 16, 16)
    assert 0 <= scratch.image.min() < scratch.image.max() <= 1
    assert any("dynamics" in name for name in weights_of(markov))
    write_images(markov.parent / "images")
    refused = cli.refused("track", markov, "images", "--out", "t.csv", *ALONE)
    assert "finds no objects" in refused
    assert cli("generate", markov, "--videos", 1, "--frames", 2, *ALONE).code == 0


def sites(program: Program, video: Any, memory: Memory | None = None) -> dict[str, Any]:
    """Latents and observations of guide and model, most likely values."""
    from scalor_ppl.nn.modes import MostLikely

    with torch.no_grad(), MostLikely():
        seen = poutine.trace(program.guide).get_trace(video, memory=memory)
        replayed = poutine.replay(program.model, trace=seen)
        foreseen = poutine.trace(replayed).get_trace(video, memory=memory)
    return {
        "guide": {name for name, _ in latent_and_observed(seen)},
        "model": dict(latent_and_observed(foreseen)),
        "scene": foreseen.nodes["_RETURN"]["value"],
        "inferred": seen.nodes["_RETURN"]["value"],
    }


def test_chunks_of_a_program_of_ones_own_equal_the_whole(markov: Path) -> None:
    program = load_run(markov, CPU)
    video = torch.rand(2, 5, 3, 16, 16)
    whole = sites(program, video)
    assert whole["guide"] == {f"z_{t}" for t in range(5)}
    assert set(whole["model"]) == whole["guide"] | {f"x_{t}" for t in range(5)}
    assert whole["model"]["z_0"]["fn"].batch_shape == (2, 1)
    first = sites(program, video[:, :2])
    memory = Memory(2, first["scene"].memory, first["inferred"].memory)
    rest = sites(program, video[:, 2:], memory)
    images = torch.cat((first["scene"].image, rest["scene"].image), 1)
    torch.testing.assert_close(images, whole["scene"].image)
