"""Serve the shop: `python -m shop [--port N]`, with another port when that one is taken.

With `--demo` it serves `tracepatch-ctl demo`: a scratch folder takes the agent's socket, one JSON line on standard
output says where everything is, and when standard input closes - the demo has ended, in whatever way - the folder
is removed and the process ends at once. The folder is made here, not in the demo, so that no moment exists
at which the demo can be killed and leave it behind.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
import threading

import uvicorn


def main() -> None:
    """Serve until interrupted, or with `--demo` until standard input closes."""
    parser = argparse.ArgumentParser(prog="shop", description="The example shop, with the agent embedded.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    scratch = make_scratch() if options.demo else ""
    listener = listen(options.port)
    host, chosen = listener.getsockname()[:2]
    server = uvicorn.Server(uvicorn.Config("shop.app:app", log_level="warning" if options.demo else "info"))
    server.config.load()
    # Standard output may be a pipe: uvicorn's messages go to standard error, so that this is its only line.
    print(json.dumps({"url": f"http://{host}:{chosen}", "pid": os.getpid(), "scratch": scratch}), flush=True)
    server.run(sockets=[listener])


def make_scratch() -> str:
    """Make the scratch folder and the thread that removes it with the process."""
    scratch = tempfile.mkdtemp(prefix="shop-demo-")
    os.environ["TRACEPATCH_RUNTIME_DIR"] = os.path.join(scratch, "run")
    threading.Thread(target=end_with_demo, args=(scratch,), name="shop-demo", daemon=True).start()
    return scratch


def end_with_demo(scratch: str) -> None:
    """Wait until standard input closes, then remove the folder and end."""
    try:
        while os.read(0, 1024):
            pass
    finally:
        while os.path.isdir(scratch):  # the agent, still starting, can put a file into a folder being removed
            shutil.rmtree(scratch, ignore_errors=True)
        os._exit(0)


def listen(port: int) -> socket.socket:
    """Return a listening socket on this port, or on any free one when it is taken."""
    for wanted in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if not wanted:
                raise
            print(f"port {port} cannot be used ({error.strerror}): taking another", file=sys.stderr)
        else:
            return listener
    raise AssertionError("unreachable")


if __name__ == "__main__":
    main()
