"""What imports what, what is in the wheel, and that the places that name a version agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
AGENT = ROOT / "agent" / "tracepatch"
CONTROLLER = ROOT / "controller" / "tracepatch_ctl"
SHARED = ROOT / "shared" / "tracepatch_shared"
LAZY = {"zmq", "msgpack"}


def modules(package: Path) -> Iterator[Path]:
    return (path for path in sorted(package.rglob("*.py")) if "_demo" not in path.parts)


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """The top-level names that a module imports; only those that run with the import of the module, if asked."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
        later = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not (top_level_only and (later or typing_only)):
            todo.extend(ast.iter_child_nodes(node))
    return found


def names(package: Path, **options: bool) -> dict[str, set[str]]:
    return {str(path.relative_to(ROOT)): imports(path, **options) for path in modules(package)}


def outside(package: Path, allowed: set[str]) -> dict[str, set[str]]:
    """What the modules of a package import beyond the standard library and `allowed`."""
    beyond = {name: found - allowed - sys.stdlib_module_names for name, found in names(package).items()}
    return {name: found for name, found in beyond.items() if found}


def test_agent_imports_the_standard_library_and_two_packages() -> None:
    assert outside(AGENT, {"tracepatch", "tracepatch_shared", *LAZY}) == {}


def test_shared_imports_the_standard_library_and_msgpack() -> None:
    assert outside(SHARED, {"tracepatch_shared", "msgpack"}) == {}


def test_controller_never_imports_the_agent() -> None:
    assert (
        outside(CONTROLLER, {"tracepatch_ctl", "tracepatch_shared", "zmq", "msgpack", "click", "rich"}) == {}
    )


def test_rich_is_imported_only_where_it_is_used() -> None:
    assert [name for name, found in names(CONTROLLER, top_level_only=True).items() if "rich" in found] == []


def run(program: str, *, site: bool = True) -> str:
    """What a program prints in an interpreter of its own."""
    words = [sys.executable, "-X", "utf8", "-W", "error", *(() if site else ("-S",)), "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_agent_starts_and_loads_nothing() -> None:
    loaded = run(
        "import sys, threading; import tracepatch;"
        "print(threading.active_count(), sorted({'zmq', 'msgpack', 'click', 'asyncio', 'socket'} & set(sys.modules)))"
    )
    assert loaded == "1 []"


def test_trace_works_without_any_dependency() -> None:
    folders = [str(package.parent) for package in (AGENT, SHARED)]
    # No site-packages: neither pyzmq nor msgpack can be found.
    program = f"import sys; sys.path[:0] = {folders!r}\n" + (
        "import tracepatch\n"
        "def double(n): return 2 * n\n"
        "with tracepatch.trace(cache=False) as trace: double(21)\n"
        "assert 'double' in trace.tree(), trace.tree()\n"
        "print(trace.call_count, 'msgpack' in sys.modules)"
    )
    assert run(program, site=False) == "1 False"


def test_running_agent_does_not_load_the_command_line(tmp_path: Path) -> None:
    program = (
        f"import os, sys; os.environ['TRACEPATCH_RUNTIME_DIR'] = {str(tmp_path / 'run')!r}\n"
        "import tracepatch\n"
        "tracepatch.start(service='packaging')\n"
        "tracepatch.stop()\n"
        "print([name for name in ('click', 'rich', 'sqlite3', 'tracepatch_ctl') if name in sys.modules])"
    )
    assert run(program) == "[]"


def test_versions_agree() -> None:
    import tracepatch
    import tracepatch_shared

    declared = re.search(
        r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert declared is not None
    assert declared[1] == tracepatch_shared.VERSION == tracepatch.__version__


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    builder = pytest.importorskip("hatchling.build")
    folder = tmp_path_factory.mktemp("dist")
    for make in (builder.build_wheel, builder.build_sdist):
        # A process of its own: building changes the working directory.
        program = f"from hatchling.build import {make.__name__} as make; make({str(folder)!r})"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder


def test_wheel_holds_three_packages_and_the_demo(built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        members = set(wheel.namelist())
    assert {name.partition("/")[0] for name in members if ".dist-info/" not in name} == {
        "tracepatch",
        "tracepatch_ctl",
        "tracepatch_shared",
    }
    for package in (AGENT, CONTROLLER, SHARED):
        assert f"{package.name}/py.typed" in members
        assert {str(module.relative_to(package.parent)) for module in modules(package)} <= members
    assert {"tracepatch_ctl/_demo/shop/app.py", "tracepatch_ctl/_demo/shop/__main__.py"} <= members
    assert not [name for name in members if "__pycache__" in name or name.startswith("tests")]


def test_source_distribution_holds_what_is_needed_to_build_and_test(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "Makefile",
        "pyproject.toml",
        "tests/test_packaging.py",
        "examples/shop/app.py",
        "LICENSE",
    } <= members
    assert not [name for name in members if name.startswith((".venv", "dist/", ".git/"))]
