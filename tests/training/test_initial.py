"""Training that starts from another run's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import ALONE, CommandLine, Square, fresh, same, trained, weights_of, write_clips

from scalor_ppl.errors import UserError
from scalor_ppl.training.checkpoints import begin_from
from scalor_ppl.training.runs import run_config


def test_the_weights_of_a_run_are_taken(tmp_path: Path) -> None:
    trained(tmp_path / "first")
    other = fresh(tmp_path / "second", train={"seed": 5})
    begin_from(tmp_path / "first", other.parts)
    wanted = weights_of(tmp_path / "first")
    own = {f"{part}.{n}": t for part, m in other.parts.items() for n, t in m.state_dict().items()}
    assert same(own, wanted)


def test_what_the_run_lacks_begins_as_usual(tmp_path: Path) -> None:
    trained(tmp_path / "first")
    other = fresh(tmp_path / "second", guide={"correct": True})
    begin_from(tmp_path / "first", other.parts)
    assert not other.guide.proposal.correction.weight.any()


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"model": {"what": 5}}, "not"),
        ({"model": {"centred": True}, "guide": {"hidden": 12}}, "not"),
    ],
)
def test_weights_of_another_shape_are_refused(
    tmp_path: Path, tables: dict[str, dict[str, object]], message: str
) -> None:
    trained(tmp_path / "first")
    other = fresh(tmp_path / "second", **tables)
    with pytest.raises(UserError, match=message):
        begin_from(tmp_path / "first", other.parts)


def test_what_has_no_place_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "first", guide={"correct": True})
    with pytest.raises(UserError, match=r"correction.* is unknown here"):
        begin_from(tmp_path / "first", fresh(tmp_path / "second").parts)


def test_the_command_takes_weights_and_configuration(tmp_path: Path, cli: CommandLine) -> None:
    clips = write_clips(tmp_path / "clips.nc", Square())
    settings = {"data": {"source": str(clips)}}
    trained(tmp_path / "first", train={"steps": 2, "learning_rate": 1e-3}, **settings)
    arguments = ("--from", tmp_path / "first", "--steps", 1, "--out", tmp_path / "second", *ALONE)
    said = cli("train", *arguments, "--set", "train.learning_rate=1e-12")
    assert said.code == 0, said
    config = run_config(tmp_path / "second")
    assert config.train.initial == str(tmp_path / "first")
    assert config.model == run_config(tmp_path / "first").model
    first, second = weights_of(tmp_path / "first"), weights_of(tmp_path / "second")
    assert all((first[name] - second[name]).abs().max() < 1e-6 for name in first)


def test_nothing_is_left_of_a_start_that_is_refused(tmp_path: Path, cli: CommandLine) -> None:
    out = tmp_path / "second"
    line = cli.refused("train", "--from", tmp_path / "nowhere", "--out", out, *ALONE)
    assert "no such run" in line
    assert not out.exists()
