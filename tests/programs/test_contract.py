"""What every program owes the rest of the package, asked of all that ship and of one that does not.

``tiny_vrnn.py`` stands for a user's own file: it shares nothing with the programs of the package.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
import xarray as xr
from cases import CASES, SOURCE, build, clip
from pyro import poutine
from tiny import (
    ALONE,
    CPU,
    CommandLine,
    metrics_of,
    same,
    weights_of,
    write_clips,
    write_video,
)
from torch import Tensor

from scalor_ppl.errors import UserError
from scalor_ppl.inference.bounds import bound_of
from scalor_ppl.inference.generation import continue_clip, imagine
from scalor_ppl.inference.posterior import follow, infer
from scalor_ppl.nn.modes import MostLikely
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.objectives.densities import latent_and_observed
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.programs import CountsObjects, FindsObjects, Intervenes, Memory, ProposesSettings
from scalor_ppl.programs.memory import layout, mapped, parted
from scalor_ppl.programs.registry import PROGRAMS
from scalor_ppl.programs.trust import trusting
from scalor_ppl.training.loop import Silent, train
from scalor_ppl.training.runs import create_run, load_run

everything = pytest.mark.parametrize("name", CASES)
FINDERS = {"scalor", "sqair"}


def test_all_that_ship_are_asked() -> None:
    assert set(CASES) == {*PROGRAMS, "tiny"}


@pytest.fixture(autouse=True)
def _own_code() -> Iterator[None]:
    """The user's file is the user's own: its runs may be read."""
    with trusting():
        yield


def trained(name: str, run: Path, watcher: Any = None, **tables: Any) -> Path:
    program = build(name, **tables)
    create_run(run, program.config)
    train(program, SOURCE, run, watcher=watcher)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A trained run of each program."""
    folder = tmp_path_factory.mktemp("contract")
    return {name: trained(name, folder / name) for name in CASES}


# ---------------------------------------------------------------------- guide and model


@everything
def test_guide_and_model_have_the_same_sites(name: str) -> None:
    program, video = build(name), clip(3)
    seen = poutine.trace(program.guide).get_trace(video)
    foreseen = poutine.trace(poutine.replay(program.model, trace=seen)).get_trace(video, frames=5)
    latents = dict(latent_and_observed(seen))
    sites = dict(latent_and_observed(foreseen))
    observed = [site for site, node in sites.items() if node["is_observed"]]
    assert observed == ["x_0", "x_1", "x_2"]
    # What the model has beyond the guide's belongs to frames that nobody observed.
    beyond = set(sites) - set(observed) - set(latents)
    assert latents.keys() <= sites.keys()
    assert {site.rpartition("_")[2] for site in beyond} == {"3", "4"}
    for site, node in latents.items():
        assert node["value"] is sites[site]["value"], site
        assert node["fn"].batch_shape == sites[site]["fn"].batch_shape, site
        assert node["fn"].event_shape == sites[site]["fn"].event_shape, site
        assert [f.name for f in node["cond_indep_stack"]] == [
            f.name for f in sites[site]["cond_indep_stack"]
        ], site
        assert "videos" in [f.name for f in node["cond_indep_stack"] if f.dim == -2], site
    scene = foreseen.nodes["_RETURN"]["value"]
    assert scene.image.shape == (2, 5, 3, 18, 22)
    assert 0 <= scene.image.min() < scene.image.max() <= 1


@everything
@pytest.mark.parametrize("estimator", ["elbo", "iwae"])
def test_a_gradient_reaches_what_is_trained(name: str, estimator: str) -> None:
    program = build(name)
    kind = program.kind_of_latents(program.config)
    loss = make_estimator(estimator, 2, kind)(program.model, program.guide)(clip(4))
    loss.backward()
    for part, module in program.parts.items():
        for key, parameter in module.named_parameters():
            assert parameter.grad is not None, f"{part}.{key}"
            assert torch.isfinite(parameter.grad).all(), f"{part}.{key}"


# ---------------------------------------------------------------------- memory


@everything
@pytest.mark.parametrize("cuts", [(2, 2, 3), (1, 6)])
def test_chunks_equal_the_whole(name: str, cuts: tuple[int, ...]) -> None:
    program, video = build(name), clip(7)
    whole = infer(program.model, program.guide, video)
    memory, images = None, []
    for part in video.split(cuts, 1):
        followed = follow(program, part, memory)
        # As a checkpoint keeps it.
        stored = io.BytesIO()
        torch.save(program.packed(followed.memory), stored)
        stored.seek(0)
        memory = program.unpacked(torch.load(stored, weights_only=True))
        images.append(followed.scene.image)
    torch.testing.assert_close(torch.cat(images, 1), whole.image)
    assert memory is not None
    assert memory.frame == 7
    found, expected = tensors(memory.foreseen), tensors(whole.memory)
    assert len(found) == len(expected) > 0
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other)


@everything
@pytest.mark.parametrize("before", [(1, 1), (2, 4)])
def test_videos_that_are_followed_together_are_those_alone(
    name: str, before: tuple[int, int]
) -> None:
    program, video = build(name), clip(9)[:2]
    ones = [video[b : b + 1] for b in range(2)]
    known = [follow(program, one[:, :n], None).memory for one, n in zip(ones, before, strict=True)]
    assert layout(known[0]) == layout(known[1])
    # Twice, so that what is parted goes on, too.
    for step in range(2):
        begin = [n + 2 * step for n in before]
        parts = [one[:, n : n + 2] for one, n in zip(ones, begin, strict=True)]
        alone = [follow(program, *each) for each in zip(parts, known, strict=True)]
        together = follow(program, torch.cat(parts), program.joined(known))
        known = program.parted(together.memory, 2)
        for b, one in enumerate(alone):
            torch.testing.assert_close(together.scene.image[b : b + 1], one.scene.image)
            found, expected = tensors(known[b]), tensors(one.memory)
            assert len(found) == len(expected) > 0
            for mine, other in zip(found, expected, strict=True):
                torch.testing.assert_close(mine, other)


def test_a_memory_that_is_not_told_by_video_is_refused() -> None:
    memory = Memory(3, torch.zeros(1, 2, 8), (torch.zeros(2, 4),))
    with pytest.raises(UserError, match=r"remembers \[1, 2, 8\] of 2 videos: .* first dimension"):
        parted(memory, 2)
    assert layout(memory) != layout(None)


def tensors(state: Any) -> list[Tensor]:
    found: list[Tensor] = []
    mapped(lambda tensor: found.append(tensor) or tensor, state)  # type: ignore[func-returns-value]
    return found


# ---------------------------------------------------------------------- training


class KilledError(Exception):
    pass


class KillAt(Silent):
    """Ends training at a step without a checkpoint."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        if step == self.step:
            raise KilledError


@everything
@pytest.mark.parametrize("chunks", [1, 4])
def test_a_resumed_run_is_the_uninterrupted_one(name: str, chunks: int, tmp_path: Path) -> None:
    longer = {"train": {"steps": 5, "checkpoint_every": 2, "chunks": chunks, "frames": 2}}
    whole = trained(name, tmp_path / "whole", **longer)
    with pytest.raises(KilledError):
        trained(name, tmp_path / "killed", KillAt(3), **longer)
    train(build(name, **longer), SOURCE, tmp_path / "killed", resume=True)
    assert same(weights_of(whole), weights_of(tmp_path / "killed"))
    figures = metrics_of(whole, clock=False)
    assert figures == metrics_of(tmp_path / "killed", clock=False)
    assert {"loss", "log_likelihood"} < figures[-1].keys()
    assert any(key.startswith("kl_") and len(key) > 3 for key in figures[-1])


# ---------------------------------------------------------------------- inference


@everything
def test_bounds_are_ordered(name: str, runs: Mapping[str, Path]) -> None:
    program = load_run(runs[name], CPU)
    how = {"clips": 3, "frames": 2}
    elbo = bound_of(program, SOURCE, estimator="elbo", particles=40, **how)
    iwae = bound_of(program, SOURCE, estimator="iwae", particles=40, **how)
    assert elbo.per_video < iwae.per_video
    assert iwae.presence == ("hard" if name in FINDERS else None)


@everything
def test_generation_by_seed(name: str, runs: Mapping[str, Path]) -> None:
    program = load_run(runs[name], CPU)
    first, again, other = (
        imagine(program, videos=2, frames=3, seed=seed).image for seed in (1, 1, 2)
    )
    assert first.shape == (2, 3, 3, 18, 22)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@everything
def test_continuation_begins_with_what_was_seen(name: str, runs: Mapping[str, Path]) -> None:
    program = load_run(runs[name], CPU)
    video = SOURCE.clip(0, 3).video
    scene = continue_clip(program, video, observe=3, frames=6, seed=0)
    assert scene.image.shape == (1, 6, 3, 18, 22)
    seen = infer(program.model, program.guide, to_video(video[None], CPU))
    torch.testing.assert_close(scene.image[:, :3], seen.image)


# ---------------------------------------------------------------------- capabilities


@everything
def test_capabilities_that_are_claimed(name: str, runs: Mapping[str, Path]) -> None:
    program = load_run(runs[name], CPU)
    known = {CountsObjects, FindsObjects, Intervenes, ProposesSettings}
    claimed = {each for each in known if isinstance(program, each)}
    own = {"scalor": known, "sqair": {CountsObjects, FindsObjects}}
    assert claimed == own.get(name, set())
    video = clip(3)
    trace = poutine.trace(MostLikely()(program.guide)).get_trace(video)
    scene = poutine.replay(program.model, trace=trace)(video)
    if isinstance(program, FindsObjects):
        tracks, objects = program.tracks(scene), program.objects(scene)
        slots = tracks[0].ids.shape[1]
        assert len(tracks) == 2
        assert objects.where.shape == (2, 3, slots, 4)
        assert program.confidence(trace, scene).shape == (2, 3, slots)
        assert program.looks(video, scene).shape[:3] == (2, 3, slots)
        assert program.presence_in_words()
    if isinstance(program, Intervenes):
        with program.same_noise(), program.intervening([]):
            assert torch.isfinite(program.model(videos=1, frames=2).image).all()


@pytest.mark.parametrize("name", sorted(FINDERS))
def test_commands_about_objects(
    cli: CommandLine, name: str, runs: Mapping[str, Path], tmp_path: Path
) -> None:
    clips, video = (
        write_clips(tmp_path / "clips.nc", SOURCE),
        write_video(tmp_path / "v.mp4", SOURCE),
    )
    rows, run = tmp_path / "tracks.txt", runs[name]
    ahead = ("--data", clips, "--observe", 2, "--ahead", 2, "--clips", 1)
    imagined = ("--first-rate", 0.9, "--rate", 0.5, "--frames", 3, "--out", tmp_path / "made")
    done = [
        cli("track", run, video, "--out", rows, *ALONE),
        cli("foresee", run, *ahead, *ALONE),
        cli("generate", run, *imagined, *ALONE),
    ]
    assert [said.code for said in done] == [0] * 3, done
    assert all(len(line.split(",")) == 10 for line in rows.read_text().splitlines())
    assert any((tmp_path / "made").iterdir())


REFUSED = {
    "track": ("track", "RUN", "VIDEO", "--out", "t.txt"),
    "foresee": ("foresee", "RUN", "--data", "CLIPS", "--observe", 2, "--ahead", 2, "--clips", 1),
    "do": ("generate", "RUN", "--observe", "CLIPS", "--observe-frames", 2, "--do", "remove 1@3"),
    "plot": ("infer", "RUN", "CLIPS", "--frames", 2, "--out", "d.nc", "--plot", "p.png"),
    "report": ("report", "RUN", "--video", "CLIPS", "--out", "r.html"),
    "rate": ("generate", "RUN", "--first-rate", 0.5, "--frames", 2),
}


@pytest.mark.parametrize("name", [name for name in CASES if name not in FINDERS])
@pytest.mark.parametrize("command", REFUSED)
def test_commands_about_objects_are_refused_in_one_line(
    cli: CommandLine,
    name: str,
    command: str,
    runs: Mapping[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {
        "RUN": runs[name],
        "CLIPS": write_clips(tmp_path / "clips.nc", SOURCE),
        "VIDEO": write_video(tmp_path / "video.mp4", SOURCE),
    }
    line = cli.refused(*(words.get(str(word), word) for word in REFUSED[command]), *ALONE)
    assert name in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.nc", "video.mp4"]


# ---------------------------------------------------------------------- the command line


@everything
def test_command_line(cli: CommandLine, name: str, tmp_path: Path) -> None:
    """Train, evaluate, generate, infer and compare, from argv to files."""
    clips, run = write_clips(tmp_path / "clips.nc", SOURCE), tmp_path / "run"
    tables = {key: table for key, table in CASES[name].items() if isinstance(table, dict)}
    (tmp_path / "tiny.toml").write_text(tomli_w.dumps(tables))
    files = ("--model", CASES[name]["model_file"], "--guide", CASES[name]["guide_file"])
    settings = ("--config", tmp_path / "tiny.toml", "--data", clips, *ALONE)
    done = [cli("train", *files, *settings, "--out", run)]
    out = tmp_path / "scores.json"
    short = ("--clips", 2, "--frames", 3, "--data", clips, *ALONE)
    bound = ("--bound", "iwae", "--particles", 3)
    done.append(cli("evaluate", run, *short, *bound, "--json", out))
    done.append(cli("generate", run, "--frames", 3, "--out", tmp_path / "scratch", *ALONE))
    done.append(cli("generate", run, "--frames", 3, "--out", tmp_path / "prior.nc", *ALONE))
    further = ("--observe", clips, "--observe-frames", 2, "--frames", 4)
    done.append(cli("generate", run, *further, "--out", tmp_path / "further", *ALONE))
    draws = ("--draws", 3, "--frames", 3, "--out", tmp_path / "draws.nc")
    done.append(cli("infer", run, clips, *draws, *ALONE))
    objectives = ("--estimators", "elbo,iwae", "--particles", "1,2", "--gradients", 2)
    done.append(cli("compare", run, *short, *objectives, "--out", tmp_path / "compared"))
    assert [said.code for said in done] == [0] * 7, [said for said in done if said.code]
    figures = json.loads(out.read_text())
    assert figures["bound"]["clips"] == 2
    assert 0 < (figures["standard"]["mse"] if name in FINDERS else figures["mse"]) < 1
    for folder in ("scratch", "further", "compared"):
        assert any((tmp_path / folder).iterdir())
    with xr.open_datatree(tmp_path / "draws.nc", engine="h5netcdf") as tree:
        assert tree["log_likelihood"].sizes["draw"] == 3
        assert tree["posterior"].sizes["draw"] == 3
