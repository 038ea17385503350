"""Reading a .env file: NAME=value lines, comments, quotes, values over several lines. No expansion, no commands."""

import re
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<rest>.*)", re.DOTALL)


class Line(NamedTuple):
    """A value and where it stands, e.g. '.env line 3'."""

    value: str
    where: str


def read_env_file(path: Path) -> tuple[dict[str, Line], list[str]]:
    """The values by name and a sentence for each fault. A fault never quotes the line: it may hold a secret."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}, []
    except UnicodeDecodeError:
        return {}, [f"{path.name} is not UTF-8 text; save it as plain text."]
    except OSError as error:
        return {}, [f"{path.name} cannot be read ({error.strerror})."]
    values: dict[str, Line] = {}
    faults: list[str] = []
    number = 0
    while number < len(lines):
        start, text = number, lines[number].strip()
        number += 1
        if not text or text.startswith("#"):
            continue
        where = f"{path.name} line {start + 1}"
        match = _LINE.fullmatch(text)
        if match is None:
            faults.append(f"{where}: expected NAME=value.")
            continue
        name, rest = match["name"], match["rest"]
        if rest[:1] in ('"', "'"):
            quote = rest[0]
            while quote not in rest[1:] and number < len(lines):
                rest, number = f"{rest}\n{lines[number]}", number + 1
            value, closed, after = rest[1:].partition(quote)
            if not closed:
                faults.append(f"{where}: {name} begins with {quote} but no {quote} ends it.")
                break
            if after.strip() and not after.strip().startswith("#"):
                faults.append(f"{where}: {name} has text after its closing {quote}.")
                continue
        else:
            value = re.split(r"\s+#", rest, maxsplit=1)[0].strip()
        if name in values:
            faults.append(f"{where}: {name} is set twice (also in {values[name].where}).")
            continue
        values[name] = Line(value, where)
    return values, faults
