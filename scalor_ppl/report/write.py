"""A report from its material, section by section."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from scalor_ppl.files import written_whole
from scalor_ppl.report.background import background_section
from scalor_ppl.report.configuration import configuration_section
from scalor_ppl.report.continuation import continuation_section
from scalor_ppl.report.counts import counts_section
from scalor_ppl.report.gallery import gallery_section
from scalor_ppl.report.head import facts
from scalor_ppl.report.material import Material
from scalor_ppl.report.motion import motion_section
from scalor_ppl.report.page import render
from scalor_ppl.report.parts import Section
from scalor_ppl.report.tracked import tracked_section
from scalor_ppl.report.training import training_section
from scalor_ppl.report.trajectories import trajectories_section

SECTIONS: Final[tuple[Callable[[Material], Section], ...]] = (
    training_section,
    tracked_section,
    gallery_section,
    background_section,
    trajectories_section,
    counts_section,
    continuation_section,
    motion_section,
    configuration_section,
)


def write_report(material: Material, path: Path) -> None:
    """Write the report of a run as one HTML file, atomically.

    Args:
        material: the run, and what it makes of a clip.
        path: the file, ``NAME.html``.

    Raises:
        UserError: the file cannot be written.
    """
    page = render(material.name, facts(material), [section(material) for section in SECTIONS])
    with written_whole(path) as lent:
        lent.write_text(page, encoding="utf-8")
