"""`tracepatch-ctl demo`: the main job on the example shop, from nothing to two traces, leaving nothing behind.

The shop runs in a process of its own, which ends and removes the only folder there is when its standard input
closes, so it does not matter where and how this process ends.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from tracepatch_shared.errors import TracepatchError

PORT = 8000
START_S = 30.0
"""Seconds that the shop may take to start: importing FastAPI on a busy machine is slow."""

SECRETS = {
    "password": "correct-horse-7351",
    "card_number": "4929 1234 5678 9013",
    "api_key": "sk_demo_51Hq8RxT2eLm",
    "admin": "admin-battery-staple",
    "cookie": "c00kie-9f41d2",
}
"""What the demo's requests carry and no output may show."""


def run(port: int = PORT) -> int:
    """Show the main job and return the exit code."""
    with shop(port) as started, traffic(started["url"]):
        click.echo(f"A shop (FastAPI, uvicorn) serves {started['url']} as process {started['pid']}.")
        click.echo('Its code has one line of tracepatch in it: tracepatch.start(service="shop").')
        code = operate(started["pid"])
    if code == 0:
        click.echo("\nThe shop has been stopped and its traces removed: the demo leaves nothing behind.")
    return code


def operate(pid: int) -> int:
    """Do what an operator would: look twice, arm the checkout, arm the refund that fails, look again."""
    from . import cli

    steps = (
        ("Which processes can be traced?", ["agents"]),
        ("What do its two drivers do right now?", ["stacks", "--task", "driver*"]),
        ("Trace the next checkout:", ["arm", "shop.app:checkout", "-n", "1"]),
        ("Refunds fail. Why?", ["arm", "shop.app:refund", "-n", "1"]),
        ("And now? Nothing is armed, and the process is as it was:", ["status"]),
    )
    for why, words in steps:
        # Other agents of this machine are none of the demo's business.
        words = [*words, "--pid", str(pid)]
        if words[0] == "arm":
            words += ["--ttl", "30s"]
        click.echo(f"\n{why}\n\n$ tracepatch-ctl {' '.join(words)}")
        # In this process: a command in one of its own would outlive a demo that is killed.
        code = cli.main(words, standalone_mode=False)
        if code:
            return int(code)
    return 0


@contextmanager
def shop(port: int) -> Iterator[dict[str, Any]]:
    """Run the shop and yield its url, pid and scratch folder, with the environment that leads there."""
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]
    if missing:
        names = " and ".join(name.replace("_", "-") for name in missing)
        raise TracepatchError(
            f"the demo needs {names}: run `make demo` in a checkout,"
            " or `pip install fastapi uvicorn python-multipart` and try again"
        )
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TRACEPATCH_")}
    folder = str(shop_folder())
    process = subprocess.Popen(
        [sys.executable, "-m", "shop", "--demo", "--port", str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env={**ours, "PYTHONPATH": os.pathsep.join(filter(None, (folder, ours.get("PYTHONPATH")))),
             "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,  # a Ctrl-C or a kill of the group reaches the demo; the shop then cleans up
    )  # fmt: skip
    started: dict[str, Any] = {}
    saved = dict(os.environ)
    try:
        started.update(await_start(process))
        os.environ.clear()
        os.environ.update(ours)
        os.environ["TRACEPATCH_RUNTIME_DIR"] = os.path.join(started["scratch"], "run")
        os.environ["TRACEPATCH_STORE"] = os.path.join(started["scratch"], "traces.db")
        yield started
    finally:
        os.environ.clear()
        os.environ.update(saved)
        end(process, started.get("scratch"))


def shop_folder() -> Path:
    """Return the folder that holds the package `shop`: a wheel carries a copy, a checkout has it in `examples`."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_demo", package.parents[1] / "examples"):
        if (folder / "shop" / "app.py").is_file():
            return folder
    raise TracepatchError(
        f"the example shop is missing beside {package}: install the wheel again or use a checkout"
    )


def await_start(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Return what the shop says once it serves."""
    assert process.stdout is not None
    alarm = threading.Timer(START_S, process.kill)
    alarm.daemon = True
    alarm.start()
    line = process.stdout.readline()
    alarm.cancel()
    if not line:
        code = process.wait()
        raise TracepatchError(f"the example shop did not start (exit code {code}); what it said stands above")
    started: dict[str, Any] = json.loads(line)
    return started


def end(process: subprocess.Popen[bytes], scratch: str | None) -> None:
    """End the shop and see to it that its folder is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def traffic(url: str) -> Iterator[None]:
    """Send requests from a thread while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=send_requests, args=(url, stop), name="demo-traffic", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


def send_requests(url: str, stop: threading.Event) -> None:
    """Shop, and ask for a refund, until told to stop."""
    while not stop.wait(0.1):
        try:
            token = json.loads(fetch(f"{url}/login", form={"user": "ada", "password": SECRETS["password"]}))[
                "token"
            ]
            headers = {"Authorization": f"Bearer {token}", "Cookie": f"session_id={SECRETS['cookie']}"}
            basket = {
                "items": {"tea": 2, "mug": 1},
                "card_number": SECRETS["card_number"],
                "coupon": "TEATIME",
            }
            fetch(f"{url}/items?search=tea")
            fetch(f"{url}/checkout", headers=headers, body=basket)
            fetch(f"{url}/refund/pay-1?amount=1890&api_key={SECRETS['api_key']}", body={})
            basic = base64.b64encode(f"admin:{SECRETS['admin']}".encode()).decode()
            fetch(f"{url}/report", headers={"Authorization": f"Basic {basic}"})
        except (OSError, ValueError):
            continue  # the shop is starting or stopping


def fetch(
    url: str,
    *,
    headers: dict[str, str] | None = None,
    body: object = None,
    form: dict[str, str] | None = None,
) -> bytes:
    """Send one request past any proxy, and return the answer, an error page included."""
    content, kind = None, ""
    if form is not None:
        content, kind = urllib.parse.urlencode(form).encode(), "application/x-www-form-urlencoded"
    elif body is not None:
        content, kind = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(
        url, content, {**(headers or {}), **({"Content-Type": kind} if kind else {})}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=5) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.read()
