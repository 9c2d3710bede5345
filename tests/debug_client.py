"""As much of a debugger's front end as a test needs: attach to debugpy, break on a line, note what is seen, go on."""

from __future__ import annotations

import json
import socket
from typing import Any


class DebugClient:
    """Speaks the debug adapter protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._events: list[dict[str, Any]] = []

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def attach(self, file: str, line: int) -> None:
        """Attach, with a breakpoint."""
        self.ask("initialize", adapterID="test", clientID="test", linesStartAt1=True, pathFormat="path")
        attaching = self._say("attach", justMyCode=False, redirectOutput=False)
        self.event("initialized")
        self.ask("setBreakpoints", source={"path": file}, breakpoints=[{"line": line}])
        self.ask("configurationDone")
        self._answer(attaching)

    def stops(self) -> list[tuple[int, str]]:
        """Go on from stop to stop until the program ends; return at which line it stood each time, with a variable."""
        found = []
        while (stopped := self.event("stopped", "terminated"))["event"] == "stopped":
            thread = stopped["body"]["threadId"]
            frame = self.ask("stackTrace", threadId=thread)["stackFrames"][0]
            value = self.ask("evaluate", expression="doubled", frameId=frame["id"], context="watch")
            found.append((frame["line"], value["result"]))
            self.ask("continue", threadId=thread)
        return found

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        return self._answer(self._say(command, **arguments))

    def event(self, *names: str) -> dict[str, Any]:
        """Return the next event of one of these names."""
        while True:
            for place, event in enumerate(self._events):
                if event["event"] in names:
                    return self._events.pop(place)
            self._take()

    def _say(self, command: str, **arguments: Any) -> int:
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        text = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(text), text))
        return self._number

    def _answer(self, number: int) -> dict[str, Any]:
        while True:
            message = self._take()
            if message["type"] == "response" and message["request_seq"] == number:
                assert message["success"], message
                return message.get("body") or {}

    def _take(self) -> dict[str, Any]:
        length = 0
        while line := self._stream.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the adapter is gone"
        message: dict[str, Any] = json.loads(self._stream.read(length))
        if message["type"] == "event":
            self._events.append(message)
        return message
