"""Numbers that are not finite end tracking, scores and generation by name, and leave no file."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pyro.poutine.messenger import Messenger
from safetensors.torch import load_file, save_file
from tiny import ALONE, CommandLine, last_checkpoint, trained, write_clips, write_video
from tiny import Square as Source

from scalor_ppl.inference.finite import check_scene
from scalor_ppl.training.checkpoints import WEIGHTS


class Spoilt(Messenger):
    """Gives the first object of a site's video a value that is no number."""

    def __init__(self, site: str) -> None:
        super().__init__()
        self.site = site

    def _pyro_post_sample(self, msg: Any) -> None:
        if msg["name"] == self.site:
            msg["value"] = msg["value"].clone()
            msg["value"][0, 0] = math.nan


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, clips and a video."""
    folder = tmp_path_factory.mktemp("given")
    trained(folder / "run", model={"background": "vae", "background_dim": 2})
    write_clips(folder / "clips.nc")
    write_video(folder / "video.mp4", Source(), frames=8)
    return folder


@pytest.fixture
def place(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own with all of that, and nothing else."""
    shutil.copytree(given, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = {
    "track": ("track", "run", "video.mp4", "--out", "made.txt"),
    "evaluate": (
        "evaluate",
        "run",
        "--data",
        "clips.nc",
        "--clips",
        1,
        "--frames",
        3,
        "--json",
        "made",
    ),
    "infer": ("infer", "run", "clips.nc", "--frames", 3, "--draws", 2, "--out", "made.nc"),
    "generate": (
        "generate",
        "run",
        "--observe",
        "clips.nc",
        "--observe-frames",
        3,
        "--out",
        "made",
    ),
}
SITES = ["z_pres_disc_0", "z_where_disc_1", "z_depth_disc_1", "z_what_disc_0", "z_bg_2"]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_latent_is_named(command: str, site: str, place: Path, cli: CommandLine) -> None:
    before = set(place.rglob("*"))
    with Spoilt(site):
        said = cli(*COMMANDS[command], *ALONE)
    assert said.code == 1, said
    (line,) = [each for each in said.err.splitlines() if each.startswith("error: ")]
    assert f"not finite: {site} of the guide: value is nan" in line
    assert "Traceback" not in said.err
    left = {path for path in place.rglob("*") if path.is_file()} - before
    assert not [path for path in left if path.name != "made.txt.resume"], left


def test_what_is_sampled_from_scratch(place: Path, cli: CommandLine) -> None:
    with Spoilt("z_what_disc_1"), Spoilt("z_bg_1"):
        said = cli("generate", "run", "--out", "made", "--frames", 3, "--videos", 1, *ALONE)
    assert said.code == 1
    assert "not finite: frame 1 of video 0 is nan in" in said.err
    assert not (place / "made").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_parameter_in_a_checkpoint_is_named(command: str, place: Path, cli: CommandLine) -> None:
    path = last_checkpoint(place / "run") / WEIGHTS
    weights = load_file(path)
    weights["guide.proposal.where_depth.bias"][2] = math.inf
    save_file(weights, path)
    line = cli.refused(*COMMANDS[command], *ALONE)
    assert str(path.relative_to(place)) in line
    assert "not finite, first in guide.proposal.where_depth.bias" in line


def test_large_numbers_are_numbers() -> None:
    class Scene:
        image = torch.full((1, 2, 1, 4, 4), 3e38)

    check_scene(Scene())
