"""Settings in the making, each with its reason."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reason:
    """Why a setting is what it is.

    Attributes:
        name: of the setting, such as ``model.capacity``.
        value: what is proposed, as in ``Proposal.settings``.
        why: one plain sentence, without a full stop.
    """

    name: str
    value: Any
    why: str


class Draft:
    """Settings in the making.

    Attributes:
        settings: tables of settings, as read from TOML.
        reasons: of each, in the order in which they were chosen.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.reasons: list[Reason] = []

    def choose(self, name: str, value: Any, why: str) -> None:
        """Set a setting of a dotted name, such as ``model.rules.doubled``."""
        *tables, key = name.split(".")
        table = self.settings
        for inner in tables:
            table = table.setdefault(inner, {})
        table[key] = value
        self.reasons.append(Reason(name, value, why))
