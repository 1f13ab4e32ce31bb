"""The front door of the data package: open a source by name or path."""

from difflib import get_close_matches
from pathlib import Path

from scalor_ppl.config.reading import DEFAULT_OPTIONS, SourceOptions
from scalor_ppl.data.piped import local_copy
from scalor_ppl.data.recordings import RecordingSource
from scalor_ppl.data.records import ClipSource, Split, check_split
from scalor_ppl.data.registered import REGISTERED, open_registered
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
        name_or_path: the name of a set (`registered.REGISTERED`), or the path of a recording (see
            `frames.find_sequences`), or of a NetCDF file of clips.
        split: train or test. Toy sets have different clips in each; recordings differ only in that
            random crops are taken in train.
        seed: for what is drawn at random: toy clips, crops.
        options: how to read it.

    Raises:
        UserError: unknown name and no such path, or what lies there cannot be read.
    """
    check_split(split)
    if str(name_or_path) in REGISTERED:
        return open_registered(str(name_or_path), split=split, seed=seed, options=options)
    path = local_copy(Path(name_or_path))
    if not path.exists():
        raise UserError(_unknown(str(name_or_path)))
    if options.reader is None and path.is_file():
        # Imported when needed: what names and probes sets does not want xarray.
        from scalor_ppl.data.netcdf import NetcdfSource, is_netcdf

        if is_netcdf(path):
            return NetcdfSource(path, options=options)
    return RecordingSource(path, split=split, seed=seed, options=options)


def _unknown(name: str) -> str:
    """One line on what `name` might have been meant to be."""
    near = get_close_matches(name, REGISTERED, n=3, cutoff=0.6)
    meant = (
        f"did you mean {' or '.join(near)}?" if near else "`data list` shows the registered sets"
    )
    return f"{name} is neither a registered set nor an existing path: {meant}"
