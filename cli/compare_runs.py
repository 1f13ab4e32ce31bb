"""``scalor-ppl compare RUN...``: objectives side by side on trained runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from scalor_ppl.cli.names import check_once
from scalor_ppl.cli.options import PLAIN
from scalor_ppl.cli.tables import print_table, ruled_table, shown, wide_console, with_error

if TYPE_CHECKING:
    from scalor_ppl.inference.gradients import Noise
    from scalor_ppl.studies.comparison_rows import ComparisonQuestion, ComparisonRow, Tail

TWO_MODELS = (
    "Relaxed and hard presence are two models: values of one do not compare with values of the "
    "other."
)


def compare_runs(
    runs: Sequence[Path],
    question: "ComparisonQuestion",
    data: str | None,
    data_dir: Path | None,
    out: Path,
    device: str,
) -> None:
    """Measure, print and write."""
    from scalor_ppl.studies.comparison import compare_programs, to_document
    from scalor_ppl.studies.comparison_figures import draw_comparison
    from scalor_ppl.studies.comparison_files import check_files, write_files
    from scalor_ppl.studies.comparison_rows import check_cases
    from scalor_ppl.training.devices import pick_device
    from scalor_ppl.training.runs import load_run
    from scalor_ppl.training.sources import chosen, open_data

    check_cases(question)
    check_once(runs)
    check_files(out)
    where = pick_device(device)
    # Objectives are compared as training has them: on what the networks say alone.
    programs = {str(run): load_run(run, where, refine=0) for run in runs}
    # The same clips for all: those of the first run, where nothing else is said.
    first = next(iter(programs.values()))
    settings = chosen(first.config.data, data, folder=data_dir)
    source = open_data(settings, "test")
    console = wide_console()
    with Console(stderr=True).status("measuring") as status:
        rows, tails = compare_programs(
            programs, source, question, lambda text: status.update(f"measuring {text}")
        )
    for name in programs:
        print_table(comparison_table(name, [row for row in rows if row.run == name]))
        for tail in tails:
            if tail.run == name:
                console.print(tail_line(tail))
        console.print()
    if any(program.bounded_presence for program in programs.values()):
        console.print(TWO_MODELS)
    document = to_document(question, programs, settings.model_dump(mode="json"), rows, tails)
    write_files(out, document, lambda path: draw_comparison(rows, path))
    console.print(str(out), **PLAIN)


def comparison_table(title: str, rows: "Sequence[ComparisonRow]") -> Table:
    """A row for each estimator, presence and K of one run."""
    from scalor_ppl.studies.comparison import is_bound

    table = ruled_table(title, "estimator", "presence")
    heads = ("K", "bound [nats]", "ESS", "guide SNR", "guide var")
    for head in (*heads, "model SNR", "model var", "ms"):
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(
            row.estimator,
            row.presence,
            str(row.particles),
            with_error(row.bound, row.error) if is_bound(row.estimator) else "objective, no bound",
            f"{row.effective:.1f}",
            *_noise(row.guide),
            *_noise(row.model),
            f"{row.milliseconds:.0f}",
        )
    return table


def _noise(noise: "Noise") -> tuple[str, str]:
    return shown(noise.snr, ".2f"), f"{noise.variance:.1e}"


def tail_line(tail: "Tail") -> str:
    """The weights' tail in words."""
    from scalor_ppl.studies.comparison_rows import in_words
    from scalor_ppl.studies.pareto import LIMIT

    return (
        f"Pareto k-hat, {in_words(tail.presence)}: median {tail.median:.1f}, above {LIMIT} in "
        f"{tail.share:.0%} of {len(tail.k_hat)} clips ({tail.draws} draws a clip)."
    )
