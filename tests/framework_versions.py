"""The versions of web frameworks on which `http:` targets are tested: on each Python the oldest and the newest.

The oldest is the first release from a floor on that installs there, is imported and answers a request; the newest is
what installs there without further words. `docs/frameworks.md` shows this table.

    python tests/framework_versions.py                  print the table, in Markdown
    python tests/framework_versions.py find NAME        find the oldest on this Python, by trying
    python tests/framework_versions.py install NAME...  install the oldest for this Python beside this environment
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Unreachable(Exception):
    """The package index does not answer."""


@dataclass(frozen=True, kw_only=True)
class Framework:
    """One framework."""

    name: str
    """As it is installed."""
    applications: Mapping[str, tuple[str, str]]
    """Application of `targets/web.py` -> its server, and the module at whose function the tree starts."""
    floor: str
    """Older releases were not tried."""
    oldest: Mapping[str, str]
    newest: Mapping[str, str]
    """Of a Python that is missing it does not serve there."""
    needs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Before this version: what it needs besides, or may not have newer. Of several the first holds."""
    pure: Mapping[str, str] = field(default_factory=dict)
    """Variables by which it is built without a compiler."""
    first: bool = False
    """The tests install it; the others are `make frameworks`'s."""

    def requirements(self, version: str) -> list[str]:
        """Return what to install for this version."""
        needs = next((needs for before, needs in self.needs if parts(version) < parts(before)), ())
        return [f"{self.name}=={version}", *needs]

    def folder(self, version: str) -> Path:
        """Return where this version lies; code in `site-packages` is a library's."""
        return Path(sys.prefix) / "frameworks" / f"{self.name}-{version}" / "site-packages"

    def install(self, version: str) -> Path:
        """Install a version where nothing else is, unless it was, and return the folder."""
        folder = self.folder(version)
        stamp = folder.parent / "installed"
        wanted = "\n".join([*self.requirements(version), *self.pure])
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            pip(
                "install",
                "--quiet",
                "--prefer-binary",
                "--upgrade",
                "--target",
                str(folder),
                *self.requirements(version),
                env=self.pure,
            )
            stamp.write_text(wanted)
        return folder

    def releases(self) -> list[str]:
        """Return the releases that this Python may have, from the floor on, the oldest first."""
        found = json.loads(pip("index", "versions", self.name, "--json"))["versions"]
        final = [version for version in found if re.fullmatch(r"[\d.]+", version)]
        return sorted((one for one in final if parts(one) >= parts(self.floor)), key=parts)


def parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def pip(*words: str, env: Mapping[str, str] | None = None) -> str:
    """Run pip and return what it prints; raise `Unreachable` where that is why it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--retries", "1", *words]
    done = subprocess.run(
        command, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False, timeout=150
    )
    if done.returncode:
        if re.search(r"connection broken|Could not fetch URL|ConnectTimeout|NameResolution", done.stderr):
            raise Unreachable(f"the package index cannot be reached: {done.stderr.strip()[-500:]}")
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _of_all(version: str, **others: str) -> dict[str, str]:
    """Return this version for all Pythons but those of `others`, as in `py313="4.2"`."""
    return {python: others.get("py" + python.replace(".", ""), version) for python in PYTHONS}


FRAMEWORKS = (
    Framework(
        name="fastapi",
        applications={"fastapi": ("uvicorn", "fastapi.applications")},
        floor="0.68.0",
        oldest=_of_all("0.68.0"),
        newest=_of_all("0.165.0", py310="0.162.5"),
        needs=(("0.100", ("pydantic<2",)),),
        first=True,
    ),
    Framework(
        name="starlette",
        applications={"starlette": ("uvicorn", "starlette.applications")},
        floor="0.14.2",
        oldest=_of_all("0.14.2"),
        newest=_of_all("1.10.0", py310="1.7.0"),
        first=True,
    ),
    Framework(
        name="django",
        applications={
            "django-wsgi": ("waitress", "django.core.handlers.wsgi"),
            "django-asgi": ("uvicorn", "django.core.handlers.asgi"),
        },
        floor="3.2",
        oldest=_of_all("3.2", py312="3.2.9", py313="4.1", py314="4.1"),
        newest=_of_all("6.1.3", py310="5.2.19", py311="5.2.19"),
        first=True,
    ),
    Framework(
        name="flask",
        applications={"flask": ("waitress", "flask.app")},
        floor="1.1.0",
        oldest=_of_all("1.1.0", py314="2.3.3"),
        newest=_of_all("3.1.3"),
        needs=(
            ("2.0", ("werkzeug<2", "jinja2<3", "itsdangerous<2.1", "markupsafe<2.1")),
            ("2.2", ("werkzeug<2.2",)),
            ("2.3", ("werkzeug<2.3",)),
            ("3.0", ("werkzeug<3",)),
        ),
        first=True,
    ),
    Framework(
        name="aiohttp",
        applications={"aiohttp": ("aiohttp", "aiohttp.web_protocol")},
        floor="3.8.0",
        oldest=_of_all("3.8.0", py313="3.8.3", py314="3.8.3"),
        newest=_of_all("3.14.5"),
        needs=(("3.9", ("yarl<1.10",)),),
        pure={"AIOHTTP_NO_EXTENSIONS": "1", "YARL_NO_EXTENSIONS": "1"},
        first=True,
    ),
    Framework(
        name="tornado",
        applications={"tornado": ("tornado", "tornado.web")},
        floor="6.0",
        oldest=_of_all("6.0"),
        newest=_of_all("6.6.1", py310="6.5.10"),
        first=True,
    ),
    Framework(
        name="quart",
        applications={"quart": ("hypercorn", "quart.app")},
        floor="0.17.0",
        oldest=_of_all("0.17.0", py314="0.19.9"),
        newest=_of_all("0.23.1", py310="0.20.0", py311="0.22.0", py312="0.22.0"),
        needs=(
            ("0.18", ("werkzeug<2.2",)),
            ("0.19", ("werkzeug<2.3", "flask<2.3")),
        ),
    ),
    Framework(
        name="litestar",
        applications={"litestar": ("uvicorn", "litestar.app")},
        floor="2.0.0",
        oldest=_of_all("2.3.0", py310="2.0.0", py311="2.0.0"),
        newest=_of_all("2.25.0"),
    ),
    Framework(
        name="sanic",
        applications={"sanic": ("sanic", "sanic.app")},
        floor="22.12.0",
        oldest=_of_all("22.12.0", py314="24.6.0"),
        newest=_of_all("25.12.1"),
        needs=(("25", ("websockets<14",)),),
        pure={"SANIC_NO_UJSON": "1"},
    ),
    Framework(
        name="falcon",
        applications={"falcon": ("waitress", "falcon.app"), "falcon-asgi": ("uvicorn", "falcon.asgi.app")},
        floor="3.0.0",
        oldest=_of_all("3.1.1", py310="3.0.0", py313="4.0.0", py314="4.0.0"),
        newest=_of_all("4.4.0"),
        pure={
            "FALCON_DISABLE_CYTHON": "1",
            "PIP_NO_BINARY": "falcon",
        },  # in a compiled one nothing can be traced
    ),
    Framework(
        name="bottle",
        applications={"bottle": ("waitress", "bottle")},
        floor="0.12.0",
        oldest=_of_all("0.12.22", py310="0.12.18", py313="0.13.0", py314="0.13.0"),
        newest=_of_all("0.13.4"),
    ),
    Framework(
        name="pyramid",
        applications={"pyramid": ("waitress", "pyramid.router")},
        floor="1.10",
        oldest=_of_all("1.10.8", py310="1.10", py311="1.10"),
        newest=_of_all("2.1"),
        needs=(("3", ("setuptools<81",)),),
    ),
)


def table() -> list[str]:
    """Return the rows of the table in `docs/frameworks.md`."""
    rows = [f"| | {' | '.join(PYTHONS)} |", f"| --- |{' --- |' * len(PYTHONS)}"]
    for framework in FRAMEWORKS:
        ends = [
            f"{framework.oldest[python]} – {framework.newest[python]}"
            if python in framework.oldest
            else "none"
            for python in PYTHONS
        ]
        rows.append(f"| {framework.name} | {' | '.join(ends)} |")
    return rows


def find(framework: Framework) -> str | None:
    """Return the oldest release that serves here, where whatever is newer than one that serves does so as well."""
    releases = framework.releases()
    low, high = 0, len(releases)
    at = 0
    while low < high:
        if _serves(framework, releases[at]):
            high = at
        else:
            low = at + 1
        at = (low + high) // 2
    return releases[high] if high < len(releases) else None


def _serves(framework: Framework, version: str) -> bool:
    from http_helpers import served

    try:
        folder = framework.install(version)
        for application, (server, _) in framework.applications.items():
            with served(application, server, folder):
                pass
    except Unreachable:
        raise
    except Exception as error:
        print(f"{framework.name} {version}: {type(error).__name__}: {str(error).strip()[-300:]}", flush=True)
        return False
    print(f"{framework.name} {version}: serves", flush=True)
    return True


def main() -> None:
    known = {framework.name: framework for framework in FRAMEWORKS}
    what, *names = sys.argv[1:] or ["table"]
    if what == "table":
        print("\n".join(table()))
    for name in names:
        framework = known[name]
        if what == "find":
            print(f"FOUND {name} on {HERE}: {find(framework)}", flush=True)
        elif what == "install" and HERE in framework.oldest:
            print(framework.install(framework.oldest[HERE]))


if __name__ == "__main__":
    main()
