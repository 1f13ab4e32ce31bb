"""What an installation holds that is not editable: every package, and every file it reads."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def setuptools() -> dict:
    project = ROOT / "pyproject.toml"
    if not project.exists():
        pytest.skip("not run from the project's folder")
    return tomllib.loads(project.read_text())["tool"]["setuptools"]


def folder(name: str, setuptools: dict) -> Path:
    """The folder of a package, as setuptools finds it."""
    mapped = setuptools["package-dir"]
    if name in mapped:
        return ROOT / mapped[name]
    return ROOT / name.replace(".", "/")


def test_every_package_is_installed(setuptools: dict) -> None:
    tops = [ROOT / path for path in set(setuptools["package-dir"].values())]
    written = {found.parent for top in tops for found in top.rglob("__init__.py")}
    assert written == {folder(name, setuptools) for name in setuptools["packages"]}


def test_every_file_that_is_read_is_installed(setuptools: dict) -> None:
    data = setuptools["package-data"]
    for name in setuptools["packages"]:
        home = folder(name, setuptools)
        below = {folder(other, setuptools) for other in setuptools["packages"]} - {home}
        for file in home.rglob("*"):
            kept = file.is_file() and file.parent.name != "__pycache__" and file.suffix != ".py"
            if not kept or below & set(file.parents):
                continue
            path = file.relative_to(home).as_posix()
            assert any(fnmatch(path, pattern) for pattern in data.get(name, [])), file
