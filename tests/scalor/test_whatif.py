"""Interventions on single objects of an imagination, and the noise that lets one compare."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from conftest import Build
from PIL import Image
from pyro import poutine
from tiny import ALONE, CommandLine, Square, frames_of, fresh, write_clips
from torch import Tensor, nn

from scalor_ppl.errors import UserError
from scalor_ppl.inference.generation import continue_clip
from scalor_ppl.inference.interventions import (
    Freeze,
    Intervention,
    Move,
    Remove,
    parse_intervention,
)
from scalor_ppl.inference.posterior import infer
from scalor_ppl.models.scalor import Scalor, build_model
from scalor_ppl.nn.distributions import LogitRelaxedBernoulli
from scalor_ppl.programs import Program
from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.scalor.noise import SameNoise, identity_noise, quantile
from scalor_ppl.scalor.priors.registry import PROPAGATION
from scalor_ppl.scalor.settings import PriorConfig
from scalor_ppl.scalor.whatif import Intervene
from scalor_ppl.training.checkpoints import save_checkpoint

KINDS = ["relaxed", "hard"]
FRAMES = 7
DOCUMENT = Path(__file__).parents[2] / "docs" / "whatif.md"
LATENTS = ("presence", "where", "depth", "what")


@pytest.fixture(params=KINDS)
def model(request: pytest.FixtureRequest, build: Build) -> Scalor:
    """Four objects in frame 1, that live for ever and wander."""
    return wandering(build(presence=request.param, rules=False, capacity=4, max_step=0.5).model)


def wandering(model: Scalor, survival: float = 0.9999) -> Scalor:
    """A propagation prior that keeps what there is, with noise; survival has one rate."""
    prior: Any = model.propagation
    nn.init.zeros_(prior.head[-1].weight)
    nn.init.zeros_(prior.head[-1].bias)
    prior.survival = math.log(survival / (1 - survival))
    return model


def imagined(model: Scalor, *interventions: Intervention, seed: int = 3, videos: int = 1) -> Any:
    torch.manual_seed(seed)
    with torch.no_grad(), SameNoise(model), Intervene(model, interventions):
        return run(model, videos)


def run(model: Any, videos: int = 1) -> Any:
    return model(videos=videos, frames=FRAMES, discovery=[1.0, *[0.0] * (FRAMES - 1)])


def latents(scene: Any, identity: int, video: int = 0) -> list[Tensor | None]:
    """Presence, where, depth and what of an object side by side, in every frame; none if gone."""
    found: list[Tensor | None] = []
    for trackers in scene.trackers:
        slots = (trackers.ids[video] == identity).nonzero().flatten().tolist()
        assert len(slots) <= 1
        found.append(trackers.objects.code()[video, slots[0]] if slots else None)
    return found


def lives(scene: Any, identity: int, video: int = 0) -> list[bool]:
    return [each is not None for each in latents(scene, identity, video)]


def centres(scene: Any, identity: int, size: tuple[int, int], video: int = 0) -> np.ndarray:
    """Centres in pixels ``[T, 2]`` of an object that lives throughout."""
    rows = [each for each in latents(scene, identity, video) if each is not None]
    assert len(rows) == FRAMES
    left, top, width, height = boxes_from_where(torch.stack(rows)[:, 1:5], size).unbind(-1)
    return torch.stack((left + width / 2, top + height / 2), -1).numpy()


def alike(one: Any, other: Any, identities: Sequence[int], frames: int = FRAMES) -> None:
    """These objects are the same in both scenes, in the first so many frames."""
    for identity in identities:
        pairs = zip(latents(one, identity), latents(other, identity), strict=True)
        for first, second in list(pairs)[:frames]:
            assert first is not None
            assert second is not None
            torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------- the three interventions


def test_a_removed_object_is_gone_and_the_others_go_on_as_before(model: Scalor) -> None:
    before, after = imagined(model), imagined(model, Remove(1, frame=4))
    assert lives(before, 1) == [True] * FRAMES
    assert lives(after, 1) == [True] * 3 + [False] * 4
    alike(before, after, (0, 2, 3))
    alike(before, after, (1,), frames=3)
    assert torch.equal(before.image[:, :3], after.image[:, :3])
    # Slots are not the same, so that this is no matter of course.
    pairs = zip(before.trackers[3:], after.trackers[3:], strict=True)
    assert any(not torch.equal(a.ids[:, :3], b.ids[:, :3]) for a, b in pairs)


def test_its_pixels_are_those_of_the_others(model: Scalor) -> None:
    everything = [Remove(number, frame=3) for number in range(4)]
    scene = imagined(model, *everything)
    assert scene.mask[:, 1].max() > 0.1
    assert scene.mask[:, 2:].max() < 1e-4


def test_a_moved_object_is_where_it_is_asked(model: Scalor) -> None:
    before = imagined(model)
    x, y = centres(before, 2, model.size)[2]
    there = (float(np.clip(x + 0.9, 0, 16)), float(np.clip(y - 1.2, 0, 16)))
    after = imagined(model, Move(2, frame=4, to=there))
    assert centres(after, 2, model.size)[3] == pytest.approx(there, abs=0.01)
    alike(before, after, (0, 1, 3))
    # Then it is imagined again, from there.
    assert np.abs(centres(after, 2, model.size)[4:] - there).max() > 0.05
    # Its look is as drawn.
    for a, b in zip(latents(before, 2), latents(after, 2), strict=True):
        assert a is not None
        assert b is not None
        torch.testing.assert_close(a[3:], b[3:], rtol=1e-4, atol=1e-5)


def test_a_long_way_takes_several_frames_in_a_straight_line(model: Scalor) -> None:
    before = imagined(model)
    start = centres(before, 0, model.size)[1]
    goal = np.array([8.0, 8.0])
    after = centres(imagined(model, Move(0, frame=3, to=(8, 8), last=7)), 0, model.size)
    for step in range(1, 6):
        assert after[1 + step] == pytest.approx(start + (goal - start) * step / 5, abs=0.01)


def test_a_move_too_long_is_refused_and_the_advice_works(build: Build) -> None:
    model = wandering(build(rules=False, capacity=4, max_step=0.4).model)
    scene = imagined(model)
    ways = [np.abs(centres(scene, n, model.size)[1] - 8).max() for n in range(4)]
    number = int(np.argmax(ways))
    x, y = centres(scene, number, model.size)[1]
    with pytest.raises(
        UserError, match=rf"object {number} is at {x:.1f},{y:.1f} in fra"
    ) as refused:
        imagined(model, Move(number, frame=3, to=(8, 8)))
    message = str(refused.value)
    assert "at most 3.2 pixels across and 3.2 down a frame" in message
    advice = parse_intervention(re.findall(r'"(.+)"', message)[0])
    assert isinstance(advice, Move)
    assert advice.end == 2 + math.ceil(ways[number] / 3.2)
    assert 3 < advice.end <= FRAMES
    reached = centres(imagined(model, advice), number, model.size)[advice.end - 1]
    assert reached == pytest.approx((8, 8), abs=0.01)
    with pytest.raises(UserError, match="let it arrive later"):
        imagined(model, Move(number, frame=3, to=(8, 8), last=advice.end - 1))


def test_who_is_on_the_way_does_not_die(build: Build) -> None:
    model = wandering(build(presence="hard", rules=False, capacity=4).model, survival=0.01)
    scene = imagined(model, Move(0, frame=2, to=(8, 8), last=5), Freeze(3, frame=2, last=4))
    assert lives(scene, 0)[:5] == [True] * 5
    assert lives(scene, 3)[:4] == [True] * 4
    assert not lives(scene, 0)[6]
    assert not any(lives(scene, 1)[4:])


def test_a_frozen_object_stays_as_it_is(model: Scalor) -> None:
    before, after = imagined(model), imagined(model, Freeze(2, frame=4))
    still = latents(after, 2)
    last = latents(before, 2)[2]
    assert last is not None
    for each in still[3:]:
        assert each is not None
        torch.testing.assert_close(each[1:], last[1:], rtol=0, atol=1e-6)
    alike(before, after, (0, 1, 3))
    moving = centres(before, 2, model.size)
    assert np.abs(moving[3:] - moving[2]).max() > 0.05


def test_a_thaw(model: Scalor) -> None:
    path = centres(imagined(model, Freeze(2, frame=3, last=5)), 2, model.size)
    assert path[2:5] == pytest.approx(np.repeat(path[1:2], 3, 0), abs=1e-4)
    assert np.abs(path[5] - path[4]).max() > 1e-3


def test_the_intervention_that_began_last_is_in_force(model: Scalor) -> None:
    x, y = centres(imagined(model), 1, model.size)[2]
    there = (float(np.clip(x + 0.5, 0, 16)), float(np.clip(y, 0, 16)))
    # In whichever order they are given.
    scene = imagined(model, Remove(1, frame=7), Move(1, frame=5, to=there), Freeze(1, frame=3))
    rows = latents(scene, 1)
    assert lives(scene, 1) == [True] * 6 + [False]
    torch.testing.assert_close(rows[2], rows[3])
    assert rows[4] is not None
    assert rows[5] is not None
    place = boxes_from_where(rows[4][1:5] * torch.tensor([1, 1, 0, 0]), model.size)[:2]
    assert place.tolist() == pytest.approx(there, abs=0.01)
    torch.testing.assert_close(rows[4][1:], rows[5][1:])


def test_all_videos_of_a_batch_that_have_the_object(model: Scalor) -> None:
    before, after = (imagined(model, *do, videos=3) for do in ((), (Remove(0, frame=3),)))
    for video in range(3):
        assert lives(before, 0, video) == [True] * FRAMES
        assert lives(after, 0, video) == [True] * 2 + [False] * 5
        assert lives(after, 1, video) == [True] * FRAMES


@pytest.mark.parametrize("name", PROPAGATION)
def test_every_propagation_prior(build: Build, name: str) -> None:
    pair = build(rules=False, capacity=4, max_step=0.5)
    choice = PriorConfig(propagation=name)
    torch.manual_seed(0)
    model = build_model(pair.config.model_copy(update={"prior": choice}))
    before = imagined(model)
    after = imagined(model, Remove(1, frame=4), Freeze(2, frame=4), Move(0, 4, (8, 8), last=7))
    assert lives(after, 1) == [True] * 3 + [False] * 4
    assert centres(after, 2, model.size)[3:] == pytest.approx(
        np.repeat(centres(before, 2, model.size)[2:3], 4, 0), abs=1e-4
    )
    assert centres(after, 0, model.size)[6] == pytest.approx((8, 8), abs=0.01)
    # Where objects look at each other, the fourth one sees what happens; else it goes on as before.
    alike(before, after, (3,), 3 if name in ("interaction", "dynamics", "forks") else FRAMES)


# ---------------------------------------------------------------------- as Pyro's do


def test_the_site_is_split_and_only_the_objects_slot_is_changed(model: Scalor) -> None:
    traces = []
    for interventions in ((), (Freeze(1, frame=4),)):
        torch.manual_seed(5)
        with torch.no_grad():
            traces.append(poutine.trace(run).get_trace(Intervene(model, interventions)(model)))
    plain, acted = traces
    assert plain.nodes.keys() == acted.nodes.keys()
    for name in ("pres", "where", "depth", "what"):
        site, other = (trace.nodes[f"z_{name}_prop_3"] for trace in traces)
        # What others see is what was drawn, with its density: from the same noise.
        assert torch.equal(site["value"], other["value"])
        assert not other["is_observed"]
        assert [frame.name for frame in other["cond_indep_stack"]] == [
            frame.name for frame in site["cond_indep_stack"]
        ]
    plain.compute_log_prob()
    acted.compute_log_prob()
    for name in ("pres", "where", "depth", "what"):
        site, other = (trace.nodes[f"z_{name}_prop_3"] for trace in traces)
        assert torch.equal(site["log_prob_sum"], other["log_prob_sum"])
    before, after = (trace.nodes["_RETURN"]["value"] for trace in traces)
    # In that frame, with torch's own noise too, nobody else is touched.
    alike(before, after, (0, 2, 3), frames=4)
    with pytest.raises(AssertionError):
        alike(before, after, (1,), frames=4)


def test_a_trace_inside_sees_both_values_and_the_change_has_no_density(model: Scalor) -> None:
    with torch.no_grad(), Intervene(model, [Remove(1, frame=4)]):
        trace = poutine.trace(run).get_trace(model)
    trace.compute_log_prob()
    site, changed = (trace.nodes[f"z_pres_prop_3{end}"] for end in ("", "__CF"))
    assert (site["value"] != changed["value"]).sum() == 1
    assert model.presence.weight(changed["value"]).min() < 1e-5
    assert changed["log_prob_sum"] == 0
    assert site["log_prob_sum"] != 0


def test_a_value_given_by_condition_is_what_is_changed(model: Scalor) -> None:
    what = torch.full((1, 4, 3), 2.0)
    given = poutine.condition(model, data={"z_what_prop_2": what})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.manual_seed(0)
        with torch.no_grad(), Intervene(model, [Freeze(1, frame=3)]):
            scene = run(given)
    for identity in range(4):
        row = latents(scene, identity)[2]
        assert row is not None
        assert (row[-3:] == 2.0).all() == (identity != 1)


def test_one_handler_in_another(model: Scalor) -> None:
    both = imagined(model, Remove(0, frame=3), Freeze(1, frame=3))
    torch.manual_seed(3)
    with torch.no_grad(), SameNoise(model), Intervene(model, [Remove(0, frame=3)]):
        nested = run(Intervene(model, [Freeze(1, frame=3)])(model))
    assert torch.equal(both.image, nested.image)


def test_the_guide_is_left_alone_and_nothing_stays_behind(build: Build) -> None:
    pair = build(capacity=4)
    video = pair.video(1, 4)
    plain = infer(pair.model, pair.guide, video)
    with SameNoise(pair.model), Intervene(pair.model, []):
        again = infer(pair.model, pair.guide, video)
    assert torch.equal(plain.image, again.image)
    with SameNoise(pair.model):
        torch.manual_seed(1)
        first = infer(pair.model, pair.guide, video, sample=True)
        torch.manual_seed(1)
        second = infer(pair.model, pair.guide, video, sample=True)
    assert torch.equal(first.image, second.image)
    with pytest.raises(UserError):
        imagined(pair.model, Remove(17, frame=2))
    assert not pair.model._forward_hooks
    assert not pair.model.propagation._forward_pre_hooks


# ---------------------------------------------------------------------- noise


def test_noise_depends_on_key_video_and_identity_alone() -> None:
    ids = np.array([[4, -1, 7], [7, 4, -1]])
    noise = identity_noise(1, ids, (2,))
    assert noise.shape == (2, 3, 2)
    moved = identity_noise(1, np.array([[7, 9, 4]]), (2,))
    assert np.array_equal(moved[0, 2], noise[0, 0])
    assert np.array_equal(moved[0, 0], noise[0, 2])
    assert (noise[0, 1] == 0.5).all()
    others = [identity_noise(2, ids, (2,))[0, 0], noise[1, 1], noise[0, 2], moved[0, 1]]
    assert all((noise[0, 0] != other).all() for other in others)
    many = identity_noise(5, np.arange(4000)[None], ())
    assert many.mean() == pytest.approx(0.5, abs=0.02)
    assert many.var() == pytest.approx(1 / 12, abs=0.01)


@pytest.mark.parametrize(
    "fn",
    [
        dist.Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])),
        dist.Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])).to_event(1),
        LogitRelaxedBernoulli(0.4, torch.tensor([1.0, -2.0])),
        dist.Bernoulli(logits=torch.tensor([1.0, -2.0])),
    ],
)
def test_quantiles_have_the_distribution(fn: Any) -> None:
    torch.manual_seed(0)
    values = quantile(fn, torch.rand(40000, 2))
    samples = fn.sample((40000,))
    assert values is not None
    for of in (torch.mean, torch.std):
        torch.testing.assert_close(of(values, 0), of(samples, 0), rtol=0.05, atol=0.05)


def test_what_has_no_quantiles_is_drawn_as_usual(model: Scalor) -> None:
    class Mixed(nn.Module):
        def __init__(self, prior: Any) -> None:
            super().__init__()
            self.prior = prior

        def forward(self, *arguments: Any) -> Any:
            found = self.prior(*arguments)
            weights = dist.Categorical(logits=torch.zeros(*found.depth.batch_shape, 1))
            parts = dist.Normal(found.depth.loc[..., None], found.depth.scale[..., None])
            return found._replace(depth=dist.MixtureSameFamily(weights, parts))

        def __getattr__(self, name: str) -> Any:
            return super().__getattr__(name) if name == "prior" else getattr(self.prior, name)

    assert (
        quantile(
            dist.MixtureSameFamily(
                dist.Categorical(torch.ones(1, 1)), dist.Normal(torch.zeros(1, 1), 1.0)
            ),
            torch.rand(1),
        )
        is None
    )
    model.propagation = Mixed(model.propagation)  # type: ignore[assignment]
    scene = imagined(model, Remove(1, frame=3))
    assert lives(scene, 1) == [True] * 2 + [False] * 5


# ---------------------------------------------------------------------- words and errors


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("remove 3@7", Remove(3, 7)),
        ("  freeze 0@2 ", Freeze(0, 2)),
        ("freeze 0@2-9", Freeze(0, 2, 9)),
        ("freeze 0@2-2", Freeze(0, 2, 2)),
        ("move 12@7 20,40", Move(12, 7, (20, 40), 7)),
        ("move 12@7-10  20.5 , 4", Move(12, 7, (20.5, 4), 10)),
    ],
)
def test_words(words: str, made: Intervention) -> None:
    assert parse_intervention(words) == made
    assert parse_intervention(str(made)) == made


@pytest.mark.parametrize(
    "words",
    ["", "remove", "remove 3", "remove x@7", "remove 3@7-9", "remove 3@7 1,2", "freeze 3@7 1,2",
     "move 3@7", "move 3@7 4", "move 3@7 4,nan", "drop 3@7",
     "remove -3@7", "remove 3@7 freeze 2@8"],
)  # fmt: skip
def test_other_words(words: str) -> None:
    with pytest.raises(UserError, match="give one of: remove ID@FRAME, move ID@FRAME X,Y, freeze"):
        parse_intervention(words)


def test_objects_that_are_not_there(model: Scalor) -> None:
    with pytest.raises(UserError, match="no object 9 comes into frame 4; in frame 3 there are 0 a"):
        imagined(model, Remove(9, frame=4))
    with pytest.raises(UserError, match=r"freeze 1@5: no object 1 .* are 0 at .*; 2 at .*; 3 at"):
        imagined(model, Remove(1, frame=4), Freeze(1, frame=5))
    with pytest.raises(UserError, match=r"move 0@6 8,8: no object 0 .* in frame 5 there is none"):
        imagined(model, *(Remove(n, frame=4) for n in range(4)), Move(0, 6, (8, 8)))


@pytest.mark.parametrize(
    ("interventions", "message"),
    [
        ([Remove(0, 1)], "the first frame that can be acted on is 2"),
        ([Freeze(0, 4, 3)], "the last frame comes before the first"),
        ([Move(0, 4, (1, 1), 0)], "the last frame comes before the first"),
        ([Remove(0, 4), Freeze(0, 4)], '"remove 0@4" and "freeze 0@4" begin in the same frame'),
        ([Remove(0, FRAMES + 1)], "not run as far as this frame"),
        ([Move(0, 3, (17, 1))], "inside the view, which is 16 pixels wide and 16 high"),
    ],
)
def test_impossible_interventions(
    model: Scalor, interventions: list[Intervention], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        imagined(model, *interventions)


def test_a_program_without_a_propagation_prior() -> None:
    with pytest.raises(UserError, match="needs a program with a module `propagation`"):
        Intervene(nn.Linear(1, 1), [])
    with SameNoise(nn.Linear(1, 1)):
        pass


# ---------------------------------------------------------------------- clips and command line


def seeing(run: Path, side: int) -> Program:
    """A run that has learned nothing but sees something in every cell, and keeps it."""
    model = {"object_width": [side / 5, side / 2], "object_height": [side / 5, side / 2]}
    program = fresh(run, Square(side, side), model=model)
    for head in (program.guide.proposal.presence, program.guide.propagation.presence):
        nn.init.constant_(head[-1].bias, 6.0)
    save_checkpoint(run, 1, program.parts, {})
    return program


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return seeing(tmp_path_factory.mktemp("whatif") / "run", 16)


def continued(program: Program, *interventions: Intervention) -> Any:
    clip = Square().clip(0, 3).video
    return continue_clip(
        program, clip, observe=3, frames=FRAMES, seed=0, interventions=interventions
    )


def test_a_continued_clip(program: Program) -> None:
    before, after = continued(program), continued(program, Remove(0, frame=5))
    assert lives(before, 0) == [True] * FRAMES
    assert lives(after, 0) == [True] * 4 + [False] * 3
    assert torch.equal(before.image[:, :4], after.image[:, :4])
    others = set(before.trackers[2].ids.flatten().tolist()) - {0, -1}
    assert others
    for identity in others:
        alive = sum(lives(before, identity))
        assert lives(after, identity)[:alive] == lives(before, identity)[:alive]
        alike(before, after, (identity,), frames=alive)


def test_observed_frames_and_those_that_never_come(program: Program) -> None:
    for wrong in (Remove(0, 3), Remove(0, 8), Freeze(0, 4, 8), Move(0, 7, (1, 1), 8)):
        message = rf"{wrong}: frames 4 to 7 are imagined and can be acted on \(3 are observed\)"
        with pytest.raises(UserError, match=message):
            continued(program, wrong)


def test_command(cli: CommandLine, tmp_path: Path) -> None:
    seeing(tmp_path / "run", 16)
    write_clips(tmp_path / "clips.nc")
    observe = ("--observe", tmp_path / "clips.nc", "--observe-frames", 3, "--frames", 6)
    common = ("generate", tmp_path / "run", *observe, *ALONE)
    out = tmp_path / "out"
    said = cli(*common, "--do", "remove 0@5", "--do", "freeze 1@4", "--boxes", "--out", out)
    assert said.code == 0, said
    names = [*(f"video_000.{kind}" for kind in ("mp4", "gif", "png")), "whatif.png", "whatif.gif"]
    assert said.out.splitlines() == [str(out / name) for name in names]
    both = frames_of(out / "whatif.gif")
    alone = frames_of(out / "video_000.mp4")
    side = alone.shape[1]
    assert both.shape[1:3] == (side, 2 * side + 4)
    left, right = both[:, :, :side], both[:, :, side + 4 :]
    assert np.array_equal(left[0], right[0])
    assert not np.array_equal(left[-1], right[-1])
    # The files that generate writes anyway show the intervention.
    shown = np.abs(alone[-1].astype(int) - right[-1]).mean()
    assert shown < np.abs(alone[-1].astype(int) - left[-1]).mean()
    with Image.open(out / "whatif.png") as image:
        image.load()
        assert image.width > 6 * side
    plain = cli(*common, "--out", tmp_path / "plain")
    assert plain.code == 0
    assert not (tmp_path / "plain" / "whatif.png").exists()


def test_command_refuses(cli: CommandLine, tmp_path: Path) -> None:
    seeing(tmp_path / "run", 16)
    write_clips(tmp_path / "clips.nc")
    alone = ("generate", tmp_path / "run", *ALONE)
    assert "give one with --observe" in cli.refused(*alone, "--do", "remove 0@5")
    observe = (*alone, "--observe", tmp_path / "clips.nc", "--observe-frames", 3, "--frames", 6)
    assert "give one of: remove ID@FRAME" in cli.refused(*observe, "--do", "remove")
    assert "frames 4 to 6 are imagined" in cli.refused(*observe, "--do", "remove 0@3")
    assert "in frame 4 there are 0 at" in cli.refused(*observe, "--do", "remove 9@5")
    assert not (tmp_path / "run" / "generated").exists()


def test_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python example of docs/whatif.md runs as it is printed."""
    program = seeing(tmp_path / "runs" / "ld", 64)
    monkeypatch.chdir(tmp_path)
    text = DOCUMENT.read_text()
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, str(DOCUMENT), "exec"), names)
    assert program.model.size == (64, 64)
    before, after, empty = names["before"], names["after"], names["empty"]
    assert lives(before, 0) == [True] * 12
    assert lives(after, 0) == [True] * 7 + [False] * 5
    rows = latents(after, 1)
    assert rows[5] is not None
    assert rows[11] is not None
    torch.testing.assert_close(rows[5][1:], rows[11][1:])
    assert [bool(each.alive.any()) for each in empty.trackers] == [True] * 7 + [False] * 5
    assert names["unlikely"].isfinite()
    for words in re.findall(r"`((?:remove|move|freeze) [^`]*)`|--do \"([^\"]*)\"", text):
        assert parse_intervention("".join(words))
