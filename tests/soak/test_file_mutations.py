"""Files that went wrong are refused in one line, or read; nothing crashes, hangs or is executed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from mutations import mutated
from tiny import CPU, Square, trained, write_video

from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.programs.configuration import read_config
from scalor_ppl.tracking import track_to_files
from scalor_ppl.tracking.state import load_state
from scalor_ppl.tracks.mot_reader import read_rows
from scalor_ppl.training.checkpoints import (
    TRAINING,
    WEIGHTS,
    last_checkpoint,
    load_training,
    load_weights,
)
from scalor_ppl.training.origin import ORIGIN, read_parts
from scalor_ppl.training.runs import CONFIG, METRICS, cut_metrics

COUNT = int(os.environ.get("SCALOR_PPL_MUTATIONS", "60"))
"""Variants of each file; ``make soak`` asks for more."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Program]:
    """A finished run, its program, and an interrupted tracking beside it."""
    folder = tmp_path_factory.mktemp("made")
    program, _ = trained(folder / "run")
    video = write_video(folder / "video.mp4", Square(), frames=12)

    class Stops:
        """Interrupts the tracking, as Ctrl-C does."""

        def warned(self, message: str) -> None: ...

        def began(self, done: int, total: int | None) -> None: ...

        def stepped(self, done: int, objects: int) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    track_to_files(program, video, folder / "a.txt", chunk=4, watcher=Stops())
    assert (folder / "a.txt.resume").is_file()
    return folder, program


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """A file that takes longer to refuse hangs."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def survives(path: Path, data: bytes, read: Callable[[], Any]) -> int:
    """Read every variant of a file; how many were refused."""
    refused = 0
    for variant in mutated(data, COUNT, seed=len(data)):
        path.write_bytes(variant)
        said = ""
        try:
            with at_most(20):
                read()
        except UserError as error:
            refused += 1
            said = str(error)
        assert not said or path.name in said, said
        assert len(said) < 2000, said
    return refused


def test_configurations(made: tuple[Path, Program], tmp_path: Path) -> None:
    path = tmp_path / CONFIG
    data = (made[0] / "run" / CONFIG).read_bytes()
    assert survives(path, data, lambda: read_config(path)) > COUNT // 4


def test_rows_of_tracks(tmp_path: Path) -> None:
    path = tmp_path / "tracks.txt"
    rows = ((t, i) for t in (1, 2) for i in (1, 2))
    data = b"".join(b"%d,%d,1.5,%d,9,9.25,0.5,-1,-1,-1\n" % (t, i, t) for t, i in rows)
    assert survives(path, data, lambda: read_rows(path)) > COUNT // 4


def test_weights(made: tuple[Path, Program], tmp_path: Path) -> None:
    folder, program = made
    path = tmp_path / WEIGHTS
    data = (last_checkpoint(folder / "run") / WEIGHTS).read_bytes()
    before = {name: p.clone() for name, p in program.model.named_parameters()}
    # What is flipped in the middle of a number is a number: those are read.
    assert survives(path, data, lambda: load_weights(tmp_path, program.parts)) > COUNT // 4
    load_weights(last_checkpoint(folder / "run"), program.parts)
    assert all(torch.equal(before[name], p) for name, p in program.model.named_parameters())


def test_states_of_trainings(made: tuple[Path, Program], tmp_path: Path) -> None:
    path = tmp_path / TRAINING
    data = (last_checkpoint(made[0] / "run") / TRAINING).read_bytes()
    assert survives(path, data, lambda: load_training(tmp_path)) > COUNT // 4


def test_states_of_trackings(made: tuple[Path, Program], tmp_path: Path) -> None:
    path = tmp_path / "a.txt.resume"
    data = (made[0] / "a.txt.resume").read_bytes()
    assert survives(path, data, lambda: load_state(path, CPU)) > COUNT // 4


def test_metrics(made: tuple[Path, Program], tmp_path: Path) -> None:
    path = tmp_path / METRICS
    data = (made[0] / "run" / METRICS).read_bytes()
    for variant in mutated(data, COUNT, seed=1):
        path.write_bytes(variant)
        cut_metrics(tmp_path, 2)  # what is no line of figures is dropped


def test_origins(made: tuple[Path, Program], tmp_path: Path) -> None:
    path = tmp_path / ORIGIN
    data = (made[0] / "run" / ORIGIN).read_bytes()
    assert survives(path, data, lambda: read_parts(tmp_path)) > COUNT // 4


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("what", ["training", "state"])
def test_a_pickle_executes_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / (TRAINING if what == "training" else "a.txt.resume")
    torch.save({"step": 1, "memory": Bomb()}, path)
    with pytest.raises(UserError, match="cannot be read"):
        load_training(tmp_path) if what == "training" else load_state(path, CPU)
    assert not (tmp_path / "executed").exists()
