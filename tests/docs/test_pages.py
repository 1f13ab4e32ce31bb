"""README and docs: links lead somewhere, versions agree, the rooms are drawn as they are."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from scalor_ppl.programs import FindsObjects, Intervenes
from scalor_ppl.programs.loader import family_of
from scalor_ppl.programs.registry import PROGRAMS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT)
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if "_build" not in path.parts
)


def anchors(text: str) -> set[str]:
    """Names of a page's headings, as links say them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{page}: {target}"


def test_versions_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited[1] == version
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert released[0] == version


def test_the_table_of_programs_says_what_ships() -> None:
    text = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(\S+)` \| .* \| (yes|no) \| (yes|no) \| yes \|$", text, re.MULTILINE)
    assert {name for name, *_ in rows} == set(PROGRAMS)
    for name, objects, intervenes in rows:
        program = family_of(PROGRAMS[name].model).program
        assert (objects == "yes") == issubclass(program, FindsObjects), name
        assert (intervenes == "yes") == issubclass(program, Intervenes), name


@pytest.fixture
def draw_rooms() -> ModuleType:
    """The script, imported."""
    pytest.importorskip("networkx")
    spec = importlib.util.spec_from_file_location("draw_rooms", ROOT / "scripts" / "draw_rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def house(root: Path, **files: str) -> Path:
    """A package of rooms; the text of each one's only file by its name."""
    for name, text in {"models": "", "guides": "", "cli": "", **files}.items():
        mapped = name in ("models", "guides", "cli")
        folder = root / name if mapped else root / "scalor_ppl" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(f'"""The room {name}."""\n')
        (folder / "file.py").write_text(text)
    return root


def test_rooms_are_drawn_from_the_imports(draw_rooms: ModuleType, tmp_path: Path) -> None:
    root = house(
        tmp_path,
        cli="from scalor_ppl.data import clips\nfrom scalor_ppl import nn\nimport torch\n",
        data="def late():\n    import scalor_ppl.nn.layers\n",
        nn="from scalor_ppl.errors import UserError\n",
    )
    graph = draw_rooms.rooms(root)
    assert set(graph.edges) == {("cli", "data"), ("cli", "nn"), ("data", "nn")}
    assert graph.nodes["nn"]["job"] == "The room nn."
    svg = ElementTree.fromstring(draw_rooms.drawing(graph))
    said = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"cli", "data", "nn", "models", "guides"} <= set(said)
    # cli -> nn follows from the two others.
    tips = [p for p in svg.iter("{http://www.w3.org/2000/svg}path") if "marker-end" in p.attrib]
    assert len(tips) == 2


def test_rooms_that_import_each_other_are_one_in_red(
    draw_rooms: ModuleType, tmp_path: Path
) -> None:
    root = house(
        tmp_path, data="import scalor_ppl.nn.file\n", nn="from scalor_ppl.data.file import x\n"
    )
    drawn = draw_rooms.drawing(draw_rooms.rooms(root))
    assert "data + nn" in drawn
    assert "#c0392b" in drawn


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    build = (sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d")
    done = subprocess.run(
        (*build, str(tmp_path / "trees"), str(ROOT / "docs"), str(tmp_path / "html")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "api" / "inference.html").is_file()
