"""``scalor-ppl train`` from argv to the files of a run, and through signals."""

from __future__ import annotations

import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import (
    ALONE,
    SETTINGS,
    CommandLine,
    Square,
    frames_of,
    metrics_of,
    same,
    trained,
    weights_of,
    write_digits,
    write_images,
    write_video,
)

from scalor_ppl.config.settings import merged
from scalor_ppl.programs.configuration import checked, read_config
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.training import loop as training
from scalor_ppl.training.checkpoints import all_checkpoints
from scalor_ppl.training.origin import ORIGIN, read_parts
from scalor_ppl.training.runs import CONFIG, METRICS, run_config
from scalor_ppl.training.sources import open_data

pytestmark = pytest.mark.filterwarnings("ignore:Encountered NaN")  # on purpose

COMMAND = Path(sys.executable).with_name("scalor-ppl")

needs_signals = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


TINY = ("train", "--config", "tiny.toml", "--data", "clips.nc", *ALONE)


# ---------------------------------------------------------------------- the files of a run


def test_a_run_from_a_directory_far_from_the_package(cli: CommandLine, place: Path) -> None:
    shipped = ("--model", "models/scalor.py", "--guide", "guides/scalor.py")
    said = cli(*TINY, *shipped, "--set", "train.image_every=2", "--seed", "5", "--out", "runs/a")
    assert said.code == 0, said
    run = place / "runs" / "a"
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints",
        CONFIG,
        "images",
        METRICS,
        ORIGIN,
    ]
    assert [line["step"] for line in metrics_of(run)] == [1, 2, 3]
    assert [path.name for path in all_checkpoints(run)] == ["step_0000003"]
    with Image.open(run / "images" / "step_0000002.png") as image:
        image.load()
        assert image.size[0] > 3 * 16
    assert "3 steps, runs/a" in said.err
    asked = {
        "data": {"source": str(Path("clips.nc").resolve())},
        "model": {"height": 16, "width": 16, "channels": 3},
        "train": {"image_every": 2, "seed": 5},
    }
    assert read_config(run / CONFIG) == checked(merged(SETTINGS, asked))


def test_the_command_and_the_library_do_the_same(cli: CommandLine, place: Path) -> None:
    assert cli(*TINY, "--out", "run").code == 0
    config = read_config(place / "run" / CONFIG)
    assert config.data.source == str(Path("clips.nc").resolve())
    trained(place / "again", open_data(config.data, "train"))
    assert same(weights_of(place / "run"), weights_of(place / "again"))


def test_options_go_before_settings_and_settings_before_the_file(
    cli: CommandLine, place: Path
) -> None:
    settings = ("--set", "train.steps=9", "--set", "train.seed=9", "--set", "train.batch=1")
    said = cli(*TINY, *settings, "--steps", 1, "--estimator", "scalor", "--out", "run")
    assert said.code == 0, said
    train = run_config(place / "run").train
    assert (train.steps, train.seed, train.batch, train.estimator) == (1, 9, 1, "scalor")


def test_a_run_in_an_empty_folder_that_exists(cli: CommandLine, place: Path) -> None:
    (place / "run").mkdir()
    assert cli(*TINY, "--out", "run").code == 0


def test_a_model_file_of_ones_own(cli: CommandLine, place: Path) -> None:
    (place / "mine.py").write_text(
        "from scalor_ppl.models.scalor import build_model as build\n"
        "def build_model(config):\n"
        "    model = build(config)\n"
        "    model.mine = True\n"
        "    return model\n"
    )
    assert cli(*TINY, "--model", "mine.py", "--out", "run").code == 0
    assert run_config(place / "run").model_file == str((place / "mine.py").resolve())
    assert cli("generate", "run", "--frames", 2, *ALONE).code == 0


def test_messages_keep_paths_as_they_are(cli: CommandLine, place: Path) -> None:
    out = place / ("long " * 20) / "[red]run[/red]"
    said = cli(*TINY, "--steps", 1, "--out", out)
    assert said.code == 0, said
    assert f"1 steps, {out}\n" in said.err


# ---------------------------------------------------------------------- resuming


def test_resumed_with_more_steps(cli: CommandLine, place: Path) -> None:
    assert cli(*TINY, "--out", "run").code == 0
    said = cli("train", "--resume", "--out", "run", "--steps", 5, *ALONE)
    assert said.code == 0, said
    assert [line["step"] for line in metrics_of(place / "run")] == [1, 2, 3, 4, 5]
    # From now on this is the run's own number.
    assert run_config(place / "run").train.steps == 5
    assert "5 steps, run" in cli("train", "--resume", "--out", "run", *ALONE).err


@pytest.fixture
def started(place: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ended whatever becomes of the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(processes: list[subprocess.Popen[str]], *arguments: object) -> subprocess.Popen[str]:
    """Start the command in a process of its own."""
    command = [str(COMMAND), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    processes.append(process)
    return process


def wait_for_lines(process: subprocess.Popen[str], metrics: Path, lines: int) -> None:
    """Wait until a run has logged so many steps."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if metrics.is_file() and metrics.read_bytes().count(b"\n") >= lines:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    raise AssertionError(f"{metrics} did not grow to {lines} lines")


@needs_signals
def test_killed_and_resumed_is_bit_for_bit_uninterrupted(
    cli: CommandLine, place: Path, started: list[subprocess.Popen[str]]
) -> None:
    long = (*TINY, "--steps", 36, "--set", "train.image_every=4")
    process = start(started, *long, "--out", "killed")
    wait_for_lines(process, place / "killed" / METRICS, 8)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = metrics_of(place / "killed")[-1]["step"]
    assert 8 <= done < 36

    said = cli("train", "--resume", "--out", "killed", *ALONE)
    assert said.code == 0, said
    assert cli(*long, "--out", "whole").code == 0
    assert same(weights_of(place / "killed"), weights_of(place / "whole"))
    killed, whole = (metrics_of(place / name, clock=False) for name in ("killed", "whole"))
    assert killed == whole
    assert len(whole) == 36


def test_killed_before_its_first_checkpoint_it_begins_again(cli: CommandLine, place: Path) -> None:
    assert cli(*TINY, "--steps", 6, "--out", "whole").code == 0
    killed = place / "killed"
    killed.mkdir()
    for name in (CONFIG, ORIGIN):
        (killed / name).write_bytes((place / "whole" / name).read_bytes())
    lines = (place / "whole" / METRICS).read_text().splitlines()
    (killed / METRICS).write_text("\n".join([*lines[:2], lines[2][:30]]))
    said = cli("train", "--resume", "--out", "killed", *ALONE)
    assert said.code == 0, said
    assert same(weights_of(killed), weights_of(place / "whole"))
    assert metrics_of(killed, clock=False) == metrics_of(place / "whole", clock=False)
    assert len(read_parts(killed)) == 1
    # With steps that a checkpoint should hold it is no such run: something was deleted.
    shutil.rmtree(killed / "checkpoints")
    assert "has no checkpoint" in cli.refused("train", "--resume", "--out", "killed", *ALONE)


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_say_how_to_go_on(
    cli: CommandLine, place: Path, started: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = start(started, *TINY, "--steps", 10**6, "--out", "my run")
    wait_for_lines(process, place / "my run" / METRICS, 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in out + err
    assert all_checkpoints(place / "my run"), err
    done = metrics_of(place / "my run")[-1]["step"]
    assert all_checkpoints(place / "my run")[-1].name == f"step_{done:07d}"
    last = err.splitlines()[-1]
    told, _, command = last.partition("; go on with: ")
    assert told == f"stopped after step {done}"

    program, *arguments = shlex.split(command)
    assert program == "scalor-ppl"
    said = cli(*arguments, "--steps", done + 2, *ALONE)
    assert said.code == 0, said
    assert [line["step"] for line in metrics_of(place / "my run")] == list(range(1, done + 3))


def test_signals_are_given_back(cli: CommandLine, place: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert cli(*TINY, "--out", "run").code == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# ---------------------------------------------------------------------- faults


def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """No video is a number from now on."""
    inner = training.to_video
    monkeypatch.setattr(training, "to_video", lambda *args: torch.full_like(inner(*args), math.nan))


def test_training_that_is_not_finite_ends_with_code_1(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli(*TINY, "--set", "train.checkpoint_every=2", "--out", "run").code == 0
    poison(monkeypatch)
    arguments = ("train", "--resume", "--out", "run", "--steps", 99, *ALONE)
    said = cli(*arguments)
    assert said.code == 1
    assert "Traceback" not in said.err
    last = said.err.splitlines()[-1]
    assert last.startswith("error: 10 steps in a row were not finite (loss nan, ")
    assert "the last good checkpoint is run/checkpoints/step_0000003" in last
    assert "--resume" in last
    monkeypatch.undo()
    monkeypatch.chdir(place)
    assert cli("train", "--resume", "--out", "run", "--steps", 4, *ALONE).code == 0


def test_skipped_steps_are_told(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch)
    said = cli(*TINY, "--out", "run")
    assert said.code == 0
    assert "3 steps were skipped: loss or gradient was not finite" in said.err
    assert not (place / "run" / METRICS).exists()


def test_a_fault_of_ours_is_one_line_and_code_1(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.delenv("SCALOR_PPL_TRACEBACK", raising=False)
    monkeypatch.setattr("scalor_ppl.training.start.train", broken)
    said = cli(*TINY, "--out", "run")
    assert said.code == 1
    assert "error: this is a fault of scalor-ppl: ZeroDivisionError: oh" in said.err
    assert "Traceback" not in said.err
    monkeypatch.setenv("SCALOR_PPL_TRACEBACK", "1")
    assert "Traceback" in cli(*TINY, "--out", "run2").err


# ---------------------------------------------------------------------- what it trains on


def test_a_video_file_that_is_not_square_from_training_to_generation(
    cli: CommandLine, place: Path
) -> None:
    write_video(place / "my video.mp4", Square(48, 80))
    own = ("--config", "tiny.toml", "--set", "model.grid=[3,5]", "--set", "train.image_every=3")
    said = cli("train", *own, "--data", "my video.mp4", *ALONE, "--out", "run")
    assert said.code == 0, said
    model = run_config(place / "run").model
    assert (model.height, model.width, model.channels) == (48, 80, 3)
    with Image.open(place / "run" / "images" / "step_0000003.png") as image:
        image.load()

    said = cli("generate", "run", "--frames", 3, "--boxes", *ALONE)
    assert said.code == 0, said
    frames = frames_of(place / "run" / "generated" / "video_000.mp4")
    assert frames.shape[0] == 3
    assert frames.shape[1] / frames.shape[2] == 48 / 80
    said = cli(
        *("generate", "run", "--observe", "my video.mp4", "--observe-frames", 2, "--frames", 4),
        *("--out", "continued", *ALONE),
    )
    assert said.code == 0, said
    assert len(frames_of(place / "continued" / "video_000.mp4")) == 4

    said = cli("evaluate", "run", "--frames", 3, *ALONE)
    assert said.code == 2
    assert said.err == "error: my video.mp4 has no ground truth: there is nothing to score\n"


def test_a_real_video_takes_the_preset_for_natural_video(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ScalorConfig] = []
    monkeypatch.setattr("scalor_ppl.cli.train.shown_training", lambda c, *_, **__: seen.append(c))
    cli("train", "--data", "video.mp4")
    cli("train")
    cli("train", "--data", "moving-dsprites-vld")
    assert [config.model.background for config in seen] == ["template", "none", "none"]
    assert seen[1] == seen[2]


def test_a_folder_of_images_in_crops(cli: CommandLine, place: Path) -> None:
    write_images(place / "frames")
    settings = ("--set", "data.crop=[12,12]", "--set", "train.image_every=1")
    said = cli(
        *("train", "--config", "tiny.toml", "--data", "frames", *settings),
        *(*ALONE, "--out", "run"),
    )
    assert said.code == 0, said
    assert run_config(place / "run").model.height == 12
    assert len(list((place / "run" / "images").iterdir())) == 3


def test_moving_digits_are_grey(cli: CommandLine, place: Path) -> None:
    write_digits(place / "digits")
    data = ("--data", "moving-mnist-vld", "--data-dir", "digits")
    said = cli(
        *("train", "--config", "tiny.toml", *data, "--steps", 1, "--set", "train.image_every=1"),
        *(*ALONE, "--out", "run"),
    )
    assert said.code == 0, said
    assert run_config(place / "run").model.channels == 1
    assert cli("evaluate", "run", "--clips", 2, "--frames", 2, *ALONE).code == 0
    assert cli("generate", "run", "--frames", 2, *ALONE).code == 0
    frames = frames_of(place / "run" / "generated" / "video_000.gif").astype(int)
    assert np.ptp(frames, axis=-1).max() == 0
