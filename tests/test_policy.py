"""The owner's policy is read whole or not at all, and holds against every way in."""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agent_helpers import cards, peer
from ctl import ctl
from processes import Process, python_process, wait_for
from tracepatch import policy_file
from tracepatch.policy import DEFAULT, Policy
from tracepatch.probe import options_from_wire
from tracepatch.redaction import RedactionPolicy, Redactor
from tracepatch_shared.errors import Forbidden, NoRoom
from tracepatch_shared.limits import HIGHEST
from tracepatch_shared.toml import loads, strict
from tracepatch_shared.trace import Trace
from tracepatch_shared.values import Mark
from tracing_helpers import bench

SAFEST = RedactionPolicy()
OPERATIONS = Path(__file__).resolve().parent.parent / "docs" / "operations.md"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.touch(mode=0o600)
    return path


@pytest.fixture(params=[loads, strict], ids=["library", "ours"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_file, "loads", request.param)


def read(file: Path, content: str | bytes) -> Policy:
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return policy_file.read(str(file))


def policy(content: str) -> Policy:
    return policy_file._policy(strict(content), "policy.toml")


# ---- the file ---------------------------------------------------------------------------------------------------

ALL = """\
[limits]
count = 7
ttl = "1h"
functions = 60
max_depth = 9
max_calls = 1_000
max_bytes = "1MiB"
max_duration = "5s"
total_bytes = "4MiB"
concurrent = 3
budget = "2.5%"

[capture]
depth = 0
items = 5
text = 50

[allow]
targets = ["shop.*:*", "http:GET /items*"]
arguments = false
all = false
lib = false
repr = true
spool = false
stacks = false

[modules]
forbidden = ["shop.vault"]
without_arguments = ["shop.pay*"]

[redaction]
names = ["patient_id", "Diagnosis"]
"""


@pytest.mark.usefixtures("reader")
def test_a_file_says_all_that_there_is(file: Path) -> None:
    got = read(file, ALL)
    assert (got.broken, got.problems) == (None, ())
    ceilings = got.ceilings
    assert (ceilings.count, ceilings.ttl_s, ceilings.functions) == (7, 3600.0, 60)
    limits, capture = ceilings.limits, ceilings.capture
    assert (limits.max_depth, limits.max_calls, limits.max_bytes) == (9, 1000, 1 << 20)
    assert (limits.max_duration_s, limits.total_bytes, limits.concurrent) == (5.0, 4 << 20, 3)
    assert limits.budget == 0.025
    assert (capture.depth, capture.items, capture.text) == (0, 5, 50)
    assert [target.text for target in got.targets or ()] == ["shop.*:*", "http:GET /items*"]
    assert (got.arguments, got.everything, got.lib, got.repr, got.spool, got.stacks) == (
        False, False, False, True, False, False,
    )  # fmt: skip
    assert "shop.vault" in got.forbidden
    assert "shop.vault.keys" in got.forbidden
    assert "shop.vaults" not in got.forbidden
    assert "shop.payments.card" in got.without_arguments
    redactor = Redactor(got.redaction)
    for name in ("patientId", "old_patient_id", "diagnosis", "password"):
        assert redactor.names_secret(name)
    assert not redactor.names_secret("patient")
    used = {f"{table}.{key}" for table, keys in strict(ALL).items() for key in keys}
    known = {f"{table}.{key}" for table, keys in policy_file.KEYS.items() for key in keys}
    assert known - used == {"redaction.enabled"}


def test_without_a_file_or_with_an_empty_one_the_ceilings_hold(file: Path) -> None:
    assert policy_file.read(None) is DEFAULT
    assert read(file, "") == DEFAULT
    assert DEFAULT.ceilings == HIGHEST
    assert DEFAULT.redaction == SAFEST
    assert not DEFAULT.repr


def test_redaction_off_is_said_aloud(file: Path) -> None:
    got = read(file, "[redaction]\nenabled = false")
    assert (got.redaction.enabled, got.broken) == (False, None)
    assert "turns redaction off" in "".join(got.problems)


BROKEN = [
    ("x = 1", "line 1: x is no part of a policy"),
    ("[limits]\n\ncuont = 3", "line 3: limits.cuont is no part of a policy: did you mean count?"),
    ("[limit]", "line 1: limit is no part of a policy: did you mean limits?"),
    ("\nlimits = 3", "line 2: limits must be a table: write a header [limits]"),
    ("[limits]\ncount = 5000", "line 2: limits.count must be a whole number from 1 to 1000, not 5000"),
    ("[limits]\ncount = 0", "limits.count must be a whole number from 1"),
    ("[limits]\ncount = true", "limits.count must be a whole number from 1 to 1000, not True"),
    ("[limits]\nmax_calls = 5.0", "not 5.0"),
    ("[limits]\nttl = 5", 'limits.ttl must be a duration of at most 24h00m, as in "1h", not 5'),
    ('[limits]\nttl = "25h"', "at most 24h00m"),
    ('[limits]\nttl = "1 hour"', "not '1 hour'"),
    ("[limits]\nmax_bytes = 1024", 'limits.max_bytes must be a size of at most 64.0 MiB, as in "8MiB"'),
    ('[limits]\nmax_bytes = "1GiB"', "at most 64.0 MiB"),
    ("[limits]\nbudget = 0.05", 'limits.budget must be a percentage of at most 25%, as in "5%"'),
    ('[limits]\nbudget = "90%"', "at most 25%"),
    ("[capture]\ndepth = 9", "from 0 to 8"),
    ("[allow]\nall = 0", "allow.all must be true or false, not 0"),
    ('[allow]\nrepr = "yes"', "true or false"),
    ('[allow]\ntargets = "shop.*:*"', "must be a list of"),
    ('[allow]\ntargets = ["shop.views"]', "name functions as module:qualname"),
    ('[allow]\ntargets = ["shop/views.py:3"]', "name functions as module:qualname"),
    ('[allow]\ntargets = ["http:/x/{id}"]', "only * stands for more"),
    ('[allow]\ntargets = ["http:/x[ab]"]', "only * stands for more"),
    ('[allow]\ntargets = ["task:a?"]', "only * stands for more"),
    ('[modules]\nforbidden = ["a b"]', "write for example shop.vault"),
    ("[modules]\nforbidden = [3]", "a text belongs there"),
    ('[redaction]\nnames = ["--"]', "a letter in it"),
    ('[redaction]\nnames = ["' + "x" * 300 + '"]', "a letter in it"),
    ("[redaction]\nnames = [" + '"x",' * 1001 + "]", "at most 1000"),
    ("[redaction]\nenabled = 0", "true or false"),
    ("[limits]\ncount =", "line 2: "),
    ("[limits]\ncount = 3\ncount = 4", "line 3: "),
    ('{"redaction": {"enabled": false}}', "line 1: "),
    (b"\xff", "no UTF-8"),
    ("#" * (1 << 16) + "#", "longer than 65536 bytes"),
]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(("content", "words"), BROKEN, ids=lambda value: repr(value[:40]))
def test_what_is_wrong_is_said_with_its_place_and_nothing_can_be_armed(
    content: str | bytes, words: str, file: Path
) -> None:
    got = read(file, content)
    assert got.redaction == SAFEST
    assert words in (got.broken or "")
    assert got.broken.startswith(f"the policy {file} is broken, so nothing can be armed here: ")
    assert got.broken.endswith("(put it right and restart the process)")
    assert got.problems == (got.broken,)
    with pytest.raises(Forbidden):
        got.check()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_not_believed(mode: int, file: Path) -> None:
    file.chmod(mode)
    assert f"mode {mode:04o}): chmod go-w" in (read(file, ALL).broken or "")


def test_a_file_of_somebody_else_is_not_believed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_fstat = os.fstat

    def of(uid: int) -> Any:
        def fstat(descriptor: int) -> os.stat_result:
            fields = list(true_fstat(descriptor))
            fields[4] = uid
            return os.stat_result(fields)

        return fstat

    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(os, "fstat", of(4343))
    assert "belongs to uid 4343" in (read(file, ALL).broken or "")
    for uid in (0, 4242):
        monkeypatch.setattr(os, "fstat", of(uid))
        assert read(file, ALL).broken is None


def test_what_is_no_readable_file_is_broken(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path, tmp_path / "missing"):
        assert str(path) in (policy_file.read(str(path)).broken or "")


def test_a_link_to_a_trusted_file_is_followed(file: Path, tmp_path: Path) -> None:
    # As Kubernetes mounts a ConfigMap.
    file.write_text(ALL)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    assert policy_file.read(str(link)).ceilings.count == 7


def test_the_page_has_the_same_ceilings() -> None:
    rows = {}
    for line in OPERATIONS.read_text().splitlines():
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith(("limits.", "capture.")):
            rows[cells[0]] = cells[1].strip('"').replace(" ", "")
    highest = {
        "limits": {
            "count": HIGHEST.count,
            "ttl": HIGHEST.ttl_s,
            "functions": HIGHEST.functions,
            **{name.removesuffix("_s"): value for name, value in vars(HIGHEST.limits).items()},
        },
        "capture": vars(HIGHEST.capture),
    }
    assert set(rows) == {f"{table}.{key}" for table, keys in highest.items() for key in keys}
    for name, shown in rows.items():
        table, _, key = name.partition(".")
        value: Any = int(shown) if shown.isdigit() else shown
        assert policy_file.KEYS[table][key](value) == highest[table][key], name


# ---- what is asked ----------------------------------------------------------------------------------------------


def options(content: str, **asked: Any) -> Any:
    probe = {
        "probe_id": "aaaaaaaa", "targets": ["shop.views:buy"], "count": 1, "ttl_s": 60, "lease_s": None,
        "operator": "ann@desk", **asked,
    }  # fmt: skip
    return options_from_wire(probe, policy(content))


def test_each_ceiling_clips_and_says_so() -> None:
    asked = {
        "max_depth": 50,
        "max_calls": 5000,
        "max_bytes": 9 << 20,
        "max_duration_s": 60,
        "total_bytes": 64 << 20,
    }
    got = options(
        ALL.replace("arguments = false", ""),
        count=20,
        ttl_s=7200,
        limits={**asked, "concurrent": 8, "budget": 0.2},
        capture={"depth": 3, "items": 50, "text": 500},
        scope={"all": True, "lib": ["asyncio"]},
    )
    assert got.lowered == (
        "the policy of this process does not allow --all: libraries are not recorded inside",
        "the policy of this process does not allow --lib: libraries are not recorded inside",
        "count 20 is above the ceiling: 7 holds",
        "ttl 2h00m is above the ceiling: 1h00m holds",
        "max_depth 50 is above the ceiling: 9 holds",
        "max_calls 5000 is above the ceiling: 1000 holds",
        "max_bytes 9.0 MiB is above the ceiling: 1.0 MiB holds",
        "max_duration_s 60.00s is above the ceiling: 5.00s holds",
        "total_bytes 64.0 MiB is above the ceiling: 4.0 MiB holds",
        "concurrent 8 is above the ceiling: 3 holds",
        "budget 0.2 is above the ceiling: 0.025 holds",
        "depth 3 is above the ceiling: 0 holds",
        "items 50 is above the ceiling: 5 holds",
        "text 500 is above the ceiling: 50 holds",
    )
    assert got.limits == policy(ALL).ceilings.limits
    assert got.capture == policy(ALL).ceilings.capture
    assert (got.count, got.ttl_s, got.scope["all"], got.scope["lib"]) == (7, 3600.0, False, ())


def test_a_default_above_a_ceiling_is_lowered_too() -> None:
    got = options("[limits]\nmax_calls = 100\nconcurrent = 1", keep="error")
    assert (got.limits.max_calls, got.limits.concurrent) == (100, 1)
    assert "max_calls 20000 is above the ceiling: 100 holds" in got.lowered
    assert options("").lowered == ()


def test_a_condition_never_raises_a_limit_above_a_ceiling() -> None:
    assert options("", keep="duration > 50s", ttl_s=900).limits.max_duration_s == 60.0
    assert (
        options('[limits]\nmax_duration = "100s"', keep="duration > 90s", ttl_s=900).limits.max_duration_s
        == 100.0
    )
    with pytest.raises(NoRoom):
        options('[limits]\nmax_duration = "30s"', keep="duration > 40s", ttl_s=900)


def test_repr_is_clipped_unless_it_is_allowed() -> None:
    clipped = options("", mode="repr")
    assert (clipped.mode, len(clipped.lowered)) == ("safe", 1)
    allowed = options("[allow]\nrepr = true", mode="repr")
    assert (allowed.mode, allowed.lowered) == ("repr", ())


def test_arguments_that_are_not_allowed_are_neither_recorded_nor_asked_for() -> None:
    never = "[allow]\narguments = false"
    got = options(never)
    assert (got.args, got.lowered) == (
        False,
        ("the policy of this process does not allow arguments: no values are recorded",),
    )
    assert options(never, args=False).lowered == ()
    request = {"targets": ["http:/x*"]}
    assert options(never, where='method == "GET" and path != "/"', **request).where
    assert options(never, keep="duration > 1s and error").choice.keep
    for asked in (
        {"where": "sku == 1"},
        {"where": "path == 1"},
        {"where": "arg.path == 1", **request},
        {"where": 'query["user"] == "1"', **request},
        {"where": 'header["x-debug"] == "1"', **request},
        {"keep": "arg.sku == 1"},
        {"keep": "error and returned is None"},
    ):
        with pytest.raises(Forbidden):
            options(never, **asked)


# ---- what is traced ---------------------------------------------------------------------------------------------

SHOP = {
    "__init__": "",
    "views": """
import asyncio
from shop_of_policy import pay, vault

def buy(user, pin):
    note(vault.open_safe(pin))
    pay.charge(user, 5)
    return "bought"

def note(what):
    return what

def fails():
    try:
        pay.refuse("1234")
    except ValueError:
        return "caught"

async def later(pin):
    return await asyncio.create_task(vault.keep(pin))

class Safe(vault.Base):
    pass
""",
    "pay": """
def charge(user, cents):
    return cents > 3

def refuse(pin):
    raise ValueError("no " + pin)

def numbers(pin):
    yield pin
""",
    "vault": """
from shop_of_policy import inner

def open_safe(pin):
    return inner.helper(unlock(pin))

def unlock(pin):
    return "opened"

async def keep(pin):
    return unlock(pin)

class Base:
    def see(self, pin):
        return pin
""",
    "inner": """
def helper(what):
    return what
""",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    folder = tmp_path / "shop_of_policy"
    folder.mkdir()
    for name, source in SHOP.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("shop_of_policy.views")
    for name in [name for name in sys.modules if name.startswith("shop_of_policy")]:
        del sys.modules[name]


def outline(trace: Trace) -> list[str]:
    return [node.function for node in trace.nodes()]


FORBIDDEN = '[modules]\nforbidden = ["shop_of_policy.vault"]'


def test_calls_of_a_forbidden_module_are_counted_and_never_recorded(shop: Any) -> None:
    with bench(policy(FORBIDDEN)) as desk:
        desk.arm("shop_of_policy.views:buy", scope={"all": True})
        shop.buy("ann", "1234")
        trace = desk.trace()
        # What it calls of others is looked at again.
        assert outline(trace) == ["buy", "helper", "note", "charge"]
        assert trace.roots[0].elided + trace.elided >= 2
    with bench() as desk:
        desk.arm("shop_of_policy.views:buy")
        shop.buy("ann", "1234")
        assert "open_safe" in outline(desk.trace()), "it would have been recorded"


def test_a_forbidden_module_is_not_recorded_in_another_task_either(shop: Any) -> None:
    with bench(policy(FORBIDDEN)) as desk:
        desk.arm("shop_of_policy.views:later", scope={"only": ["shop_of_policy*"], "lib": ["*"]})
        assert asyncio.run(shop.later("1234")) == "opened"
        found = [node for node in desk.trace().nodes() if node.module == "shop_of_policy.vault"]
        assert found == []


@pytest.mark.parametrize(
    "target",
    [
        "shop_of_policy.vault:open_safe",
        "shop_of_policy.vault.open_safe",
        "shop_of_policy.vault:*",
        "shop_of_policy.vault:not_there",
        "shop_of_policy.vault.sub:not_loaded",
        "shop_of_policy.views:Safe.see",
        "vault.py:5",
    ],
)
def test_a_forbidden_module_is_no_target(target: str, shop: Any) -> None:
    with (
        bench(policy(FORBIDDEN)) as desk,
        pytest.raises(Forbidden, match=r"forbids module shop_of_policy\.vault"),
    ):
        desk.arm(target)


def test_of_a_glob_the_rest_is_traced(shop: Any) -> None:
    with bench(policy(FORBIDDEN)) as desk:
        probe = desk.arm(
            "shop_of_policy.*:open_safe", "shop_of_policy.*:charge", "shop_of_policy.*:helper", count=9
        )
        assert probe.matched_total == 2
        shop.buy("ann", "1234")
        assert {trace.roots[0].function for trace in desk.traces()} == {"charge", "helper"}


def test_what_is_imported_later_is_held_to_it_too(shop: Any, tmp_path: Path) -> None:
    for name in ("vault2", "open2"):
        (tmp_path / "shop_of_policy" / f"{name}.py").write_text("def late(pin):\n    return pin\n")
    with bench(policy('[modules]\nforbidden = ["shop_of_policy.vault2"]')) as desk:
        desk.arm("shop_of_policy.*:late", count=9)
        for name in ("vault2", "open2"):
            importlib.import_module(f"shop_of_policy.{name}").late("1234")
        assert [trace.roots[0].module for trace in desk.traces()] == ["shop_of_policy.open2"]


SILENT = '[modules]\nwithout_arguments = ["shop_of_policy.pay"]'
NOTHING = Mark("redacted", {})


def test_of_a_silent_module_no_value_is_captured(shop: Any) -> None:
    for mode in ("safe", "repr"):
        with bench(policy(SILENT + "\n[allow]\nrepr = true")) as desk:
            desk.arm("shop_of_policy.views:buy", "shop_of_policy.views:fails", count=2, mode=mode)
            shop.buy("ann", "1234")
            shop.fails()
            bought, failed = desk.traces()
            (charge,) = [node for node in bought.nodes() if node.function == "charge"]
            assert list(charge.values) == [NOTHING, NOTHING]
            assert charge.returned == NOTHING
            assert bought.roots[0].returned in ("bought", "'bought'")
            (refuse,) = [node for node in failed.nodes() if node.function == "refuse"]
            assert (list(refuse.values), refuse.error) == ([NOTHING], ("ValueError", NOTHING))


def test_a_condition_does_not_ask_for_the_values_of_a_silent_module(shop: Any) -> None:
    with bench(policy(SILENT)) as desk:
        with pytest.raises(Forbidden, match="no look at arguments"):
            desk.arm("shop_of_policy.pay:charge", where="user == 'ann'")
        desk.arm("shop_of_policy.pay:charge", keep="arg.user == 'ann'")
        shop.buy("ann", "1")
        assert desk.traces() == []


@pytest.mark.parametrize(
    ("content", "having", "words"),
    [
        (FORBIDDEN, "shop_of_policy.vault:open_safe", "forbids module"),
        (FORBIDDEN, "shop_of_policy.vault:Base.see(self is not None)", "forbids module"),
        (SILENT, "shop_of_policy.pay:charge(user == 'ann')", "no look at arguments"),
        ("[allow]\narguments = false", "shop_of_policy.pay:charge(user == 'ann')", "no look at arguments"),
    ],
)
def test_having_does_not_ask_either(content: str, having: str, words: str, shop: Any) -> None:
    with bench(policy(content)) as desk:
        with pytest.raises(Forbidden, match=words):
            desk.arm("shop_of_policy.views:buy", having=[having])
        desk.arm("shop_of_policy.views:buy", having=["shop_of_policy.pay:charge"])
        shop.buy("ann", "1234")
        assert len(desk.traces()) == 1, "whether it is called may be asked"


def test_having_does_not_ask_of_what_is_imported_later(shop: Any, tmp_path: Path) -> None:
    (tmp_path / "shop_of_policy" / "vault3.py").write_text("def late(pin):\n    return pin\n")
    with bench(policy('[modules]\nforbidden = ["shop_of_policy.vault3"]')) as desk:
        probe = desk.arm("shop_of_policy.views:buy", having=["shop_of_policy.vault3:late"])
        shop.vault.unlock = importlib.import_module("shop_of_policy.vault3").late
        shop.buy("ann", "1234")
        assert desk.traces() == []
        assert probe.keep.counters()["having_missed"] == 1


ALLOWED = '[allow]\ntargets = ["shop_of_policy.views:b*", "http:GET /items*", "http:HEAD *"]'


@pytest.mark.parametrize(
    "target",
    [
        "shop_of_policy.views:note",
        "shop_of_policy.views.note",
        "shop_of_policy.later:note",
        "views.py:11",
        "http:/items*",
        "http:GET|POST /items",
        "http:POST /items",
        "http:GET /item",
        "http:*",
    ],
)
def test_only_allowed_targets_are_armed(target: str, shop: Any) -> None:
    with bench(policy(ALLOWED)) as desk, pytest.raises(Forbidden, match="allows only shop_of_policy"):
        desk.arm(target)


def test_allowed_targets_are_armed(shop: Any) -> None:
    with bench(policy(ALLOWED)) as desk:
        for target in ("http:GET /items/{id}", "http:GET|HEAD /items", "shop_of_policy.views.buy"):
            desk.arm(target)
        assert desk.arm("shop_of_policy.*:*").matched_total == 1
        shop.buy("ann", "1")
        assert "charge" in outline(desk.traces()[0]), "what an allowed target calls is recorded"
    with bench(policy("[allow]\ntargets = []")) as desk, pytest.raises(Forbidden, match="no targets at all"):
        desk.arm("shop_of_policy.views:buy")


def test_repr_runs_where_it_is_allowed(shop: Any) -> None:
    class Basket:
        def __repr__(self) -> str:
            return "Basket of tea"

    for content, shown in (("", None), ("[allow]\nrepr = true", "Basket of tea")):
        with bench(policy(content)) as desk:
            desk.arm("shop_of_policy.views:note", mode="repr")
            shop.note(Basket())
            got = desk.trace().roots[0].values[0]
            assert (got == shown) if shown else type(got) is Mark


# ---- a process --------------------------------------------------------------------------------------------------

PROGRAM = """
import logging, sys, tracepatch
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
def work(n):
    return n + 1
tracepatch.start(service="owned")
print("ready", flush=True)
for line in sys.stdin:
    print(work(1), flush=True)
"""


@pytest.fixture
def owned(runtime_dir: Path, file: Path) -> Any:
    def start(content: str) -> Any:
        file.write_text(content)
        return python_process(
            PROGRAM, env={"TRACEPATCH_POLICY": str(file), "TRACEPATCH_RUNTIME_DIR": str(runtime_dir)}
        )

    return start


def endpoint(runtime_dir: Path, process: Process) -> str:
    process.expect("ready")
    (agent_id,) = wait_for(lambda: cards(runtime_dir))
    return f"ipc://{runtime_dir}/{agent_id}.sock"


def test_with_a_broken_file_nothing_is_armed_and_the_application_runs(
    owned: Any, runtime_dir: Path, file: Path
) -> None:
    with owned("[limits]\ncuont = 3\n") as process, peer(endpoint(runtime_dir, process)) as desk:
        said = f"the policy {file} is broken, so nothing can be armed here: line 2: limits.cuont"
        for answer in (
            desk.arm(targets=["__main__:work"]),
            desk.ask("stacks"),
            desk.ask("targets", pattern="__main__:*"),
        ):
            assert (answer["type"], answer["code"]) == ("error", "policy")
            assert answer["message"].startswith(said)
        agent = desk.ask("hello")["agent"]
        assert agent["state"] == "disabled"
        assert agent["problem"].startswith(said)
        assert said in ctl("agents").stdout
        assert said in ctl("status").stderr
        refused = ctl("arm", "__main__:work")
        assert refused.returncode == 4
        assert said in refused.stderr
        process.tell("go")
        assert process.line() == "2"
        warnings = [line for line in process.errors if "WARNING tracepatch the policy" in line]
        assert len(warnings) == 1


def test_what_is_clipped_is_told_on_arm_and_extend(owned: Any, runtime_dir: Path) -> None:
    content = '[limits]\ncount = 3\nttl = "1m"\nmax_calls = 100\n[modules]\nforbidden = ["json"]\n'
    with owned(content) as process, peer(endpoint(runtime_dir, process)) as desk:
        armed = desk.arm(targets=["__main__:work"], count=9, ttl_s=3600)
        assert armed["lowered"] == [
            "count 9 is above the ceiling: 3 holds",
            "ttl 1h00m is above the ceiling: 60.00s holds",
            "max_calls 20000 is above the ceiling: 100 holds",
        ]
        extended = desk.ask("extend", probe_id="aaaaaaaa", ttl_s=3600.0, count=500)
        assert len(extended["lowered"]) == 2
        assert extended["probe"]["count"] == 3
        assert extended["probe"]["expires_in_s"] <= 60
        told = ctl("extend", "aaaaaaaa", "--ttl", "2h", "-n", "100")
        assert "count 100 is above the ceiling: 3 holds" in told.stderr
        assert desk.ask("extend", probe_id="aaaaaaaa", ttl_s=30.0)["lowered"] == []
        assert desk.ask("stacks")["type"] == "stacks"
        refused = desk.arm("bbbbbbbb", targets=["json:dumps"])
        assert (refused["code"], refused["message"]) == (
            "policy", "json:dumps cannot be traced: the policy of this process forbids module json",
        )  # fmt: skip


def test_what_is_not_traced_of_a_glob_is_told(owned: Any, runtime_dir: Path) -> None:
    content = '[modules]\nforbidden = ["json.decoder"]\n'
    with owned(content) as process:
        endpoint(runtime_dir, process)
        told = ctl("arm", "json*:*.decode", "__main__:work", "--ttl", "1ms").stderr
        assert (
            "not traced: json.decoder:JSONDecoder.decode: the policy of this process forbids module json.decoder"
            in told
        )


def test_no_spool_and_no_stacks_where_they_are_not_allowed(owned: Any, runtime_dir: Path) -> None:
    for allowed in (True, False):
        content = "" if allowed else "[allow]\nspool = false\nstacks = false\n"
        with owned(content) as process, peer(endpoint(runtime_dir, process)) as desk:
            desk.arm(targets=["__main__:work"], lease_s=None)
            looked = desk.ask("stacks")
            assert looked["type"] == ("stacks" if allowed else "error")
            desk.close()
            process.tell("go")
            process.line()
            process.child.stdin.close()
            process.wait()
            spooled = list(runtime_dir.glob("spool/*.tps"))
            assert bool(spooled) is allowed
            if not allowed:
                assert any("the policy allows no spool" in line for line in process.errors)
            for left in spooled:
                left.unlink()


def test_nothing_of_it_is_loaded_without_the_variable() -> None:
    program = (
        "import sys, tracepatch; before = 'tracepatch.policy' in sys.modules; agent = tracepatch.start();"
        "print(before, [name for name in ('tracepatch.policy_file', 'tomllib', 'tracepatch_shared.toml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.strip() == "False []"
