"""How every loop of the package is compiled (numba), where there is a folder for the result or not.

numba keeps what it compiled beside the source, or in a folder of the user's. Where neither can be
written to (a container without a home, a disk that is full), it refuses to compile at all or fails
at the first call; here it compiles once a process instead.
"""

# numba's functions are untyped to mypy.
# mypy: disable-error-code="misc,no-untyped-call,untyped-decorator"

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core.caching import FunctionCache


class _Cache(FunctionCache):  # type: ignore[misc]
    """A cache on disk that is passed over where the disk does not serve it."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What is kept for a signature; none where it cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # an unreadable file; a damaged one makes pickle stumble over anything
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code of a signature, if the disk takes it."""
        try:
            super().save_overload(sig, data)
        except OSError:
            return


def compiled(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function, without holding Python's lock, and keep the result where that can be.

    Args:
        signature: numba types, to compile at once; none compiles at the first call, for its types.
        options: of ``numba.njit``, as ``fastmath`` or ``error_model``.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        # Types later: with them compilation begins before the cache is in its place.
        dispatcher = numba.njit(nogil=True, **options)(function)
        with suppress(RuntimeError):  # numba found no folder that it may write to
            dispatcher._cache = _Cache(function)
        if signature:
            dispatcher.compile(signature[0] if len(signature) == 1 else signature)
            dispatcher.disable_compile()
        return dispatcher

    return decorate
