"""What an application and its environment say about the agent: one frozen object, checked once.

The environment wins over the arguments of `tracepatch.start`, so that whoever runs a service needs no change of its
code. A bad argument raises; a bad variable is left out and named in `problems`, which the agent logs: a typo in a
deployment must not stop the service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

MAX_TEXT = 200
"""Characters of a service name, a label's name or its value."""
MAX_LABELS = 32
_PACKAGE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the agent of one process is set up."""

    service: str | None = None
    """Name operators choose by; None: the main script's or module's."""
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    """The application's own version (a label of its own kind)."""
    packages: tuple[str, ...] = ()
    """Packages that count as application code wherever they are installed."""
    runtime_dir: str | None = None
    """Folder of socket and files; None: `/tmp/tracepatch-<euid>`."""
    policy: str | None = None
    """File that `policy` reads; None: the defaults."""
    disabled: bool = False
    problems: tuple[str, ...] = ()
    """A sentence for each variable that was left out."""

    def __post_init__(self) -> None:
        if self.service is not None:
            _text("service", self.service)
        if self.version is not None:
            _text("version", self.version)
        if not isinstance(self.labels, Mapping):
            raise TypeError(f"labels must be a mapping of names to texts, not {type(self.labels).__name__}")
        if len(self.labels) > MAX_LABELS:
            raise ValueError(f"{len(self.labels)} labels are more than the {MAX_LABELS} allowed")
        for name, value in self.labels.items():
            _text("a label's name", name)
            _text(f"label {name!r}", value)
        for package in self.packages:
            if not isinstance(package, str):
                raise TypeError(f"packages must be names of packages, not {type(package).__name__}")
            if not _PACKAGE.fullmatch(package):
                raise ValueError(f"{package!r} is not the name of a package, as in 'shop' or 'shop.cart'")

    @classmethod
    def read(
        cls,
        *,
        service: str | None = None,
        labels: Mapping[str, str] | None = None,
        packages: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> Config:
        """Return the configuration from arguments and environment; raise `TypeError` or `ValueError` for the former."""
        if isinstance(packages, (str, bytes)) or not isinstance(packages, Iterable):
            raise TypeError(f"packages must be a sequence of names, not {type(packages).__name__}")
        if labels is not None and not isinstance(labels, Mapping):
            raise TypeError(f"labels must be a mapping of names to texts, not {type(labels).__name__}")
        given: dict[str, Any] = {
            "service": service,
            "labels": dict(labels or {}),
            "packages": tuple(packages),
        }
        cls(**given)
        environ = os.environ if environ is None else environ
        problems: list[str] = []
        for variable, option, parse in VARIABLES:
            text = environ.get(variable, "").strip()
            fallback = variable.startswith("OTEL_")
            if not text or (fallback and option != "labels" and given.get(option)):
                continue
            try:
                value = parse(text)
                cls(**{option: value})
            except ValueError as error:
                problems.append(f"{variable} is left out: {error}")
                continue
            if option == "labels":
                value = {**value, **given["labels"]} if fallback else {**given["labels"], **value}
            given[option] = value
        if len(given["labels"]) > MAX_LABELS:
            problems.append(f"of {len(given['labels'])} labels only the first {MAX_LABELS} are used")
            given["labels"] = dict(list(given["labels"].items())[:MAX_LABELS])
        return cls(**given, problems=tuple(problems))


def _text(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if not value or len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"{what} must be 1 to {MAX_TEXT} printable characters, not {value[:40]!r}")


def _as_is(text: str) -> str:
    return text


def _labels(text: str) -> dict[str, str]:
    """Return the labels in `env=prod,zone=eu`; percent-encoding is undone, as in OTEL_RESOURCE_ATTRIBUTES."""
    labels: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ValueError(f"{part.strip()!r} is not a label: write NAME=VALUE,NAME=VALUE")
        labels[unquote(name.strip())] = unquote(value.strip())
    return labels


def _otel_labels(text: str) -> dict[str, str]:
    """Return the resource attributes that are labels: all but the service's own name and version."""
    return {
        name: value
        for name, value in _labels(text).items()
        if name not in {"service.name", "service.version"}
    }


def _otel_attribute(name: str) -> Callable[[str], str | None]:
    return lambda text: _labels(text).get(name)


def _path(text: str) -> str:
    if "\0" in text:
        raise ValueError("a path cannot hold a zero byte")
    return os.path.abspath(text)


def _switch(text: str) -> bool:
    """Return whether a kill switch is on: any text but a clear no, so that a typo errs towards off."""
    return text.lower() not in {"0", "false", "no", "off"}


VARIABLES: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
    ("TRACEPATCH_SERVICE", "service", _as_is),
    ("TRACEPATCH_LABELS", "labels", _labels),
    ("TRACEPATCH_VERSION", "version", _as_is),
    ("TRACEPATCH_RUNTIME_DIR", "runtime_dir", _path),
    ("TRACEPATCH_POLICY", "policy", _path),
    ("TRACEPATCH_DISABLE", "disabled", _switch),
    ("OTEL_SERVICE_NAME", "service", _as_is),
    ("OTEL_RESOURCE_ATTRIBUTES", "service", _otel_attribute("service.name")),
    ("OTEL_RESOURCE_ATTRIBUTES", "version", _otel_attribute("service.version")),
    ("OTEL_RESOURCE_ATTRIBUTES", "labels", _otel_labels),
)
"""Variable, the option it sets, and how its text is read. Those of OpenTelemetry serve where ours are not set.

`TRACEPATCH_CORE` is read where the core is chosen (`cores`), `TRACEPATCH_CACHE` by `trace()`."""
