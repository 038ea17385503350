"""How a setting is declared, read from text, masked and described. The table itself is in bot/settings.py."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from hmac import compare_digest
from itertools import groupby
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints


class Secret:
    """A value that never shows itself: repr, str and format are masked; `reveal()` is the only way to read it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(********)"

    def __str__(self) -> str:
        return "********"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not serialised")


@dataclass(frozen=True)
class Row:
    """One setting: its name in the environment and everything that is known about it."""

    name: str
    attribute: str
    type: type
    group: str
    help: str
    unit: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    default_text: str

    @property
    def secret(self) -> bool:
        return self.type is Secret

    @property
    def computed(self) -> bool:
        """Whether the default is a sentence rather than a value."""
        return " " in self.default_text

    @property
    def allowed(self) -> str:
        """What values are accepted, in words."""
        if self.choices:
            return " or ".join((", ".join(self.choices[:-1]), self.choices[-1]))
        if self.type is bool:
            return "true or false"
        kind = {int: "a whole number", float: "a number"}.get(self.type)
        if kind is None:
            return f"text of at least {self.low:g} characters" if self.low else "text"
        unit = f" {self.unit}" if self.unit else ""
        if self.high is None:
            return f"{kind} of at least {self.low:g}{unit}" if self.low is not None else kind
        return f"{kind} from {self.low:g} to {self.high:g}{unit}"


def setting(
    default: Any,
    group: str,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    default_text: str = "",
) -> Any:
    """A row of the table; `low` and `high` bound a number, `low` also the length of a text."""
    about = {"group": group, "help": help, "unit": unit, "low": low, "high": high, "default_text": default_text}
    return field(default=default, metadata=about)


def table_of(settings: type) -> tuple[Row, ...]:
    """The rows that a settings class declares, in its order."""
    hints = get_type_hints(settings)
    rows = []
    for item in fields(settings):
        kind: Any = hints[item.name]
        choices: tuple[str, ...] = ()
        if get_origin(kind) is Literal:
            kind, choices = str, get_args(kind)
        elif NoneType in get_args(kind):
            kind = get_args(kind)[0]
        about = {name: item.metadata[name] for name in ("group", "help", "unit", "low", "high")}
        default_text = item.metadata["default_text"] or text_of(item.default)
        name = item.name.upper()
        rows.append(Row(name, item.name, kind, choices=choices, default_text=default_text, **about))
    return tuple(rows)


def text_of(value: Any) -> str:
    """A value as it is written in the environment; a secret masked, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text):
        raise ValueError
    return float(text)


def _whole(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError
    return int(text)


def _switch(text: str) -> bool:
    try:
        return {
            "true": True,
            "1": True,
            "yes": True,
            "on": True,
            "false": False,
            "0": False,
            "no": False,
            "off": False,
        }[text.lower()]
    except KeyError:
        raise ValueError from None


_PARSERS: Mapping[type, Callable[[str], Any]] = {
    bool: _switch,
    int: _whole,
    float: _number,
    str: str,
    Path: lambda text: Path(text).expanduser(),
    Secret: Secret,
}


def parse(row: Row, text: str) -> Any:
    """The value that a text stands for. ValueError when it is not one that `row.allowed` describes."""
    value = _PARSERS[row.type](text)
    if row.choices and value not in row.choices:
        raise ValueError
    size = len(text) if row.type in (Secret, str) else value
    if (row.low is not None and size < row.low) or (row.high is not None and size > row.high):
        raise ValueError
    return value


def env_example(table: Iterable[Row]) -> str:
    """The text of .env.example: every setting, commented out, with its default."""
    lines = [
        "# Settings of Tickstop. Copy to .env and edit; the environment wins over this file.",
        "# Written by: python -m bot settings --write",
    ]
    for group, rows in groupby(table, key=lambda row: row.group):
        lines += ["", f"# --- {group} ---"]
        for row in rows:
            lines += [f"# {row.help}", f"#   {_about(row)}", f"#{row.name}={'' if row.computed else row.default_text}"]
    return "\n".join(lines) + "\n"


def markdown(table: Iterable[Row]) -> str:
    """The text of docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Settings come from the environment or from a file `.env` in the working folder (NAME=value lines); the",
        "environment wins. An unknown name, a malformed line or a value out of range stops the program with",
        "a message that names it. `python -m bot settings` shows what is in force, secrets masked.",
        "",
        "This page and `.env.example` are written by `python -m bot settings --write`.",
    ]
    for group, rows in groupby(table, key=lambda row: row.group):
        lines += ["", f"## {group}", "", "| name | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        for row in rows:
            default = row.default_text if row.computed else f"`{row.default_text}`" if row.default_text else "none"
            lines.append(f"| `{row.name}` | {default} | {row.allowed}{', secret' if row.secret else ''} | {row.help} |")
    return "\n".join(lines) + "\n"


def _about(row: Row) -> str:
    default = row.default_text or "none"
    return f"{row.allowed}; default: {default}{'; secret' if row.secret else ''}"
