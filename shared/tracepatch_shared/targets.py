"""Targets: the one string by which an operator says what a probe matches.

| form | kind |
| --- | --- |
| `app.views:Cart.checkout`, `func:app.*:Cart.*`, `app.views:save@120` | `function` |
| `app/views.py:120` | `file` |
| `app.views.Cart.checkout` | `dotted` |
| `http:POST /checkout*`, `http:/items/{id}` with any method, several as `GET|HEAD` | `http` |
| `job:send_email`, `job:app.tasks.*` | `job` |
| `task:worker-*`, `task:Worker.run` by name or by the coroutine's qualname | `task` |
| `thread:pool-*` | `thread` |

Globs are `*`, `?` and `[…]`; they respect case, and `*` matches dots too. `<locals>` in a qualname may be left out.
In the path of an `http` target `*` matches `/` too, and `{name}` or `<name>`, as frameworks print their routes, stand for
one part of it, `{name:path}` and `<path:name>` for all that follows.
A function in a module that is called `http`, `task`, `job` or `thread` needs the prefix `func:`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Literal

from .errors import UsageError

Kind = Literal["function", "file", "dotted", "http", "task", "job", "thread"]

NAMED = ("task", "job", "thread")
"""Kinds whose targets are a glob for a name."""

MAX_TARGET_CHARACTERS = 1000
MAX_PARAMETERS = 2
"""Of a route, in one part of its path."""
MAX_PATH = 2000
"""Characters of a request's path that are looked at."""
FORMS = "write module:qualname as in app.views:Cart.checkout, or path.py:line as in app/views.py:120"

_PREFIX = re.compile(r"(func|http|task|job|thread):(.*)", re.DOTALL)
_FILE = re.compile(r"(.+):(\d+)")
_MODULE = re.compile(r"[^\s:/\\@<>]+")
_QUALNAME = re.compile(r"[^\s:/\\@]+")
_GLOB = re.compile(r"[*?\[]")
_METHOD = re.compile(r"[A-Z]{1,20}|\*")
_PARAMETER = re.compile(r"(\{[^{}/]+\}|<[^<>/]+>)")
_INSIDE_BRACKETS = re.compile(r"\[[^\]]*\]")


@dataclass(frozen=True)
class Target:
    """One parsed target. Which fields are set depends on `kind`.

    `function`: `module` and `qualname` are globs, `line` picks one of several. `file`: `path` and `line`. `dotted`:
    `qualname` is the whole dotted name, and `line` may pick. `http`: `methods` (none: any) and `path`. Kinds that are
    `NAMED`: `qualname` is the glob that follows the prefix.
    """

    kind: Kind
    text: str
    module: str = ""
    qualname: str = ""
    path: str = ""
    line: int | None = None
    methods: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Tell whether the target names one module and one qualname, without a glob."""
        return not is_glob(self.module) and not is_glob(self.qualname)

    def matches_module(self, name: str) -> bool:
        """Tell whether a function that is defined in module `name` can match. A `file` says yes to every module."""
        if self.kind == "function":
            return _matches(self.module, name)
        if self.kind == "dotted":
            return self.qualname.startswith(name + ".")
        return self.kind == "file"

    def matches_qualname(self, qualname: str) -> bool:
        """Tell whether a function with this qualname matches, whatever its module; only for `function`.

        A glob leaves out lambdas, comprehensions and other code that has no name, unless it spells `<` itself.
        """
        return self.kind == "function" and self.qualnames()(qualname)

    def qualnames(self) -> Callable[[str], bool]:
        """Return what `matches_qualname` asks of a `function`, for many names: a fifth of a microsecond each."""
        wanted = without_locals(self.qualname)
        nameless = "<" in wanted
        matches: Callable[[str], object] = _regex(wanted).match if is_glob(wanted) else wanted.__eq__

        def meant(qualname: str) -> bool:
            if "<" in qualname:
                qualname = without_locals(qualname)
            return bool(matches(qualname)) and (nameless or not is_nameless(qualname))

        return meant

    def matches_path(self, path: str) -> bool:
        """Tell whether the file of a `file` target is `path`: the same file, or its last components."""
        if not path.endswith(self.path.rpartition("/")[2]):
            return False
        wanted, given = _components(self.path), _components(path)
        if self.path.startswith("/"):
            return wanted == given
        return given[-len(wanted) :] == wanted

    def matches_request(self, method: str, path: str) -> bool:
        """Tell whether a request matches, by its method and its decoded path without the query; only for `http`."""
        if self.methods and method not in self.methods:
            return False
        return path == self.path or bool(_route(self.path).match(path[:MAX_PATH]))

    def matches_name(self, name: str) -> bool:
        """Tell whether a name is the one meant; only for kinds that are `NAMED`."""
        return _matches(self.qualname, name)

    def splits(self) -> Iterator[tuple[str, str]]:
        """Yield each (module, qualname) that a `dotted` name can mean, the longest module first."""
        parts = self.qualname.split(".")
        for cut in range(len(parts) - 1, 0, -1):
            yield ".".join(parts[:cut]), ".".join(parts[cut:])


def parse_targets(texts: Iterable[str]) -> list[Target]:
    """Return the targets; raise `UsageError` for a malformed one."""
    return [parse_target(text) for text in texts]


def parse_target(text: str) -> Target:
    """Return the target that `text` spells; raise `UsageError` when it spells none."""
    text = text.strip()
    if not text:
        raise UsageError(f"a target is empty: {FORMS}")
    if len(text) > MAX_TARGET_CHARACTERS:
        raise UsageError(
            f"a target of {len(text)} characters is longer than {MAX_TARGET_CHARACTERS}: {FORMS}"
        )
    prefix = _PREFIX.fullmatch(text)
    body = text
    if prefix:
        body = prefix[2].strip()
        if not body:
            raise UsageError(
                f"{text!r} names nothing after {prefix[1]}:, write for example {_EXAMPLES[prefix[1]]}"
            )
        if prefix[1] == "http":
            return _http(text, body)
        for kind in NAMED:
            if prefix[1] == kind:
                return Target(kind, text, qualname=body)  # type: ignore[arg-type]
    file = _FILE.fullmatch(body)
    if file and (file[1].endswith((".py", ".pyw")) or "/" in file[1] or "\\" in file[1]):
        return _file(text, file[1], int(file[2]))
    if "/" in body or "\\" in body or body.endswith(".py"):
        raise UsageError(f"{text!r} has no line: write path.py:line as in app/views.py:120")
    name, at, line = body.partition("@")
    if at and not (line.isascii() and line.isdigit() and int(line) > 0):
        raise UsageError(f"{text!r} has no line number after @: write name@line as in app.views:save@120")
    if ":" in name:
        return _function(text, name, int(line) if at else None)
    return _dotted(text, name, int(line) if at else None)


def is_glob(text: str) -> bool:
    """Tell whether a module or qualname of a target can match more than one."""
    return _GLOB.search(text) is not None


def is_nameless(qualname: str) -> bool:
    """Tell whether code with this qualname was named by the compiler: `<lambda>`, `<listcomp>`, `__annotate__`."""
    last = qualname.rpartition(".")[2]
    return last.startswith("<") or last == "__annotate__"


def without_locals(qualname: str) -> str:
    """Return `outer.inner` for `outer.<locals>.inner`."""
    return qualname.replace(".<locals>", "")


def _file(text: str, path: str, line: int) -> Target:
    parts = _components(path)
    if line < 1 or not parts:
        raise UsageError(f"{text!r} is no line of a file: write path.py:line as in app/views.py:120")
    absolute = path.startswith(("/", "\\")) or path[1:2] == ":"
    return Target("file", text, path=("/" if absolute else "") + "/".join(parts), line=line)


def _http(text: str, body: str) -> Target:
    methods, path = "", body
    if body[0] != "/" and not (body[0] == "*" and body[1:2] != " "):
        methods, _, path = body.partition(" ")
    path = path.strip()
    named = tuple(dict.fromkeys(methods.upper().split("|"))) if methods else ()
    if not all(_METHOD.fullmatch(name) for name in named):
        raise UsageError(f"{text!r}: {methods!r} is no method: write for example {_EXAMPLES['http']}")
    if path[:1] not in ("/", "*"):
        raise UsageError(f"{text!r}: a path begins with / or *: write for example {_EXAMPLES['http']}")
    if any(len(_PARAMETER.findall(part)) > MAX_PARAMETERS for part in path.split("/")):
        raise UsageError(
            f"{text!r}: more than {MAX_PARAMETERS} parameters in one part of a path: write * for them"
        )
    if "?" in path:
        raise UsageError(
            f"{text!r}: the query is not part of the path: leave it out, and say for example"
            """ --where 'query["user"] == "42"'"""
        )
    return Target("http", text, path=path, methods=() if "*" in named else named)


def _function(text: str, name: str, line: int | None) -> Target:
    module, _, qualname = name.partition(":")
    if not _well_formed(module, _MODULE) or not _well_formed(qualname, _QUALNAME):
        raise UsageError(
            f"{text!r} is not a function: write module:qualname as in app.views:Cart.checkout or app.*:Cart.*"
        )
    return Target("function", text, module=module, qualname=qualname, line=line)


def _dotted(text: str, name: str, line: int | None) -> Target:
    if is_glob(name):
        raise UsageError(f"{text!r} has a glob in a dotted name: write module:qualname as in app.*:Cart.*")
    if "." not in name and _well_formed(name, _QUALNAME):
        raise UsageError(f"{text!r} does not say the module: write module:qualname as in app.views:{name}")
    if not _well_formed(name, _QUALNAME):
        raise UsageError(f"{text!r} is not a target: {FORMS}")
    return Target("dotted", text, qualname=name, line=line)


def _well_formed(name: str, grammar: re.Pattern[str]) -> bool:
    plain = _INSIDE_BRACKETS.sub("x", name)
    return bool(grammar.fullmatch(name)) and "[" not in plain and all(plain.split("."))


def _components(path: str) -> list[str]:
    parts: list[str] = []
    for part in path.replace("\\", "/").split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return parts


@lru_cache(maxsize=256)
def _route(path: str) -> re.Pattern[str]:
    """Return what the path of an `http` target matches: it takes no more than the square of the text's length.

    What stands before a `*` is looked for once, from the left, as `fnmatch` does it; only the last is tried again.
    """
    pieces = path.split("*")
    found = [_piece(pieces[0])]
    for number, piece in enumerate(pieces[1:-1]):
        if piece:
            found.append(f"(?=(?P<g{number}>.*?{_piece(piece)}))(?P=g{number})")
    if len(pieces) > 1:
        found.append(".*" + _piece(pieces[-1]))
    return re.compile("(?s:" + "".join(found) + r")\Z")


def _piece(text: str) -> str:
    parts = _PARAMETER.split(text)
    spelled = [re.escape(part) for part in parts[::2]]
    for at, parameter in enumerate(parts[1::2]):
        whole = parameter.rstrip("}>").endswith(":path") or parameter.startswith("<path:")
        spelled[at] += ".+" if whole else "[^/]+"
    return "".join(spelled)


@lru_cache(maxsize=256)
def _regex(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def _matches(glob: str, name: str) -> bool:
    return bool(_regex(glob).match(name)) if is_glob(glob) else glob == name


_EXAMPLES = {
    "func": "func:app.views:Cart.checkout",
    "http": "http:'POST /checkout*'",
    "task": "task:'worker-*'",
    "job": "job:send_email",
    "thread": "thread:'pool-*'",
}
