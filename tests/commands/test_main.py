"""The command line as a whole: what is there, and how quickly it says so."""

import subprocess
import sys

import pytest

from brainseg.__main__ import COMMANDS, main


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from brainseg.__main__ import COMMANDS, main\n"
        "for asked in ([], *([name] for name in COMMANDS)):\n"
        "    try: main([*asked, '--help'])\n"
        "    except SystemExit: pass\n"
        "heavy = {'torch', 'gradio', 'SimpleITK', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"usage: python -m brainseg {name} " in done.stdout for name in COMMANDS)


def test_help_names_every_command(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")  # or else a long line is broken
    with pytest.raises(SystemExit):
        main(["--help"])
    told = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert all([name, text] in told for name, (text, *_) in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"usage: python -m brainseg {name} ") and not told.err
