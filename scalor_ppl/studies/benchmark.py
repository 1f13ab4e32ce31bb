"""What a training step costs: time, memory, its parts, Pyro's share, objects and image size.

All times are wall-clock seconds of the real training step (the configured objective, gradient
clipping and optimizer) on a synthetic video, after warm-up. The learning rate is zero: the weights,
and with them the work of a step, stay the same from the first repetition to the last.

**Pyro's share.** The same step is run twice, interleaved, with the same noise and weights. Once
under Pyro; once with ``pyro.sample``, ``pyro.plate`` and ``poutine.mask`` replaced by light
functions that draw or replay the value and note the distribution, without message stack, handlers
or traces, and with the loss summed directly from the distributions. Loss and gradients of both must
agree to 1e-4 (relative). Then

    share = 1 - median(plain step) / median(step under Pyro)

where a step is forward, backward, clipping and optimizer. Making the distributions, drawing from
them and evaluating their densities is work that any implementation has to do: it is in both steps,
and not in the share; the table of parts shows it by itself.
"""

import ctypes
import functools
import gc
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from scalor_ppl.config.schema import Config
from scalor_ppl.environment import environment
from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.inference.posterior import infer
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.objectives.estimate import Traces
from scalor_ppl.objectives.estimators import Elbo, ScalorObjective, make_estimator
from scalor_ppl.objectives.objective import Objective
from scalor_ppl.objectives.paper import total
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import checked
from scalor_ppl.studies.allocator import keep_freed_memory
from scalor_ppl.training.loop import OPTIMIZERS

Say = Callable[[str], None]

WARM_UP = 3
"""Steps before the clock starts: memory is touched and kernels are compiled in them."""

AGREEMENT = 1e-4
"""Largest relative difference of loss and gradients between the plain run and Pyro's."""

OBJECT_COUNTS = (4, 8, 16, 32, 64)
IMAGE_SIZES = (64, 96, 128, 192)

# z_pres of scripted objects: as sure as a trained posterior is.
PRESENT, ABSENT = 0.999, 0.001


# ---------------------------------------------------------------------------------- what comes out


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements, in seconds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """The spread of one or more measurements."""
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0])
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class StepTime:
    """Seconds of the phases of a step; ``optimizer`` holds the clipping of gradients too."""

    forward: Spread
    backward: Spread
    optimizer: Spread
    total: Spread


@dataclass(frozen=True)
class Memory:
    """Peak memory of training in a fresh process.

    Attributes:
        peak_bytes: largest resident size of the process; on a GPU, largest allocation there.
        before_bytes: the same before the first step, libraries and parameters included.
        kind: ``resident`` or ``cuda``.
    """

    peak_bytes: int
    before_bytes: int
    kind: str


@dataclass(frozen=True)
class Part:
    """A named part of the forward pass: its own seconds (median), and its share of the pass."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class PyroShare:
    """Pyro's own share of a step; see the module's docstring for the definition.

    Attributes:
        share: of the whole step, none where it cannot be measured.
        pyro, plain: times of the step with and without Pyro.
        loss_difference, gradient_difference: relative differences of both runs.
        note: why there is no share, else empty.
    """

    share: float | None
    pyro: Spread | None = None
    plain: Spread | None = None
    loss_difference: float | None = None
    gradient_difference: float | None = None
    note: str = ""


@dataclass(frozen=True)
class ObjectsTime:
    """Seconds of a step without optimizer, with so many objects alive in every video and frame."""

    objects: int
    seconds: Spread


@dataclass(frozen=True)
class SizeTime:
    """Seconds of a step at an image size and a grid of cells."""

    height: int
    width: int
    grid: tuple[int, int]
    seconds: Spread


@dataclass(frozen=True)
class Report:
    """Everything that was measured. Times in seconds, memory in bytes.

    Attributes:
        environment: versions, threads, processor, device, date (UTC).
        setting: batch, frames, steps and the resolved configuration.
        parameters: number of trainable parameters of model, guide and both.
        alive: mean number of objects alive a video and frame, in the timed steps.
        step: of the step.
        memory: at its peak.
        parts: of the forward pass, slowest first.
        pyro: its share.
        objects: time against the number of objects, empty where not asked for.
        objects_ratio: time at the largest number over that at the smallest.
        sizes: time against image size, empty where not asked for.
    """

    environment: dict[str, Any]
    setting: dict[str, Any]
    parameters: dict[str, int]
    alive: float | None
    step: StepTime
    memory: Memory
    parts: list[Part]
    pyro: PyroShare
    objects: list[ObjectsTime]
    objects_ratio: float | None
    sizes: list[SizeTime]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        with written_whole(path) as lent:
            lent.write_text(json.dumps(asdict(self), indent=2) + "\n")


def run_benchmark(
    config: Config,
    *,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    threads: int | None = None,
    objects: bool = True,
    sizes: bool = True,
    say: Say = lambda message: None,
) -> Report:
    """Measure a configuration.

    Args:
        config: without height and width, 64 x 64 pixels are taken; without channels, 3.
        batch: videos a step.
        frames: length of a video.
        steps: repetitions of each measurement.
        device: where to run.
        threads: torch's threads on the CPU; none leaves them as they are.
        objects: measure time against the number of objects too.
        sizes: measure time against image size too.
        say: told what is being measured.

    Raises:
        UserError: a number is below one, or the model's sites cannot be scripted.
    """
    for name, value in {"batch": batch, "frames": frames, "steps": steps}.items():
        if value < 1:
            raise UserError(f"--{name} must be at least 1, not {value}")
    if threads is not None and threads < 1:
        raise UserError(f"--threads must be at least 1, not {threads}")
    config = filled(config)
    with _threads(threads), fast_pyro():
        conditions = environment(device)
        say("memory, in a process of its own")
        memory = peak_memory(config, batch, frames, device)
        say("the step")
        stepper = Stepper(config, batch, frames, device)
        step = time_steps(stepper, steps)
        say("its parts")
        parts = time_parts(stepper, steps)
        say("Pyro's share")
        share = pyro_share(stepper, steps)
        say("objects" if objects else "image size")
        counts = time_objects(config, batch, frames, steps, device) if objects else []
        say("image size")
        measured = time_sizes(config, batch, frames, steps, device) if sizes else []
        return Report(
            conditions,
            {
                "batch": batch,
                "frames": frames,
                "steps": steps,
                "config": config.model_dump(mode="json"),
            },
            stepper.count_parameters(),
            mean_alive(stepper.program, stepper.video),
            step,
            memory,
            parts,
            share,
            counts,
            counts[-1].seconds.median / counts[0].seconds.median if counts else None,
            measured,
        )


def filled(config: Config) -> Config:
    """The configuration with a frame of 64 x 64 pixels and 3 channels where it names none."""
    model = config.model
    return _with_model(
        config,
        height=model.height or 64,
        width=model.width or 64,
        channels=model.channels or 3,
    )


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---------------------------------------------------------------------------------------- the step


class Stepper:
    """The training step of a configuration, in phases that can be timed one by one.

    Args:
        config: with height, width and channels.
        batch: videos a step.
        frames: length of a video.
        device: where it runs.
    """

    def __init__(self, config: Config, batch: int, frames: int, device: torch.device) -> None:
        self.config = config
        self.device = device
        self.program: Program = build_program(config, device)
        train = config.train
        self.program.drive_to(0)
        latents = self.program.kind_of_latents(config)
        self.estimator = make_estimator(train.estimator, train.particles, latents)
        self.objective = Objective(self.estimator, self.program.model, self.program.guide)
        self.parameters = [p for p in self.objective.parameters() if p.requires_grad]
        self.optimizer = OPTIMIZERS[train.optimizer](self.parameters, lr=0.0)
        self.video = synthetic_video(config, batch, frames).to(device)

    def count_parameters(self) -> dict[str, int]:
        """Numbers of trainable parameters, by part."""
        counts = {
            name: sum(p.numel() for p in part.parameters() if p.requires_grad)
            for name, part in self.program.parts.items()
        }
        return counts | {"total": sum(p.numel() for p in self.parameters)}

    def forward(self, guide: Any = None) -> Tensor:
        """The loss in nats a frame; ``guide`` in place of the program's own, if given."""
        model, guide = self.program.model, guide or self.program.guide
        return self.scaled(self.estimator.differentiable_loss(model, guide, self.video))

    def scaled(self, loss: Tensor) -> Tensor:
        """A loss of all videos as nats a frame, as in training."""
        return loss / (self.video.shape[0] * self.video.shape[1])

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()

    def update(self, loss: Tensor) -> None:
        """Clip, look whether all is finite, and let the optimizer step (by nothing)."""
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.train.clip)
        if bool(torch.isfinite(loss.detach()) & torch.isfinite(norm)):
            self.optimizer.step()

    def now(self) -> float:
        """Seconds on a clock, when the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def timed(self, forward: Callable[[], Tensor] | None = None) -> tuple[float, float, float]:
        """Seconds of forward, backward and update of one step."""
        begin = self.now()
        loss = (forward or self.forward)()
        evaluated = self.now()
        self.backward(loss)
        derived = self.now()
        self.update(loss)
        end = self.now()
        return evaluated - begin, derived - evaluated, end - derived


def synthetic_video(config: Config, batch: int, frames: int) -> Tensor:
    """Smooth noise that drifts, ``[B, T, C, H, W]`` in [0, 1]; the same on every machine."""
    model: Any = config.model
    assert model.height is not None
    assert model.width is not None
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(batch, model.channels or 3, 12, 12, generator=random)
    size = (model.height + frames, model.width + frames)
    world = nn.functional.interpolate(coarse, size, mode="bilinear")
    views = [world[:, :, t : t + model.height, t : t + model.width] for t in range(frames)]
    return torch.stack(views, 1)


def time_steps(stepper: Stepper, steps: int) -> StepTime:
    """Time a step and its phases, after warm-up."""
    for _ in range(WARM_UP):
        stepper.timed()
    runs = [stepper.timed() for _ in range(steps)]
    forward, backward, optimizer = (Spread.of(phase) for phase in zip(*runs, strict=True))
    return StepTime(forward, backward, optimizer, Spread.of([sum(run) for run in runs]))


def mean_alive(program: Program, video: Tensor) -> float | None:
    """Mean number of objects alive a video and frame, if the model tells."""
    scene = infer(program.model, program.guide, video, sample=True)
    if not hasattr(scene, "trackers"):
        return None
    alive = torch.stack([each.alive.sum(1) for each in scene.trackers])
    return alive.float().mean().item()


# ------------------------------------------------------------------------------------------ memory


def peak_memory(config: Config, batch: int, frames: int, device: torch.device) -> Memory:
    """Peak memory of training, in a fresh process: a process's own peak never goes down.

    Raises:
        UserError: the process failed, most likely for want of memory.
    """
    request = {
        "config": config.model_dump(mode="json"),
        "batch": batch,
        "frames": frames,
        "device": str(device),
        "threads": torch.get_num_threads(),
    }
    child = subprocess.run(
        [sys.executable, "-m", "scalor_ppl.studies.benchmark"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        said = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"measuring memory failed (exit status {child.returncode}: {said}); "
            "try a smaller --batch or --frames"
        )
    return Memory(**json.loads(child.stdout.splitlines()[-1]))


def _measure_memory(request: Mapping[str, Any]) -> Memory:
    """In the fresh process: a few steps, and what they took."""
    keep_freed_memory()
    torch.set_num_threads(request["threads"])
    device = torch.device(request["device"])
    with fast_pyro():
        config = checked(request["config"])
        stepper = Stepper(config, request["batch"], request["frames"], device)
        before = _peak_bytes(device)
        for _ in range(WARM_UP):
            stepper.timed()
    return Memory(_peak_bytes(device), before, "cuda" if device.type == "cuda" else "resident")


def _peak_bytes(device: torch.device) -> int:
    """Peak so far: of the process's resident size or, on a GPU, of torch's allocations."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        # Not ru_maxrss where it can be helped: on Linux a new process inherits its parent's.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


# ------------------------------------------------------------------------------------------- parts

# Where a part is found: in the model, the guide, or the guide's module; what it is called there
# (the forward pass, where that is a module); and its name. What a program lacks is left out.
PARTS = (
    ("guide", "features", "image features"),
    ("guide", "propagate", "propagation: heads, attention, GRU"),
    ("guide", "propose", "proposals: heads"),
    ("guide", "discover", "proposals: heads"),
    ("guide", "discover_hoisted", "proposals: heads"),
    ("guide", "proposal.encode_mask", "proposals: mask encoder"),
    ("guide", "glimpses", "glimpse encoder"),
    ("guide", "background", "background"),
    ("guide", "sample_background", "background"),
    ("module", "read_glimpses", "glimpse reading"),
    ("model", "decode", "glimpse decoder"),
    ("model", "moved_objects", "propagation mask (writing)"),
    ("model", "updated_trackers", "accept-reject, update"),
    ("model", "rendered", "rendering"),
    ("model", "propagation", "priors"),
    ("model", "propagation.update", "priors"),
    ("model", "discovery", "priors"),
    ("model", "carry", "priors"),
    ("model", "sample_background", "background"),
    ("model", "forward", "the model's loop, plates"),
    ("guide", "forward", "the guide's loop, plates"),
)
# Parts that belong to inference, whatever the program: owner, attribute, name.
PRIMITIVES = (
    (pyro, "sample", "pyro.sample: handlers"),
    (TorchDistributionMixin, "__call__", "draws"),
    (Trace, "compute_log_prob", "log-densities"),
    (Trace, "compute_score_parts", "log-densities"),
    (Elbo, "bound", "summing the loss"),
    (ScalorObjective, "collect", "divergences, likelihood"),
)
REST = "traces, rest"


class Stopwatch:
    """Adds up the time that named functions take, without what they spend in one another.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._now = now
        self._open: list[str] = []
        self._since = 0.0

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time put down to ``name``."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._switch()
            self._open.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                self._switch()
                self._open.pop()

        return timed

    def _switch(self) -> None:
        now = self._now()
        if self._open:
            name = self._open[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


def time_parts(stepper: Stepper, steps: int) -> list[Part]:
    """The forward pass by parts, slowest first: medians of each part's own time."""
    runs: list[dict[str, float]] = []
    for _ in range(steps):
        watch = Stopwatch(stepper.now)
        with _watched(stepper.program, watch):
            watch.wrap(REST, stepper.forward)()
        runs.append(watch.seconds)
    names = dict.fromkeys(name for run in runs for name in run)
    medians = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in names}
    total = sum(medians.values())
    parts = [Part(name, seconds, seconds / total) for name, seconds in medians.items()]
    return sorted(parts, key=lambda part: -part.seconds)


@contextmanager
def _watched(program: Program, watch: Stopwatch) -> Iterator[None]:
    """Every part of a program, and of Pyro, timed by a stopwatch."""
    owners = {
        "model": program.model,
        "guide": program.guide,
        "module": sys.modules[type(program.guide).__module__],
    }
    with ExitStack() as stack:
        places = [(owners[owner], path, name) for owner, path, name in PARTS]
        for owner, path, name in [*places, *PRIMITIVES]:
            place = _found(owner, path)
            if place is not None:
                stack.enter_context(_replaced(*place, watch.wrap(name, getattr(*place))))
        yield


def _found(owner: Any, path: str) -> tuple[Any, str] | None:
    """Owner and attribute of the function at a dotted path; a module's is its forward pass."""
    *way, last = path.split(".")
    for step in way:
        owner = getattr(owner, step, None)
    target = getattr(owner, last, None)
    if isinstance(target, nn.Module):
        return target, "forward"
    return (owner, last) if callable(target) else None


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute replaced within a ``with`` block."""
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


# ------------------------------------------------------------------------------------ Pyro's share


class _Nothing:
    """A context that does nothing, for ``pyro.plate``."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class PlainRun:
    """The primitives of Pyro that a program uses, without Pyro: what its computation costs alone.

    Sites are plate-complete, that is the batch shape of each distribution is the plates' whole
    shape; a program that leaves it to plates to enlarge distributions fails the comparison.
    """

    def __init__(self) -> None:
        self.guide: dict[str, dict[str, Any]] = {}
        self.model: dict[str, dict[str, Any]] = {}
        self._sites = self.guide
        self._mask: Tensor | None = None

    def loss(self, stepper: Stepper) -> Tensor:
        """The loss of the program's step, in nats a frame."""
        program, video = stepper.program, stepper.video
        with self._primitives():
            self._sites = self.guide
            program.guide(video)
            self._sites = self.model
            program.model(video)
            if isinstance(stepper.estimator, ScalorObjective):
                return stepper.scaled(self._scalor())
            return stepper.scaled(self._elbo())

    def _elbo(self) -> Tensor:
        log_p = [_log_prob(site) for site in self.model.values()]
        log_q = [_log_prob(site) for site in self.guide.values()]
        return torch.stack(log_q).sum() - torch.stack(log_p).sum()

    def _scalor(self) -> Tensor:
        objective = ScalorObjective()
        traces = (SimpleNamespace(nodes=nodes) for nodes in (self.model, self.guide))
        return -total(objective.collect(Traces(*traces)))  # type: ignore[arg-type]

    @contextmanager
    def _primitives(self) -> Iterator[None]:
        with (
            _replaced(pyro, "sample", self._sample),
            _replaced(pyro, "plate", _Nothing),
            _replaced(poutine, "mask", self._masked),
        ):
            yield

    def _sample(
        self,
        name: str,
        fn: Any,
        obs: Tensor | None = None,
        infer: dict[str, Any] | None = None,
    ) -> Tensor:
        drawn = self.guide.get(name) if self._sites is self.model else None
        value = obs
        if value is None:
            value = fn.rsample() if drawn is None else drawn["value"]
        self._sites[name] = {
            "type": "sample",
            "name": name,
            "fn": fn,
            "value": value,
            "mask": self._mask,
            "scale": 1.0,
            "infer": (drawn["infer"] if drawn else {}) | (infer or {}),
            "is_observed": obs is not None,
        }
        return value

    @contextmanager
    def _masked(self, mask: Tensor) -> Iterator[None]:
        before, self._mask = self._mask, mask if self._mask is None else self._mask & mask
        try:
            yield
        finally:
            self._mask = before


def _log_prob(site: Mapping[str, Any]) -> Tensor:
    """Log-density of a site, summed."""
    log_prob = site["fn"].log_prob(site["value"])
    mask = site["mask"]
    if mask is not None:
        log_prob = torch.where(mask, log_prob, log_prob.new_zeros(()))
    return log_prob.sum()


def pyro_share(stepper: Stepper, steps: int) -> PyroShare:
    """Measure Pyro's own share of a step; the module's docstring defines it."""
    note = _no_plain_run(stepper)
    if note:
        return PyroShare(None, note=note)

    def plain() -> Tensor:
        return PlainRun().loss(stepper)

    ours = _loss_and_gradients(stepper, stepper.forward)
    theirs = _loss_and_gradients(stepper, plain)
    differences = [_relative(*pair) for pair in zip(theirs, ours, strict=True)]
    if not max(differences) <= AGREEMENT:
        return PyroShare(
            None,
            loss_difference=differences[0],
            gradient_difference=differences[1],
            note="without Pyro the program computes another loss: it needs more of Pyro than "
            "sample, complete plates and mask",
        )
    times: dict[Any, list[float]] = {stepper.forward: [], plain: []}
    for number in range(2 * steps):
        # In turns, and each first as often as second, so that a drift of the machine meets both.
        order = list(times) if number % 2 else list(times)[::-1]
        for forward in order:
            times[forward].append(sum(stepper.timed(forward)))
    under_pyro, alone = (Spread.of(each) for each in times.values())
    share = 1 - alone.median / under_pyro.median
    return PyroShare(share, under_pyro, alone, differences[0], differences[1])


def _no_plain_run(stepper: Stepper) -> str:
    """Why a step cannot be run without Pyro; empty where it can."""
    if type(stepper.estimator) not in (Elbo, ScalorObjective):
        return "measured for the estimators elbo and scalor only"
    if stepper.estimator.num_particles > 1:
        return "measured for one particle only"
    if stepper.program.kind_of_latents(stepper.config) != "relaxed":
        return "measured for relaxed presence only: hard presence needs a score-function term"
    return ""


def _loss_and_gradients(stepper: Stepper, forward: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """A loss ``[1]`` and all its gradients in one vector, with fixed noise."""
    torch.manual_seed(1)
    loss = forward()
    stepper.backward(loss)
    gradients = [p.grad.flatten() for p in stepper.parameters if p.grad is not None]
    return loss.detach()[None], torch.cat(gradients)


def _relative(value: Tensor, reference: Tensor) -> float:
    if value.shape != reference.shape:
        return math.inf
    return ((value - reference).norm() / reference.norm().clamp(min=1e-12)).item()


# ----------------------------------------------------------------------------------------- objects


class ScriptedPresence(Messenger):
    """Presence by script: a number of objects found in the first frame, none lost, none added.

    Values of the presence sites are overwritten where they are drawn, and their gradients kept, so
    that a step does all the work that it does without.

    Args:
        presence: the model's, which converts z_pres to values.
        objects: how many cells find an object.
    """

    def __init__(self, presence: Any, objects: int) -> None:
        super().__init__()
        self.presence = presence
        self.objects = objects

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        name, fn = msg["name"], msg["fn"]
        if msg["is_observed"] or not name.startswith("z_pres_"):
            return
        drawn = fn(*msg["args"], **msg["kwargs"])
        wanted = torch.full_like(drawn, PRESENT if "_prop_" in name else ABSENT)
        if name == "z_pres_disc_0":
            cells = drawn.shape[-1]
            chosen = torch.arange(self.objects, device=drawn.device) * cells // self.objects
            wanted[..., chosen] = PRESENT
        value = self.presence.value(wanted)
        msg["value"] = value + (drawn - drawn.detach()) if drawn.requires_grad else value


def time_objects(
    config: Config,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    counts: Sequence[int] = OBJECT_COUNTS,
) -> list[ObjectsTime]:
    """Time of forward and backward against the number of objects, all else fixed.

    Capacity and grid are made large enough for the largest number. The rules are evaluated but set
    so that they delete nothing. The numbers are measured in turns.

    Raises:
        UserError: the number of objects alive is not the one asked for.
    """
    stepper = Stepper(_roomy(config, max(counts)), batch, frames, device)
    presence = stepper.program.model.presence
    guides = {n: ScriptedPresence(presence, n)(stepper.program.guide) for n in counts}
    for n, guide in guides.items():
        _check_alive(stepper, guide, n)
    times: dict[int, list[float]] = {n: [] for n in counts}
    for number in range(steps + 1):
        # Up and down in turns, so that a drift of the machine favours no number.
        for n in list(counts) if number % 2 else list(counts)[::-1]:
            forward, backward, _ = stepper.timed(functools.partial(stepper.forward, guides[n]))
            if number:  # the first round is warm-up
                times[n].append(forward + backward)
    return [ObjectsTime(n, Spread.of(seconds)) for n, seconds in times.items()]


def _roomy(config: Config, objects: int) -> Config:
    """A configuration with room for so many objects, whose rules never delete one."""
    model: Any = config.model
    side = math.ceil(math.sqrt(objects))
    enough = model.grid[0] * model.grid[1] >= objects
    rules = model.rules.model_copy(
        update={
            "overlap": 1.0,
            "duplicate_radius": 1e-6,
            "vanish_share": 0.0,
            "doubled_radius": 1e-6,
        }
    )
    return _with_model(
        config,
        grid=model.grid if enough else (side, side),
        capacity=max(model.capacity, objects),
        proposals=None if model.proposals is None else max(model.proposals, objects),
        rules=rules,
    )


def _check_alive(stepper: Stepper, guide: Any, objects: int) -> None:
    scene = infer(stepper.program.model, guide, stepper.video, sample=True)
    alive = torch.stack([each.alive.sum(1) for each in scene.trackers])
    if not bool((alive == objects).all()):
        raise UserError(
            f"presence cannot be scripted in this model: {alive.float().mean().item():.1f} objects "
            f"alive in place of {objects}; use --no-objects"
        )


# -------------------------------------------------------------------------------------- image size


def time_sizes(
    config: Config,
    batch: int,
    frames: int,
    steps: int,
    device: torch.device,
    sizes: Sequence[int] = IMAGE_SIZES,
) -> list[SizeTime]:
    """Time of a step against image size: grid fixed, and growing with the image.

    Objects keep their size in pixels, and the capacity stays.
    """
    model: Any = config.model
    assert model.height is not None
    assert model.width is not None
    cell = (model.height / model.grid[0], model.width / model.grid[1])
    measured = []
    for size in sizes:
        scaled = (max(1, round(size / cell[0])), max(1, round(size / cell[1])))
        for grid in dict.fromkeys((model.grid, scaled)):
            larger = _with_model(config, height=size, width=size, grid=grid)
            stepper = Stepper(larger, batch, frames, device)
            seconds = time_steps(stepper, steps)
            measured.append(SizeTime(size, size, grid, seconds.total))
            del stepper
            _release()
    return measured


def _release() -> None:
    """Give memory back, so that one size does not pay for another's."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):  # another C library than glibc
            return


def _with_model(config: Config, **changes: Any) -> Config:
    """A configuration with changes to its model."""
    return config.model_copy(update={"model": config.model.model_copy(update=changes)})


if __name__ == "__main__":
    print(json.dumps(asdict(_measure_memory(json.load(sys.stdin)))))
