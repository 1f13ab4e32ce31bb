"""Numbers that are not finite are diagnosed by name, wherever they come in."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from tiny import CPU, Square, fresh, metrics_of, same, trained, weights_of
from torch import Tensor

from scalor_ppl.errors import TrainingError
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.culprits import culprit
from scalor_ppl.programs import Program
from scalor_ppl.training import loop as training
from scalor_ppl.training.checkpoints import all_checkpoints
from scalor_ppl.training.loop import train
from scalor_ppl.training.runs import METRICS
from scalor_ppl.training.step import TrainingStep

MODEL = {"background": "vae", "background_dim": 2}
ONCE = {"steps": 1, "patience": 1}
BAD = pytest.mark.parametrize("bad", [math.nan, math.inf], ids=str)
KINDS = ("pres", "where", "depth", "what")
LATENTS = [
    *(f"z_{kind}_disc_{t}" for t in range(3) for kind in KINDS),
    *(f"z_{kind}_prop_{t}" for t in (1, 2) for kind in KINDS),
    *(f"z_bg_{t}" for t in range(3)),
]


class Injected(Messenger):
    """Puts a number into one site of video 1: tracker or cell 1, where it has such."""

    def __init__(self, site: str, what: str, bad: float, *, model: bool) -> None:
        super().__init__()
        self.site = site
        self.what = what
        self.bad = bad
        self.model = model

    def _ours(self, msg: Any) -> bool:
        return msg["name"] == self.site and not site_is_subsample(msg)

    def _pyro_sample(self, msg: Any) -> None:
        # In the model every value is given: observed, or replayed.
        if not self._ours(msg) or (msg["value"] is not None) != self.model:
            return
        fn = msg["fn"]
        while hasattr(fn, "base_dist"):
            fn = fn.base_dist
        if self.what != "value":
            setattr(fn, self.what, self._spoilt(vars(fn)[self.what]))

    def _pyro_post_sample(self, msg: Any) -> None:
        if self._ours(msg) and self.what == "value":
            msg["value"] = self._spoilt(msg["value"])

    def _spoilt(self, numbers: Tensor) -> Tensor:
        spoilt = numbers.clone()
        spoilt[1, min(1, spoilt.shape[1] - 1)] = self.bad
        return spoilt


def diagnosed(run: Path, injected: Messenger | None = None, **tables: Any) -> str:
    """What a training of one step says as it gives up; nothing half-written is left."""
    with pytest.raises(TrainingError) as caught, injected or Messenger():
        trained(run, model=MODEL | tables.pop("model", {}), train=ONCE | tables)
    assert not all_checkpoints(run)
    assert not (run / METRICS).exists()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> TrainingStep:
    return TrainingStep(fresh(tmp_path_factory.mktemp("step") / "run", model=MODEL))


@pytest.mark.parametrize("site", LATENTS)
def test_every_latent(site: str, step: TrainingStep) -> None:
    """Posterior and prior, their parameters and the value: the first that is not finite."""
    names = {"logits": "log-odds", "loc": "mean", "scale": "standard deviation"}
    place = {"disc": "cell 1, video 1", "prop": "tracker 1, video 1"}
    parameters = ["logits"] if "pres" in site else ["loc", "scale"]
    video = to_video(np.stack([Square().clip(i, 3).video for i in range(2)]), CPU)
    for bad in (math.nan, math.inf, -math.inf):
        for what in (*parameters, "value"):
            for side in ("guide", "model"):
                torch.manual_seed(0)  # by which tracker 1 of video 1 lives all the time
                with Injected(site, what, bad, model=side == "model"), fast_pyro():
                    traces = step.objective(video).traces
                said = culprit(step.program.parts, (video,), traces)
                owner = "guide" if what == "value" else side
                where = place.get(site.split("_")[2], "video 1")
                assert said == f"{site} of the {owner}: {names.get(what, what)} is {bad}, {where}"


@pytest.mark.parametrize("site", ["z_where_disc_0", "z_pres_prop_1", "z_what_prop_2", "z_bg_1"])
def test_a_training_ends_by_name(site: str, tmp_path: Path) -> None:
    said = diagnosed(tmp_path / "run", Injected(site, "value", math.nan, model=False))
    assert f"{site} of the guide: value is nan, " in said


@BAD
@pytest.mark.parametrize("t", range(3))
def test_every_frame(t: int, bad: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = training.to_video

    def spoilt(*given: Any) -> Tensor:
        video = inner(*given).clone()
        video[1, t, 0, 3:5, 2] = bad
        return video

    monkeypatch.setattr(training, "to_video", spoilt)
    assert f"frame {t} of video 1 is {bad} in 2 of 768 values)" in diagnosed(tmp_path / "run")


@BAD
@pytest.mark.parametrize("what", ["loc", "value"])
def test_what_is_rendered(what: str, bad: float, tmp_path: Path) -> None:
    said = diagnosed(tmp_path / "run", Injected("x_2", what, bad, model=True))
    assert f"x_2 of the model: {'mean' if what == 'loc' else what} is {bad}, video 1)" in said


@BAD
def test_every_parameter(bad: float, tmp_path: Path) -> None:
    program = fresh(tmp_path / "run", model=MODEL, train=ONCE)
    video = torch.zeros(2, 2, 3, 16, 16)
    named = [(p, n, t) for p, part in program.parts.items() for n, t in part.named_parameters()]
    assert len(named) > 40
    for part, name, parameter in named:
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter[(-1,) * parameter.dim()] = bad
        said = culprit(program.parts, (video,), None)
        assert said == f"first with a non-finite value: {part}.{name}, 1 in all"
        with torch.no_grad():
            parameter.copy_(kept)


def test_gradients_alone(tmp_path: Path) -> None:
    program = fresh(tmp_path / "run")
    parameter = dict(program.guide.named_parameters())["proposal.where_depth.weight"]
    parameter.register_hook(lambda slope: slope * math.nan)
    with pytest.raises(TrainingError, match=r"gradient: guide\.proposal\.where_depth\.weight, 1 "):
        train(program.on(with_patience(program, 1)), Square(), tmp_path / "run")


def with_patience(program: Program, patience: int) -> Any:
    few = program.config.train.model_copy(update={"patience": patience})
    return program.config.model_copy(update={"train": few})


@pytest.mark.parametrize("estimator", ["iwae", "dreg", "scalor", "pyro.infer:Trace_ELBO"])
def test_every_kind_of_estimator(estimator: str, tmp_path: Path) -> None:
    """One of Pyro's own does not tell what it computed: it is looked at again."""
    injected = Injected("z_where_prop_1", "scale", math.nan, model=False)
    said = diagnosed(tmp_path / "run", injected, estimator=estimator)
    # DReG evaluates the guide again at what it drew, so there it is the value.
    what = "value" if estimator == "dreg" else "standard deviation"
    assert f"z_where_prop_1 of the guide: {what} is nan, tracker 1, video 1" in said


def test_particles_are_told_apart(tmp_path: Path) -> None:
    class Third(Injected):
        def _spoilt(self, numbers: Tensor) -> Tensor:
            spoilt = numbers.clone()
            spoilt[5, 0] = self.bad  # of 3 particles of 2 videos
            return spoilt

    injected = Third("z_what_disc_0", "value", math.nan, model=False)
    said = diagnosed(tmp_path / "run", injected, estimator="iwae", particles=3)
    assert "z_what_disc_0 of the guide: value is nan, cell 0, video 1, particle 2)" in said


def test_presence_that_cannot_be_drawn(tmp_path: Path) -> None:
    """A hard presence has no sample where its log-odds are no number."""
    injected = Injected("z_pres_prop_2", "logits", math.nan, model=False)
    said = diagnosed(tmp_path / "run", injected, model={"presence": "hard"}, estimator="elbo")
    assert "z_pres_prop_2 of the guide: log-odds is nan, tracker 1, video 1" in said


def test_a_fault_of_another_kind_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(training._Training, "_estimate", fails)
    with pytest.raises(RuntimeError, match="something else"):
        trained(tmp_path / "run", train=ONCE)


@pytest.mark.parametrize("background", ["none", "vae"])
def test_what_is_masked_is_a_culprit_only_where_it_does_harm(
    background: str, tmp_path: Path
) -> None:
    program = fresh(tmp_path / "run", model=MODEL | {"background": background})
    nothing = torch.zeros(2, 3, 3, 16, 16)
    with torch.no_grad():  # no object is found, so no tracker lives
        program.guide.proposal.presence[-1].bias.fill_(-20.0)
    with Injected("z_where_prop_1", "loc", math.nan, model=False):
        said = culprit(program.parts, (nothing,), None)
    if background == "none":
        assert said is None
        return
    assert said is not None
    assert said.startswith("z_bg_1 of the model: mean is nan, video 1; before it, where nothing ")
    assert said.endswith("exists, z_where_prop_1 of the guide: mean is nan, tracker 1, video 1")


def test_a_skipped_step_is_said_once_for_each_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.WARNING, "scalor_ppl"),
        Injected("z_what_disc_1", "value", math.nan, model=False),
    ):
        _, outcome = trained(tmp_path / "run", train={"steps": 4, "patience": 9})
    assert outcome.skipped == 4
    (said,) = caplog.messages
    assert said == ("step 1 was skipped: z_what_disc_1 of the guide: value is nan, cell 1, video 1")


def test_a_step_that_is_finite_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr(training, "culprit", asked)
    _, outcome = trained(tmp_path / "run")
    assert outcome.step == 3


def test_looking_again_leaves_the_training_as_it_was(tmp_path: Path) -> None:
    """Another pass draws noise of its own: what comes after is what would have come."""
    estimator = {"estimator": "pyro.infer:Trace_ELBO", "steps": 3}
    trained(tmp_path / "whole", train=estimator)
    program = fresh(tmp_path / "run", train=estimator)
    state = torch.get_rng_state()
    assert culprit(program.parts, (torch.rand(2, 2, 3, 16, 16),), None) is None
    assert not torch.equal(torch.get_rng_state(), state)  # torch.rand itself
    torch.set_rng_state(state)
    culprit(program.parts, (torch.zeros(2, 2, 3, 16, 16),), None)
    assert torch.equal(torch.get_rng_state(), state)
    train(program, Square(), tmp_path / "run")
    assert same(weights_of(tmp_path / "whole"), weights_of(tmp_path / "run"))


def test_parameters_that_a_step_spoilt_are_not_written(tmp_path: Path) -> None:
    """Loss and gradient were finite, the optimizer's step was not."""
    run = tmp_path / "run"

    class Spoils(training.Silent):
        def stepped(self, step: int, figures: Any) -> None:
            if step == 4:
                with torch.no_grad():
                    next(program.model.parameters()).fill_(math.inf)

    program = fresh(run, train={"steps": 9, "checkpoint_every": 2})
    with pytest.raises(
        TrainingError, match=r"step 4 left .* non-finite value: model\.\w"
    ) as caught:
        train(program, Square(), run, watcher=Spoils())
    assert [path.name for path in all_checkpoints(run)] == ["step_0000002"]
    assert "the last good checkpoint is" in str(caught.value)
    assert len(metrics_of(run)) == 4
