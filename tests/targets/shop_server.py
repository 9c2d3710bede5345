"""The example shop under uvicorn, with the agent's log at DEBUG on standard error and nothing else there.

Usage: shop_server.py EXAMPLES; prints the URL. uvicorn's own access log, which shows query strings, is off.
"""

from __future__ import annotations

import logging
import sys

import uvicorn

sys.path.insert(0, sys.argv[1])
logging.getLogger("tracepatch").addHandler(logging.StreamHandler())
logging.getLogger("tracepatch").setLevel(logging.DEBUG)

from shop.__main__ import listen  # noqa: E402 - found once the path is set

config = uvicorn.Config("shop.app:app", log_level="warning", access_log=False, http="h11", loop="asyncio")
config.load()
listener = listen(0)
print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
uvicorn.Server(config).run(sockets=[listener])
