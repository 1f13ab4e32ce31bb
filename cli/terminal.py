"""Output to terminals, pipes and logs that cannot show every character."""

import codecs
import io
import sys

PLAIN_ERRORS = "scalor_ppl.plain"
"""Name of the error handler of encoders: what cannot be shown is written plainer."""

# What this package and rich print beyond ASCII.
_PLAINER = {
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{ALMOST EQUAL TO}": "~",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MIDDLE DOT}": ".",
    "\N{BULLET}": "*",
    "\N{CHECK MARK}": "ok",
    "\N{BALLOT X}": "no",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{SUPERSCRIPT TWO}": "2",
    "\N{SUPERSCRIPT THREE}": "3",
    "\N{MICRO SIGN}": "u",
    "\N{GREEK SMALL LETTER MU}": "u",
    "\N{FULL BLOCK}": "#",
    "\N{LEFT HALF BLOCK}": "#",
    "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-",
    "\N{BOX DRAWINGS HEAVY LEFT}": "-",
    "\N{BOX DRAWINGS HEAVY RIGHT}": "-",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{BOX DRAWINGS LIGHT VERTICAL}": "|",
    "\N{BOX DRAWINGS HEAVY VERTICAL}": "|",
}


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """The replacement of what an encoder cannot write: plainer where there is such, else ``?``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_PLAINER.get(character, "?") for character in unknown), error.end


def print_anything() -> None:
    """Let standard output and error take every character, whatever their encoding.

    Names of files may hold what a terminal cannot show, or even bytes that are no characters at
    all; an output that is a little plainer is better than none.
    """
    codecs.register_error(PLAIN_ERRORS, _plainer)
    for stream in (sys.stdout, sys.stderr):
        # Not where a test or a notebook has put something else in their place.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN_ERRORS)
