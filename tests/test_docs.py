"""What the documents and deploy files say must be true of the program."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from bot.__main__ import COMMANDS, LATER
from bot.settings import TABLE

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = {row.name for row in TABLE}
OF_PLATFORMS = {"GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "PYTHONDONTWRITEBYTECODE", "PYTHON", "CI"}
PROVIDED = {"docs/dashboard.png"}
"""Made by a run of the program, not by hand."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http") and target not in PROVIDED:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE):
        assert target in targets, f"make {target}"
    for command in re.findall(r"python -m bot ([a-z]+)", text):
        assert command in COMMANDS or command in LATER, command


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "configuration.md"], ids=lambda page: page.name
)
def test_settings_that_are_named_exist(page):
    for name in re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", page.read_text()):
        assert name in NAMES | OF_PLATFORMS, name


def test_every_decision_is_listed():
    listed = (ROOT / "docs/decisions/README.md").read_text()
    for record in (ROOT / "docs/decisions").glob("0*.md"):
        assert f"]({record.name})" in listed, record.name


def test_the_platforms_start_the_same_application():
    app, blueprint = json.loads((ROOT / "app.json").read_text()), (ROOT / "render.yaml").read_text()
    assert (ROOT / "Procfile").read_text() == "web: HOST=0.0.0.0 gunicorn wsgi:app\n"
    assert "startCommand: gunicorn wsgi:app\n" in blueprint
    names = set(app["env"]) | set(re.findall(r"- key: (\w+)", blueprint))
    assert names <= NAMES | OF_PLATFORMS
    assert app["env"]["ADMIN_PASSWORD"] == {**app["env"]["ADMIN_PASSWORD"], "generator": "secret"}
    assert re.search(r"key: ADMIN_PASSWORD\n\s+generateValue: true", blueprint)
    assert app["env"]["MODE"]["value"] == "paper" and re.search(r"key: MODE\n\s+value: paper\n", blueprint)
    assert app["formation"]["web"]["quantity"] == 1 and "numInstances: 1" in blueprint


def test_no_second_package_manager_confuses_the_platforms():
    for name in ("uv.lock", "Pipfile", "poetry.lock", "package.json", "runtime.txt"):
        assert not (ROOT / name).exists(), name
    version = (ROOT / ".python-version").read_text().strip()
    assert version in ("3.11", "3.12", "3.13")


def test_the_nine_named_packages_and_all_others_are_pinned_with_hashes():
    named = {
        "flask",
        "flask-sse",
        "gunicorn",
        "gevent",
        "requests",
        "websocket-client",
        "cryptography",
        "supabase",
        "pytest",
    }
    direct = (ROOT / "requirements.in").read_text() + (ROOT / "requirements-dev.in").read_text()
    assert named <= {line.partition("==")[0] for line in direct.splitlines() if "==" in line}
    for name in ("requirements", "requirements-dev", "requirements-uv"):
        blocks = re.split(
            r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", (ROOT / f"{name}.txt").read_text(), flags=re.MULTILINE)
        )
        for block in blocks:
            assert re.match(r"[a-z0-9._\[\]-]+==\S+", block) and "--hash=sha256:" in block, block[:80]
        locked = "\n".join(blocks)
        for line in (ROOT / f"{name}.in").read_text().splitlines():
            assert line.startswith("-r ") or f"{line} " in locked, f"{line}: run make lock"


def test_make_without_a_target_lists_the_targets():
    output = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True).stdout
    for target in ("install", "run", "test", "check", "bench", "prove", "help"):
        assert f"make {target} " in output


def test_the_licence_and_the_disclaimer_are_there():
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    readme = (ROOT / "README.md").read_text()
    assert "Trading can lose all the money" in readme and "not affiliated" in readme.replace("\n> ", " ")


def test_every_failure_case_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "failure-cases.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*", page, re.M)
    assert [int(number) for number in rows] == list(range(1, 39))
    for line in page.splitlines()[9:]:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)
        assert named, f"no test: {line}"
        for file, name in named:
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"
