"""The settings of every run, whatever its program: frozen, checked, written beside checkpoints.

A program adds tables of its own: see :class:`scalor_ppl.programs.Family`.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.config.schedules import Schedule

Positive = Annotated[float, Field(gt=0)]
Steps = Annotated[tuple[Positive, Positive], Field(description="x, y")]
Range = Annotated[tuple[float, float], Field(description="smallest, largest")]


class Section(BaseModel):
    """A table of the configuration: no unknown keys, no changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(SourceOptions):
    """Which video, and how it is read.

    Attributes:
        source: a registered set (``scalor-ppl data list``), a video file, a microscopy stack, an
            image folder, a MOTChallenge sequence folder or a NetCDF file of ``scalor-ppl data
            make``.
        seed: seed of generated clips.
        augment: flips, transposition and time reversal of training clips; with a template or a
            perspective mirroring and time reversal alone.
        track_stride: every n-th frame of a video is tracked; none tracks those that `stride` takes.
    """

    source: str = "moving-dsprites-vld"
    seed: int = Field(0, ge=0)
    augment: bool = True
    track_stride: int | None = Field(None, ge=1)


class ModelSettings(Section):
    """What every generative program is told of the video.

    Attributes:
        height, width, channels: of the video; none takes them from the data.
        sigma: standard deviation of the pixels.
    """

    height: int | None = Field(None, ge=4)
    width: int | None = Field(None, ge=4)
    channels: Literal[1, 3] | None = None
    sigma: float = Field(0.2, gt=0)

    def known_frames(self) -> tuple[tuple[int, int], int]:
        """Height and width, and channels, of the frames of a model that is built.

        Raises:
            ValueError: they were not taken from the data.
        """
        if self.height is None or self.width is None or self.channels is None:
            raise ValueError("height, width and channels of the model must be known")
        return (self.height, self.width), self.channels


class TrainConfig(Section):
    """How it is trained.

    Attributes:
        steps: number of optimizer steps.
        batch: clips a step.
        frames: clip length, a number or a schedule (rounded).
        chunks: how many clips in a row of one video are trained on, one a step, with all states
            carried over (without gradient) from each to the next; 1 begins anew in every step.
        chunks_from: the first step of such a row; in those before each step begins anew.
        estimator: registered name of the objective, or ``package.module:Class``.
        particles: draws of the latents per clip, K.
        optimizer: ``muon`` (for the weights of layers, with Adam for the rest), ``adam`` or
            ``rmsprop`` (the paper's).
        learning_rate: a schedule; ``warmup`` steps of linear growth come before it.
        warmup: steps of warm-up.
        clip: largest gradient norm.
        precision: ``float32``, or ``bfloat16`` for the glimpse networks, which is slower where the
            processor has no units for it.
        compile: compile a frame of model and guide at first use, with some minutes of a C++
            compiler; for long trainings. Steps that are logged run as they are. "auto" does so
            where the training is long enough to win them back.
        seed: of parameters, noise and the order of the data.
        initial: run, or ``pretrained:NAME``, whose weights the training starts from; none draws
            them.
        checkpoint_every, image_every, log_every: in steps; 0 switches images off.
        patience: steps in a row with a non-finite loss or gradient after which training stops.
    """

    steps: int = Field(1000, ge=1)
    batch: int = Field(8, ge=1)
    frames: int | Schedule = 10
    chunks: int = Field(1, ge=1)
    chunks_from: int = Field(0, ge=0)
    estimator: str = "elbo"
    particles: int = Field(1, ge=1)
    optimizer: Literal["muon", "adam", "rmsprop"] = "muon"
    learning_rate: float | Schedule = Schedule(start=2e-3, end=1e-4, kind="cosine")
    warmup: int = Field(50, ge=0)
    clip: float = Field(10.0, gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool | Literal["auto"] = False
    seed: int = Field(0, ge=0)
    initial: str | None = None
    checkpoint_every: int = Field(200, ge=1)
    image_every: int = Field(200, ge=0)
    log_every: int = Field(10, ge=1)
    patience: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _schedules(self) -> "TrainConfig":
        frames = self.frames
        ends = (frames.start, frames.end) if isinstance(frames, Schedule) else (frames,)
        if min(ends) < 1:
            raise ValueError("frames must be at least 1, at both ends of a schedule too")
        return self


class Config(Section):
    """Everything that decides a run. Programs narrow ``model``, ``prior``, ``guide``, ``train``.

    Attributes:
        model_file, guide_file: where the program and its posterior are built: a file, or a module.
        data: which video, and how it is read.
        model: the generative program.
        prior: its priors, where a program has a choice of them.
        guide: the amortized posterior.
        train: how it is trained.
    """

    model_file: str = "models/scalor.py"
    guide_file: str = "guides/scalor.py"
    data: DataConfig = DataConfig()
    model: ModelSettings = ModelSettings()
    prior: Section = Section()
    guide: Section = Section()
    train: TrainConfig = TrainConfig()

    def with_model(self, **changes: Any) -> Self:
        """The same with changes to its model, unchecked."""
        return self.model_copy(update={"model": self.model.model_copy(update=changes)})

    @property
    def upright(self) -> bool:
        """Whether training clips are mirrored and reversed at most (``data.augment``)."""
        return False
