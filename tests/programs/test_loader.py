"""Model and guide files: shipped ones, a user's own ones, modules, and broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import CommandLine, config_of

import scalor_ppl.models
from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.guides.scalor import ScalorGuide
from scalor_ppl.models.scalor import Scalor
from scalor_ppl.programs.loader import family_of, load_guide, load_model

SUBCLASS = """
from scalor_ppl.models.scalor import Scalor, build_model as build

class Mine(Scalor):
    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs)

def build_model(config):
    model = build(config)
    model.__class__ = Mine
    return model

other = build_model
"""


def of(model: object = "models/scalor.py", guide: object = "guides/scalor.py") -> Config:
    return config_of(model_file=str(model), guide_file=str(guide))


SHIPPED = Path(scalor_ppl.models.__path__[0]) / "scalor.py"


@pytest.mark.parametrize(
    "reference",
    [
        "models/scalor.py",
        str(SHIPPED),
        "scalor_ppl.models.scalor",
        "scalor_ppl.models.scalor:build_model",
    ],
)
def test_shipped_files_are_found_from_any_directory_and_exist_once(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = of(reference)
    model = load_model(config)
    assert type(model) is Scalor
    assert type(load_guide(config, model)) is ScalorGuide


def test_a_users_file_may_build_on_the_shipped_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SUBCLASS)
    for reference in (file, f"{file}:other"):
        model = load_model(of(reference))
        assert type(model).__name__ == "Mine"
        assert isinstance(model, Scalor)
        video = torch.zeros(1, 2, 3, 16, 16)
        load_guide(of(reference), model)(video)
        assert model(video).image.shape == (1, 2, 3, 16, 16)


def test_a_copy_of_the_shipped_file_works(tmp_path: Path) -> None:
    file = tmp_path / "copied.py"
    file.write_text(SHIPPED.read_text())
    model = load_model(of(file))
    assert type(model).__name__ == "Scalor"
    assert type(model) is not Scalor


def test_a_file_of_ones_own_goes_before_the_shipped_one_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("models/scalor.py").write_text(SUBCLASS)
    assert type(load_model(of())).__name__ == "Mine"


def test_a_file_inside_the_package_has_its_canonical_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "added.py").write_text(SUBCLASS)
    monkeypatch.setattr(scalor_ppl.models, "__path__", [str(folder)])
    by_path = load_model(of(folder / "added.py"))
    assert type(by_path).__module__ == "scalor_ppl.models.added"
    assert type(by_path) is type(load_model(of("scalor_ppl.models.added")))
    assert type(by_path) is type(load_model(of("models/added.py")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("def build(config): ...", "has no function build_model: define build_model(config) in it"),
        ("build_model = 3", "has no function build_model"),
        ("def build_model(config:\n", "fails when it is run: SyntaxError"),
        ("import no_such_module_anywhere", "fails when it is run: ModuleNotFoundError"),
        ("1 / 0", "fails when it is run: ZeroDivisionError"),
    ],
)
def test_broken_model_file(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        load_model(of(file))
    assert said in str(caught.value)
    assert "mine.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_guide_file_without_its_function(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SUBCLASS)
    model = load_model(of())
    with pytest.raises(UserError, match=r"define build_guide\(config, model\) in it"):
        load_guide(of(guide=file), model)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("none.py", "no such file: none.py"),
        ("models/none.py", "no such file: models/none.py"),
        ("no.such.module", "cannot import no.such.module"),
        ("models/scalor", "cannot import models/scalor"),
        (".scalor", "cannot import .scalor"),
        ("", "cannot import"),
    ],
)
def test_missing_file_or_module(reference: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_model(of(reference))
    assert said in str(caught.value)
    assert "a .py file" in str(caught.value)


OWN = """
from typing import Any, Literal
from pydantic import Field
from scalor_ppl.config.schema import Config, ModelSettings, Section, TrainConfig
from scalor_ppl.programs import Family

class Settings(ModelSettings):
    {model}

class Train(TrainConfig):
    {train}

class Mine(Config):
    model: Settings = Settings()
    train: Train = Train()
    {config}

FAMILY = Family("mine", Mine)
"""


def own(folder: Path, model: str = "pass", train: str = "pass", config: str = "pass") -> Path:
    file = folder / "own.py"
    file.write_text(OWN.format(model=model, train=train, config=config))
    return file


@pytest.mark.parametrize(
    ("name", "what"),
    [("height", "height"), ("width", "width"), ("channels", "number of channels")],
)
@pytest.mark.parametrize(
    "line",
    [
        "{}: int = 64",
        "{}: int | None = 64",
        "{}: float | None = None",
        "{} = property(lambda self: 3)",
    ],
)
def test_a_setting_that_takes_the_videos_name_is_refused(
    name: str, what: str, line: str, tmp_path: Path
) -> None:
    file = own(tmp_path, model=line.format(name))
    with pytest.raises(UserError) as refused:
        family_of(str(file))
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value)
    if not line.endswith(")"):
        assert f"model.{name} is the video's {what}, filled in from the data" in str(refused.value)


def test_a_setting_that_means_something_else_is_refused(tmp_path: Path) -> None:
    file = own(tmp_path, train="batch: str = 'large'")
    with pytest.raises(UserError, match=r"train\.batch is a setting of every program"):
        family_of(str(file))
    (tmp_path / "other").mkdir()
    file = own(tmp_path / "other", config="guide: int = 3")
    with pytest.raises(UserError, match="guide must be a Section"):
        family_of(str(file))


def test_settings_may_have_other_defaults(tmp_path: Path) -> None:
    file = own(tmp_path, model="sigma: float = 0.1", train="steps: int = Field(20, ge=2)")
    family = family_of(str(file))
    assert family.config().model.sigma == 0.1
    assert family.config().train.steps == 20


def test_one_that_takes_the_videos_name_is_refused_by_the_command(
    cli: CommandLine, tmp_path: Path
) -> None:
    file = own(tmp_path, model="width: int = 64")
    run = tmp_path / "run"
    line = cli.refused("train", "--model", file, "--guide", file, "--steps", 1, "--out", run)
    assert line.endswith("call the program's own setting something else")
    assert not run.exists()
