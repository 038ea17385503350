"""The rules of the house, kept by a test: who may import whom, sizes, names, and what the core must not do.

Each rule is a function from a file to sentences that say what to do instead, and has a test that it catches a breach.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: dict[str, tuple[str, ...]] = {
    # A folder or module, and what it may import of ours. The longest name that fits a file is its floor.
    "bot.core": ("bot.core",),
    "bot.strategy": ("bot.core", "bot.strategy"),
    "bot.kalshi": ("bot.core", "bot.kalshi"),
    "bot.odds": ("bot.core", "bot.odds"),
    "bot.store": ("bot.core", "bot.store"),
    "bot.market_data": ("bot.core", "bot.kalshi", "bot.market_data", "bot.settings"),
    "bot.run": (
        *("bot.core", "bot.strategy", "bot.kalshi", "bot.odds", "bot.store", "bot.market_data", "bot.run"),
        "bot.settings",
    ),
    "bot.paper": ("bot.core.units", "bot.paper"),
    "bot.backtest": ("bot.core", "bot.strategy", "bot.odds", "bot.store", "bot.backtest"),
    "bot.sim": ("bot.core", "bot.strategy", "bot.kalshi", "bot.store", "bot.run", "bot.paper", "bot.sim"),
    "bot.drill": ("bot.core.units", "bot.paper", "bot.settings", "bot.drill"),
    "bot.dotenv": (),
    "bot.config": (),
    "bot.settings": ("bot.config", "bot.dotenv"),
    "bot.paper_process": (),
    "bot.doctor": ("bot.settings", "bot.kalshi"),
    "bot.__main__": ("bot",),
    "bot.record": ("bot.market_data", "bot.kalshi"),
    "bot.build": ("bot", "web"),
    "web": ("web",),
    "wsgi": ("bot.build",),
    "bench": ("bot", "web", "bench"),
}

FILE_LINES, FUNCTION_LINES = 450, 80
VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|commons?)$|(Manager|Helper|Utils?)$")

NOT_IN_CORE = {
    "asyncio": "the core decides; waiting belongs to bot/run",
    "gevent": "step must not yield; loops live in bot/run",
    "io": "files belong to bot/store",
    "logging": "return a Notice effect; the shell logs it",
    "multiprocessing": "the core is one function call",
    "os": "pass what is needed in as an event or an argument",
    "pathlib": "files belong to bot/store",
    "random": "chance comes in as data: pass a seeded source",
    "requests": "the wire belongs to bot/kalshi",
    "secrets": "chance comes in as data: pass a seeded source",
    "socket": "the wire belongs to bot/kalshi",
    "sqlite3": "the journal belongs to bot/store",
    "subprocess": "processes are started by bot/build.py",
    "sys": "the core knows no process",
    "threading": "the core is called through one door and needs no lock",
    "time": "time comes in with the event",
    "urllib": "the wire belongs to bot/kalshi",
    "uuid": "ids come from the seeded source that is passed in",
}
NOT_CALLED_IN_CORE = {
    "print": "return a Notice effect; the shell logs it",
    "open": "files belong to bot/store",
    "input": "the core asks nobody",
    "exec": "say it in code",
    "eval": "say it in code",
    "datetime.now": "time comes in with the event",
    "datetime.utcnow": "time comes in with the event",
    "datetime.today": "time comes in with the event",
    "date.today": "time comes in with the event",
}
EXACT = ("units", "grid", "book", "orders", "positions", "accounting", "fees", "trades", "venue")
"""The core's modules about prices, counts and money: no float is made in them."""

REGISTRIES = tuple("".join(parts) for parts in (("py", "pi.org"), ("pythonhosted", ".org"), ("npm", "js.org")))
ONE_MACHINE = re.compile(r"(?<![\w.])/(?:work/(?:main|shared)|root|home/\w+|Users/\w+)(?:/|\b)")


@cache
def files() -> tuple[Path, ...]:
    """Everything that is in the repository or would be added to it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def ours() -> list[Path]:
    """Our Python: the program, not its tests."""
    return [
        path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("bot", "web", "bench")
    ]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(module: str, source: str, *, package: bool = False) -> Iterator[tuple[str, int]]:
    """Absolute names of all modules imported anywhere in a file, with the line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".") if package else module.split(".")[:-1]
                base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [base])])
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def floor_breaches(module: str, source: str) -> Iterator[str]:
    """Imports that point up, or sideways."""
    floors = [floor for floor in FLOORS if within(module, floor)]
    if not floors:
        if module not in ("bot", "gunicorn.conf"):
            yield f"{module} has no floor: add it to FLOORS in tests/test_tidy.py and say there what it may know"
        return
    allowed = FLOORS[max(floors, key=len)]
    seen: set[int] = set()
    for name, line in imports(module, source):
        if not (within(name, "bot") or within(name, "web")) or name == "bot.__version__":
            continue
        ok = any(within(name, place) for place in allowed) or any(within(place, name) for place in allowed)
        if not ok and line not in seen:
            seen.add(line)
            yield (
                f"{module}:{line} imports {name}, but may know only {', '.join(allowed) or 'nothing of ours'} "
                "(DESIGN section 7): pass it in from bot/build.py, or move the code to the floor that may know it"
            )


def core_breaches(module: str, source: str) -> Iterator[str]:
    """What the pure core must not do."""
    for line, name in {line: name for name, line in imports(module, source)}.items():
        why = NOT_IN_CORE.get(name.split(".")[0])
        if why and not within(name, "bot"):
            yield f"{module}:{line} imports {name}: {why}"
    exact = module.removeprefix("bot.core.") in EXACT
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ".".join(ast.unparse(node.func).split(".")[-2:])
            if called in NOT_CALLED_IN_CORE:
                yield f"{module}:{node.lineno} calls {called}: {NOT_CALLED_IN_CORE[called]}"
            if exact and called == "float":
                yield f"{module}:{node.lineno} makes a float: prices, counts and money are integers (bot/core/units.py)"
        elif exact and isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{module}:{node.lineno} has the float {node.value}: prices, counts and money are integers"
        elif exact and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield f"{module}:{node.lineno} divides with /: use // and say which way it rounds"


def size_breaches(name: str, source: str) -> Iterator[str]:
    lines = source.count("\n")
    if lines > FILE_LINES:
        yield f"{name} has {lines} lines, more than {FILE_LINES}: find its second subject and give it its own file"
    if not name.endswith(".py"):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            size = node.end_lineno - node.lineno + 1
            if size > FUNCTION_LINES:
                yield (
                    f"{name}:{node.lineno} {node.name} has {size} lines, more than {FUNCTION_LINES}: "
                    "keep the branching here and move the leaves into functions of their own"
                )


def vague_names(path: str, source: str) -> Iterator[str]:
    names = [Path(path).stem, *Path(path).parts[:-1]]
    if path.endswith(".py"):
        names += [node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    for name in names:
        if VAGUE.search(name):
            yield f"{path}: {name!r} says nothing; name it after what it knows (order, quote, lease, ...)"


def foreign_text(name: str, text: str) -> Iterator[str]:
    """What must stand in no file of a public repository."""
    for number, line in enumerate(text.splitlines(), 1):
        if any(host in line for host in REGISTRIES):
            yield f"{name}:{number} names a package registry's host: give name and version only"
        if ONE_MACHINE.search(line):
            yield f"{name}:{number} has a path of one machine: use a relative one (tests: the `recorded` fixture)"


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """One import cycle, or []."""
    done: set[str] = set()

    def visit(node: str, trail: list[str]) -> list[str]:
        if node in trail:
            return [*trail[trail.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph[node]):
            found = visit(target, [*trail, node])
            if found:
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := visit(node, []))), [])


def import_graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Which module runs which other one when it is imported (so without those inside functions and TYPE_CHECKING)."""
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        tree = ast.parse(source)
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        package = any(within(other, module) for other in sources if other != module)
        found = {name for name, _ in imports(module, ast.unparse(tree), package=package)}
        graph[module] = {name for name in found if name in sources and name != module and not within(module, name)}
    return graph


def report(breaches: Iterator[str] | list[str]) -> None:
    found = list(breaches)
    assert not found, "\n" + "\n".join(found)


def test_each_floor_knows_only_what_lies_below_it():
    report(breach for path in ours() for breach in floor_breaches(name_of(path), path.read_text()))


def test_no_module_imports_itself_in_a_circle():
    found = cycle(import_graph({name_of(path): path.read_text() for path in ours()}))
    assert not found, f"{' -> '.join(found)}: move what both need into a module below them"


def test_the_core_is_pure_and_exact():
    core = [path for path in ours() if within(name_of(path), "bot.core")]
    report(breach for path in core for breach in core_breaches(name_of(path), path.read_text()))


def test_files_and_functions_stay_readable():
    code = [path for path in files() if path.suffix in (".py", ".js")]
    report(breach for path in code for breach in size_breaches(str(path.relative_to(ROOT)), path.read_text()))


def test_names_say_what_things_are():
    code = [path for path in files() if path.suffix in (".py", ".js", ".html", ".css", ".sql")]
    report(breach for path in code for breach in vague_names(str(path.relative_to(ROOT)), path.read_text()))


def test_no_two_modules_of_the_tests_have_the_same_name():
    names = [path.name for path in files() if path.relative_to(ROOT).parts[0] == "tests" and path.suffix == ".py"]
    twice = {name for name in names if names.count(name) > 1} - {"conftest.py"}
    assert not twice, f"{twice}: pytest imports them side by side; put the folder's subject into the name"


def test_no_file_names_a_registry_or_the_path_of_one_machine():
    texts = [path for path in files() if path.suffix not in (".png", ".gz", ".ico", ".woff2")]
    report(breach for path in texts for breach in foreign_text(str(path.relative_to(ROOT)), path.read_text()))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bot.core.step", "from bot.store.journal import Journal"),
        ("bot.core.step", "def f():\n    import bot.run"),
        ("bot.paper.engine", "from bot.core.book import Book"),
        ("bot.paper.engine", "from bot.core import fees"),
        ("bot.kalshi.rest", "from bot import settings"),
        ("bot.kalshi.rest", "from ..settings import Settings"),
        ("web.api", "from bot.core.units import Price"),
        ("bot.newcomer", "import bot.core"),
    ],
)
def test_an_import_that_points_up_is_caught(module, source):
    assert list(floor_breaches(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("bot.paper.engine", "from bot.core.units import Price\nfrom bot.paper import book"),
        ("bot.paper.engine", "from bot.core import units"),
        ("bot.run.loops", "from bot.core.step import step\nfrom bot import store\nimport gevent"),
        ("bot.build", "from bot.settings import Settings\nfrom web import create_app"),
    ],
)
def test_an_import_that_points_down_is_fine(module, source):
    assert not list(floor_breaches(module, source))


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from os import path",
        "import gevent.event",
        "print(1)",
        "x = datetime.now()",
        "import datetime\ndatetime.date.today()",
    ],
)
def test_what_the_core_must_not_do_is_caught(source):
    assert len(list(core_breaches("bot.core.step", source))) == 1


@pytest.mark.parametrize("source", ["x = float(y)", "x = 0.5", "x = a / b"])
def test_a_float_in_a_money_module_is_caught(source):
    assert list(core_breaches("bot.core.fees", source))
    assert not list(core_breaches("bot.core.config", source))


def test_long_files_long_functions_vague_names_and_foreign_text_are_caught():
    assert list(size_breaches("a.js", "x\n" * (FILE_LINES + 1))) and not list(size_breaches("a.js", "x\n" * FILE_LINES))
    body = "    pass\n" * (FUNCTION_LINES - 1)
    assert not list(size_breaches("a.py", f"def f():\n{body}")) and list(
        size_breaches("a.py", f"def f():\n{body}    pass\n")
    )
    for path, source in [("bot/utils.py", ""), ("bot/helpers/a.py", ""), ("bot/a.py", "class OrderManager: pass")]:
        assert list(vague_names(path, source)), path
    assert not list(vague_names("bot/commands.py", "class Commission: pass"))
    assert list(foreign_text("a", f"see https://{REGISTRIES[0]}/x")) and list(foreign_text("a", "open('/" + "root/x')"))
    assert not list(foreign_text("a", "from 'shared/data', or /api/root/x, see bot/work/main"))


def test_a_circle_is_caught():
    sources = {"a": "import b", "b": "from c import x", "c": "import a", "d": "import a\ndef f():\n    import d"}
    assert cycle(import_graph(sources)) == ["a", "b", "c", "a"]
    assert cycle(import_graph(sources | {"c": "def f():\n    import a"})) == []
