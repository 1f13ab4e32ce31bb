"""Bad input on the command line: one line that names the thing and the remedy, and nothing left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest
import torch
from PIL import Image
from tiny import (
    ALONE,
    CommandLine,
    Square,
    write_clips,
    write_images,
    write_settings,
    write_video,
)

from scalor_ppl.training.checkpoints import TRAINING, WEIGHTS, all_checkpoints
from scalor_ppl.training.runs import CONFIG, append_metrics

TRAIN = ("train", *ALONE, "--config", "tiny.toml", "--out", "out")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run of clips in a file, made once."""
    from scalor_ppl.programs.build import build_program
    from scalor_ppl.programs.configuration import resolve
    from scalor_ppl.training.loop import train
    from scalor_ppl.training.runs import create_run
    from scalor_ppl.training.sources import fitted, open_data

    folder = tmp_path_factory.mktemp("finished")
    clips = write_clips(folder / "clips.nc")
    settings = write_settings(folder / "tiny.toml")
    config = resolve(str(settings), [], {"data": {"source": str(clips)}})
    source = open_data(config.data, "train")
    config = fitted(config, source)
    program = build_program(config, torch.device("cpu"))
    create_run(folder / "run", config)
    train(program, source, folder / "run")
    return folder / "run"


@pytest.fixture
def run(finished: Path, place: Path) -> Path:
    """A copy of the run, to be broken: ``run`` in the working directory."""
    shutil.copytree(finished, place / "run")
    return place / "run"


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---------------------------------------------------------------------- data


def no_such_file(place: Path) -> None:
    pass


def text(place: Path) -> None:
    (place / "bad.mp4").write_text("This is not a video.\n" * 20)


def empty_file(place: Path) -> None:
    (place / "bad.mp4").touch()


def no_frames(place: Path) -> None:
    with av.open(str(place / "bad.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv420p"
        container.start_encoding()


def cut_video(place: Path) -> None:
    path = write_video(place / "bad.mp4", Square(32, 32))
    path.write_bytes(path.read_bytes()[:200])


def empty_folder(place: Path) -> None:
    (place / "bad.mp4").mkdir()


def changing_size(place: Path) -> None:
    folder = write_images(place / "bad.mp4")
    Image.new("RGB", (20, 16)).save(folder / "3.png")


def not_an_image(place: Path) -> None:
    folder = write_images(place / "bad.mp4")
    (folder / "2.png").write_text("no")


def too_short(place: Path) -> None:
    write_images(place / "bad.mp4", frames=2)


def broken_netcdf(place: Path) -> None:
    (place / "bad.mp4").write_bytes(b"\x89HDF\r\n\x1a\nno")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_such_file, "bad.mp4 is neither a registered set nor an existing path: "),
        (text, "bad.mp4 is not a video"),
        (empty_file, "bad.mp4 is not a video"),
        (no_frames, "bad.mp4 is not a video: it has no video stream"),
        (cut_video, "bad.mp4 is not a video that can be decoded"),
        (empty_folder, "bad.mp4 holds no frames: expected images, one video file, "),
        (
            changing_size,
            "bad.mp4 changes its frame size at bad.mp4/3.png, from 16 x 16 pixels in 3 ",
        ),
        (not_an_image, "bad.mp4/2.png is not a readable image"),
        (too_short, "bad.mp4 has 2 frames in a row, fewer than the 3 of a clip: ask for shorter"),
        (broken_netcdf, "bad.mp4 is not a readable NetCDF file"),
    ],
)
def test_data_that_cannot_be_read(
    cli: CommandLine, place: Path, make: Callable[[Path], None], said: str
) -> None:
    make(place)
    line = cli.refused(*TRAIN, "--data", "bad.mp4")
    assert said in line
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "moving-dsprite-vld"), "did you mean moving-dsprites-vld"),
        (("--data", "moving-mnist-vld"), "moving-mnist needs the MNIST files: give --data-dir"),
        (("--data", "moving-mnist-vld", "--data-dir", "none"), "none is not a folder: give --data"),
        (("--data", "moving-mnist-vld", "--data-dir", "."), ". has no MNIST test images and label"),
        (("--data", "clips.nc", "--set", "data.start=3"), "clips.nc holds finished clips"),
        (("--data", "clips.nc", "--set", "data.stop=0"), "frames 0 to 0 are none"),
        (("--data", "clips.nc", "--set", "model.height=24"), "model.height is 24 but "),
        (("--data", "clips.nc", "--set", "train.frames=7"), "fewer than the 7 of a clip"),
        (
            ("--data", "clips.nc", "--set", "train.frames={start=2, end=9}"),
            "fewer than the 9 of a clip",
        ),
    ],
)
def test_data_that_does_not_fit_the_settings(
    cli: CommandLine, place: Path, arguments: tuple[str, ...], said: str
) -> None:
    assert said in cli.refused(*TRAIN, *arguments)
    assert not (place / "out").exists()


def test_a_crop_larger_than_the_frames(cli: CommandLine, place: Path) -> None:
    write_images(place / "frames")
    said = cli.refused(*TRAIN, "--data", "frames", "--set", "data.crop=[20,20]")
    assert "crop=(20, 20) is larger than the frames of frames" in said
    assert not (place / "out").exists()


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "train.bacth=4"), "no such setting: train.bacth; did you mean batch?"),
        (("--set", "train.batch=four"), "train.batch = 'four': "),
        (("--set", "train.batch"), "--set train.batch: write it as table.key=value"),
        (("--set", "train.precision=half"), "train.precision = 'half': Input should be "),
        (("--config", "wrong.toml"), "in the configuration: no such setting: modell; did you mean"),
        (("--config", "broken.toml"), "broken.toml is not a TOML file: "),
        (("--config", "none.toml"), "no such configuration: none.toml; give a TOML file or a pres"),
        (("--config", "naturel"), "no preset named 'naturel'; did you mean natural?"),
        (("--estimator", "elbow"), "no estimator named 'elbow': use one of elbo, elbo-analytic, "),
        (("--estimator", "vimco", "--particles", "5"), "vimco needs model.presence hard"),
        (("--estimator", "stl", "--set", "model.presence=hard"), "use vimco, or elbo"),
        (("--estimator", "pyro.infer:Elbow"), "estimator 'pyro.infer:Elbow' cannot be imported: "),
        (("--estimator", "no_such:A"), "estimator 'no_such:A' cannot be imported: "),
        (("--estimator", "math:pi"), "estimator 'math:pi' is not a subclass of pyro.infer.ELBO"),
        (("--model", "none.py"), "no such file: none.py; give a .py file that exists"),
        (("--model", "empty.py"), "empty.py has no function build_model: define build_model(conf"),
        (("--model", "syntax.py"), "syntax.py fails when it is run: SyntaxError"),
        (("--guide", "empty.py"), "empty.py has no function build_guide: define build_guide(conf"),
        (("--device", "tpu9"), "no device named 'tpu9': use auto, cpu or cuda"),
        (("--device", "meta"), "--device meta is not supported: use auto, cpu or cuda"),
    ],
)
def test_wrong_options(
    cli: CommandLine, place: Path, arguments: tuple[str, ...], said: str
) -> None:
    (place / "wrong.toml").write_text("[modell]\ngrid = [2, 2]\n")
    (place / "broken.toml").write_text("[model\n")
    (place / "empty.py").write_text("")
    (place / "syntax.py").write_text("def build_model(config:\n    pass\n")
    assert said in cli.refused(*TRAIN, "--data", "clips.nc", *arguments)
    assert not (place / "out").exists()


def test_no_gpu_when_asked_for(
    cli: CommandLine, place: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    said = "--device cuda: torch sees no GPU here; use --device cpu, or install a build of torch"
    assert said in cli.refused(*TRAIN, "--data", "clips.nc", "--device", "cuda")
    assert not (place / "out").exists()
    assert said in cli.refused("generate", "run", "--device", "cuda")
    assert said in cli.refused("evaluate", "run", "--device", "cuda")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("train", "--stepps", "3"),
        ("train", "--steps", "three"),
        ("train", "--steps", "0"),
        ("generate",),
        ("trian",),
        ("generate", "run", "--first-rate", "2"),
        ("evaluate", "run", "--clips", "0"),
    ],
)
def test_usage(cli: CommandLine, place: Path, arguments: tuple[str, ...]) -> None:
    said = cli(*arguments)
    assert said.code == 2
    assert "Traceback" not in said.err
    assert sorted(path.name for path in place.iterdir()) == ["clips.nc", "tiny.toml"]


# ---------------------------------------------------------------------- --out and --resume


def test_out_is_not_a_run(cli: CommandLine, place: Path) -> None:
    (place / "out").mkdir()
    (place / "out" / "thesis.tex").write_text("years of work")
    said = cli.refused(*TRAIN, "--data", "clips.nc")
    assert "out exists and is not a run: choose another --out" in said
    assert contents(place / "out") == {"thesis.tex": b"years of work"}


def test_out_is_a_file(cli: CommandLine, place: Path) -> None:
    (place / "out").write_text("x")
    said = cli.refused(*TRAIN, "--data", "clips.nc")
    assert said == "error: cannot make out: out is a file; choose another folder"
    # Nor can there be a folder below it.
    said = cli.refused(*TRAIN, "--data", "clips.nc", "--out", "out/run")
    assert said.startswith("error: cannot make out/run: ")
    assert said.endswith("out is a file; choose another folder")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_out_is_not_writable(cli: CommandLine, place: Path) -> None:
    (place / "shut").mkdir(mode=0o500)
    said = cli.refused(*TRAIN, "--data", "clips.nc", "--out", "shut/run")
    assert "shut: Permission denied; choose another folder" in said


def test_out_is_a_run(cli: CommandLine, run: Path) -> None:
    before = contents(run)
    said = cli.refused(*TRAIN, "--data", "clips.nc", "--out", "run")
    assert "run is a run already: go on with --resume, or choose another --out" in said
    assert contents(run) == before


def test_resume_without_a_run(cli: CommandLine, place: Path) -> None:
    said = cli.refused("train", "--resume", "--out", "none")
    assert "no such run: none; train one with: scalor-ppl train --out none" in said
    (place / "empty").mkdir()
    assert "empty is not a run: it has no config.toml" in cli.refused(
        "train", "--resume", "--out", "empty"
    )


@pytest.mark.parametrize(
    "option",
    [
        ("--set", "train.batch=3"),
        ("--seed", "1"),
        ("--data", "clips.nc"),
        ("--data-dir", "."),
        ("--config", "tiny.toml"),
        ("--model", "models/scalor.py"),
        ("--guide", "guides/scalor.py"),
        ("--estimator", "elbo"),
    ],
)
def test_resume_with_other_options(cli: CommandLine, run: Path, option: tuple[str, str]) -> None:
    before = contents(run)
    said = cli.refused("train", "--resume", "--out", "run", *option)
    assert (
        "--resume goes on with the run's own configuration: give --out (and --steps) only" in said
    )
    assert contents(run) == before


# ---------------------------------------------------------------------- broken runs


def commands() -> list[tuple[str, ...]]:
    return [
        ("train", "--resume", "--out", "run", "--steps", "9", *ALONE),
        ("generate", "run", *ALONE),
        ("evaluate", "run", "--clips", "2", "--frames", "2", *ALONE),
    ]


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[0])
def test_weights_cut_short(cli: CommandLine, run: Path, command: tuple[str, ...]) -> None:
    path = all_checkpoints(run)[-1] / WEIGHTS
    path.write_bytes(path.read_bytes()[:1000])
    before = contents(run)
    said = cli.refused(*command)
    assert "weights.safetensors cannot be read (" in said
    assert "it is missing or cut short; delete run/checkpoints/step_0000003 to go back" in said
    assert contents(run) == before


def test_training_state_cut_short(cli: CommandLine, run: Path) -> None:
    path = all_checkpoints(run)[-1] / TRAINING
    path.write_bytes(path.read_bytes()[:1000])
    before = contents(run)
    said = cli.refused(*commands()[0])
    assert "training.pt cannot be read (" in said
    assert "it is missing or cut short; delete run/checkpoints/step_0000003 to go back" in said
    assert contents(run) == before
    # Neither generating nor scoring needs it.
    assert cli(*commands()[1]).code == 0


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[0])
def test_checkpoint_from_another_configuration(
    cli: CommandLine, run: Path, command: tuple[str, ...]
) -> None:
    config = (run / CONFIG).read_text()
    assert "what = 4\n" in config
    (run / CONFIG).write_text(config.replace("what = 4\n", "what = 5\n"))
    said = cli.refused(*command)
    assert "weights.safetensors is from another configuration: the model's " in said
    assert "use the configuration that it was trained with" in said


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[0])
def test_no_checkpoint(cli: CommandLine, run: Path, command: tuple[str, ...]) -> None:
    shutil.rmtree(run / "checkpoints")
    append_metrics(run, {"step": 7})  # beyond the first checkpoint: this one was not killed early
    assert "run has no checkpoint: delete it and train again" in cli.refused(*command)


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[0])
def test_no_run(cli: CommandLine, place: Path, command: tuple[str, ...]) -> None:
    assert "no such run: run; train one with: scalor-ppl train --out run" in cli.refused(*command)
    (place / "run").mkdir()
    assert "run is not a run: it has no config.toml" in cli.refused(*command)
    assert list((place / "run").iterdir()) == []


def test_misspelt_setting_in_a_run(cli: CommandLine, run: Path) -> None:
    config = (run / CONFIG).read_text()
    (run / CONFIG).write_text(config.replace("capacity = ", "capasity = "))
    said = cli.refused("generate", "run")
    assert "in run/config.toml: no such setting: model.capasity; did you mean capacity?" in said


# ---------------------------------------------------------------------- generate and evaluate


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--observe", "none.mp4"), "none.mp4 is neither a registered set nor an existing path"),
        (
            ("--observe", "clips.nc", "--observe-frames", "7"),
            "has 6 frames in a row, fewer than the 7 of a clip",
        ),
        (
            ("--observe", "clips.nc", "--observe-frames", "3", "--frames", "3"),
            "--frames 3 leaves nothing to imagine after 3 observed",
        ),
        (
            ("--observe", "clips.nc", "--clip", "8"),
            "--clip 8: clips.nc has 8 clips of 5 frames",
        ),
        (
            ("--observe", "large.nc"),
            "the clip is 24 x 16 x 3, but the run was trained on 16 x 16 x 3: bring it to that si",
        ),
        (("--out", "tiny.toml"), "choose another folder"),
    ],
)
def test_generate_what_cannot_be(
    cli: CommandLine, run: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_clips(run.parent / "large.nc", Square(24, 16))
    assert said in cli.refused("generate", "run", *ALONE, *arguments)
    assert not (run / "generated").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "frames"), "frames has no ground truth: there is nothing to score"),
        (("--data", "none.mp4"), "none.mp4 is neither a registered set nor an existing path"),
        (("--data", "large.nc"), "square is 24 x 16 x 3, but the run was trained on 16 x 16 x 3"),
        (("--frames", "7"), "fewer than the 7 of a clip"),
        (("--json", "frames"), "frames is a folder; name a file to write"),
        (("--json", "clips.nc/a.json"), "cannot write clips.nc/a.json: "),
    ],
)
def test_evaluate_what_cannot_be(
    cli: CommandLine, run: Path, arguments: tuple[str, ...], said: str
) -> None:
    write_clips(run.parent / "large.nc", Square(24, 16))
    write_images(run.parent / "frames")
    told = cli.refused("evaluate", "run", *ALONE, "--clips", 2, "--frames", 2, *arguments)
    assert said in told


def test_brackets_in_paths_are_no_markup(cli: CommandLine, place: Path) -> None:
    (place / "[old]").mkdir()
    said = cli("data", "make", "moving-dsprites-vld", "--clips", "1", "--out", "[old]/x.nc")
    assert said.code == 0, said.err
    assert "[old]/x.nc" in said.out
