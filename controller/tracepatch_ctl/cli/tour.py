"""`demo`: the main job on an example application."""

from __future__ import annotations

import click


@click.command()
def demo() -> int | None:
    """Arm an example server and show its trees."""
    from .demo import run

    return run()
