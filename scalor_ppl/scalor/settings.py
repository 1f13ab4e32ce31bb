"""The settings that only SCALOR has."""

from typing import Literal

from pydantic import Field, model_validator

from scalor_ppl.config.reading import Pair
from scalor_ppl.config.schedules import Schedule
from scalor_ppl.config.schema import (
    Config,
    ModelSettings,
    Positive,
    Range,
    Section,
    Steps,
    TrainConfig,
)
from scalor_ppl.nn.distributions import PresenceKind


class RulesConfig(Section):
    """The deterministic rules of accept-reject and of track death, shared by model and guide.

    Attributes:
        rejection: reject proposals that overlap propagated objects (paper 3.1, equation 6).
        overlap: tau, the share of a proposal's mask under the propagated mask that rejects it.
            Masks are cut at 0.3 (proposal) and 0.1 (propagated), as in the authors' code.
        duplicate_rejection: reject a proposal whose centre lies inside ``duplicate_radius`` of a
            stronger proposal (not in the paper: two neighbouring cells claiming one object).
        duplicate_radius: radius of that ellipse, as a share of the stronger proposal's box.
        near_tracked: reject a proposal whose centre lies inside this radius of a tracked object, as
            a share of the tracked object's box, whatever their masks (not in the paper: limbs of
            one tracked person found as persons); none does not.
        vanish: delete a tracker whose mask has left the view (not in the paper).
        vanish_share: a tracker is deleted when its mask covers less of the view than this share
            of its box.
        doubled: delete the younger of two trackers that stay in one place (not in the paper).
        doubled_radius: radius of that place, as a share of the older one's box.
        doubled_frames: how many frames in a row it takes.
    """

    rejection: bool = True
    overlap: float = Field(0.3, gt=0, le=1)
    duplicate_rejection: bool = True
    duplicate_radius: float = Field(0.4, gt=0)
    near_tracked: float | None = Field(None, gt=0)
    vanish: bool = True
    vanish_share: float = Field(0.06, ge=0, lt=1)
    doubled: bool = True
    doubled_radius: float = Field(0.25, gt=0)
    doubled_frames: int = Field(5, ge=2)


class ModelConfig(ModelSettings):
    """The generative program.

    Attributes:
        grid: rows and columns of discovery cells.
        capacity: most objects tracked at once.
        proposals: how many of a frame's proposals, the strongest, are decoded and can be
            accepted; none takes those of all cells. Keep it well above the number of objects that
            can enter in a frame: the others get no gradient from the pixels.
        glimpse: height, width of a decoded object, in glimpse pixels.
        what: dimension of z_what.
        outline: how many of the dimensions of z_what, the first, the mask is decoded from; none
            decodes it from all of them.
        object_width, object_height: bounds of the box in pixels (paper: half to 1.5 times the
            true size); with a perspective, of a box in the middle row of the frame.
        perspective: how much larger boxes are at the lower edge than in the middle row, and smaller
            at the upper edge, as a share: a camera that looks down on a plane. 0 sees it from
            straight above.
        reach: how far a proposal may lie from its cell's centre, in cells.
        max_step: how far an object may move in a frame, in image half-widths; one number, or one
            for x and one for y.
        decoder: glimpse decoder: ``fc`` (small, fully connected), ``wide`` (likewise, two wide
            layers), ``conv`` (sub-pixel), or ``file.py:Class``; see
            :mod:`scalor_ppl.scalor.networks`.
        hidden: width of the priors' recurrent state.
        anywhere: the networks are not told where in the frame an object is, so that what was
            trained on crops (``data.crop``) can be run on frames of any size.
        background: ``none`` (black), ``vae`` (the paper's: a vector decoded by a CNN), or
            ``template`` (a fixed camera: a learned image of the scene, which starts from the
            video's per-pixel mode, lit by a vector).
        frame: height, width of the whole frames that crops are taken from, for a template; none
            where whole frames are trained on.
        background_dim: dimension of z_bg.
        presence: ``relaxed`` (Concrete, logit space) or ``hard`` (Bernoulli).
        discovery_rate: prior probability that a cell discovers, when no schedule drives it.
        first_rate: prior probability of a cell in the first frame of *generated* videos
            (paper, experiment 3).
        centred: z_where is the centre of mass of an object's mask; otherwise (the paper's) that of
            the glimpse's box, in which the object may lie anywhere. Boxes in tracks then lie about
            the masks, but for their edges out of view.
        occlusion: how sharply nearer objects hide farther ones: where they overlap, the weights of
            their colours have the ratio exp(occlusion * difference of depth), and refinement moves
            depth as well; none is the paper's, of sigmoid(-depth), which blends them.
        tight_boxes: boxes in tracks lie about the masks, not about the glimpses that hold them,
            always; for objects whose sizes differ.
    """

    grid: Pair = (8, 8)
    capacity: int = Field(45, ge=1)
    proposals: int | None = Field(None, ge=1)
    glimpse: Pair = (12, 12)
    what: int = Field(16, ge=1)
    outline: int | None = Field(None, ge=1)
    object_width: Range = (5.0, 18.0)
    object_height: Range = (5.0, 18.0)
    perspective: float = Field(0.0, gt=-1, lt=1)
    reach: float = Field(1.0, gt=0)
    max_step: Positive | Steps = 0.2
    decoder: str = "fc"
    hidden: int = Field(64, ge=1)
    anywhere: bool = False
    background: Literal["none", "vae", "template"] = "none"
    background_dim: int = Field(10, ge=1)
    frame: Pair | None = None
    presence: PresenceKind = "relaxed"
    discovery_rate: float = Field(1e-4, gt=0, lt=1)
    first_rate: float = Field(0.2, ge=0, lt=1)
    occlusion: float | None = Field(None, gt=0)
    tight_boxes: bool = False
    centred: bool = False
    rules: RulesConfig = RulesConfig()

    @model_validator(mode="after")
    def _ranges(self) -> "ModelConfig":
        for name in ("object_width", "object_height"):
            low, high = getattr(self, name)
            if not 0 < low < high:
                raise ValueError(f"{name} must be 0 < smallest < largest, not {low}, {high}")
        if min(self.grid) < 1 or min(self.glimpse) < 2:
            raise ValueError("grid must be at least 1 x 1 and glimpse at least 2 x 2")
        if self.outline is not None and self.outline >= self.what:
            raise ValueError(
                f"outline takes {self.outline} of {self.what} dimensions: none is left"
            )
        if self.perspective and self.anywhere:
            raise ValueError("perspective needs to know where objects are: not with anywhere")
        return self


class GuideConfig(Section):
    """The amortized posterior.

    Attributes:
        features: channels of the image features.
        lstm: channels of the ConvLSTM.
        hidden: width of the tracker GRU and of the heads.
        encoder: glimpse encoder: ``fc``, ``conv``, or ``file.py:Class``.
        glimpse: height, width of a glimpse that is read; none is as the model paints them.
        attention: trackers see half the feature map around their last position (paper 3.2);
            without it they see all of it.
        window: rows and columns of cells that a tracker sees with attention; none is half of the
            grid (the paper's). Give it where frames of several sizes are to be tracked.
        difference: encoders also see the difference of the frame to the background's template.
        colour_blind: the image features, which find and follow objects, see only how far the
            channels of each pixel are from the template, up or down alike, and not the frame: what
            looks unlike all objects of the training is found as well. Glimpses, which tell looks,
            see colours all the same.
        mask: proposals see the encoded propagation mask ``everywhere`` (paper, algorithm 1), or in
            ``presence`` only, which takes their where and what out of the time loop.
        correct: glimpses are read where the networks guess an object from the image features, and
            what they show puts the guess right; otherwise (the paper's) z_where is drawn from the
            guess, and glimpses are read there.
        refine: steps of gradient by which what and where of a frame's objects (with
            ``model.occlusion`` depth, too) are bettered after the networks; not while training. 0
            is the paper's amortized inference.
        refine_pull: how much the networks' posterior of what counts beside the likelihood then; 1
            would hold looks nearly as the networks see them. Where counts three times that.
    """

    features: int = Field(48, ge=1)
    lstm: int = Field(24, ge=1)
    hidden: int = Field(64, ge=1)
    encoder: str = "fc"
    glimpse: Pair | None = None
    attention: bool = True
    window: Pair | None = None
    difference: bool = False
    colour_blind: bool = False
    mask: Literal["everywhere", "presence"] = "presence"
    correct: bool = False
    refine: int = Field(0, ge=0)
    refine_pull: float = Field(0.03, ge=0)


# What `fit` tracks with, beside the paper's: nobody has chosen it to imagine with.
TRACKS_WITH = "momentum"


class PriorConfig(Section):
    """Which priors the program has.

    Each is a registered name (``scalor_ppl/scalor/priors/registry.py``), ``file.py:Class`` or
    ``package.module:Class``.

    Attributes:
        discovery: of the cells' proposals: ``constant`` (the paper's), ``learned`` or ``mixture``.
        propagation: of the tracked objects: ``recurrent`` (the paper's), ``momentum``,
            ``velocity``, ``interaction`` or ``dynamics``.
        background: of z_bg, where ``model.background`` says that there is one: ``recurrent`` (the
            paper's), ``independent`` or ``mixture``.
    """

    discovery: str = "constant"
    propagation: str = "recurrent"
    background: str = "recurrent"


class PriorsTraining(Section):
    """The last phase of a training: priors that imagine, at draws of the posterior, all else fixed.

    ``discovery``, ``propagation`` and ``background`` take the place of the paper's priors, with
    which model and guide were trained; names as in the table `prior`. Where that names another one
    than the paper's, this one stays, and is trained further.

    Attributes:
        steps: of the optimizer; 0 leaves the phase out.
        clips: of which draws are kept.
        frames: of each clip.
        batch: clips a step.
        learning_rate: at its largest.
        discovery: ``mixture``, or any of `prior`'s.
        propagation: ``dynamics``, or any of `prior`'s.
        background: ``mixture``, or any of `prior`'s.
    """

    steps: int = Field(0, ge=0)
    clips: int = Field(512, ge=8)
    frames: int = Field(20, ge=2)
    batch: int = Field(16, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    discovery: str = "mixture"
    propagation: str = "dynamics"
    background: str = "mixture"


class FrameTraining(Section):
    """A part's own training on single frames, at draws of the posterior, all else fixed.

    Attributes:
        steps: of the optimizer.
        clips: of which draws are kept.
        frames: of each clip.
        batch: frames a step.
        learning_rate: at its largest.
    """

    steps: int = Field(3000, ge=1)
    clips: int = Field(512, ge=8)
    frames: int = Field(6, ge=1)
    batch: int = Field(32, ge=1)
    learning_rate: float = Field(2e-3, gt=0)


class DecoderTraining(FrameTraining):
    """A decoder's own training.

    The decoder is that of ``model.decoder`` and paints ``model.glimpse``, which may be finer than
    what the guide reads.

    Attributes:
        sharpness: weight of errors in the contrast of edges beside squared errors; with 0 edges
            are as smooth as the mean of what is likely.
        evenness: weight of differences between neighbouring colours of an object, likewise, where
            objects lie on black: its rim is the mask's, and no dark colour.
    """

    sharpness: float = Field(5.0, ge=0)
    evenness: float = Field(0.03, ge=0)


class BackgroundTraining(FrameTraining):
    """A background's own training: of many clips, as each shows one.

    It has ``model.background_dim`` numbers, which may be more than before.
    """

    clips: int = Field(3000, ge=8)
    frames: int = Field(2, ge=1)
    learning_rate: float = Field(5e-3, gt=0)


class GuideTraining(Section):
    """A guide's own training: at sampled videos, where places are known, and at clips of the data.

    Attributes:
        steps: of the optimizer.
        videos: sampled once, of which an eighth is held out.
        frames: of each video, and of each clip.
        batch: clips of the data a step, for the training's own objective.
        sampled: videos a step.
        weight: of the log-density of whether and where objects are in sampled videos, beside that
            objective; 0 leaves it out.
        temperature: of the samples, as of ``generate --temperature``.
        learning_rate: at its largest.
    """

    steps: int = Field(300, ge=1)
    videos: int = Field(480, ge=8)
    frames: int = Field(10, ge=2)
    batch: int = Field(4, ge=1)
    sampled: int = Field(8, ge=1)
    weight: float = Field(3.0, ge=0)
    temperature: float = Field(0.3, gt=0, le=1)
    learning_rate: float = Field(3e-4, gt=0)


class ScalorTrainConfig(TrainConfig):
    """How SCALOR is trained.

    Attributes:
        decoder: training of the decoder alone.
        background: training of the background alone.
        guide: training of the guide alone.
        priors: training of the priors after everything else.
        temperature: schedule of the presence relaxation.
        discovery_rate: schedule of the discovery prior.
    """

    decoder: DecoderTraining = DecoderTraining()
    background: BackgroundTraining = BackgroundTraining()
    guide: GuideTraining = GuideTraining()
    priors: PriorsTraining = PriorsTraining()
    temperature: Schedule = Schedule(start=1.0, end=0.3, steps=600)
    discovery_rate: Schedule = Schedule(start=0.1, end=1e-4, steps=300, kind="geometric")

    @model_validator(mode="after")
    def _rates(self) -> "ScalorTrainConfig":
        if min(self.temperature.start, self.temperature.end) <= 0:
            raise ValueError("temperature must be greater than 0 at both ends of its schedule")
        rates = (self.discovery_rate.start, self.discovery_rate.end)
        if not (min(rates) > 0 and max(rates) < 1):
            raise ValueError("discovery_rate must lie between 0 and 1 at both ends")
        return self


class ScalorConfig(Config):
    """Everything that decides a run of SCALOR."""

    model: ModelConfig = ModelConfig()
    prior: PriorConfig = PriorConfig()
    guide: GuideConfig = GuideConfig()
    train: ScalorTrainConfig = ScalorTrainConfig()

    @model_validator(mode="after")
    def _together(self) -> "ScalorConfig":
        if self.guide.difference and self.model.background != "template":
            raise ValueError('guide.difference wants model.background = "template"')
        if self.guide.colour_blind and not self.guide.difference:
            raise ValueError("guide.colour_blind wants guide.difference = true")
        if self.model.perspective and (self.data.crop is not None or self.data.tiles is not None):
            raise ValueError("model.perspective wants whole frames: no data.crop, no data.tiles")
        return self

    @property
    def upright(self) -> bool:
        """Whether training clips are mirrored and reversed at most (``data.augment``).

        A template is mirrored with them; a perspective knows what is below.
        """
        return self.model.background == "template" or self.model.perspective != 0
