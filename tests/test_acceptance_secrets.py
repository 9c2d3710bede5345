"""Secrets that requests to the shop carry reach nothing that tracing produces: outputs, files, store, log, wire.

The same session with redaction turned off by the owner's policy finds each of them in every output, so it can fail.
"""

from __future__ import annotations

import base64
import json
import random
import re
import socket
import sqlite3
import string
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ctl import COMMAND, environment, invoke
from processes import ROOT, TARGETS, Process, process, python_process, short_directory, wait_for

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

WORD = string.ascii_letters + string.digits
DEEP = "depth=4,items=20,text=600"
BYTES = "uvicorn.protocols.http.h11_impl:H11Protocol.data_received"
CYCLE = "uvicorn.protocols.http.h11_impl:RequestResponseCycle.run_asgi"
ENTRY = "fastapi.applications:FastAPI.__call__"
APPLICATION = ("shop.app:*",)
INSIDE = ("shop.auth:*", "shop.catalogue:*", "shop.payments:*")


def secret(between: str) -> str:
    """Return three random words with this between them: each is looked for alone, however the rest is encoded."""
    return between.join("".join(random.choices(WORD, k=12)) for _ in range(3))


@dataclass
class Secrets:
    """What the requests carry, by the way that it goes."""

    header: str = field(default_factory=lambda: secret("+/="))
    bearer: str = field(default_factory=lambda: secret("+/="))
    basic: str = field(default_factory=lambda: secret("+ ':\"/"))
    cookie: str = field(default_factory=lambda: secret("+/="))
    query: str = field(default_factory=lambda: secret("+ &/'\"é%="))
    json_field: str = field(default_factory=lambda: secret("+ &/'\"é\\"))
    form_field: str = field(default_factory=lambda: secret("+ &/'\"é%"))
    dsn: str = field(default_factory=lambda: secret("-_!"))
    dsn_encoded: str = field(default_factory=lambda: secret("%2F%40"))
    positional: str = field(default_factory=lambda: secret("+ &;/'\"é\\"))
    exception: str = field(default_factory=lambda: secret("+ -"))
    returned: list[str] = field(default_factory=list)
    """The tokens that the shop made and sent: one each time that somebody logged in."""

    def all(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each way and the secrets that went it."""
        for way, secret in vars(self).items():
            yield way, secret if type(secret) is list else [secret]
        yield "dsn in the source", ["hunter2-dsn"]


class Shop:
    """The shop as its customers see it."""

    def __init__(self, url: str, secrets: Secrets) -> None:
        self.url = url
        self.secrets = secrets
        self.tokens: list[str] = []

    def ask(self, path: str, *, data: bytes | None = None, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, data=data)
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.read()

    def log_in(self, password: str) -> str:
        form = urllib.parse.urlencode({"user": "ann", "password": password}).encode()
        answer = json.loads(self.ask("/login", data=form))
        self.tokens.append(answer["token"])
        return answer["token"]

    def visits(self) -> Iterator[object]:
        """Make one request after the other."""
        s = self.secrets
        yield self.log_in(s.form_field)
        token = self.log_in(s.positional)
        basket = json.dumps({"password": s.json_field, "items": {"tea": 1}, "card_number": "-"}).encode()
        kind = {"Content_Type": "application/json"}
        yield self.ask("/checkout", data=basket, Authorization=f"Bearer {token}", **kind)
        yield self.ask("/checkout", data=basket, Authorization=f"Bearer {s.bearer}", **kind)
        cookie = f"theme=dark; session_id={s.cookie}; seen=1"
        yield self.ask("/checkout", data=basket, Authorization="-", Cookie=cookie, **kind)
        yield self.ask("/items?search=tea", X_Api_Key=s.header)
        yield self.ask(f"/items?token={urllib.parse.quote(s.query, '')}&search=tea")
        yield self.ask(f"/items?search=postgres://user:{s.dsn}@db.example/shop")
        yield self.ask(
            "/items?search=" + urllib.parse.quote(f"postgres://user:{s.dsn_encoded}@db.example/shop", "")
        )
        credential = base64.b64encode(f"admin:{s.basic}".encode()).decode()
        yield self.ask("/report", Authorization=f"Basic {credential}")
        key = urllib.parse.quote_plus(s.exception)
        yield self.ask(f"/refund/pay-1?amount=5&api_key={key}", data=b"")


class Tee:
    """A local socket that passes bytes on to an agent's, both ways, and keeps a copy."""

    def __init__(self, path: Path, agent: Path) -> None:
        self.seen = bytearray()
        self._agent = str(agent)
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._start(self._accept)

    def _start(self, what, *args: object) -> None:
        threading.Thread(target=what, args=args, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(self._agent)
            self._open += (ours, theirs)
            # A secret that is cut between two reads, or mixed with the other way, must be found all the same.
            self._start(self._pass_on, ours, theirs)
            self._start(self._pass_on, theirs, ours)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        passed = bytearray()
        try:
            while data := source.recv(1 << 16):
                passed += data
                sink.sendall(data)
        except OSError:
            pass
        finally:
            self.seen += passed
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self) -> None:
        self._listener.close()
        for end in self._open:
            end.close()


@contextmanager
def serving(directory: Path, policy: Path | None) -> Iterator[tuple[Process, str]]:
    env = {"TRACEPATCH_RUNTIME_DIR": str(directory), **({"TRACEPATCH_POLICY": str(policy)} if policy else {})}
    with python_process(TARGETS / "shop_server.py", str(ROOT / "examples"), env=env) as server:
        yield server, server.line(60)


def arm(shop: Shop, env: dict[str, str], *words: str) -> bytes:
    """Arm as an operator does, let customers come until it has ended, and return all that was printed."""
    with process([*COMMAND, "arm", *words, "--force", "--budget", "25", "--ttl", "60s"], env=env) as ctl:
        wait_for(lambda: ctl.errors or ctl.lines or ctl.child.poll() is not None, 20, what="armed")
        while ctl.child.poll() is None:
            for _ in shop.visits():
                if ctl.child.poll() is not None:
                    break
        assert ctl.wait() == 0, ctl.stderr
        return "\n".join([*ctl.lines, ctl.stderr]).encode()


def session(directory: Path, monkeypatch: pytest.MonkeyPatch, policy: Path | None) -> tuple[dict, Secrets]:
    """Run a whole session and return what came out of it, by surface, and the secrets that went in."""
    secrets = Secrets()
    out: dict[str, bytes] = {}
    store = directory / "traces.db"
    files = directory / "files"
    files.mkdir()
    runtime = directory / "r"
    with serving(runtime, policy) as (server, url):
        (agent,) = wait_for(lambda: list(runtime.glob("*.sock")))
        tee = Tee(directory / "tee.sock", agent)
        monkeypatch.setenv("TRACEPATCH_STORE", str(store))
        env = environment(TRACEPATCH_STORE=str(store), NO_COLOR="1")
        shop = Shop(url, secrets)
        shop.log_in("warm up the shop")
        there = ("--connect", f"ipc://{directory / 'tee.sock'}")
        deep = ("--all", "--capture", DEEP)
        out["arm"] = arm(shop, env, *APPLICATION, *there, "-n", "24", "-o", f"{files}/", "--capture", DEEP)
        # An open reader keeps what is in the -wal file there.
        with closing(sqlite3.connect(store)) as reader:
            reader.execute("select count(*) from sqlite_master").fetchall()
            out["arm --live"] = arm(shop, env, *INSIDE, *there, "-n", "60", "--live", "--capture", DEEP)
            out["arm --json"] = arm(
                shop, env, CYCLE, *there, *deep, "-n", "12", "--json", "-o", f"{files}/all.ndjson"
            )
            out["arm --live"] += arm(shop, env, BYTES, *there, *deep, "-n", "24", "--live")
            out["arm"] += arm(shop, env, ENTRY, *there, "--all", "-n", "12")
            traces = invoke("traces", "-n", "1000", "--json").stdout
            ids = re.findall(r'"trace_id": ?"(\w+)"', traces)
            assert len(ids) >= 24 + 60 + 12 + 24 + 12
            out["status"] = "".join(
                invoke(*words).output for words in (("status", *there), ("agents", *there), ("traces",))
            ).encode()
            for name, words in {
                "show": ("show",),
                "show --json": ("show", "--json"),
            }.items():
                out[name] = "".join(invoke(*words, one).output for one in ids).encode()
            for form in ("json", "ndjson"):
                done = invoke("export", "--format", form, *ids)
                assert done.exit_code == 0, done.output
                out[f"export {form}"] = done.output.encode()
            out["store"] = b"".join(path.read_bytes() for path in directory.glob("traces.db*"))
        wait_for(lambda: "dormant" in invoke("agents", *there).output)
        tee.close()
        out["files"] = b"".join(path.read_bytes() for path in files.iterdir())
        out["log"] = server.stderr.encode()
        out["wire"] = bytes(wait_for(lambda: tee.seen))
    secrets.returned = shop.tokens
    return out, secrets


def traces_of(secret: str) -> list[bytes]:
    """Return what would give a secret away: its words, which every encoding but these two leaves, in base64 and hex."""
    words = re.findall(r"[A-Za-z0-9]{8,}", secret) or [secret]
    found = list(words)
    for word in words:
        found.append(word.encode().hex())
        for offset in range(3):
            encoded = base64.b64encode(b"x" * offset + word.encode()).decode()
            found.append(encoded[4:-4])  # what is the same whatever stands before and after
    return [text.encode() for text in found if len(text) >= 7]


def runs(text: bytes) -> bytes:
    """Return each run of characters that a part of a secret can stand in, once: outputs repeat themselves a lot."""
    return b"\n".join(set(re.findall(rb"[\w+/-]{7,}", text)))


def shown(text: bytes, secret: str) -> bool:
    """Tell whether a secret is there as a whole, in whatever encoding."""
    return all(word.encode() in text for word in re.findall(r"[A-Za-z0-9]{6,}", secret))


def sample(text: bytes, part: bytes) -> str:
    at = text.find(part)
    return repr(text[max(0, at - 160) : at + len(part) + 40])


@contextmanager
def short() -> Iterator[tuple[Path, pytest.MonkeyPatch]]:
    with short_directory() as directory, pytest.MonkeyPatch.context() as monkeypatch:
        yield directory, monkeypatch


@pytest.mark.timeout(300)
def test_no_secret_comes_out() -> None:
    with short() as (directory, monkeypatch):
        out, secrets = session(directory, monkeypatch, None)
    searched = {surface: runs(text) for surface, text in out.items()}
    leaks = {
        (way, surface, sample(out[surface], part))
        for way, several in secrets.all()
        for secret in several
        for surface, text in searched.items()
        for part in traces_of(secret)
        if part in text
    }
    assert not leaks, "\n".join(map(str, sorted(leaks)))
    assert b"redacted" in out["wire"]


@pytest.mark.timeout(300)
def test_with_redaction_off_each_is_found() -> None:
    with short() as (directory, monkeypatch):
        policy = directory / "policy.toml"
        policy.write_text("[redaction]\nenabled = false\n")
        policy.chmod(0o600)
        out, secrets = session(directory, monkeypatch, policy)
    # What people are shown is cut short: there it may be in one output only.
    out["shown to people"] = b"".join(out.pop(name) for name in ("arm", "arm --live", "show"))
    everywhere = out.keys() - {"log", "status"}
    missing = {
        (way, surface)
        for way, several in secrets.all()
        for surface in everywhere
        if not any(shown(out[surface], secret) for secret in several)
    }
    assert not missing, "\n".join(map(str, sorted(missing)))
    assert b"turns redaction off" in out["log"]
