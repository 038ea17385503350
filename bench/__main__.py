"""Runs the measurements: every module of this folder that has `measure()`, which yields Results."""

import sys
from importlib import import_module
from pkgutil import iter_modules

import bench
from bench.result import Result


def main(names: list[str]) -> None:
    print(f"{'':<32}{'median us':>12}{'p99 us':>12}{'worst us':>12}   ratio")
    for module in sorted(module.name for module in iter_modules(bench.__path__)):
        if (names and module not in names) or module == "__main__":
            continue
        measure = getattr(import_module(f"bench.{module}"), "measure", None)
        if measure is None:
            continue
        print(module)
        seen: dict[str, Result] = {}
        for result in measure():
            seen[result.name] = result
            line = f"  {result.name:<30}{result.median_us:>12.2f}{result.p99_us:>12.2f}{max(result.times_us):>12.2f}"
            if result.peer:
                line += f"   {result.median_us / seen[result.peer].median_us:.2f} x {result.peer}"
            print(line + (f"   {result.note}" if result.note else ""), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
