"""Configurations: presets, TOML files, single settings, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from tiny import config_of

from scalor_ppl.config.schedules import Schedule
from scalor_ppl.config.schema import Config
from scalor_ppl.config.settings import merged, parse_setting, preset_names, read_toml
from scalor_ppl.data import REGISTERED
from scalor_ppl.errors import UserError
from scalor_ppl.programs.configuration import (
    DEFAULT_PRESET,
    NATURAL_PRESET,
    checked,
    preset_for,
    read_config,
    resolve,
)
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.programs.trust import trusting
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.training.runs import CONFIG, create_run


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_configuration(name: str) -> None:
    config = resolve(name, [], {})
    assert config != Config()
    program = next((each for each in PROGRAMS if name.startswith(f"{each}-")), None)
    if program is not None:
        assert (config.model_file, config.guide_file) == PROGRAMS[program]
        assert name == f"{program}-{config.data.source}"
    elif name in REGISTERED:
        assert config.data.source == name
    elif name.startswith(NATURAL_PRESET):  # for video of one's own
        assert config.data.source == "video.mp4"
    else:  # another way to train on a set, after which it is named
        assert config.data.source in REGISTERED
        assert name.startswith(f"{config.data.source}-")


@pytest.mark.parametrize(
    ("data", "preset"),
    [
        (None, "vrnn-moving-dsprites-vld"),
        ("moving-dsprites-ld", "vrnn-moving-dsprites-ld"),
        ("moving-dsprites-vld-background", "vrnn-moving-dsprites-vld"),
        ("moving-dsprites-hd", None),
        ("walk.mp4", None),
    ],
)
def test_presets_of_another_program(data: str | None, preset: str | None) -> None:
    assert preset_for(data, "models/vrnn.py") == preset
    config = resolve(preset, [], {"model_file": "models/vrnn.py", "guide_file": "guides/vrnn.py"})
    assert type(config).__name__ == "VrnnConfig"


def test_defaults_are_a_configuration() -> None:
    assert resolve(None, [], {}) == ScalorConfig()


@pytest.mark.parametrize(
    ("data", "preset"),
    [
        (None, DEFAULT_PRESET),
        ("moving-dsprites-vld", "moving-dsprites-vld"),
        ("some/video.mp4", NATURAL_PRESET),
    ],
)
def test_preset_fits_the_data(data: str | None, preset: str) -> None:
    assert preset_for(data) == preset


def test_preset_of_the_longest_fitting_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["moving-dsprites-vld", "moving-dsprites-vld-background", "natural"]
    monkeypatch.setattr("scalor_ppl.config.settings.preset_names", lambda: names)
    assert preset_for("moving-dsprites-vld-background") == "moving-dsprites-vld-background"
    assert preset_for("moving-dsprites-vld-long") == "moving-dsprites-vld"


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("train.batch=8", {"train": {"batch": 8}}),
        ("train.batch = 8", {"train": {"batch": 8}}),
        ("model.grid=[2, 3]", {"model": {"grid": [2, 3]}}),
        ("train.estimator=scalor", {"train": {"estimator": "scalor"}}),
        ('train.estimator="scalor"', {"train": {"estimator": "scalor"}}),
        ("data.augment=false", {"data": {"augment": False}}),
        ("data.source=a = b.mp4", {"data": {"source": "a = b.mp4"}}),
        ("model_file=mine.py", {"model_file": "mine.py"}),
        ("train.clip=1e3", {"train": {"clip": 1000.0}}),
    ],
)
def test_one_setting(text: str, settings: dict[str, Any]) -> None:
    assert parse_setting(text) == settings


@pytest.mark.parametrize("text", ["train.batch", "=3", ".batch=3", "train.=3", ""])
def test_text_that_is_no_setting(text: str) -> None:
    with pytest.raises(UserError, match=r"write it as table\.key=value"):
        parse_setting(text)


def test_later_settings_win_and_options_win_over_all(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("[train]\nsteps = 1\nbatch = 2\nframes = 3\nseed = 4\n")
    texts = ["train.batch=20", "train.frames=30", "train.frames=31", "train.seed=40"]
    train = resolve(str(file), texts, {"train": {"seed": 400, "estimator": None}}).train
    assert (train.steps, train.batch, train.frames, train.seed) == (1, 20, 31, 400)
    assert train.estimator == ScalorConfig().train.estimator


def test_a_new_schedule_replaces_the_old_one_whole() -> None:
    old = {"train": {"temperature": {"start": 1.0, "end": 0.3, "steps": 600}}}
    new = merged(old, {"train": {"temperature": {"start": 2.0, "end": 1.0}}})
    config = checked(new)
    assert isinstance(config, ScalorConfig)
    assert config.train.temperature == Schedule(start=2.0, end=1.0)
    assert merged(old, {"train": {"temperature": {"end": 0.5}}}) == {
        "train": {"temperature": {"start": 1.0, "end": 0.5, "steps": 600}}
    }


def test_merging_changes_none_of_its_layers() -> None:
    first: dict[str, Any] = {"train": {"batch": 1}}
    merged(first, {"train": {"batch": 2}})
    assert first == {"train": {"batch": 1}}


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"train": {"frames": {"start": 2, "end": 5}, "learning_rate": 1e-3}},
        {"data": {"resize": [16, 24], "stop": 9}, "model": {"rules": {"overlap": 0.5}}},
        {"model_file": "scalor_ppl.models.scalor:build_model"},
    ],
)
def test_a_run_holds_its_resolved_configuration(tmp_path: Path, tables: dict[str, Any]) -> None:
    config = config_of(**tables)
    create_run(tmp_path / "run", config)
    with trusting():  # a file of one's own
        assert read_config(tmp_path / "run" / CONFIG) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.bacth=8", "no such setting: train.bacth; did you mean batch?"),
        ("modle.grid=[2, 2]", "no such setting: modle; did you mean model?"),
        ("model.rules.overlapp=0.1", "no such setting: model.rules.overlapp; did you mean overlap"),
        ("train.temperature.ende=0.1", "no such setting: train.temperature.ende; did you mean end"),
        ("train.frames={start=1, ende=2}", "no such setting: train.frames.ende; did you mean end"),
        ("guide.zzz=1", "no such setting: guide.zzz; there are features, lstm, hidden"),
        ("train.batch=many", "train.batch = 'many': "),
        ("train.batch=0", "train.batch = 0: "),
        ("train.frames=long", "train.frames = 'long': "),
        ("train.learning_rate={start=1}", "train.learning_rate = {'start': 1}: end is missing"),
        ("train.frames={start=1, end=2, kind='x'}", "train.frames.kind = 'x': "),
        ("train.temperature=1", "it is a table of start, end, steps, after, kind"),
        ("train=5", "train = 5: it is a table of steps, batch, "),
        ("model.grid=[2]", "model.grid = [2]: value 2 is missing"),
        ("model.grid=[0, 2]", "model: grid must be at least 1 x 1"),
        ("model.outline=16", "model: outline takes 16 of 16 dimensions: none is left"),
        (
            "model={perspective = 0.5, anywhere = true}",
            "model: perspective needs to know where objects are: not with anywhere",
        ),
        ("model.object_width=[9, 3]", "model: object_width must be 0 < smallest < largest"),
        ("train.precision=half", "train.precision = 'half': Input should be 'float32' or"),
        ("data.channels=2", "data.channels = 2: "),
    ],
)
def test_wrong_setting_is_named_with_the_remedy(text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(None, [text], {})
    message = str(caught.value)
    assert said in message
    assert message.startswith("in the configuration: ")
    assert "\n" not in message


def test_wrong_setting_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(tomli_w.dumps({"train": {"stepps": 3}}))
    with pytest.raises(UserError, match=r"a\.toml: no such setting: train\.stepps; did .* steps\?"):
        read_config(file)


@pytest.mark.parametrize("content", [b"not = = toml", b"\xff\xfe\x00", b"[train"])
def test_file_that_is_not_toml(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.toml is not a TOML file"):
        read_toml(file)


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a TOML file"):
        read_toml(tmp_path)


def test_missing_file_and_unknown_preset(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such configuration: .*none\.toml; give a TOML file"):
        resolve(str(tmp_path / "none.toml"), [], {})
    with pytest.raises(UserError, match="no preset named 'natura'; did you mean natural"):
        resolve("natura", [], {})
    with pytest.raises(UserError, match=r"no preset named 'zzzz'; there are .*natural"):
        resolve("zzzz", [], {})
