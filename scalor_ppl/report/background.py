"""Section: what the model takes for background."""

import numpy as np
from markupsafe import Markup

from scalor_ppl.report.embed import image
from scalor_ppl.report.material import Material
from scalor_ppl.report.parts import Figure, Section

_WIDE = 320  # on the page


def background_section(material: Material) -> Section:
    """The model's background beside the median of the input."""
    learned = material.background
    if learned is None:
        return Section(
            "background", "Background", note="This model has no background: objects lie on black."
        )
    middle = np.median(material.clip, axis=0).round().astype(np.uint8)
    pair = {"model": learned, "median of the input": middle}
    parts = [
        Markup('<div class="panel"><h3>{}</h3>{}</div>').format(
            title, image(pixels, title, width=max(_WIDE, pixels.shape[1]))
        )
        for title, pixels in pair.items()
    ]
    return Section(
        "background",
        "Background",
        (
            Figure(
                Markup('<div class="row">{}</div>').format(Markup("").join(parts)),
                f"The model's background, its mean over {len(material.clip)} frames, beside each "
                "pixel's median in the input: they should agree where the background stands still, "
                "and objects should be missing from the left one.",
            ),
        ),
    )
