"""The place where operators reach the agent: a folder of its own, a socket in it, a file that says whose it is.

    DIR/<agent_id>.sock    ZeroMQ ROUTER, 0600
    DIR/<agent_id>.json    who is behind it (docs/protocol.md), 0600
    DIR/off                the kill switch, when somebody made it
    DIR/spool/             traces that a process left when it ended

DIR is `TRACEPATCH_RUNTIME_DIR`, else `/tmp/tracepatch-<euid>`: nothing else in the environment moves it, so that a
login shell finds what a service bound. Rights on the folder are the rights to trace.

Concurrency: everything here belongs to the agent thread, except `Waker.wake`. A fork child never touches an
inherited `Endpoint`: libzmq's state is unusable there, and a send on it would seem to succeed.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections.abc import Iterator

import zmq

from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.messages import MAX_REQUEST_BYTES

from .awake import rest, wait
from .containment import of_handler
from .identity import Identity

MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""`sun_path` without its final zero."""

MAX_FRAME_BYTES = 2 * MAX_REQUEST_BYTES
"""Larger frames make libzmq drop the connection; between this and `MAX_REQUEST_BYTES` there is an answer."""

QUEUED_REQUESTS = 16
QUEUED_REPLIES = 16
"""Messages that wait in libzmq per controller: it counts messages, so this times a chunk's 64 KiB bounds the bytes, which
are memory beside what a probe may hold (64 of them made 8 MiB 12)."""

LAST_WORDS_MS = 100
"""How long `close` lets libzmq's thread write what it has taken already."""

REQUESTS_AT_ONCE = 100
"""Requests answered before the loop looks at its other duties again."""


class Unreachable(TracepatchError):
    """No endpoint can be made here; the application runs on without one."""

    code = "unreachable"


class Gone(Exception):
    """The controller that a message was for has no connection any more."""


class Waker:
    """Wakes the agent thread from any thread, callback or signal handler: one byte in a pipe, never blocking.

    The pipe lives as long as the process and keeps its descriptor numbers in a fork child, so that a write that was
    about to happen can never reach a file of the application that got the same number.
    """

    def __init__(self) -> None:
        self._reader, self._writer = self._pipe()
        self._woken = False

    @staticmethod
    def _pipe() -> tuple[int, int]:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        return reader, writer

    def fileno(self) -> int:
        """Return the end to poll."""
        return self._reader

    def wake(self) -> None:
        """Make the agent thread look; calls before it did are one."""
        if self._woken:
            return
        self._woken = True
        try:
            os.write(self._writer, b"\0")
        except (
            OSError
        ) as error:  # full: a byte is there already; closed by the application: nothing left to wake
            if of_handler(error):
                self._woken = False
                raise  # a TimeoutError is one

    def clear(self) -> None:
        """Take what was written; before looking at what the wakers wanted, or one could be missed."""
        try:
            os.read(self._reader, 4096)
        except OSError:
            pass
        self._woken = False

    def close(self) -> None:
        """Close the pipe; only where no other thread can wake any more."""
        os.close(self._reader)
        os.close(self._writer)

    def after_fork_in_child(self) -> None:
        """Put a pipe of the child's own in the place of the one shared with the parent."""
        reader, writer = self._pipe()
        os.dup2(reader, self._reader, inheritable=False)
        os.dup2(writer, self._writer, inheritable=False)
        os.close(reader)
        os.close(writer)
        self._woken = False


class Endpoint:
    """The bound socket with its file; made, used and closed by the agent thread."""

    def __init__(self, identity: Identity, folder: str) -> None:
        self.folder = folder
        self.path = os.path.join(folder, f"{identity.agent_id}.sock")
        self.file = os.path.join(folder, f"{identity.agent_id}.json")
        self.address = f"ipc://{self.path}"
        self.dropped = 0
        """Messages that a controller's full queue or its absence kept from leaving."""
        self._identity = identity
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._files = (-1, -1)
        """What can be read when there is something to do: of the socket, and of the waker."""

    def open(self, waker: Waker) -> None:
        """Make the folder, bind, write the file; raise `Unreachable` where that cannot be done."""
        length = len(os.fsencode(self.path))
        if length > MAX_PATH_BYTES:
            raise Unreachable(
                f"the socket's path would be {length} bytes, the system allows {MAX_PATH_BYTES}: "
                f"set TRACEPATCH_RUNTIME_DIR to a shorter folder than {self.folder}"
            )
        try:
            prepare_folder(self.folder)
            self._bind(waker)
            write_whole(self.file, json.dumps(self._identity.to_file()).encode())
        except (OSError, zmq.ZMQError) as error:
            self.close()
            raise Unreachable(f"{self.folder} cannot be used: {os.strerror(error.errno or 0)}") from None
        except Unreachable:
            self.close()
            raise

    def _bind(self, waker: Waker) -> None:
        self._context = context = zmq.Context(io_threads=1)
        self._socket = bound = context.socket(zmq.ROUTER)
        bound.linger = 0
        bound.rcvhwm = QUEUED_REQUESTS
        bound.sndhwm = QUEUED_REPLIES
        bound.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        # Without it a full queue or a dead controller swallows messages silently; with it each one is known.
        bound.setsockopt(zmq.ROUTER_MANDATORY, 1)
        bound.bind(self.address)
        os.chmod(self.path, 0o600)
        self._files = (int(bound.getsockopt(zmq.FD)), waker.fileno())

    def poll(self, timeout_s: float | None) -> bool:
        """Wait for a request or a wake-up, without end when `timeout_s` is None; return whether there is a request.

        Other news of libzmq's wake it up as well: its file can be read once for whatever is new, until `EVENTS` is asked.
        """
        if not self._readable():
            wait(*self._files, -1 if timeout_s is None else max(0, int(timeout_s * 1000 + 0.999)))
        return self._readable()

    def _readable(self) -> bool:
        assert self._socket is not None
        return bool(int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)

    def requests(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Yield what waits: the sender and the frames, of which only the first two are kept."""
        assert self._socket is not None
        for _ in range(REQUESTS_AT_ONCE):
            try:
                sender = self._socket.recv(zmq.NOBLOCK)
                frames: list[bytes] = []
                while self._socket.getsockopt(zmq.RCVMORE):
                    frame = self._socket.recv(zmq.NOBLOCK)
                    if len(frames) < 2:
                        frames.append(frame)
            except zmq.Again:
                return
            yield sender, frames

    def offer(self, receiver: bytes, frame: bytes) -> bool:
        """Return whether a message left, for one that can be offered again; raise `Gone` if nobody is there."""
        if self._socket is None:
            raise Gone
        try:
            self._socket.send_multipart((receiver, frame), zmq.NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno in (errno.EHOSTUNREACH, errno.EINVAL):
                raise Gone from None
            raise
        return True

    def after_fork_in_child(self) -> None:
        """Forget that the parent's agent thread was awake: the one thing of an inherited endpoint that a child may do."""
        rest()

    def close(self) -> None:
        """Take the file, the socket and libzmq's threads away; at most `LAST_WORDS_MS`."""
        rest()
        remove(self.file)
        if self._socket is not None:
            self._socket.close(linger=LAST_WORDS_MS)
            self._socket = None
        if self._context is not None:
            self._context.term()
            self._context = None
        remove(self.path)


def prepare_folder(folder: str, *, ours: bool | None = None) -> None:
    """Make a folder that only this user may enter, or check the one that is there; raise `Unreachable`.

    The default folder's mode is put right: only we could have made it. One that was named in the configuration is
    refused instead, since changing it might break others.
    """
    ours = folder == default_folder() if ours is None else ours
    try:
        os.makedirs(folder, mode=0o700)
    except FileExistsError:
        pass
    found = os.lstat(folder)
    if stat.S_ISLNK(found.st_mode):
        raise Unreachable(f"{folder} is a symbolic link: name the folder itself")
    if not stat.S_ISDIR(found.st_mode):
        raise Unreachable(f"{folder} is not a folder")
    if found.st_uid != os.geteuid():
        raise Unreachable(f"{folder} belongs to uid {found.st_uid}, not to uid {os.geteuid()} that runs here")
    if found.st_mode & 0o022:
        if not ours:
            mode = stat.S_IMODE(found.st_mode)
            raise Unreachable(f"{folder} can be written by others (mode {mode:04o}): chmod 700 {folder}")
        os.chmod(folder, 0o700)


def default_folder() -> str:
    """Return the folder that is used when `TRACEPATCH_RUNTIME_DIR` names none."""
    return f"/tmp/tracepatch-{os.geteuid()}"


def write_whole(file: str, *content: bytes) -> None:
    """Write a file, 0600, from its parts, that appears under its name only when it is complete."""
    draft = f"{file}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with open(descriptor, "wb") as out:
            out.writelines(content)
        os.replace(draft, file)
    except BaseException:
        remove(draft)
        raise


def remove(file: str) -> None:
    """Remove a file if it is there and we may."""
    try:
        os.unlink(file)
    except OSError:
        pass
