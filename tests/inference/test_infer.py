"""Draws from the posterior: what they weigh, which object is which, and the file they come in."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pytest
import torch
import xarray as xr
from pyro import poutine
from tiny import CPU, Square, trained, write_clips

import scalor_ppl
from scalor_ppl.errors import UserError
from scalor_ppl.inference import draws as module
from scalor_ppl.inference.alignment import aligned
from scalor_ppl.inference.draws import draw_posterior, reference_tracks
from scalor_ppl.inference.generation import imagine
from scalor_ppl.inference.trees import posterior_tree, prior_tree
from scalor_ppl.nn.pixels import to_frames, to_video
from scalor_ppl.programs import Program
from scalor_ppl.results.datatree import write_tree
from scalor_ppl.results.samples import Samples, by_object, joined
from scalor_ppl.results.uncertainty import course, draw_uncertainty
from scalor_ppl.tracks.table import Tracks

DRAWS, FRAMES = 7, 4


@pytest.fixture(scope="module", params=["relaxed", "hard"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program with a background that finds an object in most cells, but not in every draw."""
    model = {"background": "vae", "background_dim": 2, "presence": request.param}
    run = tmp_path_factory.mktemp("infer") / "run"
    made = trained(run, model=model)[0]
    with torch.no_grad():
        made.guide.proposal.presence[-1].bias.fill_(1.0)
    return made


@pytest.fixture(scope="module")
def tree(program: Program) -> xr.DataTree:
    return posterior_tree(program, clip(), draws=DRAWS, seed=3)


def clip(frames: int = FRAMES) -> np.ndarray:
    return Square().clip(2, frames).video


def values(tree: xr.DataTree, group: str, name: str) -> np.ndarray:
    """A variable as numbers."""
    return tree[group].to_dataset()[name].values


def read_arviz(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz.from_netcdf(path)


def walk(starts: list[tuple[float, float]], ids: list[list[int]], shift: float = 0.0) -> Tracks:
    """Boxes of 4 x 4 pixels that start somewhere and go right by a pixel a frame."""
    frames = np.arange(len(ids))[:, None]
    left = np.array([x for x, _ in starts]) + frames + shift
    top = np.array([y for _, y in starts]) + 0 * frames
    boxes = np.stack((left, top, np.full_like(left, 4), np.full_like(left, 4)), -1)
    there = np.array(ids) >= 0
    return Tracks(
        np.array(ids), boxes.astype(np.float32), there.astype(np.float32), np.zeros_like(there)
    )


# ---------------------------------------------------------------------- weights


def test_weights_are_those_of_single_passes(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 2 * FRAMES)  # two draws at a time: 2, 2, 1
    seen: list[Any] = []
    original = module._traces

    def noted(*args: Any) -> Any:
        seen.append(original(*args))
        return seen[-1]

    monkeypatch.setattr(module, "_traces", noted)
    samples, densities = draw_posterior(program, clip(), draws=5, seed=0)
    assert len(samples) == 5
    assert densities.likelihood.shape == (5, FRAMES)
    video = to_video(clip()[None], CPU)
    latents = [
        {
            name: site["value"][row : row + 1]
            for name, site in guide.nodes.items()
            if name.startswith("z_")
        }
        for guide, _ in seen
        for row in range(guide.nodes["z_pres_disc_0"]["value"].shape[0])
    ]
    assert len(latents) == 5
    for s, values in enumerate(latents):
        with torch.no_grad():
            given = poutine.condition(program.model, data=values)
            log_p = poutine.trace(given).get_trace(video).log_prob_sum().item()
            guided = poutine.condition(program.guide, data=values)
            log_q = poutine.trace(guided).get_trace(video).log_prob_sum().item()
            likelihood = poutine.trace(poutine.condition(program.model, data=values))
            nodes = likelihood.get_trace(video).nodes
            frame = nodes["x_1"]["fn"].log_prob(nodes["x_1"]["value"]).item()
        assert densities.weight[s] == pytest.approx(log_p - log_q, abs=0.02)
        assert densities.guide[s] == pytest.approx(log_q, abs=0.01)
        assert densities.likelihood[s, 1] == pytest.approx(frame, abs=0.01)


def test_the_mean_weight_is_the_elbo(program: Program) -> None:
    _, densities = draw_posterior(program, clip(), draws=60, seed=0)
    with torch.no_grad():
        bound = -pyro.infer.Trace_ELBO(num_particles=60, max_plate_nesting=2).loss(
            program.model, program.guide, to_video(clip()[None], CPU)
        )
    error = 5 * densities.weight.std() * np.sqrt(2 / 60)
    assert densities.weight.mean() == pytest.approx(bound, abs=error)


def test_the_seed_decides(program: Program) -> None:
    first, again, other = (
        draw_posterior(program, clip(), draws=3, seed=s)[1].weight for s in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(set(first)) == 3


def test_a_latent_outside_the_videos_is_refused(program: Program) -> None:
    def model(video: torch.Tensor) -> Any:
        pyro.sample("shared", pyro.distributions.Normal(0.0, 1.0))
        return program.model(video)

    def guide(video: torch.Tensor) -> Any:
        pyro.sample("shared", pyro.distributions.Normal(0.0, 1.0))
        return program.guide(video)

    other = replace(program, model=model, guide=guide)
    with pytest.raises(UserError, match="site shared lies outside the plate of videos"):
        draw_posterior(other, clip(), draws=2, seed=0)


# ---------------------------------------------------------------------- alignment


def test_permuted_identities_are_put_back() -> None:
    starts = [(2.0, 2.0), (2.0, 20.0), (20.0, 2.0)]
    reference = walk(starts, [[0, 1, 2]] * 5)
    orders = [[5, 3, 4], [2, 0, 1], [0, 1, 2]]
    draws = [walk(starts, [order] * 5, shift=0.5 * s) for s, order in enumerate(orders)]
    names, identities = aligned(reference, draws)
    assert names.tolist() == [0, 1, 2]
    assert identities.tolist() == orders


def test_slots_do_not_matter_and_what_is_far_is_left_over() -> None:
    reference = walk([(2.0, 2.0), (2.0, 20.0)], [[0, 1]] * 5)
    # The slots are swapped, one object is 6 pixels away: more than its size of 4.
    draw = walk([(2.0, 26.0), (2.0, 2.0)], [[0, 1]] * 5)
    _, identities = aligned(reference, [draw])
    assert identities.tolist() == [[1, -1]]


def test_the_longer_track_comes_before_the_closer_one() -> None:
    reference = walk([(2.0, 2.0)], [[0]] * 6)
    # Lost in the last frame and found again, nearer to the reference.
    draw = walk([(3.0, 2.0), (2.0, 2.0)], [*[[0, -1]] * 5, [-1, 1]])
    _, identities = aligned(reference, [draw])
    assert identities.tolist() == [[0]]


def test_an_exact_match_is_not_given_up_for_more_matches() -> None:
    reference = walk([(2.0, 2.0), (5.0, 2.0)], [[0, 1]] * 3)
    _, identities = aligned(reference, [walk([(2.0, 2.0), (30.0, 30.0)], [[8, 9]] * 3)])
    assert identities.tolist() == [[8, -1]]


def test_nothing_to_align() -> None:
    nothing, something = walk([(2.0, 2.0)], [[-1]] * 3), walk([(2.0, 2.0)], [[0]] * 3)
    names, identities = aligned(nothing, [something, nothing])
    assert names.shape == (0,)
    assert identities.shape == (2, 0)
    names, identities = aligned(something, [nothing])
    assert identities.tolist() == [[-1]]


def samples_of(tracks: list[Tracks]) -> Samples:
    """Samples whose depth is the slot and whose appearance is the draw."""
    slots = np.broadcast_to(np.arange(tracks[0].ids.shape[1]), tracks[0].ids.shape)
    depth = np.stack([slots] * len(tracks)).astype(np.float32)
    what = np.stack([np.full((*slots.shape, 2), s, np.float32) for s in range(len(tracks))])
    return Samples(tracks, depth, what, None, np.zeros((1, len(slots), 2, 2, 1), np.uint8))


def test_objects_are_sorted_into_their_columns() -> None:
    starts = [(2.0, 2.0), (2.0, 20.0)]
    samples = samples_of([walk(starts, [[0, 1]] * 3), walk(starts, [[7, 4], [7, -1], [4, 7]])])
    objects = by_object(samples, np.array([[0, 1], [7, -1]]))
    assert objects.presence.tolist() == [[[1, 1]] * 3, [[1, 0]] * 3]
    assert objects.depth[0].tolist() == [[0, 1]] * 3
    assert objects.depth[1, :, 0].tolist() == [0, 0, 1]  # it changed its slot
    assert objects.boxes[1, 2, 0].tolist() == [4, 20, 4, 4]
    assert objects.what[1, :, 0].tolist() == [[1, 1]] * 3
    assert np.isnan(objects.boxes[1, :, 1]).all()
    assert np.isnan(objects.what[1, :, 1]).all()
    assert objects.others.tolist() == [[0, 0, 0], [1, 0, 1]]
    assert samples.counts().tolist() == [[2, 2, 2], [2, 1, 2]]
    assert joined([samples, samples]).counts().shape == (4, 3)


# ---------------------------------------------------------------------- groups


def test_groups_and_dimensions(program: Program, tree: xr.DataTree) -> None:
    groups = ("posterior", "posterior_predictive", "log_likelihood", "observed_data")
    assert set(tree.children) == {*groups, "sample_stats"}
    objects = tree["posterior"].sizes["object"]
    draws = (("chain", 1), ("draw", DRAWS), ("frame", FRAMES))
    pixels = (("frame", FRAMES), ("y", 16), ("x", 16), ("channel", 3))
    shapes: dict[str, dict[str, tuple[tuple[str, int], ...]]] = {
        "posterior": dict.fromkeys(
            ("presence", "centre_x", "centre_y", "width", "height", "depth"),
            (*draws, ("object", objects)),
        ),
        "posterior_predictive": {"video": (*draws[:2], *pixels)},
        "log_likelihood": {"video": draws},
        "observed_data": {"video": pixels},
        "sample_stats": dict.fromkeys(("log_weight", "log_prior", "log_guide"), draws[:2]),
    }
    shapes["posterior"] |= {
        "what": (*draws, ("object", objects), ("latent", 4)),
        "count": draws,
        "count_in_view": draws,
        "z_bg": (*draws, ("background", 2)),
    }
    shapes["sample_stats"]["unmatched"] = draws
    for group, variables in shapes.items():
        found = tree[group].to_dataset()
        assert set(found.data_vars) == set(variables)
        for name, shape in variables.items():
            assert tuple(zip(found[name].dims, found[name].shape, strict=True)) == shape, name
            assert found[name].attrs["description"]
        attributes = found.attrs
        assert attributes["inference_library"] == "pyro"
        assert attributes["presence"].startswith(program.model.presence.kind)
        assert json.loads(attributes["config"])["model"]["what"] == 4
        assert attributes["created_at"]
        assert attributes["creation_library_version"]


def test_coordinates(program: Program, tree: xr.DataTree) -> None:
    posterior = tree["posterior"].to_dataset()
    reference = reference_tracks(program, clip())
    assert posterior["object"].values.tolist() == sorted(set(reference.ids[reference.ids >= 0]))
    assert posterior["draw"].values.tolist() == list(range(DRAWS))
    video = tree["observed_data"].to_dataset()["video"]
    assert video["channel"].values.tolist() == ["red", "green", "blue"]
    assert video["x"].values[[0, -1]].tolist() == [0.5, 15.5]
    assert np.array_equal(video.values, clip())


def test_values_agree_with_each_other(program: Program, tree: xr.DataTree) -> None:
    posterior, figures = (tree[name].to_dataset() for name in ("posterior", "sample_stats"))
    lives = posterior["presence"] > 0
    assert (lives.sum("object") + figures["unmatched"] == posterior["count"]).all()
    assert 0 < float(lives.mean()) < 1
    assert figures["unmatched"].sum() > 0
    for name in ("centre_x", "width", "depth"):
        assert (posterior[name].notnull() == lives).all()
    assert (posterior["what"].notnull().all("latent") == lives).all()
    total = tree["log_likelihood"].to_dataset()["video"].sum("frame")
    weight = total + figures["log_prior"] - figures["log_guide"]
    assert np.allclose(weight, figures["log_weight"])
    rendered = tree["posterior_predictive"].to_dataset()["video"]
    assert rendered.dtype == np.uint8
    # The likelihood is that of the rendered pixels, but for the rounding to 256 steps.
    error = (rendered.astype(float) - clip()) / 255
    sigma = program.config.model.sigma
    expected = -((error / sigma) ** 2 / 2 + np.log(sigma * np.sqrt(2 * np.pi)))
    assert np.allclose(
        expected.sum(("y", "x", "channel")), values(tree, "log_likelihood", "video"), atol=3
    )


def test_some_or_no_images(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 2 * FRAMES)
    some = posterior_tree(program, clip(), draws=5, images=3)
    every = posterior_tree(program, clip(), draws=5)
    video = values(every, "posterior_predictive", "video")
    assert np.array_equal(values(some, "posterior_predictive", "video"), video[:, :3])
    none = posterior_tree(program, clip(), draws=5, images=0)
    assert "posterior_predictive" not in none.children
    assert np.array_equal(
        values(none, "sample_stats", "log_weight"), values(every, "sample_stats", "log_weight")
    )


@pytest.mark.parametrize(
    ("video", "options", "said"),
    [
        (clip(), {"draws": 0}, "0 draws: ask for at least 1"),
        (clip(), {"draws": 2, "images": 3}, "3 images: give 0 to 2"),
        (clip(0), {}, "with at least one frame"),
        (clip()[0], {}, "give uint8"),
        (clip().astype(float), {}, "the clip is float64"),
        (clip()[:, :12], {}, "the clip is 12 x 16 x 3, but the run was trained on 16 x 16 x 3"),
    ],
)
def test_what_cannot_be_inferred(
    program: Program, video: np.ndarray, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        posterior_tree(program, video, **options)


# ---------------------------------------------------------------------- files


def test_written_and_read_by_arviz_and_xarray(tree: xr.DataTree, tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.nc"
    write_tree(tree, path)
    assert [each.name for each in path.parent.iterdir()] == ["run.nc"]
    with xr.open_datatree(path, engine="h5netcdf") as back:
        assert set(back.children) == set(tree.children)
        for name, group in tree.children.items():
            # Without attributes: numbers come back as numpy's.
            xr.testing.assert_equal(group.to_dataset(), back[name].to_dataset())
    read = read_arviz(path)
    posterior = tree["posterior"].to_dataset()
    assert read["posterior"]["centre_x"].dims == posterior["centre_x"].dims
    assert np.array_equal(read["posterior"]["presence"], posterior["presence"])
    assert read["observed_data"]["video"].shape == (FRAMES, 16, 16, 3)
    assert read["sample_stats"]["log_weight"].shape == (1, DRAWS)


def test_a_file_that_cannot_be_written_leaves_nothing(
    tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **others: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", full)
    with pytest.raises(OSError, match="no space"):
        write_tree(tree, tmp_path / "run.nc")
    assert not list(tmp_path.iterdir())


def test_a_clip_without_objects(tmp_path: Path) -> None:
    program = trained(tmp_path / "run", train={"steps": 1})[0]
    # The propagated and the proposed alike: nothing is ever there.
    with torch.no_grad():
        for name, parameter in program.guide.named_parameters():
            if "presence" in name:
                parameter.zero_()
        program.guide.proposal.presence[-1].bias.fill_(-50.0)
    tree = posterior_tree(program, clip(), draws=2)
    assert tree["posterior"].sizes["object"] == 0
    assert values(tree, "posterior", "count").sum() == 0
    assert "z_bg" not in tree["posterior"].data_vars
    write_tree(tree, tmp_path / "none.nc")
    assert read_arviz(tmp_path / "none.nc")["posterior"].sizes["draw"] == 2
    draw_uncertainty(tree, tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 1000


def test_videos_from_the_priors(program: Program, tmp_path: Path) -> None:
    options: dict[str, Any] = {"videos": 3, "frames": 4, "seed": 2, "first_rate": 0.9, "rate": 0.3}
    scene = imagine(program, **options)
    tree = prior_tree(program, **options)
    assert set(tree.children) == {"prior", "prior_predictive"}
    prior = tree["prior"].to_dataset()
    ids = torch.stack([each.ids for each in scene.trackers], 1).numpy()
    assert prior["object"].values.tolist() == list(range(ids.max() + 1))
    assert np.array_equal(prior["count"].values[0], (ids >= 0).sum(-1))
    for identity in prior["object"].values:
        assert np.array_equal(
            prior["presence"].sel(object=identity).values[0] > 0, (ids == identity).any(-1)
        )
    assert prior["z_bg"].shape == (1, 3, 4, 2)
    rendered = values(tree, "prior_predictive", "video")[0]
    assert np.array_equal(rendered, to_frames(scene.image))
    write_tree(tree, tmp_path / "prior.nc")
    assert read_arviz(tmp_path / "prior.nc")["prior"]["centre_y"].shape[:3] == (1, 3, 4)


# ---------------------------------------------------------------------- pictures


def test_intervals_hold_their_share_and_leave_out_what_is_rare() -> None:
    generator = np.random.default_rng(0)
    values = np.full((4000, 3), np.nan)
    values[:, 0] = generator.normal(10, 1, 4000)
    values[:3000, 1] = generator.exponential(1, 3000)
    values[:4, 2] = 1.0
    found = course(values)
    assert found.ends[0] == pytest.approx((10 - 1.88, 10 + 1.88), abs=0.15)
    assert found.ends[1] == pytest.approx((0, -np.log(0.06)), abs=0.2)
    assert np.isnan(found.ends[2]).all()
    assert np.isnan(found.median[2])
    assert found.median[:2] == pytest.approx([10, np.log(2)], abs=0.1)


def test_picture_of_the_uncertainty(tree: xr.DataTree, tmp_path: Path) -> None:
    for name in ("track.png", "track.svg"):
        draw_uncertainty(tree, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000
    write_tree(tree, tmp_path / "run.nc")
    with xr.open_datatree(tmp_path / "run.nc", engine="h5netcdf") as back:
        draw_uncertainty(back, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "track.png").read_bytes()


# ---------------------------------------------------------------------- from Python


def test_the_package_is_light_to_import() -> None:
    code = "import sys, scalor_ppl; print(sorted({'torch', 'pyro', 'xarray'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[]"


def test_from_python(tmp_path: Path) -> None:
    trained(tmp_path / "run")
    path = write_clips(tmp_path / "clips.nc")
    program = scalor_ppl.load(tmp_path / "run", device="cpu")
    tree = scalor_ppl.infer(program, clip(), draws=4, seed=1)
    assert tree["posterior"].sizes["draw"] == 4
    same = scalor_ppl.infer(program, path, draws=4, seed=1, clip=2, frames=FRAMES)
    assert np.array_equal(values(same, "observed_data", "video"), clip())
    assert np.array_equal(
        values(same, "sample_stats", "log_weight"), values(tree, "sample_stats", "log_weight")
    )
    with pytest.raises(UserError, match="no such run"):
        scalor_ppl.load(tmp_path / "none")
    with pytest.raises(UserError, match="fewer than the 10 of a clip"):
        scalor_ppl.infer(program, str(path))
