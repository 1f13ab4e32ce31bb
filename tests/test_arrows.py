"""The library reaches the files of programs, and the command line, through its loader alone."""

from __future__ import annotations

import ast
from pathlib import Path

import scalor_ppl

PACKAGE = Path(scalor_ppl.__file__).parent
MAPPED = ("scalor_ppl.cli", "scalor_ppl.guides", "scalor_ppl.models")


def imported(file: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_room_imports_models_guides_or_commands() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 200
    wrong = {
        (str(file.relative_to(PACKAGE)), name)
        for file in files
        for name in imported(file)
        if any(name == each or name.startswith(f"{each}.") for each in MAPPED)
    }
    assert not wrong
