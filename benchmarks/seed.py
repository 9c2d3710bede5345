"""tracepatch 0.1.0, the project that this one grew from, as a contender.

Its package has the same import name as ours, so its one module is loaded from a folder of its own under another name.
It is fetched for comparison only.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).resolve().parents[1] / ".venvs" / "seed-0.1.0"


def load() -> ModuleType:
    """Return the module; download it first when it is not there. Raise `OSError` when that fails."""
    source = FOLDER / "tracepatch" / "_trace.py"
    if not source.exists():
        download()
    spec = importlib.util.spec_from_file_location("tracepatch_seed", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def download() -> None:
    """Fetch and unpack the wheel."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    words = [
        "download",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "--dest",
        str(FOLDER),
        "tracepatch==0.1.0",
    ]
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    wheels = sorted(FOLDER.glob("*.whl"))
    if done.returncode or not wheels:
        raise OSError(
            f"tracepatch 0.1.0 cannot be downloaded: {done.stderr.strip().splitlines()[-1:] or 'no wheel'}"
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(FOLDER)
