"""Settings of Sphinx: pages in Markdown (MyST), the reference from docstrings (autodoc)."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

project = "scalor-ppl"
version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
release = version
copyright = "the scalor-ppl authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"scalor-ppl {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# A constructor without words of its own takes what the class says: do not inherit torch's.
autodoc_inherit_docstrings = False
add_module_names = False
viewcode_follow_imported_members = False
# "Returns: Int [T, objects]: ..." states a shape; its words are no names to refer to.
suppress_warnings = ["ref.python"]
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields that autodoc finds as well are then no duplicates
napoleon_use_rtype = False  # "Returns: Float [B, T]: what it is" in one paragraph


def leave_out(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool:
    """Whether a member is left out of the reference."""
    # The class's docstring says what a field is; "Alias for field number 0" says nothing.
    return skip or type(obj).__name__ == "_tuplegetter"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", leave_out)
