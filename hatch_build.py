"""Builds the extensions in place where there is a compiler; without one everything works, and `agents` says what is missing.

`TRACEPATCH_BUILD=0` leaves them out, `TRACEPATCH_BUILD=1` makes a failure an error.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("agent/tracepatch/cores/_filter.c",)


class Extensions(BuildHookInterface[Any]):
    """The hook of hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        wanted = os.environ.get("TRACEPATCH_BUILD", "")
        if self.target_name != "wheel" or wanted == "0" or not _usable():
            return
        try:
            built = [self._built(source) for source in SOURCES]
        except Exception as error:
            if wanted == "1":
                raise
            self.app.display_warning(f"tracepatch is installed without its compiled part: {error}")
            return
        build_data["artifacts"] += built
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def _built(self, source: str) -> str:
        """Compile one source next to itself; return the path of what came out."""
        from setuptools import Distribution, Extension

        place, name = Path(source).parent, Path(source).stem
        distribution = Distribution({"ext_modules": [Extension(name, [source])]})
        command = distribution.get_command_obj("build_ext")
        command.build_lib = str(place)
        command.build_temp = "build"
        before = Path.cwd()
        os.chdir(self.root)
        try:
            command.ensure_finalized()
            command.run()
        finally:
            os.chdir(before)
        return str(place / command.get_ext_filename(name))


def _usable() -> bool:
    """Tell whether this interpreter has what the extensions use, and is one that they are right for."""
    return (
        sys.implementation.name == "cpython"
        and sys.version_info >= (3, 12)
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
    )
