"""An experiment as data: what is trained, on which clips it is tried, and what it must reach.

One TOML file per row of RESULTS.md, in ``scalor_ppl/config/experiments``::

    title = "dSprites LD"
    preset = "moving-dsprites-ld"
    minutes = 15                    # of training, at most, on 2 CPU cores

    [settings.train]                # over the preset
    steps = 3000

    [[trials]]
    title = "10 frames"
    paper = { mota = 0.925, count_mae = 0.059, mse = 0.0030 }
    target = { mota = 0.97, plain = 0.94 }
"""

import tomllib
from importlib.resources import files
from typing import Any

from pydantic import Field, ValidationError

from scalor_ppl.config.schema import Config, Section
from scalor_ppl.config.settings import merged, names_in, nearest, read_preset
from scalor_ppl.errors import UserError
from scalor_ppl.programs.configuration import checked

TEST_SEED = 2020
"""Data seed of the clips that figures are reported on; training and the choice of settings used
others (see RESULTS.md)."""
CURVE_SEED = 777
"""Data seed of the clips that curves over training, and the choice of settings, are taken on."""


class Paper(Section):
    """Figures of the paper's tables 1 and 2, as shares; none where it gives none."""

    mota: float | None = None
    precision: float | None = None
    recall: float | None = None
    count_mae: float | None = None
    mse: float | None = None


class Target(Section):
    """What the row must reach: MOTA by the standard and by the plain rule; none asks nothing."""

    mota: float | None = None
    plain: float | None = None


class Trial(Section):
    """Clips that the trained program is scored on.

    Attributes:
        title: how the row of the table names it.
        data: a registered set; that of the training by default.
        clips: how many.
        frames: length of each.
        paper: the paper's figures for this trial.
        target: to be reached.
    """

    title: str
    data: str | None = None
    clips: int = Field(100, ge=1)
    frames: int = Field(10, ge=1)
    paper: Paper = Paper()
    target: Target = Target()


class CurveSpec(Section):
    """Scores over the course of the training.

    Attributes:
        every: steps from one to the next.
        clips: how many clips are scored.
    """

    every: int = Field(ge=1)
    clips: int = Field(20, ge=1)


class Experiment(Section):
    """A training and its trials.

    Attributes:
        name: of the file; what ``reproduce`` knows it by.
        title: for people.
        preset: the configuration it starts from.
        settings: tables of the configuration, over the preset.
        minutes: of training, at most, on 2 CPU cores; none sets no limit.
        curve: none draws none.
        trials: at least one.
    """

    name: str
    title: str
    preset: str
    settings: dict[str, Any] = Field(default_factory=dict)
    minutes: float | None = Field(None, gt=0)
    curve: CurveSpec | None = None
    trials: tuple[Trial, ...] = Field(min_length=1)

    def config(self, *, seed: int, folder: str | None = None) -> Config:
        """The configuration of the training.

        Args:
            seed: of parameters, noise and the order of the data.
            folder: of the MNIST files, for digits.
        """
        own: dict[str, Any] = {"train": {"seed": seed}, "data": {}}
        if folder is not None:
            own["data"]["folder"] = folder
        if self.curve is not None:
            own["train"]["image_every"] = self.curve.every
        settings = merged(read_preset(self.preset), self.settings, own)
        return checked(settings, f"experiment {self.name}")


def experiment_names() -> list[str]:
    """Names of the experiments inside the package."""
    return names_in("scalor_ppl.config.experiments")


def read_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UserError: there is none, or its file does not fit.
    """
    if name not in experiment_names():
        raise UserError(f"no experiment named {name!r}{nearest(name, experiment_names())}")
    text = (files("scalor_ppl.config.experiments") / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return Experiment(name=name, **tomllib.loads(text))
    except ValidationError as error:
        raise UserError(f"experiment {name}: {error}") from None
