"""``scalor-ppl evaluate``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from scalor_ppl.cli.calibration import fit_and_store, show_calibration
from scalor_ppl.cli.evaluate_runs import evaluate_runs
from scalor_ppl.cli.names import check_once
from scalor_ppl.cli.options import (
    Compile,
    DataFolder,
    Device,
    Jobs,
    Refine,
    Scheduler,
    Threads,
    check_figure,
    refuse_given,
    use_threads,
)
from scalor_ppl.cli.score_tables import show_evaluated
from scalor_ppl.files import written_whole
from scalor_ppl.results.locks import owned


def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of trained runs, or pretrained:NAME.", show_default=False),
    ],
    data: Annotated[
        str | None, typer.Option(help="Set or path; the run's own by default.", metavar="NAME|PATH")
    ] = None,
    data_dir: DataFolder = None,
    data_seed: Annotated[
        int | None, typer.Option(min=0, help="Of generated clips; the run's own by default.")
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="How many clips.")] = 100,
    frames: Annotated[int, typer.Option(min=1, help="Length of each.")] = 10,
    recognise: Annotated[
        bool, typer.Option(help="Identities by looks where objects covered each other.")
    ] = True,
    bound: Annotated[
        str | None, typer.Option(help="Bound log p(x) too: elbo or iwae, with hard presence.")
    ] = None,
    particles: Annotated[int, typer.Option(min=1, help="Draws per clip for the bound.")] = 100,
    edges: Annotated[
        bool,
        typer.Option(help="How far off the centres of objects are that the edge cuts, too."),
    ] = False,
    calibration: Annotated[
        bool,
        typer.Option(help="In place of scores: how honest the stated uncertainty is."),
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            help="Fit what makes standard deviations honest on other clips of the set, and store "
            "it with the run; then as --calibration."
        ),
    ] = False,
    calibration_seed: Annotated[
        int, typer.Option(min=0, help="Data seed of the clips of --calibrate.")
    ] = 777,
    draws: Annotated[
        int, typer.Option(min=0, help="Draws per clip for --calibration; 0: tracks alone.")
    ] = 40,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Picture of --calibration; calibration.png in the run's folder by default.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--json", help="Write the figures here; of several runs, by their names."),
    ] = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    refine: Refine = None,
    compiled: Compile = False,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score runs on fresh clips: their tracks against ground truth, or their reconstruction.

    Clips of registered sets are fresh ones, never those of the training. Of several runs, such as
    those of several seeds, one that fails does not stop the others, and their mean is told.
    """
    from scalor_ppl.inference.calibrating import judge_calibration
    from scalor_ppl.programs.trust import trusts_everything
    from scalor_ppl.studies.evaluating import Evaluation, evaluate_run
    from scalor_ppl.tracking.workers import RunChoice
    from scalor_ppl.training.runs import own_folder
    from scalor_ppl.training.sources import chosen, open_data

    use_threads(threads)
    check_figure("--plot", plot)
    check_once(runs)
    if calibration or calibrate:
        of_scores = {"--edges": edges or None, "--bound": bound}
        refuse_given(of_scores, "goes with scores, in whose place --calibration is")
    if len(runs) > 1:
        of_one = {"--calibration": calibration or None, "--calibrate": calibrate or None}
        refuse_given({**of_one, "--plot": plot}, "is for one run at a time")

    def asked(run: Path) -> Evaluation:
        where = RunChoice(str(run), device, refine, threads, trusts_everything(), compiled)
        return Evaluation(
            where, data, data_dir, data_seed, clips, frames, recognise, bound, particles, edges
        )

    with owned(out, plot):
        if len(runs) > 1 or scheduler is not None:
            evaluations = {str(run): asked(run) for run in runs}
            evaluate_runs(evaluations, out, jobs=jobs or 1, scheduler=scheduler)
            return
        (run,) = runs
        if calibration or calibrate:
            program = asked(run).choice.load()
            settings = chosen(program.config.data, data, folder=data_dir, seed=data_seed)
            source = open_data(settings, "test")
            if calibrate:
                program = fit_and_store(
                    run, program, settings, seed=calibration_seed, clips=clips, frames=frames
                )
            honesty = judge_calibration(program, source, clips=clips, frames=frames, draws=draws)
            title = f"{settings.source}: {clips} clips of {frames} frames"
            show_calibration(honesty, title, plot or own_folder(run) / "calibration.png", out)
            return
        found = evaluate_run(asked(run))
        show_evaluated(found, asked(run))
        if out is not None:
            with written_whole(out) as path:
                path.write_text(json.dumps(found.to_dict(), indent=2))
