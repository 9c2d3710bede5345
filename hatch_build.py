"""Builds the extensions in place where there is a compiler; without one everything works, and `agents` says what is missing.

`TRACEPATCH_BUILD=0` leaves them out, `TRACEPATCH_BUILD=1` makes a failure an error.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

CORES = "agent/tracepatch/cores"
EXTENSIONS = {"_native": "native/*.c"} | ({"_filter": "_filter.c"} if sys.version_info >= (3, 12) else {})


class Extensions(BuildHookInterface[Any]):
    """The hook of hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        wanted = os.environ.get("TRACEPATCH_BUILD", "")
        if self.target_name != "wheel" or wanted == "0" or not _usable():
            return
        built = []
        for name, sources in EXTENSIONS.items():
            try:
                built.append(self._built(name, sources))
            except Exception as error:
                if wanted == "1":
                    raise
                self.app.display_warning(f"tracepatch is installed without its compiled part {name}: {error}")
        if not built:
            return
        build_data["artifacts"] += built
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def _built(self, name: str, pattern: str) -> str:
        """Compile an extension into the folder of the cores; return the path of what came out."""
        from setuptools import Distribution, Extension

        place = Path(CORES)
        sources = sorted(str(path.relative_to(self.root)) for path in (Path(self.root) / place).glob(pattern))
        distribution = Distribution(
            {
                "ext_modules": [
                    Extension(name, sources, extra_compile_args=["-std=gnu11", "-O3", "-fvisibility=hidden"])
                ]
            }
        )
        command = distribution.get_command_obj("build_ext")
        scratch = Path("build", f"{sys.implementation.cache_tag}-{os.getpid()}")
        command.build_lib = command.build_temp = str(scratch)
        file = command.get_ext_filename(name)
        before = Path.cwd()
        os.chdir(self.root)
        try:
            command.ensure_finalized()
            command.run()
            os.replace(scratch / file, place / file)  # at once: others may be importing it
            shutil.rmtree(scratch)
        finally:
            os.chdir(before)
        return str(place / file)


def _usable() -> bool:
    """Tell whether this interpreter has what the extensions use, and is one that they are right for."""
    return (
        sys.implementation.name == "cpython"
        and sys.version_info[:2] >= (3, 10)
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
    )
