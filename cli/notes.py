"""What the library notes on its log, for the user: one line each on the standard error."""

import logging

from rich.console import Console


class _ToUser(logging.Handler):
    """Writes ``note: ...``; the console is made anew, since the standard error may change."""

    def emit(self, record: logging.LogRecord) -> None:
        said = " ".join(record.getMessage().splitlines())
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            "note:", said, style="yellow", markup=False
        )


def show_notes() -> None:
    """Show what the library notes, from warnings on; a second call changes nothing."""
    log = logging.getLogger("scalor_ppl")
    if not any(isinstance(handler, _ToUser) for handler in log.handlers):
        log.addHandler(_ToUser(logging.WARNING))


def hide_notes() -> None:
    """Show no notes from now on: of several processes one shows them."""
    logging.getLogger("scalor_ppl").setLevel(logging.ERROR)
