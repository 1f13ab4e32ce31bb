"""A report from its material: its head, its sections in order, and the configuration."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import tomli_w
from markupsafe import Markup

from scalor_ppl.files import written_whole
from scalor_ppl.report.honesty import honesty_section
from scalor_ppl.report.material import Material
from scalor_ppl.report.measures import counts_section, motion_section
from scalor_ppl.report.objects import gallery_section, tracked_section, trajectories_section
from scalor_ppl.report.page import Figure, PageSection, render
from scalor_ppl.report.rendered import background_section, continuation_section
from scalor_ppl.report.samples import samples_section
from scalor_ppl.report.training import read_figures, training_section
from scalor_ppl.training.checkpoints import last_checkpoint, step_of
from scalor_ppl.training.origin import read_parts


def write_report(material: Material, path: Path, more: Sequence[tuple[str, str]] = ()) -> None:
    """Write the report of a run as one HTML file, atomically.

    Args:
        material: the run, and what it makes of a clip.
        path: the file, ``NAME.html``.
        more: facts, label and value, beside those of the run.

    Raises:
        UserError: the file cannot be written.
    """
    sections = [section(material) for section in SECTIONS]
    page = render(material.name, [*facts(material), *more], sections)
    with written_whole(path) as lent:
        lent.write_text(page, encoding="utf-8")


def facts(material: Material) -> list[tuple[str, str]]:
    """Label and value of each fact that is known; no folders of the machine among them."""
    config, parts = material.config, read_parts(material.run)
    figures = read_figures(material.run)
    model = config.model
    steps = step_of(last_checkpoint(material.run))
    found = [
        ("trained on", Path(config.data.source).name),
        ("frames", f"{model.height} x {model.width} pixels, {_channels(model.channels)}"),
        ("steps", f"{steps:,} of {config.train.steps:,}"),
        ("batch", f"{config.train.batch} clips"),
        ("objective", config.train.estimator),
        ("seed", str(config.train.seed)),
        ("training took", _minutes(figures)),
        ("steps skipped", _skipped(figures)),
        ("trained", ", ".join(dict.fromkeys(part["date"][:10] for part in parts))),
        ("commit", _said(parts, "commit")),
        ("hardware", "; ".join(dict.fromkeys(_hardware(part) for part in parts))),
        ("versions", _versions(parts)),
        ("video shown", f"{material.source}, {len(material.clip)} frames"),
        ("report made", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]
    return [(label, value) for label, value in found if value]


def _channels(channels: int | None) -> str:
    return "grey" if channels == 1 else "colour"


def _minutes(figures: Sequence[dict[str, Any]]) -> str:
    """Wall-clock time of the training up to the last logged step."""
    if not figures or "seconds" not in figures[-1]:
        return ""
    return f"{figures[-1]['seconds'] / 60:.1f} minutes"


def _skipped(figures: Sequence[dict[str, Any]]) -> str:
    """How many steps were left out because they were not finite, if any were."""
    return str(figures[-1].get("skipped") or "") if figures else ""


def _said(parts: Sequence[dict[str, Any]], key: str) -> str:
    """What the parts of a training say, each answer once."""
    return ", ".join(dict.fromkeys(str(part[key]) for part in parts if key in part))


def _hardware(part: dict[str, Any]) -> str:
    """The machine of a part: its GPU, or its processor and threads."""
    device = part.get("device", "cpu")
    if device != "cpu":
        return str(device)
    return f"{part.get('processor', 'a CPU')}, {part.get('threads', '?')} threads"


def _versions(parts: Sequence[dict[str, Any]]) -> str:
    names = [name for name in ("torch", "pyro", "python") if _said(parts, name)]
    return "; ".join(f"{name} {_said(parts, name)}" for name in names)


def configuration_section(material: Material) -> PageSection:
    """The run's configuration as TOML, without the folders of the machine."""
    settings = material.config.model_dump(mode="json", exclude_none=True)
    text = tomli_w.dumps(without_folders(settings))
    return PageSection(
        "configuration",
        "Configuration",
        (
            Figure(
                Markup("<details><summary>config.toml</summary><pre>{}</pre></details>").format(
                    text
                ),
                "Everything that decides the run; of absolute paths only the last part is shown.",
            ),
        ),
    )


def without_folders(settings: Any) -> Any:
    """Settings in which absolute paths are cut down to the file's name."""
    if isinstance(settings, dict):
        return {name: without_folders(value) for name, value in settings.items()}
    if isinstance(settings, list):
        return [without_folders(value) for value in settings]
    if isinstance(settings, str) and Path(settings).is_absolute():
        return Path(settings).name
    return settings


# From top to bottom.
SECTIONS: Final[tuple[Callable[[Material], PageSection], ...]] = (
    training_section,
    tracked_section,
    gallery_section,
    background_section,
    trajectories_section,
    counts_section,
    honesty_section,
    continuation_section,
    samples_section,
    motion_section,
    configuration_section,
)
