"""The library reaches the files of programs, and the command line, through its loader alone."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import scalor_ppl
from scalor_ppl.config.schema import Config
from scalor_ppl.scalor import ScalorConfig

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


def settings(schema: type[Config]) -> set[str]:
    """Dotted names of the settings of a configuration's tables."""
    return {
        f"{table}.{name}"
        for table, field in schema.model_fields.items()
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields")
        for name in field.annotation.model_fields
    }


def test_fitting_knows_no_setting_of_one_program_alone() -> None:
    own = settings(ScalorConfig) - settings(Config)
    assert {"model.grid", "guide.refine", "prior.discovery", "train.temperature"} < own
    for file in sorted((PACKAGE / "fitting").glob("*.py")):
        named = set(re.findall(r"\b[a-z]+\.[a-z_]+\b", file.read_text()))
        assert not named & own, file.name


SHARED = {"Scene", "Inferred"}  # what each program's model and guide return


def test_class_names_are_unique() -> None:
    """A name in a message, a log or the index of the docs is one thing."""
    places: dict[str, list[str]] = {}
    # The mapped folders lie beside the package, or in it where it is installed.
    folders = {PACKAGE, *(Path(*importlib.import_module(name).__path__) for name in MAPPED)}
    for file in sorted({file for folder in folders for file in folder.rglob("*.py")}):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(f"{file}:{node.lineno}")
    assert len(places) > 200
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice.keys() <= SHARED, twice
    assert all(len(twice[name]) > 2 for name in SHARED)
