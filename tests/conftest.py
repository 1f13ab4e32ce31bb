"""Shared by the tests: tiny programs, Pyro with validation, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyro
import pytest
import torch
from hypothesis import settings
from tiny import CommandLine, write_clips, write_settings
from torch import Tensor

from scalor_ppl.config.schema import DataConfig
from scalor_ppl.guides.scalor import ScalorGuide, build_guide
from scalor_ppl.models.scalor import Scalor, build_model
from scalor_ppl.render.glimpses import Frame
from scalor_ppl.scalor import ScalorConfig, ScalorProgram
from scalor_ppl.scalor.histories import Moment
from scalor_ppl.scalor.settings import GuideConfig, ModelConfig, RulesConfig

torch.set_num_threads(1)

# The same examples on every machine; `--hypothesis-profile search` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, database=None, max_examples=40)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("same")

NO_RULES = RulesConfig(rejection=False, duplicate_rejection=False, vanish=False, doubled=False)

TINY_MODEL: dict[str, Any] = {
    "height": 16,
    "width": 16,
    "channels": 3,
    "grid": (2, 2),
    "capacity": 3,
    "glimpse": (6, 6),
    "what": 3,
    "hidden": 8,
    "object_width": (3.0, 8.0),
    "object_height": (3.0, 8.0),
    "background_dim": 2,
    "discovery_rate": 0.4,
}
TINY_GUIDE: dict[str, Any] = {"features": 6, "lstm": 4, "hidden": 8}


class Pair(NamedTuple):
    """A tiny program."""

    config: ScalorConfig
    model: Scalor
    guide: ScalorGuide

    @property
    def program(self) -> ScalorProgram:
        """Both, as the rest of the package takes them."""
        return ScalorProgram(self.config, self.model, self.guide, torch.device("cpu"), "scalor")

    def video(self, videos: int, frames: int, seed: int = 0) -> Tensor:
        """Random pixels of the right shape."""
        generator = torch.Generator().manual_seed(seed)
        shape = (videos, frames, self.model.channels, *self.model.size)
        return torch.rand(shape, generator=generator)

    def decoded(self, history: Sequence[Moment]) -> Frame:
        """The frames of a history, drawn anew by the model's own renderer ``[B, T, ...]``."""
        objects = [
            m.trackers.objects._replace(glimpse=self.model.decode(m.trackers.objects.what))
            for m in history
        ]
        boxed = [o._replace(box=self.model.painted(o.where, o.mask)) for o in objects]
        trackers = [m.trackers._replace(objects=o) for m, o in zip(history, boxed, strict=True)]
        return self.model.rendered(*trackers)


Build = Callable[..., Pair]


def build_pair(
    *, seed: int = 0, guide: dict[str, Any] | None = None, rules: bool = True, **model: Any
) -> Pair:
    """A tiny program; keywords change the model's configuration."""
    if not rules:
        model["rules"] = NO_RULES
    config = ScalorConfig(
        data=DataConfig(augment=False),
        model=ModelConfig(**(TINY_MODEL | model)),
        guide=GuideConfig(**(TINY_GUIDE | (guide or {}))),
    )
    torch.manual_seed(seed)
    built = build_model(config)
    return Pair(config, built, build_guide(config, built))


@pytest.fixture
def build() -> Build:
    """Builder of tiny programs."""
    return build_pair


@pytest.fixture(autouse=True)
def _pyro() -> Iterator[None]:
    """Validation on, parameters in their modules, a fixed seed; everything put back afterwards."""
    enabled = torch.distributions.Distribution._validate_args
    torch.distributions.Distribution.set_default_validate_args(True)
    pyro.clear_param_store()
    torch.manual_seed(0)
    with pyro.validation_enabled(True), pyro.settings.context(module_local_params=True):
        yield
    torch.distributions.Distribution.set_default_validate_args(enabled)


@pytest.fixture(autouse=True, scope="session")
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests trust is forgotten with them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line, in this process."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with ``tiny.toml`` and ``clips.nc``, far from the package's files."""
    write_settings(tmp_path / "tiny.toml")
    write_clips(tmp_path / "clips.nc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick_workers() -> Iterator[None]:
    """Workers of Dask start quickly, as forks of one process that has imported what they need."""
    import dask
    from distributed.utils import get_mp_context

    preloaded = ("distributed", "scalor_ppl.tracking.workers", "scalor_ppl.studies.reproduction")
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        programs = ("scalor_ppl.models.scalor", "scalor_ppl.guides.scalor")
        get_mp_context().set_forkserver_preload([*preloaded, *programs])
        yield
