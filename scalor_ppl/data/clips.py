"""The front door of the data package: open a source by name or path."""

from difflib import get_close_matches
from pathlib import Path

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.piped import local_copy
from scalor_ppl.data.recordings import RecordingSource
from scalor_ppl.data.records import ClipSource, Split, check_split
from scalor_ppl.data.specs import TOY_SETS
from scalor_ppl.errors import UserError


def open_source(
    name_or_path: str | Path,
    *,
    split: Split = "train",
    seed: int = 0,
    options: SourceOptions = DEFAULT_OPTIONS,
) -> ClipSource:
    """Open a source of clips.

    Args:
        name_or_path: the name of a toy set (`specs.TOY_SETS`), or the path of a recording (see
            `frames.find_sequences`), or of a NetCDF file of clips.
        split: train or test. Toy sets have different clips in each; recordings differ only in that
            random crops are taken in train.
        seed: for what is drawn at random: toy clips, crops.
        options: how to read it.

    Raises:
        UserError: unknown name and no such path, or what lies there cannot be read.
    """
    check_split(split)
    # Imported when needed: what names and probes sets wants neither the compiler nor xarray.
    if str(name_or_path) in TOY_SETS:
        from scalor_ppl.data.toys import ToySource

        return ToySource(TOY_SETS[str(name_or_path)], split=split, seed=seed, options=options)
    path = local_copy(Path(name_or_path))
    if not path.exists():
        raise UserError(_unknown(str(name_or_path)))
    if options.reader is None and path.is_file():
        from scalor_ppl.data.netcdf import NetcdfSource, is_netcdf

        if is_netcdf(path):
            return NetcdfSource(path, options=options)
    return RecordingSource(path, split=split, seed=seed, options=options)


def _unknown(name: str) -> str:
    """One line on what `name` might have been meant to be."""
    near = get_close_matches(name, TOY_SETS, n=3, cutoff=0.6)
    meant = f"did you mean {' or '.join(near)}?" if near else "`data list` shows the toy sets"
    return f"{name} is neither a toy set nor an existing path: {meant}"
