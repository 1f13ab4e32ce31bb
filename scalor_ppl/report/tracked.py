"""Section: the clip, and what was tracked in it."""

from scalor_ppl.report.embed import clip
from scalor_ppl.report.material import Material
from scalor_ppl.report.panels import beside
from scalor_ppl.report.parts import Figure, Section
from scalor_ppl.report.trails import draw_trails
from scalor_ppl.results.drawing import draw_tracks
from scalor_ppl.results.pixels import as_rgb, enlarge

_SIDE = 400  # of a panel, in pixels, about
_NAMED = 25  # objects a frame up to which ids are readable


def tracked_section(material: Material) -> Section:
    """Input and tracks side by side."""
    frames, tracks = material.clip, material.tracks
    length = len(frames)
    scale = max(1, round(_SIDE / max(frames.shape[1:3])))
    named = bool(tracks.present().sum(-1).max(initial=0) <= _NAMED)
    boxed = draw_tracks(
        frames,
        tracks.boxes[:length],
        tracks.ids[:length],
        tracks.presence[:length],
        tracks.discovered[:length],
        scale=scale,
        labels=named,
    )
    trailed = draw_trails(boxed, material.lives, scale)
    both = beside({"input": enlarge(as_rgb(frames), scale), "tracked": trailed})
    return Section(
        "tracked",
        "Tracked clip",
        (
            Figure(
                clip(both, "the input, and beside it the same with boxes, ids and trails"),
                f"The first {length} frames of {material.source}, and beside them what was "
                f"tracked: {'a colour and number' if named else 'a colour'} is an identity that "
                "should stay with its object, a white dot marks the frame of discovery, a line the "
                "way of the last frames.",
            ),
        ),
    )
