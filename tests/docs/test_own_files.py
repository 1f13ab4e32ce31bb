"""The files of one's own that the pages show: they train, and keep what a program promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyro import poutine
from tiny import ALONE, CPU, CommandLine, weights_of, write_images

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.data import open_source
from scalor_ppl.objectives.densities import latent_and_observed
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


def write_raw(path: Path) -> np.ndarray:
    """A recording for ``my_reader.py``: a bright square of 12 bits, a pixel further each frame."""
    pixels = np.full((8, 16, 16), 200, "<u2")
    for t, frame in enumerate(pixels):
        frame[4:9, 1 + t : 6 + t] = 3800
    pixels.tofile(path)
    path.with_suffix(".json").write_text('{"height": 16, "width": 16, "fps": 25}')
    return pixels


def test_a_reader_of_ones_own_hands_over_the_frames(cli: CommandLine, place: Path) -> None:
    pixels = write_raw(place / "movie.raw")
    reader = f"{ROOT / 'docs' / 'my_reader.py'}:RawReader"
    source = open_source("movie.raw", options=SourceOptions(reader=reader, start=1, stride=2))
    video = source.clip(0, frames=3).video
    assert video.shape == (3, 16, 16, 1)
    assert video.dtype == np.uint8
    # The span of values in use becomes black to white; the square moves by two pixels.
    for shown, frame in zip(video[..., 0], pixels[1::2], strict=False):
        assert np.array_equal(shown > 127, frame > 2000)
    data = ("--config", "tiny.toml", "--data", "movie.raw", "--set", f"data.reader={reader}")
    assert cli("train", *data, "--out", "run", *ALONE).code == 0
    assert load_run(place / "run", CPU).config.data.reader == reader


def test_a_recording_without_its_header_is_refused_in_one_line(
    cli: CommandLine, place: Path
) -> None:
    write_raw(place / "movie.raw")
    (place / "movie.json").unlink()
    reader = f"{ROOT / 'docs' / 'my_reader.py'}:RawReader"
    data = ("--config", "tiny.toml", "--data", "movie.raw", "--set", f"data.reader={reader}")
    assert "movie.json" in cli.refused("train", *data, "--out", "run", *ALONE)


def test_a_decoder_of_ones_own_trains(cli: CommandLine, place: Path) -> None:
    decoder = f"{ROOT / 'docs' / 'my_decoder.py'}:SpatialBroadcast"
    data = ("--config", "tiny.toml", "--data", "clips.nc", "--set", f"model.decoder={decoder}")
    said = cli("train", *data, "--out", "run", *ALONE)
    assert said.code == 0, said
    program = load_run(place / "run", CPU)
    assert type(program.model.decoder).__name__ == "SpatialBroadcast"
    own: Any = program.config.model
    logits = program.model.decoder(torch.zeros(2, own.what))
    assert logits.shape == (2, 4, *own.glimpse)
    weights = weights_of(place / "run")
    assert any("layers" in name and "decoder" in name for name in weights)
