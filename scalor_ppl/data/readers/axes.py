"""Which planes of a stack with many axes are the frames.

Microscopes write stacks of time, channel and slice (z) as one long row of planes. Taken as frames
all the same, two channels alternate like a flicker. Here the axes tell them apart, and where a
frame has several channels or slices, somebody must say which one is meant.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scalor_ppl.config.reading import SourceOptions
from scalor_ppl.errors import UserError


@dataclass(frozen=True)
class Planes:
    """Which planes of a stack make up its frames.

    Attributes:
        shape: lengths of the axes that number the planes, in the order of the file.
        time: which of these axes are the frames; none where there is one frame.
        fixed: for every axis, the one index that is read; None for time and what is projected.
        projected: the axis along which the brightest is taken; or None.
        channels: whether there is an axis of channels, of which one is read.
    """

    shape: tuple[int, ...]
    time: int | None
    fixed: tuple[int | None, ...]
    projected: int | None
    channels: bool

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return 1 if self.time is None else self.shape[self.time]

    def of(self, number: int) -> list[tuple[int, ...]]:
        """The planes of a frame, each as its indices along the axes: one, or those to project."""
        depth = 1 if self.projected is None else self.shape[self.projected]
        chosen = []
        for layer in range(depth):
            place = [0 if index is None else index for index in self.fixed]
            if self.time is not None:
                place[self.time] = number
            if self.projected is not None:
                place[self.projected] = layer
            chosen.append(tuple(place))
        return chosen


def index_of(place: Sequence[int], shape: Sequence[int]) -> int:
    """The number of a plane in the row of all, the last axis the fastest."""
    number = 0
    for index, length in zip(place, shape, strict=True):
        number = number * length + index
    return number


def choose_planes(
    name: str,
    axes: str,
    shape: Sequence[int],
    options: SourceOptions,
    labels: Sequence[str] = (),
) -> Planes:
    """Tell frames, channels and slices apart, and choose.

    Time is the axis T, or the one axis that the file has no name for, or else, where no slice is
    asked for, Z: ImageJ calls the frames of an opened sequence slices.

    Args:
        name: names the stack in messages.
        axes: a letter for each axis but those of a plane: T, C, Z; any other is an axis that the
            file has no name for.
        shape: their lengths.
        options: with the channel and the slice.
        labels: names of the channels, as far as they are known.

    Raises:
        UserError: several axes could be time, several channels or slices are there and none is
            chosen, or the one that is chosen is not there.
    """
    long = [n for n, length in enumerate(shape) if length > 1]
    by_letter = {letter: [n for n in long if axes[n] == letter] for letter in "TCZ"}
    unknown = [n for n in long if axes[n] not in "TCZ"]
    for letter, found in by_letter.items():
        if len(found) > 1:
            raise _ambiguous(name, f"{len(found)} axes {letter}", shape)
    time = by_letter["T"] + unknown
    if len(time) > 1:
        raise _ambiguous(name, "several axes that could be time", shape)
    slices, channels = by_letter["Z"], by_letter["C"]
    if not time and slices and options.slice is None:
        time, slices = slices, []
    fixed: list[int | None] = [0] * len(shape)
    projected = None
    if channels:
        fixed[channels[0]] = _channel(name, shape[channels[0]], options, labels)
    if slices:
        fixed[slices[0]] = _slice(name, shape[slices[0]], options)
        projected = slices[0] if fixed[slices[0]] is None else None
    elif options.slice not in (None, 0, "max"):
        raise UserError(f"data.slice={options.slice}: {name} has one slice only")
    if time:
        fixed[time[0]] = None
    return Planes(tuple(shape), time[0] if time else None, tuple(fixed), projected, bool(channels))


def letters_of(name: str, axes: str, shape: Sequence[int]) -> str:
    """The axes that the user gives for an array, a letter for each of its dimensions.

    Args:
        name: names the array in messages.
        axes: a letter for each dimension, or for each that is longer than 1.
        shape: of the whole array.

    Returns:
        Letters; Q for a dimension of length 1 that has none.

    Raises:
        UserError: too few or too many letters, or others than T, C, Z, Y, X and S.
    """
    letters = axes.upper()
    long = [n for n, length in enumerate(shape) if length > 1]
    sound = set("YX") <= set(letters) <= set("TCZYXS") and len(set(letters)) == len(letters)
    if sound and len(letters) == len(shape):
        return letters
    if sound and len(letters) == len(long):
        known = dict(zip(long, letters, strict=True))
        return "".join(known.get(n, "Q") for n in range(len(shape)))
    lengths = " x ".join(map(str, shape))
    raise UserError(
        f"data.axes={axes}: {name} is {lengths}, so give a letter for each of these: Y (rows), X "
        "(columns), and of T (time), C (channel), Z (slice), S (red, green, blue) what it has"
    )


def _ambiguous(name: str, what: str, shape: Sequence[int]) -> UserError:
    lengths = [length for length in shape if length > 1]
    example = {2: "TCYX or TZYX", 3: "TCZYX"}.get(len(lengths), "TYX")
    return UserError(
        f"{name} has {what} ({' x '.join(map(str, lengths))} planes): say what they are, as in "
        f"--set data.axes={example}"
    )


def _channel(name: str, count: int, options: SourceOptions, labels: Sequence[str]) -> int:
    """The channel that is read."""
    known = [f"{n} ({label})" if label else str(n) for n, label in enumerate(labels)]
    listed = ", ".join(known) if len(known) == count else f"0 to {count - 1}"
    if options.channel is None:
        raise UserError(
            f"{name} has {count} channels, {listed}: choose one with --set data.channel=0"
        )
    if options.channel >= count:
        raise UserError(f"data.channel={options.channel}: {name} has the channels {listed}")
    return options.channel


def _slice(name: str, count: int, options: SourceOptions) -> int | None:
    """The slice that is read; None for the brightest of all."""
    if options.slice is None:
        raise UserError(
            f"{name} has {count} slices a frame, 0 to {count - 1}: choose one with "
            "--set data.slice=0, or the brightest of all with --set data.slice=max"
        )
    if options.slice == "max":
        return None
    if options.slice >= count:
        raise UserError(f"data.slice={options.slice}: {name} has the slices 0 to {count - 1}")
    return options.slice
