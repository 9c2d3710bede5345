"""What the agent and the controller must agree on: messages, targets, limits, records and the trace tree.

Private to the other two packages; what users hold is re-exported by `tracepatch` and `tracepatch_ctl`.
Importing any module here loads the standard library only; `messages.pack` and the stream's packer load
msgpack on first use.
"""

VERSION = "0.2.0"
"""Version of the distribution; one of the two places that say it is checked against the other by a test."""

PROTOCOL = 1
"""Version of the messages and of the stream; see docs/protocol.md."""

__all__ = ["PROTOCOL", "VERSION"]
