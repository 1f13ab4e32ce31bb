"""Frame rates as the fractions that containers of video store."""

from fractions import Fraction

_LARGEST = 1001  # denominator of the broadcast rates, 30000/1001 and its kin
_BOUND = 2**31 - 1  # containers keep both parts in 32 bits


def frame_rate(fps: float) -> Fraction:
    """A number of frames a second as a fraction, never 0.

    Below one frame a second it is the seconds between frames that is kept to a simple fraction, so
    that a frame an hour or a day keeps its rate. What is lost is less than one part in
    a thousand, and nothing of the rates in use (24, 30000/1001, 1/3600).

    Args:
        fps: above 0 and finite; beyond what 32 bits hold, the nearest that they hold.

    Raises:
        ValueError: it is no such number.
    """
    if not 0 < fps < float("inf"):
        raise ValueError(f"frames a second are above 0, not {fps}")
    exact = min(max(Fraction(fps), Fraction(1, _BOUND)), Fraction(_BOUND))
    if exact >= 1:
        return _simple(exact)
    return 1 / _simple(1 / exact)


def _simple(value: Fraction) -> Fraction:
    """The nearest fraction of a small denominator, with a numerator that fits."""
    return value.limit_denominator(max(1, min(_LARGEST, int(_BOUND / value))))
