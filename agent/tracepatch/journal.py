"""What the agent says to the application's logs, from the agent thread only.

`tracepatch`: INFO at start and when armed, WARNING for refusals and internal trips, nothing per request.
`tracepatch.audit`: who armed, disarmed and collected what, and how it ended.

A handler of the application that raises, or a logging system that is shut down already, never harms the agent.
"""

from __future__ import annotations

import logging

_log = logging.getLogger("tracepatch")
_audit = logging.getLogger("tracepatch.audit")


def info(text: str, *values: object) -> None:
    """Say what is good to know."""
    _say(_log, logging.INFO, text, *values)


def warning(text: str, *values: object) -> None:
    """Say what somebody should look at."""
    _say(_log, logging.WARNING, text, *values)


def audit(text: str, *values: object) -> None:
    """Say who did what."""
    _say(_audit, logging.INFO, text, *values)


def _say(log: logging.Logger, level: int, text: str, *values: object) -> None:
    try:
        log.log(level, text, *values)
    except Exception:  # noqa: BLE001 - whatever a handler of the application does
        return
