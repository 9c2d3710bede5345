"""The owner's policy file is read, refused where it cannot be trusted, and holds for every trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from processes import python_process
from tracepatch import policy
from tracepatch.redaction import RedactionPolicy, Redactor

SAFEST = RedactionPolicy()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.touch(mode=0o600)
    return path


def read(file: Path, content: object) -> policy.Policy:
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return policy.read(str(file))


def test_without_a_file_the_default_holds() -> None:
    assert policy.read(None) is policy.DEFAULT
    assert policy.DEFAULT.redaction == SAFEST
    assert SAFEST.enabled


def test_names_are_added(file: Path) -> None:
    got = read(file, {"redaction": {"names": ["patient_id", "Diagnosis"]}})
    assert got.problems == ()
    redactor = Redactor(got.redaction)
    for name in ("patientId", "old_patient_id", "diagnosis", "password"):
        assert redactor.names_secret(name)
    assert not redactor.names_secret("patient")


def test_off_is_said_aloud(file: Path) -> None:
    got = read(file, {"redaction": {"enabled": False}})
    assert not got.redaction.enabled
    assert "turns redaction off" in "".join(got.problems)
    assert read(file, {"redaction": {"enabled": True}}) == policy.DEFAULT
    assert read(file, {}) == policy.DEFAULT


def test_unknown_keys_are_named_and_the_rest_holds(file: Path) -> None:
    got = read(file, {"ceilings": {}, "redaction": {"names": ["diagnosis"], "nmaes": []}})
    assert got.redaction == RedactionPolicy(extra_names=("diagnosis",))
    (problem,) = got.problems
    assert "'ceilings', 'redaction.nmaes'" in problem


OFF = b'{"redaction": {"enabled": false}}'
MALFORMED = [
    b"",
    b"\xff",
    b"[]",
    b"[" * 60_000,
    b"{" + OFF,
    b'{"redaction": []}',
    b'{"redaction": {"enabled": 0}}',
    b'{"redaction": {"enabled": "false"}}',
    b'{"redaction": {"enabled": null}}',
    b'{"redaction": {"enabled": true, "enabled": false}}',
    b'{"redaction": {"enabled": false, "names": "diagnosis"}}',
    b'{"redaction": {"enabled": false, "names": [5]}}',
    b'{"redaction": {"enabled": false, "names": ["--"]}}',
    b'{"redaction": {"enabled": false, "names": ["' + b"x" * 300 + b'"]}}',
    json.dumps({"redaction": {"enabled": False, "names": ["x"] * 1001}}).encode(),
    OFF + b" " * (1 << 16),
]


@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: repr(content[:60]))
def test_what_is_malformed_leaves_redaction_on(content: bytes, file: Path) -> None:
    got = read(file, content)
    assert got.redaction == SAFEST
    (problem,) = got.problems
    assert str(file) in problem
    assert problem.endswith("the safest one holds, all redaction is on")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_to_is_refused(mode: int, file: Path) -> None:
    file.write_bytes(OFF)
    file.chmod(mode)
    got = policy.read(str(file))
    assert got.redaction == SAFEST
    assert f"mode {mode:04o}" in got.problems[0]


def test_a_file_of_somebody_else_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(OFF)
    owner = file.stat().st_uid
    true_fstat = os.fstat

    def of(uid: int):
        def fstat(descriptor: int) -> os.stat_result:
            fields = list(true_fstat(descriptor))
            fields[4] = uid
            return os.stat_result(fields)

        return fstat

    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(os, "fstat", of(4343))
    got = policy.read(str(file))
    assert got.redaction == SAFEST
    assert "belongs to uid 4343" in got.problems[0]
    for uid in (0, 4242):
        monkeypatch.setattr(os, "fstat", of(uid))
        assert not policy.read(str(file)).redaction.enabled
    assert owner == file.stat().st_uid


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path, tmp_path / "missing"):
        got = policy.read(str(path))
        assert got.redaction == SAFEST
        assert len(got.problems) == 1


def test_a_link_to_a_trusted_file_is_followed(file: Path, tmp_path: Path) -> None:
    # As Kubernetes mounts a ConfigMap.
    file.write_bytes(OFF)
    link = tmp_path / "link.json"
    link.symlink_to(file)
    assert not policy.read(str(link)).redaction.enabled


PROGRAM = """
import logging, tracepatch
logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
agent = tracepatch.start()
print(agent._tracing.policy.redaction)
tracepatch.stop()
"""


def test_the_agent_reads_it_and_warns_once(runtime_dir: Path, file: Path) -> None:
    file.write_text("{")
    with python_process(PROGRAM, env={"TRACEPATCH_POLICY": str(file)}) as process:
        assert process.line() == repr(SAFEST)
        assert process.wait() == 0
        assert [line.startswith("WARNING tracepatch the policy") for line in process.errors] == [True]
    file.write_text('{"redaction": {"names": ["diagnosis"]}}')
    with python_process(PROGRAM, env={"TRACEPATCH_POLICY": str(file)}) as process:
        assert "diagnosis" in process.line()
        assert process.wait() == 0
        assert process.errors == []


def test_importing_the_package_does_not_load_it() -> None:
    program = "import sys, tracepatch; print('tracepatch.policy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.strip() == "False"
