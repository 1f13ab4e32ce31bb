"""What some programs can do and others cannot. Whoever needs it asks with :func:`require`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    TypeVar,
    runtime_checkable,
)

import numpy as np
from pyro.poutine import Trace
from torch import Tensor

from scalor_ppl.config.schema import Config
from scalor_ppl.errors import UserError
from scalor_ppl.programs.family import Family
from scalor_ppl.programs.memory import Memory
from scalor_ppl.programs.program import Program
from scalor_ppl.tracks.table import Tracks

if TYPE_CHECKING:
    from scalor_ppl.data import ClipSource
    from scalor_ppl.fitting.proposal import Proposal
    from scalor_ppl.fitting.survey import Survey


class ObjectArrays(NamedTuple):
    """The objects of a scene, K slots in each of T frames of B videos.

    Attributes:
        where: float ``[B, T, K, 4]``, boxes that the glimpses are painted in, in the convention of
            :mod:`scalor_ppl.render.boxes`.
        depth: ``[B, T, K]``; smaller is nearer.
        what: ``[B, T, K, D]``, appearance.
        glimpse: ``[B, T, K, C + 1, h, w]`` in [0, 1]: colour and mask within the box.
    """

    where: np.ndarray
    depth: np.ndarray
    what: np.ndarray
    glimpse: np.ndarray


class FindsObjects(ABC):
    """The program's scenes are made of objects that keep an identity."""

    lacking: ClassVar[str] = "finds no objects"

    @abstractmethod
    def tracks(self, scene: Any) -> list[Tracks]:
        """The tracks of every video of a scene, in pixels of the view."""

    @abstractmethod
    def objects(self, scene: Any) -> ObjectArrays:
        """The objects of a scene, in the slots of its tracks."""

    def importance(self, depth: np.ndarray) -> np.ndarray:
        """What masks are multiplied by where objects overlap, by depth alone: ``[...]``, above 0.

        The largest product is seen. The paper's, sigmoid(-depth), where a program says no other.
        """
        return np.asarray(1 / (1 + np.exp(np.clip(depth, -50, 50))))

    @abstractmethod
    def confidence(self, trace: Trace, scene: Any) -> Tensor:
        """How sure the guide is of each object, ``[B, T, K]`` in 0..1.

        Args:
            trace: of the guide, most likely values taken.
            scene: what the model made of them.
        """

    def spread(self, trace: Trace, scene: Any) -> Tensor | None:
        """Standard deviations of the objects' centres, x and y in pixels, ``[B, T, K, 2]``.

        None where the program does not say. Arguments as of :meth:`confidence`.
        """
        return None

    @abstractmethod
    def looks(self, video: Tensor, scene: Any) -> Tensor:
        """What the objects look like in the frames themselves, ``[B, T, K, D]``."""

    @abstractmethod
    def presence_in_words(self) -> str:
        """What the values of presence mean, for the files that hold them."""


class CountsObjects(FindsObjects):
    """It can be told how many objects to find, so that a step can be timed against their number."""

    lacking: ClassVar[str] = "finds no objects by number"

    @classmethod
    @abstractmethod
    def with_room(cls, config: Config, objects: int) -> Config:
        """The configuration with room for so many objects, none of which is ever deleted."""

    @classmethod
    def with_exact_room(cls, config: Config, objects: int) -> Config:
        """The same with no more room than for so many, where the program can have less.

        By default it is what :meth:`with_room` gives.
        """
        return cls.with_room(config, objects)

    @abstractmethod
    def finding(self, objects: int) -> Any:
        """The guide, called like it, made to find so many objects in the first frame and keep them.

        Gradients flow, and a step does all the work that it does with the guide's own.
        """


class Intervenes(ABC):
    """One can act on single objects while the program runs: what if."""

    lacking: ClassVar[str] = "knows no interventions"

    @abstractmethod
    def intervening(self, interventions: Sequence[Any]) -> AbstractContextManager[Any]:
        """A handler under which interventions act on imagined frames."""

    @abstractmethod
    def same_noise(self) -> AbstractContextManager[Any]:
        """A handler under which an object's noise depends on the seed and its identity alone."""


class PartRecord(NamedTuple):
    """What a training of a part of a program was.

    Attributes:
        settings: of it, as the configuration has them.
        steps: of the optimizer.
        clips, frames: of the draws.
        draw_seconds: wall-clock time that the draws took.
        seconds: that the steps took.
        before, after: of held-out draws, under the program before and after: ``-log p(z)`` in nats
            a frame, by prior; the decoder's ``mse``; the background's ``mse``, and its ``bound``,
            nats a frame under a standard normal; the guide's ``objective``, nats a frame of clips,
            and its ``places``, ``-log q(z_pres, z_where)`` at sampled videos, nats a frame.
        note: what is to be known of the draws, a line.
    """

    settings: dict[str, Any]
    steps: int
    clips: int
    frames: int
    draw_seconds: float
    seconds: float
    before: dict[str, float]
    after: dict[str, float]
    note: str = ""


Tell = Callable[[int, int, str], None]
"""Gets how much is done, of how much, and figures."""


class TrainsParts(ABC):
    """Its priors, decoder, background or guide can be trained alone.

    All but the guide are at draws of the posterior.

    Each method gives the program with the part trained, all else as it is, and a record; it raises
    ``UserError`` where there is nothing to learn from, and ``TrainingError`` where a step was not
    finite.
    """

    lacking: ClassVar[str] = "has no parts that can be trained alone"

    settings_of_parts: ClassVar[Mapping[str, tuple[str, ...]]]
    """Which tables and settings, beside ``data`` and ``train``, a training of a part may change: by
    ``priors``, ``decoder``, ``background`` and ``guide``."""

    @property
    @abstractmethod
    def knows_what_enters(self) -> bool:
        """Whether its priors have learned what enters, as they do when they are trained alone.

        Else videos that are sampled from scratch are little like the data.
        """

    @abstractmethod
    def with_trained_priors(
        self, config: Config, source: ClipSource, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """The program with the priors that a configuration asks for.

        Args:
            config: the program's, with the settings of the phase.
            source: of training clips.
            tell: of progress.
        """

    @abstractmethod
    def with_trained_decoder(
        self, config: Config, source: ClipSource, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """The program with the decoder that a configuration asks for; arguments as above."""

    @abstractmethod
    def with_trained_background(
        self, config: Config, source: ClipSource, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """The program with the background that a configuration asks for; arguments as above.

        Raises:
            UserError: it has none that is learned so.
        """

    @abstractmethod
    def with_trained_guide(
        self, config: Config, source: ClipSource, tell: Tell
    ) -> tuple[Program, PartRecord]:
        """The program with a guide that was trained further; arguments as above.

        Raises:
            UserError: its priors have not learned what enters, so that nothing is to be learned of
                what it samples.
        """


class FrameViews(NamedTuple):
    """What a guide makes of frames alone, before it looks for anything in them.

    Attributes:
        frames: of each frame what the guide takes as ``view``, built alike: tensors, in tuples,
            lists or dictionaries.
        memory: that which was given, without what the views hold already.
        last: what the guide's ``remembering`` adds to a memory after the last frame.
    """

    frames: Sequence[Any]
    memory: Memory | None
    last: Any


@runtime_checkable
class ViewsFrames(Protocol):
    """A guide that can look at all frames of a video at once, and go through them one by one."""

    def view_frames(self, video: Tensor, *others: Tensor, memory: Memory | None) -> FrameViews:
        """The views of the frames of a video; arguments as of the guide, which then gets one frame
        and its ``view``.
        """

    def remembering(self, memory: Memory, last: Any) -> Memory:
        """A memory after the last frame, with :attr:`FrameViews.last`."""


class ProposesSettings(ABC):
    """Its settings can follow from a survey of a video, as `fit` makes one."""

    lacking: ClassVar[str] = "proposes no settings for a video"

    @classmethod
    def settings_for_any_video(cls) -> dict[str, Any]:
        """Tables of settings, as read from TOML, that proposals are made on; its own by default."""
        return {}

    @classmethod
    @abstractmethod
    def propose(cls, survey: Survey) -> Proposal:
        """Settings for a video, each with its reason.

        What the survey says that the user has given (start, stop, stride, resize, crop, channels,
        levels of ``survey.options``; sizes and numbers in ``survey.given``) is to be taken over.

        Raises:
            UserError: nothing can be proposed for such a video.
        """


Capability = TypeVar("Capability")


def require(program: Program, capability: type[Capability], command: str) -> Capability:
    """The program, as one that can do something.

    Args:
        program: any.
        capability: of this module.
        command: what asks for it, for the message.

    Raises:
        UserError: the program cannot.
    """
    if not isinstance(program, capability):
        raise _lacking(program.name, capability, command)
    return program


def require_of(family: Family, capability: type[Capability], command: str) -> type[Capability]:
    """The kind of program of a family, as one that can do something: before any is built.

    Args:
        family: any.
        capability: of this module.
        command: what asks for it, for the message.

    Raises:
        UserError: its programs cannot.
    """
    if not issubclass(family.program, capability):
        raise _lacking(family.name, capability, command)
    return family.program


def _lacking(name: str, capability: type, command: str) -> UserError:
    lacking = getattr(capability, "lacking", "cannot do that")
    return UserError(f"{name} {lacking}: `{command}` needs a program that does")
