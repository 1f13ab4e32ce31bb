"""The page: its sections with figures, its head, and what it may load, which is nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from scalor_ppl.report.style import SCRIPT, STYLE


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
class PageSection:
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


# A browser refuses whatever is not in the file itself.
_POLICY: Final = (
    "default-src 'none'; img-src data:; media-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)

_TEMPLATE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ title }}</h1>
<nav>
{%- for section in sections %}
<a href="#{{ section.name }}">{{ section.title }}</a>
{%- endfor %}
</nav>
<dl>
{%- for label, value in facts %}
<div><dt>{{ label }}</dt><dd>{{ value }}</dd></div>
{%- endfor %}
</dl>
</header>
<main>
{%- for section in sections %}
<section id="{{ section.name }}">
<h2>{{ section.title }}</h2>
{%- if section.note %}
<p class="note">{{ section.note }}</p>
{%- endif %}
{%- for figure in section.figures %}
<figure>
{{ figure.body }}
<figcaption>{{ figure.caption }}</figcaption>
</figure>
{%- endfor %}
</section>
{%- endfor %}
</main>
<script>{{ script }}</script>
</body>
</html>
"""


def render(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[PageSection]) -> str:
    """The page as HTML; all but the figures' bodies is escaped.

    Args:
        title: of the page.
        facts: label and value of each line of the head.
        sections: from top to bottom.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(_TEMPLATE).render(
        title=title,
        facts=facts,
        sections=sections,
        policy=_POLICY,
        style=Markup(STYLE),
        script=Markup(SCRIPT),
    )
