"""The settings that only SQAIR has."""

from pydantic import Field, model_validator

from scalor_ppl.config.reading import Pair
from scalor_ppl.config.schedules import Schedule
from scalor_ppl.config.schema import Config, ModelSettings, Range, Section, TrainConfig


class SqairSettings(ModelSettings):
    """The generative program.

    Attributes:
        objects: most objects at once, and most steps of discovery a frame.
        object_size: bounds of the width and of the height of a box, as shares of the frame's (the
            paper's code: 0 to 1).
        glimpse: height, width of a decoded object, in glimpse pixels.
        what: dimension of z_what.
        hidden: width of the decoder and of the priors' recurrent states.
    """

    objects: int = Field(3, ge=1)
    object_size: Range = (0.0, 1.0)
    glimpse: Pair = (20, 20)
    what: int = Field(50, ge=1)
    hidden: int = Field(256, ge=1)
    sigma: float = Field(0.3, gt=0)

    @model_validator(mode="after")
    def _sizes(self) -> "SqairSettings":
        low, high = self.object_size
        if not 0 <= low < high:
            raise ValueError(f"object_size = {[low, high]}: smallest first, none below 0")
        return self


class SqairGuideSettings(Section):
    """The amortized posterior.

    Attributes:
        hidden: width of its layers and recurrent states.
        maps: channels of the features of whole frames.
        difference: discovery, and each object that is followed, sees what the objects before it in
            the frame leave unexplained (Eslami et al. 2016, section 4.1); otherwise they see the
            frame, and are told of those before them in codes (the paper's).
        discover: added to the log-odds of finding an object, before anything is learned.
        propagate: added to the log-odds of an object's going on, likewise.
    """

    hidden: int = Field(256, ge=1)
    maps: int = Field(32, ge=1)
    difference: bool = True
    discover: float = 1.0
    propagate: float = 5.0


class SqairTraining(TrainConfig):
    """How it is trained: the paper's objective, and clips that grow longer.

    Attributes:
        late_odds: schedule of what is added to the log-odds of finding an object after the first
            frame, in prior and posterior alike; the program is the paper's where it ends at 0.
            Where objects are found anew from the beginning, following them is never learned:
            finding is learned first, and explains every frame by itself.
    """

    estimator: str = "vimco"
    particles: int = Field(5, ge=1)
    frames: int | Schedule = Schedule(start=3, end=10)
    late_odds: Schedule = Schedule(start=-20.0, end=0.0)


class SqairConfig(Config):
    """Everything that decides a run of SQAIR."""

    model_file: str = "models/sqair.py"
    guide_file: str = "guides/sqair.py"
    model: SqairSettings = SqairSettings()
    guide: SqairGuideSettings = SqairGuideSettings()
    train: SqairTraining = SqairTraining()
