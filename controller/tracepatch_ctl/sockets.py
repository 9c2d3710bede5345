"""Unix sockets whatever the length of their path, and whether anybody listens there."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile

SUN_PATH = 107 if sys.platform.startswith("linux") else 103
"""Bytes that the path of a Unix socket may have (`sun_path` less its terminating zero)."""


class Address:
    """A path to a socket that fits into `sun_path`: the path itself, or a short way to it that lives until `close()`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._folder = -1
        self._link = ""
        if len(os.fsencode(path)) <= SUN_PATH:
            return
        directory, name = os.path.split(path)
        if os.path.isdir("/proc/self/fd"):
            self._folder = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
            self.path = f"/proc/self/fd/{self._folder}/{name}"
        else:
            self._link = tempfile.mkdtemp(prefix="tp-", dir="/tmp")
            os.symlink(directory, f"{self._link}/d")
            self.path = f"{self._link}/d/{name}"

    def close(self) -> None:
        """Give the short way back; a connection that exists stays."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
        if self._link:
            os.unlink(f"{self._link}/d")
            os.rmdir(self._link)
            self._link = ""


def knock(path: str) -> str:
    """Return what a connection to the socket meets: `open`, `refused`, `gone` or `denied`.

    Never blocks: a full backlog (a stopped process) is `open` too.
    """
    try:
        address = Address(path)
    except PermissionError:
        return "denied"
    except OSError:
        return "gone"
    visitor = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        visitor.setblocking(False)
        visitor.connect(address.path)
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return "refused"
        if error.errno in (errno.EACCES, errno.EPERM):
            return "denied"
        if error.errno in (errno.EAGAIN, errno.EINPROGRESS):
            return "open"
        return "gone"
    finally:
        visitor.close()
        address.close()
    return "open"
