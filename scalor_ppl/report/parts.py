"""What a report is made of: sections with figures, each with a caption."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A picture, clip, chart or table.

    Attributes:
        body: its HTML.
        caption: one sentence: what it shows and how to read it.
    """

    body: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Attributes:
        name: its address on the page, ``#name``.
        title: the heading.
        figures: from top to bottom.
        note: what there is to say where figures are missing.
    """

    name: str
    title: str
    figures: tuple[Figure, ...] = ()
    note: str = ""
