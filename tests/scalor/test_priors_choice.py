"""Priors by name: every registered one in a program, one of a user's own, and wrong names."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import torch
from conftest import TINY_GUIDE, TINY_MODEL, Pair
from pyro import poutine
from tiny import ALONE, CommandLine, weights_of

from scalor_ppl.errors import UserError
from scalor_ppl.guides.scalor import build_guide
from scalor_ppl.models.scalor import build_model
from scalor_ppl.objectives.estimators import make_estimator
from scalor_ppl.programs.configuration import checked, read_config
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.priors import ConstantDiscovery, RecurrentBackground, RecurrentPropagation
from scalor_ppl.scalor.priors.registry import BACKGROUND, DISCOVERY, PROPAGATION, build_priors
from scalor_ppl.scalor.settings import ModelConfig, PriorConfig
from scalor_ppl.training.runs import CONFIG, run_config
from scalor_ppl.training.sources import anchored

FRICTION = Path(__file__).parents[2] / "docs" / "my_prior.py"
KINDS = ("relaxed", "hard")
EVERY = [
    *({"discovery": name} for name in DISCOVERY),
    *({"propagation": name} for name in PROPAGATION),
    *({"background": name} for name in BACKGROUND),
    {"propagation": f"{FRICTION}:Friction"},
]
every_prior = pytest.mark.parametrize(
    "names", EVERY, ids=lambda names: Path(next(iter(names.values()))).name
)


def program(names: dict[str, str], **model: Any) -> Pair:
    """A tiny program with these priors and a background."""
    settings = TINY_MODEL | {"background": "vae"} | model
    config = ScalorConfig(model=settings, guide=TINY_GUIDE, prior=names)
    torch.manual_seed(0)
    built = build_model(config)
    return Pair(config, built, build_guide(config, built))


def parts(pair: Pair) -> dict[str, torch.nn.Parameter]:
    """The parameters of the three priors."""
    roles = ("discovery.", "propagation.", "background.")
    return {n: p for n, p in pair.model.named_parameters() if n.startswith(roles)}


@every_prior
@pytest.mark.parametrize("kind", KINDS)
def test_every_prior_trains(names: dict[str, str], kind: str) -> None:
    pair = program(names, presence=kind, discovery_rate=0.9)
    objective: Any = make_estimator("elbo")
    optimizer = torch.optim.Adam([*pair.model.parameters(), *pair.guide.parameters()], 1e-3)
    # Twice: a state that is 0 before anything is learned lets no gradient through to its weights.
    for _ in range(2):
        optimizer.zero_grad()
        loss = objective.differentiable_loss(pair.model, pair.guide, pair.video(4, 5))
        assert torch.isfinite(loss)
        loss.backward()
        optimizer.step()
    for name, parameter in parts(pair).items():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        if any(part in name for part in ("collisions", "walls", "bodies")):
            continue  # where nothing touches
        if name in ("background.first.about", "background.first.likeness"):
            continue  # kernels of backgrounds are the same under all circumstances
        assert parameter.grad.abs().sum() > 0, name


@every_prior
@pytest.mark.parametrize("kind", KINDS)
def test_every_prior_generates(names: dict[str, str], kind: str) -> None:
    model = program(names, presence=kind).model.eval()
    trace = poutine.trace(model).get_trace(videos=3, frames=4, discovery=[0.6, 0.0, 0.4, None])
    # Plate shapes, supports and densities of all sites, under Pyro's validation.
    assert torch.isfinite(trace.log_prob_sum())
    scene = trace.nodes["_RETURN"]["value"]
    assert scene.image.shape == (3, 4, 3, 16, 16)
    found = [int(each.discovered.sum()) for each in scene.trackers]
    assert found[0] > 0
    assert found[1] == 0


@every_prior
def test_no_prior_discovers_at_rate_0(names: dict[str, str]) -> None:
    model = program(names, presence="hard").model
    scene = model(videos=50, frames=3, discovery=[0.0] * 3)
    assert not any(each.alive.any() for each in scene.trackers)


def test_all_alternatives_together() -> None:
    for d, p, b in itertools.product(DISCOVERY, PROPAGATION, BACKGROUND):
        pair = program({"discovery": d, "propagation": p, "background": b})
        chosen = pair.model.discovery, pair.model.propagation, pair.model.background
        assert [type(each) for each in chosen] == [DISCOVERY[d], PROPAGATION[p], BACKGROUND[b]]
        scene = pair.model(pair.video(1, 2))
        assert scene.image.shape == (1, 2, 3, 16, 16)
        assert 0 <= scene.image.min() < scene.image.max() <= 1
        # Model and guide fit each other: every latent of one is one of the other, and all count.
        loss = make_estimator("elbo").differentiable_loss(pair.model, pair.guide, pair.video(1, 2))
        loss.backward()
        assert torch.isfinite(loss)
        idle = [n for n, p in parts(pair).items() if p.grad is None or not p.grad.isfinite().all()]
        assert not idle


def test_defaults_are_the_papers() -> None:
    assert ScalorConfig().prior == PriorConfig()
    model = program({}).model
    assert type(model.discovery) is ConstantDiscovery
    assert type(model.propagation) is RecurrentPropagation
    assert type(model.background) is RecurrentBackground
    assert program({}, background="none").model.background is None


def test_a_configuration_without_the_table_loads(tmp_path: Path) -> None:
    old = ScalorConfig().model_dump(mode="json", exclude_none=True)
    del old["prior"]
    (tmp_path / "old.toml").write_text(tomli_w.dumps(old))
    assert read_config(tmp_path / "old.toml") == ScalorConfig()


# ---------------------------------------------------------------------- wrong names


def told(**names: str) -> str:
    """What is said of priors of these names, whether the program needs them or not."""
    with pytest.raises(UserError) as caught:
        build_priors(ScalorConfig(model=ModelConfig(**TINY_MODEL), prior=PriorConfig(**names)))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"propagation": "velocty"}, "prior.propagation: there is no 'velocty'; did you mean vel"),
        ({"discovery": "zzz"}, "prior.discovery: there is no 'zzz'; there are constant, learned"),
        ({"background": "recurent"}, "prior.background: there is no 'recurent'; did you mean rec"),
        ({"background": "velocity"}, "prior.background: there is no 'velocity'; there are"),
        ({"propagation": "mine.py"}, "say which class of the file, as mine.py:Class"),
        ({"propagation": "mine.py:Mine"}, "no such file: mine.py"),
        ({"propagation": "no.such:Mine"}, "cannot import no.such"),
        ({"propagation": f"{FRICTION}:Fricton"}, "has no class 'Fricton'; did you mean Friction?"),
        ({"propagation": f"{FRICTION}:"}, "has no class ''; there are Friction"),
        (
            {"discovery": f"{FRICTION}:Friction"},
            "not a subclass of scalor_ppl.scalor.priors.DiscoveryP",
        ),
        (
            {"propagation": "pathlib:Path"},
            "not a subclass of scalor_ppl.scalor.priors.PropagationPrior",
        ),
    ],
)
def test_wrong_names(names: dict[str, str], said: str) -> None:
    assert said in told(**names)


def test_a_misspelt_role() -> None:
    with pytest.raises(UserError, match=r"prior\.propogation; did you mean propagation\?"):
        checked({"prior": {"propogation": "velocity"}})


WRONG = {
    "without its constructor's argument": ("    def __init__(self): ...", "TypeError"),
    "unfinished": ("    ...", "NotImplementedError"),
    "another state": (
        "    def update(self, state, trackers):\n        return state[:, :1]",
        "update has shape [2, 1, 8], not [2, 3, 8]",
    ),
    "events in the batch": (
        "    def forward(self, presence, state, trackers):\n"
        "        found = super().forward(presence, state, trackers)\n"
        "        return found._replace(what=found.what.base_dist)",
        "the batch of what has shape [2, 3, 3], not [2, 3]",
    ),
    "not finite": (
        "    def forward(self, presence, state, trackers):\n"
        "        found = super().forward(presence, state, trackers)\n"
        "        nan = found.depth.mean * float('nan')\n"
        "        return found._replace(depth=type(found.depth)(nan, 1.0, validate_args=False))",
        "the density of depth is not finite",
    ),
}


@pytest.mark.parametrize(("body", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_prior_that_cannot_be_used(tmp_path: Path, body: str, said: str) -> None:
    base = "PropagationPrior" if said == "NotImplementedError" else "RecurrentPropagation"
    file = tmp_path / "mine.py"
    file.write_text(f"from scalor_ppl.scalor.priors import {base}\nclass Mine({base}):\n{body}\n")
    text = told(propagation=f"{file}:Mine")
    assert text.startswith("prior.propagation: Mine cannot be used: ")
    assert said in text


# ---------------------------------------------------------------------- a user's own file


def test_the_documented_file_is_short_and_does_what_it_says() -> None:
    assert len(FRICTION.read_text().splitlines()) < 40
    pair = program({"propagation": f"{FRICTION}:Friction"})
    prior = pair.model.propagation
    trackers = pair.model(pair.video(1, 1)).trackers[0]
    # What was just found has not moved: it is expected to stay where it is.
    still = prior.initial(trackers.alive.shape)
    presence = pair.model.presence
    assert (prior(presence, still, trackers).where.base_dist.loc[..., :2] == 0).all()
    # A movement is averaged with those before it, and friction takes its share of the average.
    moved = trackers._replace(objects=trackers.objects._replace(raw=torch.ones(1, 3, 4)))
    state = prior.update(still, moved)
    torch.testing.assert_close(state, torch.full((1, 3, 2), 0.7))
    torch.testing.assert_close(prior.update(state, moved), torch.full((1, 3, 2), 0.91))
    expected = prior(presence, state, moved).where.base_dist.loc
    taken = torch.sigmoid(torch.tensor(-2.0))
    torch.testing.assert_close(expected[..., :2], (1 - taken) * state)
    # Everything else is expected to stay.
    torch.testing.assert_close(expected[..., 2:], moved.objects.raw[..., 2:])


def test_trying_a_prior_leaves_the_seed_alone() -> None:
    # The networks made after the priors start the same with and without a try: Friction draws none.
    torch.manual_seed(0)
    names = PriorConfig(propagation=f"{FRICTION}:Friction")
    build_priors(ScalorConfig(model=ModelConfig(**TINY_MODEL), prior=names))
    assert torch.equal(torch.get_rng_state(), torch.manual_seed(0).get_state())


def test_paths_are_anchored_and_names_are_not(place: Path) -> None:
    shutil.copy(FRICTION, place / "mine.py")
    names = {"propagation": "mine.py:Friction", "discovery": "a.b:C"}
    found = anchored(ScalorConfig(prior=PriorConfig(**names))).prior
    assert isinstance(found, PriorConfig)
    assert found.propagation == f"{(place / 'mine.py').resolve()}:Friction"
    assert (found.discovery, found.background) == ("a.b:C", "recurrent")


def test_a_prior_of_ones_own_from_the_command_line(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "docs").mkdir()
    shutil.copy(FRICTION, place / "docs" / "my_prior.py")
    chosen = ("--set", "prior.propagation=docs/my_prior.py:Friction")
    said = cli(
        *("train", "--config", "tiny.toml", "--data", "clips.nc", "--out", "run", *ALONE), *chosen
    )
    assert said.code == 0, said
    run = place / "run"
    chosen_prior = run_config(run).prior
    assert isinstance(chosen_prior, PriorConfig)
    assert chosen_prior.propagation.endswith("my_prior.py:Friction")
    assert "model.propagation.friction.change" in weights_of(run)
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for command in (
        ("evaluate", run, "--clips", 2, "--frames", 2),
        ("generate", run, "--videos", 2, "--frames", 3),
        ("generate", run, "--observe", "../clips.nc", "--observe-frames", 2, "--frames", 4),
        ("train", "--resume", "--steps", 4, "--out", run),
    ):
        said = cli(*command, *ALONE)
        assert said.code == 0, said
    # Without the file there is no program.
    (place / "docs" / "my_prior.py").unlink()
    assert "no such file" in cli.refused("generate", run, *ALONE)


def test_a_registered_prior_from_the_command_line(cli: CommandLine, place: Path) -> None:
    train = ("train", "--config", "tiny.toml", "--data", "clips.nc", "--out", "run", *ALONE)
    assert "did you mean velocity?" in cli.refused(*train, "--set", "prior.propagation=velocty")
    assert not (place / "run").exists()
    assert cli(*train, "--set", "prior.propagation=velocity").code == 0
    assert run_config(place / "run").prior == PriorConfig(propagation="velocity")
    assert 'propagation = "velocity"' in (place / "run" / CONFIG).read_text()
    assert cli("evaluate", "run", "--clips", 2, "--frames", 2, *ALONE).code == 0
