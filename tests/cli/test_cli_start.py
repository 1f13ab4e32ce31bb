"""Help, versions and mistakes come at once, on every terminal; heavy libraries wait for work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from tiny import CommandLine

from scalor_ppl.cli import options
from scalor_ppl.cli.foresee import foresee
from scalor_ppl.cli.generate import FORMS
from scalor_ppl.cli.main import app
from scalor_ppl.cli.reproduce import LEDGER
from scalor_ppl.cli.track import track
from scalor_ppl.data.lossless import SUFFIXES
from scalor_ppl.errors import UserError

HEAVY = ("torch", "pyro", "numba", "scipy", "matplotlib", "arviz", "pandas", "xarray", "av")
# One process for all: what one command imports, the next would be blamed for; so each is asked.
ASKS = f"""
import contextlib, io, json, sys
from scalor_ppl.cli.main import run
found = {{}}
for line in json.load(sys.stdin):
    sys.argv = ["scalor-ppl", *line]
    code = 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        try:
            run()
        except SystemExit as end:
            code = end.code or 0
    loaded = [name for name in {HEAVY!r} if name in sys.modules]
    found[" ".join(line)] = (code, loaded, len(out.getvalue()))
print(json.dumps(found))
"""


def commands() -> list[list[str]]:
    """Every command, as its words."""
    group = typer.main.get_command(app)
    words = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        words.append([name])
        words += [[name, sub] for sub in getattr(command, "commands", {})]
    return words


def asked(lines: list[list[str]], **environment: str) -> dict[str, tuple[int, list[str], int]]:
    """Exit code, heavy modules and characters printed of each command line, in one process."""
    done = subprocess.run(
        [sys.executable, "-c", ASKS],
        input=json.dumps(lines),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_help_versions_and_mistakes_import_nothing_heavy() -> None:
    every = commands()
    assert len(every) >= 19
    helps = [[*words, "-h"] for words in every]
    mistakes = [[*words, "--no-such-option"] for words in every]
    lines = [
        ["--help"],
        ["-h"],
        ["train", "--help"],
        ["--version"],
        ["nonsense"],
        *helps,
        *mistakes,
    ]
    found = asked(lines)
    assert len(found) == len(lines)
    for line, (code, loaded, printed) in found.items():
        assert loaded == [], line
        assert printed > 10, line
        assert code == (2 if "nonsense" in line or "no-such" in line else 0), line


def test_shell_completion_knows_the_commands_and_imports_nothing_heavy() -> None:
    asks = {"_SCALOR_PPL_COMPLETE": "complete_bash", "COMP_WORDS": "scalor-ppl ", "COMP_CWORD": "1"}
    found = asked([[]], **asks)
    ((_, loaded, printed),) = found.values()
    assert loaded == []
    assert printed > len("train track")


def test_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, scalor_ppl; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_versions(cli: CommandLine) -> None:
    from importlib.metadata import version

    said = cli("--version")
    assert said.code == 0
    names = ("scalor-ppl", "torch", "pyro-ppl")
    assert said.out == "".join(f"{name} {version(name)}\n" for name in names)


def test_what_help_says_is_what_the_library_does() -> None:
    """Defaults and words that are written down twice, so that help need not import them."""
    from inspect import signature

    from scalor_ppl.inference import interventions
    from scalor_ppl.results.datatree import SUFFIX
    from scalor_ppl.results.uncertainty import FORMATS as PLOTS
    from scalor_ppl.studies import tables
    from scalor_ppl.studies.experiment import TEST_SEED
    from scalor_ppl.tracking import FORMATS
    from scalor_ppl.tracking.stream import CHUNK

    assert signature(track).parameters["chunk"].default == CHUNK
    assert signature(foresee).parameters["data_seed"].default == TEST_SEED
    assert FORMS == interventions.FORMS
    assert LEDGER == tables.LEDGER
    assert tuple(PLOTS) == options.FIGURES
    assert SUFFIX == ".nc"
    assert ", ".join(FORMATS) in help_of("track", "form")
    assert all(suffix in help_of("data", "make", "out") for suffix in SUFFIXES)


def help_of(*words: str) -> str:
    """The help of an option."""
    command = typer.main.get_command(app)
    for word in words[:-1]:
        command = command.commands[word]  # type: ignore[attr-defined]
    return next(p.help for p in command.params if p.name == words[-1])  # type: ignore[attr-defined]


# ------------------------------------------------------------------- terminals that are not UTF-8


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_any_terminal_shows_names_and_tables(encoding: str, tmp_path: Path) -> None:
    name = "größe_µm→€.txt"
    rows = "".join(f"{t},1,{t},5,9,9,1,-1,-1,-1\n" for t in range(1, 4))
    (tmp_path / name).write_text(rows)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from scalor_ppl.cli.main import run; run()",
            "msd",
            name,
            "--drift",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": encoding, "COLUMNS": "100"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode(encoding)
    stem = {"ascii": "gr??e_um->?", "latin-1": "größe_µm->?", "cp437": "größe_µm->?"}[encoding]
    assert stem in shown
    assert "1.00" in shown  # the displacement at lag 1


def test_what_cannot_be_shown_is_plainer() -> None:
    from scalor_ppl.cli import terminal

    terminal.print_anything()
    text = "a → b … 3 \N{MULTIPLICATION SIGN} 4 ± 0.5 µm ≥ 2² 漢 \udcff"
    assert text.encode("ascii", terminal.PLAIN_ERRORS) == b"a -> b ... 3 x 4 +- 0.5 um >= 22 ? ?"
    assert "plain".encode("ascii", terminal.PLAIN_ERRORS) == b"plain"


def test_an_error_about_a_name_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    name = os.fsdecode(b"no\xff.txt")
    done = subprocess.run(
        [sys.executable, "-c", "from scalor_ppl.cli.main import run; run()", "msd", name],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == b"error: no such file: no?.txt\n"


# -------------------------------------------------------------------------------- labels of runs


def test_a_folder_with_an_equals_sign_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lr=0.1/run").mkdir(parents=True)
    given = ["lr=0.1/run", "mine=lr=0.1/run", "other=elsewhere", "plain"]
    assert options.labelled(given) == {
        "lr=0.1/run": Path("lr=0.1/run"),
        "mine": Path("lr=0.1/run"),
        "other": Path("elsewhere"),
        "plain": Path("plain"),
    }
    with pytest.raises(UserError, match="two runs are called mine"):
        options.labelled(["mine=a", "mine=b"])


WRITES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny import config_of
from scalor_ppl.training.runs import create_run, run_config
config = config_of(data={"source": "gr\\u00f6\\u00dfe.nc"})
create_run(Path("run"), config)
assert run_config(Path("run")) == config
"""


def test_a_run_is_written_in_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run(
        [sys.executable, "-c", WRITES, str(Path(__file__).parents[1])],
        cwd=tmp_path,
        env=os.environ | plain,
        check=True,
    )
    assert "größe.nc" in (tmp_path / "run" / "config.toml").read_text(encoding="utf-8")
