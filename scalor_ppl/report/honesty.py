"""Whether the uncertainty of the clip's tracks is honest, where the truth is known."""

import io

from markupsafe import Markup

from scalor_ppl.evaluation.calibration_figure import calibration_figure
from scalor_ppl.evaluation.calibration_pairs import stated_and_true
from scalor_ppl.inference.calibrating import judge_pairs
from scalor_ppl.inference.certainty import certain_tracks, deviations_in_words
from scalor_ppl.inference.posterior import follow
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.nn.validation import fast_pyro
from scalor_ppl.report.embed import data_uri
from scalor_ppl.report.material import Material
from scalor_ppl.report.page import Figure, PageSection


def honesty_section(material: Material) -> PageSection:
    """Stated deviations and confidences of the clip against its truth."""
    title = "Honesty of the uncertainty"
    if material.truth is None:
        return PageSection("honesty", title, note="Nobody knows what is really in this video.")
    program = material.program
    with fast_pyro():
        found = follow(program, to_video(material.clip[None], program.device), None)
    tracks = certain_tracks(program, found.trace, found.scene)[0]
    pairs = stated_and_true(tracks, material.truth, program.size)
    if tracks.spread is None or not pairs.whole.any():
        return PageSection("honesty", title, note="There is no deviation that could be judged.")
    honesty = judge_pairs(program, pairs)
    buffer = io.BytesIO()
    sheet = calibration_figure(honesty.intervals(), honesty.presence, "")
    sheet.savefig(buffer, format="png", dpi=80)
    said = f"coverage of the 90 % interval {honesty.centre.coverage[0.9]:.1%}"
    picture = Markup('<img src="{}" alt="{}" style="max-width:100%">').format(
        data_uri(buffer.getvalue(), "image/png"), said
    )
    return PageSection(
        "honesty",
        title,
        (
            Figure(
                picture,
                f"Errors of {pairs.whole.sum()} centres in the clip against their stated standard "
                f"deviations ({deviations_in_words(program)}): {said}; honest ones have a flat PIT "
                "and lie on the diagonals. One clip is little: see scalor-ppl evaluate "
                "--calibration.",
            ),
        ),
    )
