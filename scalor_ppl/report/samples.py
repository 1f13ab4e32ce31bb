"""The section of videos that the program makes up, beside a real one."""

import numpy as np

from scalor_ppl.inference.generation import imagine
from scalor_ppl.nn.pixels import to_frames
from scalor_ppl.report.embed import beside, clip
from scalor_ppl.report.material import Material
from scalor_ppl.report.page import Figure, PageSection
from scalor_ppl.results.pixels import as_rgb, enlarge

SAMPLED = 3
"""Videos that are sampled."""
_SIDE = 200  # of a panel, about


def samples_section(material: Material) -> PageSection:
    """The real clip, and as long videos drawn from the priors alone."""
    real = material.clip
    scene = imagine(material.program, videos=SAMPLED, frames=len(real), seed=material.seed)
    videos = to_frames(scene.image)
    scale = max(1, round(_SIDE / max(real.shape[1:3])))

    def panel(frames: np.ndarray) -> np.ndarray:
        return enlarge(as_rgb(frames), scale)

    panels = {"real": panel(real)}
    panels |= {f"from scratch {n + 1}": panel(video) for n, video in enumerate(videos)}
    return PageSection(
        "samples",
        "Videos from scratch",
        (
            Figure(
                clip(beside(panels), "the real clip and videos drawn from the priors"),
                f"The real clip and {SAMPLED} videos of {len(real)} frames drawn from the priors, "
                "nothing observed: objects should be as many, look alike, and move alike. "
                "`scalor-ppl realism` measures it.",
            ),
        ),
    )
