"""Compiled loops where nothing can be kept on the disk."""

from __future__ import annotations

import ast
import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import float64
from numba.core.caching import FunctionCache

from scalor_ppl.compiled import compiled

ROOT = Path(__file__).parent.parent


def doubled(value: float) -> float:
    return 2 * value


def test_one_wrapper_compiles_all_loops() -> None:
    """No module but the wrapper asks numba to compile."""
    for path in sorted((ROOT / "scalor_ppl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "numba":
                names = {alias.name for alias in node.names}
                assert not names & {"njit", "jit", "vectorize", "guvectorize"}, path
            if isinstance(node, ast.Import) and path.name != "compiled.py":
                assert all(alias.name != "numba" for alias in node.names), path


def test_without_any_folder_for_a_cache() -> None:
    program = """
from numba.core import caching
for name in dir(caching):
    kind = getattr(caching, name)
    if isinstance(kind, type) and hasattr(kind, "_locator_classes"):
        kind._locator_classes = []
import numpy as np
from scalor_ppl.data.collisions import bounce
from scalor_ppl.data.motion import place
from scalor_ppl.data.shapes import UNITS
import scalor_ppl.render.read_kernels, scalor_ppl.render.write_kernels
print(place(np.zeros((1, 1, 2)), np.zeros((0, 2)), 1.0).tolist(), len(UNITS))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[[0.0, 0.0]] 5\n", done.stderr


@pytest.mark.parametrize("step", ["save_overload", "load_overload"])
def test_a_disk_that_fails_costs_the_cache_alone(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FunctionCache, step, full)
    assert compiled()(doubled)(3.0) == 6.0


def test_a_signature_is_compiled_at_once_and_alone() -> None:
    function = compiled(float64(float64))(doubled)
    assert function.nopython_signatures
    assert function(np.float32(1.5)) == 3.0
    with pytest.raises(TypeError):
        function("text")
