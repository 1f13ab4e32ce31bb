"""Charts as inline SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from scalor_ppl.report.axes import Axis, axis_of, words
from scalor_ppl.report.charts import Band, Line, histogram, line_chart

pytest_plugins = "report_fixtures"


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis(-7200, -3900), [-7000, -6000, -5000, -4000]),
        (Axis(0.95, 1.05, whole=True), [1]),
        (Axis(0, 4, whole=True), [0, 1, 2, 3, 4]),
        (Axis(0.5, 2000, log=True), [1, 10, 100, 1000]),
        (Axis(300, 9000, log=True), [500, 1000, 2000, 5000]),
        (Axis(1e-4, 2e-3), [0.0005, 0.001, 0.0015, 0.002]),
    ],
)
def test_ticks(axis: Axis, ticks: list[float]) -> None:
    assert axis.ticks() == pytest.approx(ticks)


def test_axes_have_room_for_all_values() -> None:
    for values in ([3.0], [0.0], [-2.0, 5.0], [np.nan, 1.0, np.inf, 4.0], []):
        axis = axis_of(np.array(values))
        assert axis.low < axis.high
        known = np.array([v for v in values if np.isfinite(v)])
        assert (axis.places(known) > 0).all()
        assert (axis.places(known) < 1).all()
        assert len(axis.ticks()) > 1
    assert axis_of(np.array([1.0, 5.0]), zero=True).low == 0
    log = axis_of(np.array([0.0, 1.0, 100.0]), log=True)
    assert 0 < log.low < 1
    assert np.isnan(log.places(np.array([0.0]))[0])
    assert log.places(np.array([10.0]))[0] == pytest.approx(0.5)


def test_words() -> None:
    assert [words(v) for v in (0.0, 0.25, 5000.0, 20000.0, -3.0)] == [
        "0",
        "0.25",
        "5000",
        "20k",
        "−3",  # noqa: RUF001 (a minus)
    ]


def shapes(chart: str) -> ElementTree.Element:
    """The chart as XML: it must be well-formed."""
    return ElementTree.fromstring(chart[: chart.rindex("</svg>") + 6])


def test_lines_have_gaps_where_nothing_is_known() -> None:
    y = np.array([1, 2, np.nan, 3, np.nan, 2, 1])
    x = np.arange(7.0)
    chart = str(line_chart([Line(x, y)], axis_of(x), axis_of(y), alt="a <line>"))
    drawn = shapes(chart)
    paths = [e.get("d") or "" for e in drawn.iter("path")]
    assert [path.count(",") for path in paths] == [2, 2]
    assert len(list(drawn.iter("circle"))) == 1
    assert drawn.get("aria-label") == "a <line>"
    assert "legend" not in chart


def test_a_line_goes_where_its_values_are() -> None:
    line = Line(np.array([0.0, 10.0]), np.array([0.0, 1.0]))
    chart = str(line_chart([line], Axis(0, 10), Axis(0, 1), size=(156, 144), alt=""))
    assert re.search(r'd="M0\.0,100\.0L100\.0,0\.0"', chart)


def test_bands_and_legend() -> None:
    x = np.arange(3.0)
    chart = str(
        line_chart(
            [Line(x, x, "a & b"), Line(x, x + 1, style="c2")],
            axis_of(x),
            axis_of(x),
            bands=[Band(x, x - 1, x + 1, "some")],
            alt="",
        )
    )
    assert 'class="area c2"' in chart
    assert "a &amp; b" in chart
    assert chart.count("<span>") == 2


def test_histograms() -> None:
    def bars(values: list[float], whole: bool) -> list[str]:
        chart = str(histogram(np.array(values), labels=("x", "y"), whole=whole, alt=""))
        return [e.text or "" for e in shapes(chart).iter("title")]

    assert bars([1, 2, 2, 5], whole=True) == ["1: 1", "2: 2", "5: 1"]
    assert bars([40, 1, 2], whole=True) == ["1 to 2: 2", "39 to 40: 1"]
    assert bars([0.0, 1.0, 1.0], whole=False) == ["0.00 to 0.05: 1", "0.95 to 1.00: 2"]
    assert bars([0.0], whole=False) == ["0.00 to 0.05: 1"]
