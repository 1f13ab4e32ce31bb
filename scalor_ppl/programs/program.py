"""What every program offers to training, inference and scores."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import torch
from torch import Tensor

from scalor_ppl.config.schedules import Schedule
from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.programs.memory import Memory, joined, parted, plain
from scalor_ppl.tracks.deviations import Calibration

log = logging.getLogger(__name__)


class Scene(Protocol):
    """What a model returns; a program's own scenes hold more.

    Attributes:
        image: the mean of the pixels in [0, 1], ``[B, T, C, H, W]``.
        memory: what the model would go on with.
    """

    @property
    def image(self) -> Tensor:
        """``[B, T, C, H, W]``."""

    @property
    def memory(self) -> Any:
        """Opaque: handed back as :attr:`Memory.foreseen`."""


class TimedPart(NamedTuple):
    """A part of the forward pass, whose time a benchmark tells.

    Attributes:
        owner: what it belongs to: a module, an object, a Python module.
        attribute: the function's name there.
        name: for the table; parts of one name are added up.
    """

    owner: Any
    attribute: str
    name: str


@dataclass(frozen=True)
class Program:
    """A model and its guide, ready to use, and the configuration they were made from.

    What is said here holds for any program; a subclass says what its own can do beyond that.

    Attributes:
        config: its settings.
        model: the generative program.
        guide: its posterior.
        device: where both are.
        name: of its family.
        calibration: of its tracks' standard deviations; none where nobody fitted one.
    """

    config: Config
    model: Any
    guide: Any
    device: torch.device
    name: str = "program"
    calibration: Calibration | None = None

    latents: ClassVar[str] = "continuous"
    """Kind of its latents where the configuration has no say: see :meth:`kind_of_latents`."""

    @property
    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds, by name."""
        return {"model": self.model, "guide": self.guide}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its frames."""
        height, width = self.config.model.height, self.config.model.width
        assert height is not None
        assert width is not None
        return height, width

    def check_fits(self, name: str, height: int, width: int, channels: int) -> None:
        """Complain about a video of another size than the program's.

        Raises:
            UserError: it has another size.
        """
        own = self.config.model
        if (height, width, channels) != (own.height, own.width, own.channels):
            raise UserError(
                f"{name} is {height} x {width} x {channels}, but the run was trained on "
                f"{own.height} x {own.width} x {own.channels}: bring it to that size first"
            )

    # ------------------------------------------------------------------ training

    @classmethod
    def kind_of_latents(cls, config: Config) -> str:
        """``continuous``, or whether presence is ``relaxed`` or ``hard``: estimators differ."""
        return cls.latents

    @classmethod
    def with_latents(cls, config: Config, kinds: Collection[str]) -> Config:
        """The configuration with latents of one of these kinds, its own where that is one of them.

        Raises:
            UserError: the program has none of those kinds.
        """
        own = cls.kind_of_latents(config)
        if own not in kinds:
            raise UserError(
                f"the latents of {config.model_file} are {own}: it cannot be trained with an "
                f"estimator for {' or '.join(sorted(kinds))} presence"
            )
        return config

    @classmethod
    def with_source(cls, config: Config, source: Any) -> Config:
        """The configuration with what the program needs to know of its data beyond their size."""
        return config

    def prepare(self) -> None:
        """Bring the fresh modules into the state that the configuration asks for.

        Raises:
            UserError: the program cannot do what ``train`` asks for.
        """
        if self.config.train.precision != "float32":
            raise UserError(
                f"train.precision = {self.config.train.precision!r}: {self.name} is trained in "
                "float32 only"
            )

    def begin(self, source: Any) -> None:
        """Take from the data what training starts from. Most programs take nothing."""

    def schedules(self) -> Mapping[str, Schedule]:
        """What schedules drive beyond learning rate and clip length, by name."""
        return {}

    def drive(self, values: Mapping[str, float]) -> None:
        """Set what :meth:`schedules` named."""

    def drive_to(self, step: int) -> dict[str, float]:
        """Set everything driven to its value at a step of the training, and say the values."""
        steps = self.config.train.steps
        values = {name: each.at(step, steps) for name, each in self.schedules().items()}
        self.drive(values)
        return values

    def inputs(self, video: Tensor, corner: Tensor | None) -> tuple[Tensor, ...]:
        """What model and guide are given of a batch.

        Args:
            video: ``[B, T, C, H, W]`` in [0, 1].
            corner: where crops lie in the whole frames; none for whole frames.
        """
        return (video,)

    def figures(self, scene: Any) -> dict[str, float]:
        """Figures of a scene for the log."""
        return {}

    # ------------------------------------------------------------------ memory

    def remembered(self, before: Memory | None, frames: int, scene: Any, inferred: Any) -> Memory:
        """The memory after some frames, without gradients.

        Args:
            before: the memory that model and guide were given; none at the beginning.
            frames: how many they then saw.
            scene: what the model returned.
            inferred: what the guide returned.
        """
        begun = 0 if before is None else before.frame
        return Memory(begun + frames, scene.memory, inferred.memory).detached()

    def packed(self, memory: Memory) -> Any:
        """The memory as a checkpoint holds it: dictionaries, lists and tuples of tensors."""
        return plain(memory)

    def unpacked(self, stored: Any) -> Memory:
        """The inverse of :meth:`packed`."""
        return Memory(*stored)

    def joined(self, memories: Sequence[Memory]) -> Memory:
        """The memories of several videos as one of them all, to follow them together.

        Args:
            memories: of equal `layout`.
        """
        return joined(memories)

    def parted(self, memory: Memory, videos: int) -> list[Memory]:
        """The inverse of :meth:`joined`, but for the number of frames.

        Raises:
            UserError: the program's memory cannot be told by video.
        """
        return parted(memory, videos)

    # ------------------------------------------------------------------ inference

    @property
    def bounded_presence(self) -> str | None:
        """Kind of presence that bounds on held-out clips are taken with; none has no presence."""
        return None

    @contextmanager
    def presence_as(self, kind: str | None) -> Iterator[None]:
        """Bring presence into another kind for a while; a program without presence stays."""
        yield

    @property
    def refinement(self) -> int:
        """Steps of gradient after its networks."""
        return 0

    def refined(self, steps: int) -> Self:
        """The program with so many steps of gradient after its networks.

        Raises:
            UserError: its inference cannot be refined.
        """
        if steps:
            raise UserError(
                f"--refine {steps}: {self.name} infers by its networks alone; leave it out"
            )
        return self

    def compiled(self) -> Self:
        """The program with what is compiled of its inference at first use; itself by default."""
        log.warning("--compile: nothing of the inference of %s can be compiled", self.name)
        return self

    def for_size(self, size: tuple[int, int]) -> Self:
        """The program for frames of another size; itself where the size is its own.

        Raises:
            UserError: it has one size only.
        """
        if size != self.size:
            raise UserError(
                f"frames of {size[0]} x {size[1]} pixels are not for {self.name}, which was "
                f"trained on {self.size[0]} x {self.size[1]}: bring the video to that size"
            )
        return self

    def imagining(
        self, observed: int, frames: int, first_rate: float | None, rate: float | None
    ) -> dict[str, Any]:
        """Arguments of the model for frames that are sampled from the priors.

        Args:
            observed: frames that are given.
            frames: in all.
            first_rate: chance of a new object in the first frame; none is the program's own.
            rate: likewise in later imagined frames.

        Raises:
            UserError: a rate is given and the program has none.
        """
        if first_rate is not None or rate:
            raise UserError(f"{self.name} finds no objects: there is no rate of discovery to set")
        return {}

    def background(self, scene: Any) -> Tensor | None:
        """What a scene shows behind its objects, ``[B, T, C, H, W]``; none where nothing is."""
        return None

    # ------------------------------------------------------------------ benchmarks

    def timed_parts(self) -> list[TimedPart]:
        """Parts of the forward pass: the networks that model and guide are made of."""
        parts = []
        for part, whole in (("model", self.model), ("guide", self.guide)):
            parts += [TimedPart(m, "forward", f"{part}: {n}") for n, m in whole.named_children()]
            parts.append(TimedPart(whole, "forward", f"the {part}'s loop, plates"))
        return parts

    @classmethod
    def configs_for_size(cls, config: Config, height: int, width: int) -> Mapping[str, Config]:
        """Configurations for images of another size, by what else they differ in, in words."""
        return {"": config.with_model(height=height, width=width)}

    def shape_in_words(self) -> str:
        """What of its settings a step's cost depends on, beside the video; nothing by default."""
        return ""

    def on(self, config: Config) -> Self:
        """The same modules under another configuration."""
        return replace(self, config=config)
