"""The messages between agent and controller: one msgpack map each, in one ZeroMQ frame.

Every message has `v` (protocol version) and `type`; a request has `id`, and its answer repeats it as `re`.
docs/protocol.md lists the types and their fields. Unknown fields are ignored, unknown types are answered with
the error `bad-message`.
"""

from __future__ import annotations

from typing import Any

from . import PROTOCOL
from .errors import MessageError, TracepatchError, VersionError

Message = dict[str, Any]

MAX_REQUEST_BYTES = 1 << 20
"""Bytes of one message to an agent; larger ones are refused unread."""

MAX_REPLY_BYTES = 16 << 20
"""Bytes of one message from an agent; chunks stay far below."""

CHUNK_BYTES = 64 << 10
"""The agent sends a piece of a stream when it has this many bytes, or after `FLUSH_S`."""

FLUSH_S = 0.1

UNKNOWN_REQUEST = "is no type of request that is known here"
"""How an agent that is older than a request refuses it."""


def pack(message: Message) -> bytes:
    """Return the frame for a message; `v` is added."""
    import msgpack

    return bytes(msgpack.packb({"v": PROTOCOL, **message}, use_bin_type=True))


def unpack(frame: bytes, *, max_bytes: int = MAX_REQUEST_BYTES) -> Message:
    """Return the message in a frame, with a `type`; raise `MessageError` for anything else."""
    import msgpack

    if len(frame) > max_bytes:
        raise MessageError(f"a message of {len(frame)} bytes is larger than the {max_bytes} allowed")
    try:
        message = msgpack.unpackb(
            frame, raw=False, strict_map_key=True, max_ext_len=0, unicode_errors="replace"
        )
    except Exception as error:  # noqa: BLE001 - msgpack raises a dozen unrelated types for bad input
        raise MessageError(f"a message is not msgpack: {type(error).__name__}") from None
    if not isinstance(message, dict):
        raise MessageError(f"a message must be a map, not {type(message).__name__}")
    if message.get("v") != PROTOCOL:
        raise VersionError(
            f"protocol version {shortened(message.get('v'))} is not understood here, only {PROTOCOL}"
        )
    if not isinstance(message.get("type"), str):
        raise MessageError(f"a message needs a type, not {shortened(message.get('type'))}")
    return message


def shortened(value: object) -> str:
    """Return what a refusal quotes of a value from outside."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def field(message: Message, name: str, kind: type | tuple[type, ...], default: Any = ...) -> Any:
    """Return a field whose type was checked; a missing one gives the default, or `MessageError` without one."""
    if name not in message or (message[name] is None and default is None):
        if default is ...:
            raise MessageError(f"{message.get('type', 'message')}: field {name!r} is missing")
        return default
    value = message[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise MessageError(
            f"{message.get('type', 'message')}: field {name!r} cannot be {type(value).__name__}"
        )
    return value


def error(problem: TracepatchError, request: int | None) -> Message:
    """Return the answer that refuses request `id`."""
    return {"type": "error", "re": request, "code": problem.code, "message": str(problem)}
