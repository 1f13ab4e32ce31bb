"""Section: the resolved configuration."""

from pathlib import Path
from typing import Any

import tomli_w
from markupsafe import Markup

from scalor_ppl.report.material import Material
from scalor_ppl.report.parts import Figure, Section


def configuration_section(material: Material) -> Section:
    """The run's configuration as TOML, without the folders of the machine."""
    settings = material.config.model_dump(mode="json", exclude_none=True)
    text = tomli_w.dumps(without_folders(settings))
    return Section(
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
