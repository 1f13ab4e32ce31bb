"""A table of systems as data: which programs, on which sets, and what the paper has for them.

One TOML file a table, in ``scalor_ppl/config/comparisons``::

    title = "..."
    frames = 10

    [sets]                          # a column each; sigma is one for all systems
    dsprites-vld = { title = "VLD", sigma = 0.2, data = { source = "moving-dsprites-vld" } }

    [systems]                       # a row each
    vrnn = { title = "VRNN", program = "vrnn", presets = { default = "vrnn-moving-dsprites-ld" } }

    [paper.vrnn]                    # on data of the paper's own
    dsprites-vld = { nll = 22.33, mse = 0.0018 }
"""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from scalor_ppl.config.schema import Config, DataConfig, Section
from scalor_ppl.config.settings import merged, names_in, nearest, preset_names, read_preset
from scalor_ppl.data import REGISTERED, ClipSource, ToySpec, probe
from scalor_ppl.data.spread import spread_clips
from scalor_ppl.errors import UserError
from scalor_ppl.programs.configuration import checked, preset_for
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.studies.experiment import TEST_SEED
from scalor_ppl.training.sources import open_data


class PaperFigures(Section):
    """What the paper reports of a cell; none where it reports nothing.

    Attributes:
        nll: "computed per pixel across the whole sequence" (appendix B), in nats.
        mse: mean squared error of the reconstruction.
    """

    nll: float | None = None
    mse: float | None = None


class ClipSet(Section):
    """A column: clips that all systems are trained and measured on.

    Attributes:
        title: for people.
        sigma: standard deviation of the pixels, the same for all systems: bounds of different
            sigmas do not compare.
        data: settings of the table ``data``; without a source it is a recording of one's own.
        tested_on: registered set that the held-out clips are of, where it is another one than is
            trained on.
        trained_share: share of a recording's frames, the first, that is trained on; the rest is
            held out.
    """

    title: str
    sigma: float = Field(gt=0)
    data: dict[str, Any]
    tested_on: str | None = None
    trained_share: float = Field(0.8, gt=0, lt=1)

    @property
    def recorded(self) -> bool:
        """Whether it wants a recording of one's own."""
        return "source" not in self.data

    @property
    def of_digits(self) -> bool:
        """Whether it wants the MNIST files."""
        spec = None if self.recorded else REGISTERED[self.data["source"]]
        return isinstance(spec, ToySpec) and spec.shapes == "mnist"

    def settings(self, seed: int, video: Path | None, folder: Path | None) -> dict[str, Any]:
        """The table ``data`` of a training.

        Args:
            seed: of generated clips.
            video: recording, for a set that wants one.
            folder: of the MNIST files.

        Raises:
            UserError: a recording is wanted and not given, or does not tell its length.
        """
        settings: dict[str, Any] = {**self.data, "seed": seed}
        if folder is not None:
            settings["folder"] = str(folder)
        if self.recorded:
            settings |= {"source": str(video), "stop": self.held_out_from(video)}
        return settings

    def held_out_from(self, video: Path | None) -> int:
        """The first frame of the recording, from 0, that is not trained on.

        Raises:
            UserError: there is no recording, or it does not tell its length.
        """
        if video is None:
            raise UserError(f"{self.title} wants a recording: give one with --video")
        frames = probe(video).frames
        if frames is None:
            raise UserError(
                f"{video} does not say how many frames it has, so none can be held out: bring it "
                "into another container, or into a folder of images"
            )
        return round(self.trained_share * frames)

    def held_out(self, data: DataConfig, clips: int, frames: int, video: Path | None) -> ClipSource:
        """Clips that no system was trained on.

        Args:
            data: of a training on this set.
            clips: how many are wanted.
            frames: length of each.
            video: the recording, for a set that wants one.
        """
        if not self.recorded:
            tested = {"source": self.tested_on or data.source, "seed": TEST_SEED}
            return open_data(data.model_copy(update=tested), "test")
        rest = {"source": str(video), "start": self.held_out_from(video), "stop": None}
        return spread_clips(open_data(data.model_copy(update=rest), "test"), clips, frames)


class SystemSpec(Section):
    """A row: a program and what it starts from on each set.

    Attributes:
        title: for people.
        program: a registered program's name, which says its model's and its guide's file.
        presets: by name of the set, or ``default``. A set that is not named goes by the preset of
            the program for its source, by the default where there is none, and else by the
            program's own defaults. What a preset says of data and sigma does not count.
        sets: those that it can be trained on; none says all.
    """

    title: str
    program: str
    presets: dict[str, str] = Field(default_factory=dict)
    sets: tuple[str, ...] | None = None

    def preset(self, name: str, clips: ClipSet) -> str | None:
        """The preset that it starts from on a set, none for the program's own defaults."""
        if name in self.presets:
            return self.presets[name]
        fitting = None
        if not clips.recorded:
            fitting = preset_for(clips.data["source"], PROGRAMS[self.program].model)
        return fitting or self.presets.get("default")


class SystemsTable(Section):
    """A table.

    Attributes:
        name: of its file.
        title: for people.
        frames: length of a clip; half of them are seen before the rest is imagined.
        sets: columns, by name.
        systems: rows, by name.
        paper: the paper's figures by system and set.
    """

    name: str
    title: str
    frames: int = Field(ge=2)
    sets: dict[str, ClipSet]
    systems: dict[str, SystemSpec]
    paper: dict[str, dict[str, PaperFigures]] = Field(default_factory=dict)

    def cells(self, sets: list[str], systems: list[str]) -> list[tuple[str, str]]:
        """Set and system of every cell that can be filled, set by set."""
        return [
            (column, row)
            for column in sets
            for row in systems
            if column in (self.systems[row].sets or self.sets)
        ]

    def figures_of_paper(self, column: str, row: str) -> PaperFigures:
        """The paper's, empty where it has none."""
        return self.paper.get(row, {}).get(column, PaperFigures())

    def config(
        self, column: str, row: str, *, seed: int, video: Path | None, folder: Path | None
    ) -> Config:
        """The configuration of a cell's training.

        Args:
            column: name of the set.
            row: name of the system.
            seed: of parameters, noise and the order of the data.
            video: recording, for a set that wants one.
            folder: of the MNIST files.
        """
        clips, system = self.sets[column], self.systems[row]
        preset = system.preset(column, clips)
        base = {} if preset is None else read_preset(preset)
        program = PROGRAMS[system.program]
        own = {
            "model_file": program.model,
            "guide_file": program.guide,
            "data": clips.settings(0, video, folder),
            "model": {"sigma": clips.sigma},
            # Pictures take time that is nobody's.
            "train": {"seed": seed, "image_every": 0},
        }
        without_data = {name: table for name, table in base.items() if name != "data"}
        return checked(merged(without_data, own), f"{row} on {column}")


def table_names() -> list[str]:
    """Names of the tables inside the package."""
    return names_in("scalor_ppl.config.comparisons")


def read_table(name: str) -> SystemsTable:
    """The table of that name.

    Raises:
        UserError: there is none, or its file does not fit.
    """
    if name not in table_names():
        raise UserError(f"no table named {name!r}{nearest(name, table_names())}")
    text = (files("scalor_ppl.config.comparisons") / f"{name}.toml").read_text(encoding="utf-8")
    return parse_table(name, text)


def parse_table(name: str, text: str) -> SystemsTable:
    """A table from the text of its file.

    Raises:
        UserError: it does not fit, or names a program, set or preset that is not there.
    """
    try:
        table = SystemsTable(name=name, **tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UserError(f"table {name}: {error}") from None
    for row, system in table.systems.items():
        if system.program not in PROGRAMS:
            near = nearest(system.program, list(PROGRAMS))
            raise UserError(f"table {name}, {row}: no program {system.program!r}{near}")
        for preset in system.presets.values():
            if preset not in preset_names():
                near = nearest(preset, preset_names())
                raise UserError(f"table {name}, {row}: no preset {preset!r}{near}")
        for column in {*(system.sets or ()), *system.presets} - {"default"}:
            if column not in table.sets:
                raise UserError(f"table {name}, {row}: no set {column!r}")
    for column, clips in table.sets.items():
        for source in (clips.data.get("source"), clips.tested_on):
            if source is not None and source not in REGISTERED:
                raise UserError(f"table {name}, {column}: {source!r} is no registered set")
    return table
