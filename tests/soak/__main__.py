"""Soak this Python for some minutes and print what was found."""

from __future__ import annotations

import argparse
import sys

from .run import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    result = run(60 * options.minutes, seed=options.seed)
    print("\n".join(result.lines))
    sys.exit(bool(result.failures))


if __name__ == "__main__":
    main()
