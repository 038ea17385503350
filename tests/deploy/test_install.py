"""From an empty clone to a program that can start."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(clone: Path, *arguments: str) -> str:
    environ = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(["make", *arguments], cwd=clone, env=environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.prove
@pytest.mark.timeout(400)
def test_make_install_in_an_empty_clone_installs_once_and_everything(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    make(clone, "install", f"PYTHON={Path(sys.base_prefix) / 'bin' / 'python3'}")
    python = clone / ".venv" / "bin" / "python"
    subprocess.run([python, "-c", "import bot.build, gunicorn, supabase, redis"], cwd=clone, check=True)
    assert list((clone / ".venv").glob("lib/*/site-packages/flask/__pycache__/*.pyc")), "no start compiles again"
    began = time.monotonic()
    assert "Installing" not in make(clone, "install")
    assert time.monotonic() - began < 5
    (clone / "requirements.txt").touch()
    assert "Installing requirements.txt" in make(clone, "install")


def test_an_interpreter_that_is_too_old_or_too_new_is_refused(tmp_path):
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    (tmp_path / "requirements-uv.txt").touch()
    (tmp_path / "requirements.txt").touch()
    odd = tmp_path / "odd-python"
    odd.write_text(f'#!/bin/sh\nshift; exec {sys.executable} -c "import sys; sys.version_info = (3, 14, 0); $1"\n')
    odd.chmod(0o755)
    done = subprocess.run(["make", "install", f"PYTHON={odd}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Python 3.11 to 3.13 is needed" in done.stderr and "is 3.14" in done.stderr
    assert not (tmp_path / ".venv").exists()
