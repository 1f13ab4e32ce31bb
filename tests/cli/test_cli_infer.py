"""``scalor-ppl infer``, and ``generate`` into a NetCDF file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tiny import ALONE, CommandLine, Square, run_beside_clips, write_clips, write_images

OPTIONS = ("--draws", 6, "--frames", 3, *ALONE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


def values(tree: xr.DataTree, group: str, name: str) -> np.ndarray:
    """A variable as numbers."""
    return tree[group].to_dataset()[name].values


@pytest.fixture
def clips(run: Path) -> Path:
    return run.parent / "clips.nc"


def test_command_writes_the_file(cli: CommandLine, run: Path, clips: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "new" / "run.nc", tmp_path / "track.png"
    said = cli("infer", run, clips, "--clip", 2, *OPTIONS, "--out", out, "--plot", plot)
    assert said.code == 0, said
    assert said.out.splitlines() == [str(out), str(plot)]
    assert plot.read_bytes().startswith(b"\x89PNG")
    with xr.open_datatree(out, engine="h5netcdf") as tree:
        assert np.array_equal(values(tree, "observed_data", "video"), Square().clip(2, 3).video)
        assert tree["posterior_predictive"].sizes["draw"] == 6


def test_command_is_reproducible_by_seed(
    cli: CommandLine, run: Path, clips: Path, tmp_path: Path
) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.nc"
        said = cli("infer", run, clips, *OPTIONS, "--seed", seed, "--images", 0, "--out", out)
        assert said.code == 0, said
        with xr.open_datatree(out, engine="h5netcdf") as tree:
            assert "posterior_predictive" not in tree.children
            weights.append(values(tree, "sample_stats", "log_weight"))
    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_a_folder_of_images(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    images = write_images(tmp_path / "images")
    out = tmp_path / "run.nc"
    said = cli("infer", run, images, *OPTIONS, "--out", out)
    assert said.code == 0, said
    with xr.open_datatree(out, engine="h5netcdf") as tree:
        # The first frames of the folder, in the order of their names.
        assert np.array_equal(values(tree, "observed_data", "video"), Square().clip(0, 3).video)
        assert tree["posterior_predictive"].sizes["draw"] == 6
        of_images = values(tree, "sample_stats", "log_weight")
    assert np.isfinite(of_images).all()
    # The same pixels from a file of clips are the same to the program.
    said = cli("infer", run, run.parent / "clips.nc", *OPTIONS, "--out", tmp_path / "clips.nc")
    assert said.code == 0, said
    with xr.open_datatree(tmp_path / "clips.nc", engine="h5netcdf") as tree:
        assert np.array_equal(values(tree, "sample_stats", "log_weight"), of_images)


def test_what_is_refused(cli: CommandLine, run: Path, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "run.nc"
    small = write_clips(tmp_path / "small.nc", Square(12, 16))
    for arguments, said in (
        ((run, clips, *OPTIONS, "--out", tmp_path / "run.txt"), "end it in .nc"),
        ((run, clips, *OPTIONS, "--out", clips), "is the video itself"),
        ((run, clips, *OPTIONS, "--out", out, "--plot", "track.txt"), "end it in .png, .svg, .pdf"),
        ((run, clips, *OPTIONS, "--out", out, "--clip", 8), "has 8 clips of 3 frames"),
        ((run, clips, *ALONE, "--out", out, "--frames", 7), "fewer than the 7 of a clip"),
        ((run, small, *OPTIONS, "--out", out), "the clip is 12 x 16 x 3, but the run was trained"),
        ((run, "nothing", *OPTIONS, "--out", out), "neither a registered set nor an existing path"),
        ((tmp_path, clips, *OPTIONS, "--out", out), "is not a run"),
        ((run, clips, *OPTIONS, "--images", 7, "--out", out), "7 images: give 0 to 6"),
        ((run, clips, *OPTIONS, "--out", run.parent / "clips.nc" / "run.nc"), "no folder to write"),
    ):
        assert said in cli.refused("infer", *arguments)
    assert not out.parent.exists()
    assert cli("infer", run, clips, *OPTIONS, "--draws", 0, "--out", out).code == 2


# ---------------------------------------------------------------------- generate


def test_generate_into_a_file(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "prior.nc"
    options = ("--videos", 3, "--frames", 4, "--first-rate", 0.9, "--no-discovery", *ALONE)
    said = cli("generate", run, *options, "--out", out)
    assert said.code == 0, said
    assert said.out.splitlines() == [str(out)]
    assert [each.name for each in out.parent.iterdir()] == ["prior.nc"]
    with xr.open_datatree(out, engine="h5netcdf") as tree:
        assert set(tree.children) == {"prior", "prior_predictive"}
        assert values(tree, "prior_predictive", "video").shape == (1, 3, 4, 16, 16, 3)
        # Nobody enters after the first frame.
        counts = values(tree, "prior", "count")[0]
        assert counts[:, 0].max() > 0
        assert (np.diff(counts, axis=1) <= 0).all()


def test_generate_into_a_file_is_from_scratch(
    cli: CommandLine, run: Path, clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "prior.nc"
    for options in (("--observe", clips), ("--boxes",)):
        said = cli.refused("generate", run, *options, "--out", out, *ALONE)
        assert "is for videos from scratch" in said
    (tmp_path / "folder.nc").mkdir()
    assert "is a folder" in cli.refused("generate", run, "--out", tmp_path / "folder.nc", *ALONE)
    assert not out.parent.exists()
