"""What a trained program is judged to do on held-out clips, and the sheet that shows it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import Square, trained

from scalor_ppl.errors import UserError
from scalor_ppl.inference.bounds import bound_of, log_weights
from scalor_ppl.inference.rates import latent_rates
from scalor_ppl.inference.scoring import reconstruction_error
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.programs import Program
from scalor_ppl.studies.systems.judge import Judgement, JudgingQuestion, floor_of, judge
from scalor_ppl.studies.systems.sheet import side_by_side

QUESTION = JudgingQuestion(clips=4, bound_clips=3, particles=5, frames=3)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    return trained(tmp_path_factory.mktemp("judged") / "run")[0]


def test_a_judgement_is_the_bound_and_the_error_of_evaluate(program: Program) -> None:
    found = judge(program, Square(), QUESTION)
    bound = bound_of(program, Square(), estimator="iwae", particles=5, clips=3, frames=3)
    assert found.bound == bound
    assert bound.presence == "hard"
    assert len(bound.by_clip) == 3
    assert np.mean(bound.by_clip) == pytest.approx(bound.per_video)
    assert found.nll_bound == pytest.approx(-bound.per_video / (16 * 16))
    # A pixel over the sequence has 3 channels and 3 frames.
    assert found.nll_bound == pytest.approx(-9 * bound.per_pixel)
    assert bound.error is not None
    assert found.nll_error == pytest.approx(bound.error / 256)
    assert found.mse == pytest.approx(reconstruction_error(program, Square(), clips=4, frames=3))
    assert len(found.errors) == 4
    assert found.mse_error == pytest.approx(np.std(found.errors, ddof=1) / 2)
    assert Judgement.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_differences_are_clip_by_clip(program: Program) -> None:
    found = judge(program, Square(), QUESTION)
    assert found.over(found) == (0, 0)
    worse = Judgement.from_dict(found.to_dict())
    values = tuple(value - 256 * (1 + n) for n, value in enumerate(found.bound.by_clip))
    object.__setattr__(worse.bound, "by_clip", values)
    difference, error = worse.over(found)
    assert difference == pytest.approx(2)  # 1, 2 and 3 nats a pixel
    assert error == pytest.approx(1 / math.sqrt(3))
    object.__setattr__(worse, "sigma", 0.5)
    with pytest.raises(ValueError, match="sigma"):
        worse.over(found)


def test_no_bound_is_below_the_floor() -> None:
    values = torch.zeros(30)
    density = torch.distributions.Normal(values, 0.2).log_prob(values).sum().item()
    assert floor_of(0.2, 30) == pytest.approx(-density)


def test_a_bound_is_floor_misfit_and_rest(program: Program) -> None:
    found = judge(program, Square(), QUESTION)
    assert found.values == 9
    assert found.floor == floor_of(found.sigma, 9)
    error = np.mean(found.errors[:3])  # of the clips that are bounded
    assert found.misfit == pytest.approx(9 * error / (2 * found.sigma**2))
    assert found.floor + found.misfit + found.rest == pytest.approx(found.nll_bound)


def test_latents_and_what_drawing_them_adds_make_up_the_elbo(program: Program) -> None:
    rates = latent_rates(program, Square(), clips=1, frames=3, draws=6)
    video = to_video(Square().clip(0, 3).video[None], torch.device("cpu"))
    torch.manual_seed(0)
    weights = log_weights(program, video, 6, presence="hard")
    assert rates.log_likelihood - rates.total == pytest.approx(weights.mean().item(), rel=1e-5)
    assert {"where_disc", "what_prop"} <= rates.by_kind.keys()
    found = judge(program, Square(), QUESTION)
    assert found.latents == pytest.approx(found.rates.total / 256)
    whole = found.floor + found.misfit + found.drawn + found.latents
    assert whole == pytest.approx((found.rates.total - found.rates.log_likelihood) / 256)


def test_the_sheet_shows_each_program(program: Program, tmp_path: Path) -> None:
    clip = Square().clip(0, 4).video
    side_by_side({"one": program}, clip, tmp_path / "one.png", observed=2)
    side_by_side({"one": program, "two": program}, clip, tmp_path / "two.png", observed=2)
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        # Rows are the clip, and found, seen, imagined of each.
        assert (two.height - one.height) / one.height == pytest.approx(3 / 4, abs=0.05)
    again = tmp_path / "again.png"
    side_by_side({"one": program}, clip, again, observed=2)
    assert again.read_bytes() == (tmp_path / "one.png").read_bytes()
    with pytest.raises(UserError, match="--observe 4: clips have 4 frames"):
        side_by_side({"one": program}, clip, again, observed=4)
    with pytest.raises(UserError, match="bring it to that size"):
        side_by_side({"one": program}, np.zeros((4, 8, 8, 3), np.uint8), again, observed=2)
