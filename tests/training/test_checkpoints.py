"""Checkpoints: whole or not there, and what is said of broken ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import CPU, Square, config_of, fresh, metrics_of, same, trained, weights_of
from torch import nn

from scalor_ppl.errors import UserError
from scalor_ppl.programs.build import build_program
from scalor_ppl.training import checkpoints
from scalor_ppl.training.checkpoints import (
    KEPT,
    TRAINING,
    WEIGHTS,
    all_checkpoints,
    checkpoint_folder,
    last_checkpoint,
    load_newest,
    load_training,
    load_weights,
    save_checkpoint,
)
from scalor_ppl.training.loop import train


def parts(value: float, width: int = 3) -> dict[str, nn.Module]:
    """Two small modules full of a number."""
    made: dict[str, nn.Module] = {"model": nn.Linear(width, 2), "guide": nn.BatchNorm1d(2)}
    for module in made.values():
        for parameter in module.parameters():
            nn.init.constant_(parameter, value)
    return made


def test_round_trip(tmp_path: Path) -> None:
    saved, random = parts(1.5), torch.get_rng_state()
    folder = save_checkpoint(tmp_path, 7, saved, {"random": random, "skipped": 2})
    assert folder == checkpoint_folder(tmp_path, 7)
    read = parts(0.0)
    load_weights(folder, read)
    for name, module in saved.items():
        assert same(module.state_dict(), read[name].state_dict())
    training = load_training(folder)
    assert (training["step"], training["skipped"]) == (7, 2)
    assert torch.equal(training["random"], random)


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    for step in (1, 9, 10, 11):
        save_checkpoint(tmp_path, step, parts(step), {})
    assert all_checkpoints(tmp_path) == [checkpoint_folder(tmp_path, step) for step in (10, 11)]
    assert KEPT == 2
    assert last_checkpoint(tmp_path) == checkpoint_folder(tmp_path, 11)


def test_one_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 3, parts(1.0), {})
    folder = save_checkpoint(tmp_path, 3, parts(2.0), {})
    read = parts(0.0)
    load_weights(folder, read)
    assert read["model"].state_dict()["bias"].tolist() == [2.0, 2.0]


def test_a_failed_write_leaves_the_older_one_and_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = save_checkpoint(tmp_path, 1, parts(1.0), {})

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "_write", full)
    with pytest.raises(UserError, match=r"cannot write .*step_0000002: No space left on device; "):
        save_checkpoint(tmp_path, 2, parts(2.0), {})
    assert last_checkpoint(tmp_path) == older
    assert list((tmp_path / "checkpoints").iterdir()) == [older]


def test_a_half_written_one_is_passed_over_and_cleared_away(tmp_path: Path) -> None:
    older = save_checkpoint(tmp_path, 1, parts(1.0), {})
    half = tmp_path / "checkpoints" / ".step_0000002.12345"
    half.mkdir()
    (half / WEIGHTS).write_bytes(b"half")
    assert last_checkpoint(tmp_path) == older
    save_checkpoint(tmp_path, 3, parts(1.0), {})
    assert not half.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from scalor_ppl.training import checkpoints
from tiny import trained

write = checkpoints._write

def die(path, data):
    if ".step_0000010" in path.parent.name:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, data)

checkpoints._write = die
trained(Path(sys.argv[1]), train={"steps": 12})
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_killed_while_writing_one_goes_on_from_the_older_one(tmp_path: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    script = [sys.executable, "-c", KILLED, str(run), str(Path(__file__).parents[1])]
    ended = subprocess.run(script, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert len(names) == 2
    assert names[0].startswith(".step_0000010.")
    assert names[1] == "step_0000005"

    config = config_of(train={"steps": 12})
    train(build_program(config, CPU), Square(), run, resume=True)
    trained(whole, train={"steps": 12})
    assert same(weights_of(run), weights_of(whole))
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["step_0000010", "step_0000012"]


def test_a_reader_of_a_run_in_training_takes_the_next_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint that was the newest is deleted between the look at the folder and the read."""
    save_checkpoint(tmp_path, 1, parts(1.0), {})
    newest = checkpoints.last_checkpoint
    looks: list[Path] = []

    def slow(run: Path) -> Path:
        found = newest(run)
        if len(looks) < 3:
            for _ in range(KEPT):
                looks.append(found)
                save_checkpoint(run, 1 + len(looks), parts(1.0 + len(looks)), {})
        return found

    monkeypatch.setattr(checkpoints, "last_checkpoint", slow)
    read = parts(0.0)
    assert load_newest(tmp_path, read) == checkpoint_folder(tmp_path, 5)
    assert read["model"].state_dict()["bias"].tolist() == [5.0, 5.0]
    assert len(looks) == 4


def test_a_broken_newest_checkpoint_is_told_of_and_not_passed_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, parts(1.0), {})
    cut(save_checkpoint(tmp_path, 2, parts(2.0), {}) / WEIGHTS)
    with pytest.raises(UserError, match="step_0000002 to go back"):
        load_newest(tmp_path, parts(0.0))


READS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import torch
from scalor_ppl.training.checkpoints import load_newest
from torch import nn
print("ready", flush=True)
seen, module = 0, nn.Linear(400, 400)
while seen < 60:
    seen = int(load_newest(Path(sys.argv[1]), {"model": module}).name[5:])
    assert (module.bias == seen).all(), (seen, module.bias[0])
"""


def test_a_reader_beside_a_writer_never_loses_its_checkpoint(tmp_path: Path) -> None:
    def written(step: int) -> None:
        module = nn.Linear(400, 400)
        nn.init.constant_(module.bias, step)
        save_checkpoint(tmp_path, step, {"model": module}, {})

    written(1)
    script = [sys.executable, "-c", READS, str(tmp_path), str(Path(__file__).parents[1])]
    reader = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    for step in range(2, 61):
        written(step)
    _, said = reader.communicate(timeout=60)
    assert reader.returncode == 0, said


def cut(path: Path, share: float = 0.5) -> None:
    """Leave only the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_cut_short(tmp_path: Path, share: float) -> None:
    folder = save_checkpoint(tmp_path, 1, parts(1.0), {"random": torch.get_rng_state()})
    cut(folder / WEIGHTS, share)
    cut(folder / TRAINING, share)
    remedy = f"delete {folder} to go back to the checkpoint before it"
    with pytest.raises(UserError) as caught:
        load_weights(folder, parts(0.0))
    assert str(folder / WEIGHTS) in str(caught.value)
    assert remedy in str(caught.value)
    with pytest.raises(UserError) as caught:
        load_training(folder)
    assert str(folder / TRAINING) in str(caught.value)
    assert remedy in str(caught.value)


def test_a_file_is_missing(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, 1, parts(1.0), {})
    (folder / WEIGHTS).unlink()
    (folder / TRAINING).unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be read"):
        load_weights(folder, parts(0.0))
    with pytest.raises(UserError, match=r"training\.pt cannot be read"):
        load_training(folder)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.getpid, ()


def test_reading_one_runs_no_code(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, 1, parts(1.0), {})
    torch.save({"step": 1, "random": Evil()}, folder / TRAINING)
    with pytest.raises(UserError, match="cannot be read"):
        load_training(folder)


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (parts(1.0, width=4), "the model's weight is (2, 4), not (2, 3)"),
        ({"model": nn.Linear(3, 2, bias=False), "guide": nn.BatchNorm1d(2)}, "bias is missing"),
        ({"model": nn.Linear(3, 2)}, "the guide's bias is missing"),
        ({**parts(1.0), "guide": nn.BatchNorm1d(2, affine=False)}, "the guide's bias is missing"),
    ],
)
def test_from_another_configuration(
    tmp_path: Path, theirs: dict[str, nn.Module], said: str
) -> None:
    folder = save_checkpoint(tmp_path, 1, theirs, {})
    with pytest.raises(UserError) as caught:
        load_weights(folder, parts(0.0))
    assert said in str(caught.value)
    assert "is from another configuration" in str(caught.value)


def test_none_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no checkpoint: delete it and train again"):
        last_checkpoint(tmp_path)


def test_random_state_that_does_not_fit(tmp_path: Path) -> None:
    program = fresh(tmp_path / "run")
    save_checkpoint(tmp_path / "run", 1, program.parts, {"optimizer": {}})
    with pytest.raises(UserError, match="does not fit this configuration"):
        train(program, Square(), tmp_path / "run", resume=True)


def test_what_processors_worked_adds_up_over_the_parts_of_a_training(tmp_path: Path) -> None:
    run, settings = tmp_path / "run", {"steps": 4, "log_every": 1}
    trained(run, train=settings)
    worked = [line["processor_seconds"] for line in metrics_of(run)]
    assert 0 < worked[0] < worked[-1] < 60
    config = config_of(train={**settings, "steps": 6})
    train(build_program(config, CPU), Square(), run, resume=True)
    later = [line["processor_seconds"] for line in metrics_of(run)]
    assert later == sorted(later)
    assert len(later) == 6
    # A part from before this was counted leaves the sum unknown, not too small.
    folder = last_checkpoint(run)
    kept = torch.load(folder / TRAINING, weights_only=True)
    del kept["processor_seconds"]
    torch.save(kept, folder / TRAINING)
    config = config_of(train={**settings, "steps": 7})
    train(build_program(config, CPU), Square(), run, resume=True)
    assert "processor_seconds" not in metrics_of(run)[-1]
