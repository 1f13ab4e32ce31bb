"""A step of training on a GPU waits for nothing but to know whether it was finite."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import Square, config_of
from torch import Tensor
from watched import META, Seen, watched

from scalor_ppl.config.schema import Config
from scalor_ppl.data import ClipSource, make_batch
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.pixels import to_device
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.parallel.ranks import ALONE
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import resolve
from scalor_ppl.training import loop as training
from scalor_ppl.training import step as steps
from scalor_ppl.training.loop import Silent, _Training
from scalor_ppl.training.sources import fitted, open_data

ARRIVES = ("from the host", "scalor_ppl/nn/pixels.py", "to_device")
CHECKED = ("item", "scalor_ppl/training/step.py", "update")
UNLOGGED = {"frames": 2, "log_every": 1000, "image_every": 0, "steps": 1000}


@pytest.fixture(autouse=True)
def _without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device takes the optimizer that a GPU takes, and no error passes for a bad number."""
    for name in ("torch.optim.optimizer", "torch.utils._foreach_utils"):
        module = importlib.import_module(name)
        known = module._get_fused_kernels_supported_devices()
        monkeypatch.setattr(
            module, "_get_fused_kernels_supported_devices", lambda known=known: [*known, "meta"]
        )
    monkeypatch.setattr(steps, "culprit", lambda *_: None)


def seen_in(config: Config, source: ClipSource, run: Path, count: int = 1) -> list[Seen]:
    """What a GPU would not like in so many steps of a training that is not logged."""
    loop = _Training(build_program(config, META), source, run, Silent(), ALONE)
    train = config.train
    seen = []
    for number in range(count):
        batch = make_batch(
            source,
            number,
            batch=train.batch,
            frames=2,
            seed=0,
            augment=config.data.augment,
            upright=config.upright,
            chunks=train.chunks,
        )
        with watched() as found, fast_pyro():
            assert loop._step(batch) is None
        seen += found
    assert loop.progress.skipped == 0
    return without_plates(seen)


def without_plates(seen: list[Seen]) -> list[Seen]:
    """Without the indices of Pyro's plates, which stay on the host and are not used."""
    return [each for each in seen if (each.what, each.file) != ("stray", "subsample_messenger.py")]


def kinds(seen: list[Seen]) -> list[tuple[str, str, str]]:
    """What was seen, each once; that frames lie on the host before they are fetched is no news."""
    found = [(each.what, each.file, each.function) for each in seen]
    return sorted({each for each in found if each != ("stray", *ARRIVES[1:])})


@pytest.mark.parametrize("preset", ["moving-dsprites-vld", "moving-dsprites-hd"])
def test_presets_wait_once_a_step(preset: str, tmp_path: Path) -> None:
    """With the renderer that a GPU uses, in the shapes that are trained."""
    config = resolve(preset, [], {"train": UNLOGGED})
    source = open_data(config.data, "train")
    seen = seen_in(fitted(config, source), source, tmp_path)
    assert kinds(seen) == [ARRIVES, CHECKED]
    assert [each.what for each in seen].count("item") == 1


class Crops(Square):
    """Clips that are crops of larger frames."""

    def clip(self, index: int, frames: int) -> Any:
        clip = super().clip(index, frames)
        return type(clip)(**{**vars(clip), "corner": (index % 4, 3)})


VARIANTS: dict[str, dict[str, Any]] = {
    "elbo": {},
    "no-attention": {"guide": {"attention": False}},
    "background": {"model": {"background": "vae", "background_dim": 2}},
    "vimco": {
        "model": {"presence": "hard"},
        "train": {"estimator": "vimco", "particles": 2},
    },
    "dreg": {"train": {"estimator": "dreg", "particles": 2}},
    "scalor": {"train": {"estimator": "scalor", "optimizer": "adam"}},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_kind_of_step_waits_once(name: str, tmp_path: Path) -> None:
    tables = VARIANTS[name]
    config = config_of(**{**tables, "train": UNLOGGED | tables.get("train", {})})
    assert kinds(seen_in(config, Square(), tmp_path)) == [ARRIVES, CHECKED]


def test_memory_and_crops_stay_on_the_device(tmp_path: Path) -> None:
    model = {"background": "template", "frame": [20, 20]}
    config = config_of(Crops(), model=model, train=UNLOGGED | {"chunks": 3})
    assert kinds(seen_in(config, Crops(), tmp_path, 3)) == [ARRIVES, CHECKED]


@pytest.mark.parametrize("program", ["vrnn", "sequential-vae"])
def test_other_programs_wait_once(program: str, tmp_path: Path) -> None:
    config = resolve(f"{program}-moving-dsprites-vld", [], {"train": UNLOGGED})
    source = open_data(config.data, "train")
    assert kinds(seen_in(fitted(config, source), source, tmp_path)) == [ARRIVES, CHECKED]


MISTAKES: dict[str, tuple[str, Callable[[Tensor], Any]]] = {
    "item": ("item", lambda x: x.sum().item()),
    "float": ("item", lambda x: float(x.sum())),
    "bool": ("item", lambda x: bool(x.sum() > 0)),
    "equal": ("equal", lambda x: torch.equal(x, x)),
    "cpu": ("to the host", lambda x: x.cpu()),
    "tolist": ("to the host", lambda x: x[0, 0, 0, 0].tolist()),
    "nonzero": ("nonzero", lambda x: x.nonzero()),
    "mask": ("mask", lambda x: x[x > 0.5]),
    "masked_select": ("masked_select", lambda x: x.masked_select(x > 0.5)),
    "constant": ("from the host", lambda x: x.new_tensor([1.0, 2.0])),
    "sent": ("from the host", lambda x: torch.arange(3).to(x.device)),
    "stray": ("stray", lambda x: torch.zeros(3)),
    "mixed": ("mixed", lambda x: x + torch.ones(16)),
    "index": ("mixed", lambda x: x[torch.tensor([0, 1])]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_seen(name: str) -> None:
    what, mistake = MISTAKES[name]
    video = torch.zeros(2, 2, 3, 16, 16, device=META)
    with watched() as seen:
        video.exp().sum()
    assert seen == []
    with watched() as seen:
        mistake(video)
    assert (what, "tests/training/test_device_step.py", "<lambda>") in kinds(seen)


@pytest.mark.parametrize("name", ["item", "cpu"])
def test_a_mistake_in_the_step_fails(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, mistake = MISTAKES[name]
    inner = training.to_video

    def with_mistake(*given: Any) -> Tensor:
        video = inner(*given)
        mistake(video)
        return video

    monkeypatch.setattr(training, "to_video", with_mistake)
    found = kinds(seen_in(config_of(train=UNLOGGED), Square(), tmp_path))
    assert found != [ARRIVES, CHECKED]
    assert (what, "tests/training/test_device_step.py", "<lambda>") in found


def test_inference_waits_once_a_clip() -> None:
    config = config_of(guide={"refine": 2})
    program = build_program(config, META)
    program.drive_to(0)
    with watched() as seen, fast_pyro():
        infer(program.model, program.guide, torch.zeros(2, 3, 3, 16, 16, device=META))
    assert kinds(without_plates(seen)) == [
        ("item", "scalor_ppl/inference/finite.py", "check_scene")
    ]


def test_a_gpu_fetches_frames_while_the_host_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def pinned(tensor: Tensor) -> Tensor:
        asked.append("pinned")
        return tensor

    def sent(tensor: Tensor, device: torch.device, **options: Any) -> Tensor:
        asked.append((device, options))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pinned)
    monkeypatch.setattr(Tensor, "to", sent)
    to_device(np.zeros(3, np.uint8), torch.device("cuda:1"))
    assert asked == ["pinned", (torch.device("cuda:1"), {"non_blocking": True})]
