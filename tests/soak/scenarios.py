"""Training, tracking, generating and reproducing, with what must hold whenever they are killed."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import xarray as xr
from crashes import Scenario
from PIL import Image
from safetensors.torch import load_file
from tiny import (
    ALONE,
    SETTINGS,
    Square,
    metrics_of,
    same,
    trained,
    weights_of,
    write_clips,
    write_settings,
    write_video,
)

from scalor_ppl.cli.main import run as run_command
from scalor_ppl.files import was_lent
from scalor_ppl.studies import experiment as experiments
from scalor_ppl.studies.experiment import Experiment, Trial
from scalor_ppl.studies.ledger import read_entries
from scalor_ppl.training.checkpoints import TRAINING, WEIGHTS, all_checkpoints

STEPS = 24
OFTEN = {"steps": STEPS, "checkpoint_every": 3, "image_every": 6}
TINY = Experiment(
    name="tiny",
    title="Tiny",
    preset="moving-dsprites-vld",
    settings=SETTINGS | {"train": SETTINGS["train"] | OFTEN},
    minutes=5,
    trials=(Trial(title="short", clips=2, frames=2),),
)


WARM = (
    ("track", "trained", "video.mp4", "--out", "a.txt", "--overlay", "a.mp4", "--masks", "a.nc"),
    ("generate", "trained", "--out", "made", "--frames", "2"),
    ("evaluate", "trained", "--data", "clips.nc", "--clips", "1", "--frames", "3"),
)


class Bench:
    """A folder in which commands are killed; what they need is made once.

    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.given = folder / "given"
        self.given.mkdir()
        write_clips(self.given / "clips.nc")
        write_settings(self.given / "tiny.toml", train=OFTEN)
        write_video(self.given / "video.mp4", Square(), frames=60)
        trained(self.given / "trained")
        # Loops are compiled once, here, and not in every child.
        warm = self.fresh("warm")
        for words in WARM:
            with contextlib.chdir(warm), patched_words(words), contextlib.suppress(SystemExit):
                run_command()

    def fresh(self, name: str) -> Path:
        """A new folder with everything in it."""
        return shutil.copytree(self.given, self.folder / name)

    def prepare(self) -> None:
        """Make the small experiment the one that is reproduced, and saves of tracking frequent."""
        from scalor_ppl.tracking import together

        torch.set_num_threads(1)
        experiments.read_experiment = lambda name: TINY
        together.track_to_files.__kwdefaults__ = {
            **(together.track_to_files.__kwdefaults__ or {}),
            "save_every": 0.0,
        }


@contextlib.contextmanager
def patched_words(words: tuple[str, ...]) -> Iterator[None]:
    """The words of a command, for a run of it in this process; what it says is dropped."""
    before, sys.argv = sys.argv, ["scalor-ppl", *words]
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            yield
    finally:
        sys.argv = before


def scenarios() -> list[Scenario]:
    """One for each kind of writer."""
    train = ("train", "--config", "tiny.toml", "--data", "clips.nc", "--out", "run", *ALONE)
    track = ("track", "trained", "video.mp4", "--out", "a.txt", "--chunk", 4, *ALONE)
    track = (*track, "--overlay", "a.mp4", "--masks", "a.nc")
    generate = ("generate", "trained", "--out", "made", "--frames", 6, "--boxes", *ALONE)
    reproduce = (
        "reproduce",
        "tiny",
        "--results",
        "lines.jsonl",
        "--out",
        "runs",
        "--device",
        "cpu",
    )
    return [
        Scenario("train", train, resumed_training, whole_run("run"), same_run("run")),
        Scenario("track", track, lambda at: (*track, *resumed(at)), whole_tracks, same_tracks),
        Scenario("generate", generate, lambda _: generate, whole_made, same_made),
        Scenario("reproduce", reproduce, lambda _: reproduce, whole_reproduced, same_reproduced),
    ]


# ---------------------------------------------------------------------------------- training


def resumed_training(folder: Path) -> tuple[object, ...]:
    """``--resume`` where there is a run; else, as the command says, anew."""
    if (folder / "run" / "config.toml").exists():
        return ("train", "--resume", "--out", "run", *ALONE)
    return ("train", "--config", "tiny.toml", "--data", "clips.nc", "--out", "run", *ALONE)


def whole_run(name: str) -> Callable[[Path, Path], None]:
    """What is there of a run is whole: configuration, pictures, every checkpoint."""

    def check(folder: Path, reference: Path) -> None:
        run = folder / name
        if (run / "config.toml").exists():
            tomllib.loads((run / "config.toml").read_text())
        for checkpoint in all_checkpoints(run):
            assert load_file(checkpoint / WEIGHTS).keys() == weights_of(reference / name).keys()
            assert torch.load(checkpoint / TRAINING, weights_only=True)["step"] <= STEPS
        for picture in visible(run, "images/*.png"):
            with Image.open(picture) as image:
                image.load()

    return check


def same_run(name: str) -> Callable[[Path, Path], None]:
    """The weights bit for bit, each step logged once, and no file too many."""

    def check(folder: Path, reference: Path) -> None:
        run, wanted = folder / name, reference / name
        assert same(weights_of(run), weights_of(wanted)), "weights differ"
        assert metrics_of(run, clock=False) == metrics_of(wanted, clock=False)
        # The last checkpoint of all is the same; the one before depends on where it was killed.
        names = {path for path in files_of(run) if not path.startswith("checkpoints/")}
        assert names == {path for path in files_of(wanted) if not path.startswith("checkpoints/")}
        nothing_left(run)

    return check


# ---------------------------------------------------------------------------------- tracking


def resumed(folder: Path) -> tuple[str, ...]:
    """As the command says: ``--resume`` where a state is, else anew."""
    return ("--resume",) if (folder / "a.txt.resume").exists() else ()


def whole_tracks(folder: Path, reference: Path) -> None:
    """A file that has its name is complete."""
    for name in ("a.txt", "a.nc", "a.mp4"):
        if (folder / name).exists():
            same_output(folder / name, reference / name)


def same_tracks(folder: Path, reference: Path) -> None:
    """The files of an uninterrupted tracking, and no other."""
    for name in ("a.txt", "a.nc", "a.mp4"):
        same_output(folder / name, reference / name)
    assert {each.name for each in folder.iterdir()} == {each.name for each in reference.iterdir()}
    nothing_left(folder)


def same_output(path: Path, wanted: Path) -> None:
    """Equal in content: bytes, arrays, or the number and size of pictures."""
    if path.suffix == ".nc":
        with xr.open_dataset(path) as mine, xr.open_dataset(wanted) as theirs:
            xr.testing.assert_identical(mine, theirs)
    elif path.suffix == ".mp4":
        assert pictures(path).shape == pictures(wanted).shape, path
    else:
        assert path.read_bytes() == wanted.read_bytes(), path


def pictures(path: Path) -> np.ndarray:
    """The frames of a video."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


# -------------------------------------------------------------------------------- generating


def whole_made(folder: Path, reference: Path) -> None:
    """Each picture and video that is there is what it is in the reference."""
    for path in visible(folder, "made/*"):
        assert path.read_bytes() == (reference / "made" / path.name).read_bytes(), path


def same_made(folder: Path, reference: Path) -> None:
    """All of them."""
    assert files_of(folder / "made") == files_of(reference / "made")
    whole_made(folder, reference)
    nothing_left(folder)


# ------------------------------------------------------------------------------- reproducing

RUN = "runs/tiny/seed_0"


def whole_reproduced(folder: Path, reference: Path) -> None:
    """The run is whole, and so are the ledger's lines and the scores."""
    whole_run(RUN)(folder, reference)
    if (folder / "lines.jsonl").exists():
        read_entries(folder / "lines.jsonl")
    if (folder / RUN / "scores.json").exists():
        json.loads((folder / RUN / "scores.json").read_text())


def same_reproduced(folder: Path, reference: Path) -> None:
    """The same weights, figures and scores; one line in the ledger, and the same one."""
    same_run(RUN)(folder, reference)
    mine, theirs = (scores(each / RUN / "scores.json") for each in (folder, reference))
    assert mine == theirs
    lines = [timeless(entry) for entry in read_entries(folder / "lines.jsonl")]
    (wanted,) = (timeless(entry) for entry in read_entries(reference / "lines.jsonl"))
    assert lines == [wanted]


def scores(path: Path) -> Any:
    """Figures without the time that they took."""
    return json.loads(path.read_text())["trials"]


def timeless(entry: Any) -> Any:
    """A line of a ledger without minutes."""
    return entry.model_copy(update={"minutes": 0.0})


# --------------------------------------------------------------------------------- any output


def visible(folder: Path, pattern: str) -> list[Path]:
    """Files of a pattern, but for hidden ones."""
    return [path for path in folder.glob(pattern) if not path.name.startswith(".")]


def files_of(folder: Path) -> set[str]:
    """All files below a folder, by name."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def nothing_left(folder: Path) -> None:
    """Complain about locks, parts and half-written files of processes that are gone."""
    left = [
        path.name
        for path in folder.rglob("*")
        if path.name.endswith((".lock", ".part", ".resume")) or was_lent(path) is not None
    ]
    assert not left, left
