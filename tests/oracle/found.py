"""Programs that once showed a difference, as small as they could be made."""

from __future__ import annotations

from .grammar import Program

FOUND: dict[str, Program] = {
    "a generator of a trace that waits is closed by another trace": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}, {"op": "take", "step": "close", "back": False}],
            },
            {
                "name": "f2",
                "kind": "sync",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "open",
                        "name": "g0",
                        "a": 0,
                        "b": 0,
                        "steps": ["send", "send"],
                        "body": [],
                        "end": "share",
                    },
                    {
                        "op": "open",
                        "name": "g0",
                        "a": 0,
                        "b": 0,
                        "steps": ["next"],
                        "body": [],
                        "end": "share",
                    },
                ],
            },
            {
                "name": "root0",
                "kind": "generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "call", "name": "f2", "a": 0, "b": 0},
                    {"op": "yield", "value": 0},
                    {"op": "yield", "value": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {
                "name": "job1",
                "body": [
                    {"op": "root", "name": "root0", "kind": "generator", "steps": 2},
                    {"op": "root", "name": "root0", "kind": "generator", "steps": 3},
                ],
            }
        ],
    },
    "a generator of a trace that waits is thrown into by a bystander": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "a0",
                "kind": "async_generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "yield", "value": 0},
                    {
                        "op": "finally",
                        "body": [{"op": "sleep", "times": 1}],
                        "final": [{"op": "take", "step": "throw", "back": True}],
                    },
                ],
            },
            {
                "name": "root1",
                "kind": "generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "open",
                        "name": "g0",
                        "a": 0,
                        "b": 0,
                        "steps": ["next"],
                        "body": [],
                        "end": "share",
                    },
                    {"op": "yield", "value": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {
                "name": "job1",
                "body": [{"op": "async_for", "name": "a0", "a": 0, "b": 0, "body": [], "leaves": False}],
            },
            {"name": "job3", "body": [{"op": "root", "name": "root1", "kind": "generator", "steps": 5}]},
        ],
    },
    "a generator that ended elsewhere leaves its address": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "f0",
                "kind": "sync",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "open",
                        "name": "g0",
                        "a": 0,
                        "b": 0,
                        "steps": ["send"],
                        "body": [{"op": "take", "step": "next", "back": True}],
                        "end": "share",
                    },
                    {"op": "for", "name": "g0", "a": 0, "b": 0, "body": [], "leaves": True},
                ],
            },
            {
                "name": "root0",
                "kind": "generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "call", "name": "f0", "a": 0, "b": 0},
                    {"op": "delegate", "name": "g0", "a": 0, "b": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job2", "body": [{"op": "root", "name": "root0", "kind": "generator", "steps": 5}]},
            {"name": "job3", "body": [{"op": "root", "name": "root0", "kind": "generator", "steps": 1}]},
        ],
    },
    "a traced generator is resumed in callbacks that are not traced": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "root0",
                "kind": "generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}, {"op": "yield", "value": 0}],
            }
        ],
        "managers": [],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "generator", "steps": 5}]},
            {"name": "job1", "body": [{"op": "root", "name": "root0", "kind": "generator", "steps": 1}]},
        ],
    },
    "an exception passes a with statement and is raised again": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "with",
                        "name": "M0",
                        "a": 0,
                        "b": 0,
                        "body": [{"op": "raise", "error": "Odd", "when": 0}],
                    }
                ],
            }
        ],
        "managers": [{"name": "M0", "kind": "manager", "enter": [], "exit": [], "swallows": False}],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "coroutine", "steps": 0}]}
        ],
    },
    "a callback of the function that a thread was given": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "s0", "kind": "sync", "style": "wrapped", "signature": 0, "value": 0, "body": []},
            {
                "name": "c0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "to_thread", "name": "s0", "a": 0, "b": 0}],
            },
            {
                "name": "c1",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "call_soon", "name": "s0", "a": 0, "b": 0}, {"op": "sleep", "times": 3}],
            },
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "gather",
                        "kids": [
                            {"op": "kid", "name": "c1", "a": 0, "b": 0},
                            {"op": "kid", "name": "c0", "a": 0, "b": 0},
                            {"op": "kid", "name": "c0", "a": 0, "b": 0},
                        ],
                        "exceptions": 0,
                    }
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "coroutine", "steps": 0}]}
        ],
    },
    "the loop closes an asynchronous generator that was dropped": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "s0", "kind": "sync", "style": "wrapped", "signature": 0, "value": 0, "body": []},
            {
                "name": "a0",
                "kind": "async_generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "c1",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "sleep", "times": 2},
                    {"op": "call_soon", "name": "s0", "a": 0, "b": 0},
                    {"op": "sleep", "times": 2},
                ],
            },
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "async_for", "name": "a0", "a": 0, "b": 0, "body": [], "leaves": True},
                    {"op": "gather", "kids": [{"op": "kid", "name": "c1", "a": 0, "b": 0}], "exceptions": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "coroutine", "steps": 0}]}
        ],
    },
    "a silent close leaves its address to a generator that is thrown into before it begins": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "f1",
                "kind": "sync",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "open",
                        "name": "g0",
                        "a": 0,
                        "b": 0,
                        "steps": ["next"],
                        "body": [],
                        "end": "drop",
                    },
                    {
                        "op": "open",
                        "name": "g0",
                        "a": 0,
                        "b": 0,
                        "steps": ["throw"],
                        "body": [],
                        "end": "cycle",
                    },
                ],
            },
            {
                "name": "root2",
                "kind": "sync",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "call", "name": "f1", "a": 0, "b": 0}],
            },
        ],
        "managers": [],
        "jobs": [{"name": "job2", "body": [{"op": "root", "name": "root2", "kind": "sync", "steps": 4}]}],
    },
    "a generator that refuses to be closed is dropped and leaves its address to another": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "f3",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "with", "name": "M0", "a": 0, "b": 0, "body": [{"op": "yield", "value": 0}]},
                    {"op": "yield", "value": 0},
                ],
            },
            {
                "name": "f4",
                "kind": "sync",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "open",
                        "name": "f3",
                        "a": 0,
                        "b": 0,
                        "steps": ["send"],
                        "body": [],
                        "end": "drop",
                    },
                    {
                        "op": "open",
                        "name": "f3",
                        "a": 0,
                        "b": 0,
                        "steps": ["throw"],
                        "body": [],
                        "end": "close",
                    },
                ],
            },
            {
                "name": "root1",
                "kind": "generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "list", "name": "f4", "a": 0, "b": 0}],
            },
        ],
        "managers": [{"name": "M0", "kind": "manager", "enter": [], "exit": [], "swallows": True}],
        "jobs": [
            {"name": "job2", "body": [{"op": "root", "name": "root1", "kind": "generator", "steps": 4}]}
        ],
    },
    "a callback runs the function that a thread was given as well": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "s0", "kind": "sync", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "context_pool", "name": "s0", "a": 0, "b": 0}],
            },
            {
                "name": "f4",
                "kind": "sync",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "for", "name": "g0", "a": 0, "b": 0, "body": [], "leaves": False}],
            },
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "call_soon", "name": "f4", "a": 0, "b": 0},
                    {"op": "to_thread", "name": "f4", "a": 0, "b": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job1", "body": [{"op": "root", "name": "root0", "kind": "coroutine", "steps": 2}]}
        ],
    },
    "a loop leaves a generator that refuses to be closed": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "try",
                        "body": [{"op": "yield", "value": 0}],
                        "catches": "BaseException",
                        "handler": [],
                        "again": False,
                    },
                    {"op": "yield", "value": 0},
                ],
            },
            {
                "name": "root0",
                "kind": "sync",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "for", "name": "g0", "a": 0, "b": 0, "body": [], "leaves": True}],
            },
        ],
        "managers": [],
        "jobs": [{"name": "job2", "body": [{"op": "root", "name": "root0", "kind": "sync", "steps": 1}]}],
    },
    "a generator that refuses to be closed dies with the one it delegates to": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "root0",
                "kind": "generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "try",
                        "body": [{"op": "yield", "value": 0}],
                        "catches": "BaseException",
                        "handler": [],
                        "again": False,
                    },
                    {"op": "delegate", "name": "g0", "a": 0, "b": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job2", "body": [{"op": "root", "name": "root0", "kind": "generator", "steps": 1}]}
        ],
    },
    "an asynchronous generator is closed after the one that left it": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "g0", "kind": "generator", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "a0",
                "kind": "async_generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "f2",
                "kind": "coroutine",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "hang"}],
            },
            {
                "name": "f6",
                "kind": "async_generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "try",
                        "body": [
                            {"op": "async_for", "name": "a0", "a": 0, "b": 0, "body": [], "leaves": True},
                            {"op": "raise", "error": "KeyError", "when": 0},
                        ],
                        "catches": "BaseException",
                        "handler": [
                            {
                                "op": "open",
                                "name": "g0",
                                "a": 0,
                                "b": 0,
                                "steps": [],
                                "body": [],
                                "end": "drop",
                            }
                        ],
                        "again": False,
                    },
                    {"op": "await", "name": "f2", "a": 0, "b": 0},
                    {"op": "yield", "value": 0},
                ],
            },
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "task",
                        "name": "f2",
                        "a": 0,
                        "b": 0,
                        "body": [
                            {"op": "async_for", "name": "f6", "a": 0, "b": 0, "body": [], "leaves": False}
                        ],
                        "end": "await",
                    }
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "coroutine", "steps": 3}]}
        ],
    },
    "a generator is closed at a yield inside a with": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "g0", "kind": "generator", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "f4",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "with", "name": "M3", "a": 0, "b": 0, "body": [{"op": "yield", "value": 0}]}],
            },
            {
                "name": "root0",
                "kind": "sync",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "for",
                        "name": "f4",
                        "a": 0,
                        "b": 0,
                        "body": [{"op": "take", "step": "throw", "back": False}],
                        "leaves": False,
                    }
                ],
            },
        ],
        "managers": [
            {
                "name": "M3",
                "kind": "manager",
                "enter": [
                    {"op": "open", "name": "g0", "a": 0, "b": 0, "steps": [], "body": [], "end": "share"}
                ],
                "exit": [],
                "swallows": False,
            }
        ],
        "jobs": [{"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "sync", "steps": 5}]}],
    },
    "a coroutine is cancelled at an await inside a with": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "s0", "kind": "sync", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {"name": "c0", "kind": "coroutine", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "w2",
                "kind": "with_generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "f3",
                "kind": "coroutine",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "with_generator", "name": "w2", "a": 0, "b": 0, "body": [{"op": "hang"}]}],
            },
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "call_soon", "name": "s0", "a": 0, "b": 0},
                    {
                        "op": "for",
                        "name": "g0",
                        "a": 0,
                        "b": 0,
                        "body": [{"op": "await", "name": "f3", "a": 0, "b": 0}],
                        "leaves": False,
                    },
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {
                "name": "job2",
                "body": [
                    {"op": "gather", "kids": [{"op": "kid", "name": "c0", "a": 0, "b": 0}], "exceptions": 0},
                    {"op": "call", "name": "s0", "a": 0, "b": 0},
                    {"op": "root", "name": "root0", "kind": "coroutine", "steps": 5},
                ],
            }
        ],
    },
    "a wait inside a handler does not make it forget": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "c0",
                "kind": "coroutine",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "sleep", "times": 1}],
            },
            {
                "name": "root1",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "async_with", "name": "N3", "a": 0, "b": 0, "body": []}],
            },
        ],
        "managers": [
            {
                "name": "N0",
                "kind": "async_manager",
                "enter": [],
                "exit": [{"op": "await", "name": "c0", "a": 0, "b": 0}],
                "swallows": False,
            },
            {
                "name": "N3",
                "kind": "async_manager",
                "enter": [
                    {
                        "op": "async_with",
                        "name": "N0",
                        "a": 0,
                        "b": 0,
                        "body": [{"op": "raise", "error": "Rude", "when": 0}],
                    }
                ],
                "exit": [],
                "swallows": False,
            },
        ],
        "jobs": [
            {"name": "job3", "body": [{"op": "root", "name": "root1", "kind": "coroutine", "steps": 5}]}
        ],
    },
    "an asynchronous generator is cancelled and gives its next item": {
        "scope": "application",
        "eager": False,
        "functions": [
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {"name": "c0", "kind": "coroutine", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "a0",
                "kind": "async_generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "task", "name": "c0", "a": 0, "b": 0, "body": [], "end": "cancel_await"},
                    {"op": "yield", "value": 0},
                ],
            },
            {
                "name": "root1",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "async_for",
                        "name": "a0",
                        "a": 0,
                        "b": 0,
                        "body": [
                            {
                                "op": "open",
                                "name": "g0",
                                "a": 0,
                                "b": 0,
                                "steps": ["next"],
                                "body": [{"op": "await", "name": "c0", "a": 0, "b": 0}],
                                "end": "cycle",
                            }
                        ],
                        "leaves": False,
                    }
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root1", "kind": "coroutine", "steps": 3}]}
        ],
    },
    "asynchronous generators in one another are cancelled one after the other": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "c0", "kind": "coroutine", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "f1",
                "kind": "async_generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "task", "name": "c0", "a": 0, "b": 0, "body": [], "end": "cancel_await"},
                    {"op": "recurse"},
                    {"op": "yield", "value": 0},
                    {"op": "sleep", "times": 1},
                ],
            },
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [{"op": "async_list", "name": "f1", "a": 2, "b": 0}],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "coroutine", "steps": 5}]}
        ],
    },
    "a traced generator is closed from the inside out and goes on calling": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "s0", "kind": "sync", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "g0",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "yield", "value": 0}],
            },
            {
                "name": "f4",
                "kind": "generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "finally",
                        "body": [{"op": "yield", "value": 0}],
                        "final": [
                            {
                                "op": "open",
                                "name": "g0",
                                "a": 0,
                                "b": 0,
                                "steps": ["next"],
                                "body": [{"op": "call", "name": "s0", "a": 0, "b": 0}],
                                "end": "drop",
                            }
                        ],
                    }
                ],
            },
            {
                "name": "root0",
                "kind": "generator",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "yield", "value": 0},
                    {"op": "yield", "value": 0},
                    {"op": "yield", "value": 0},
                    {"op": "yield", "value": 0},
                    {"op": "delegate", "name": "f4", "a": 0, "b": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job3", "body": [{"op": "root", "name": "root0", "kind": "generator", "steps": 5}]}
        ],
    },
    "a generator that refused to be closed dies below another": {
        "scope": "application",
        "eager": False,
        "functions": [
            {"name": "s0", "kind": "sync", "style": "wrapped", "signature": 0, "value": 0, "body": []},
            {
                "name": "c0",
                "kind": "coroutine",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "sleep", "times": 1}, {"op": "sleep", "times": 1}],
            },
            {
                "name": "a0",
                "kind": "async_generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "try",
                        "body": [{"op": "yield", "value": 0}],
                        "catches": "BaseException",
                        "handler": [{"op": "call", "name": "s0", "a": 0, "b": 0}],
                        "again": False,
                    },
                    {"op": "yield", "value": 0},
                ],
            },
            {
                "name": "f3",
                "kind": "coroutine",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "async_for",
                        "name": "a0",
                        "a": 0,
                        "b": 0,
                        "body": [
                            {
                                "op": "async_for",
                                "name": "a0",
                                "a": 0,
                                "b": 0,
                                "body": [{"op": "await", "name": "c0", "a": 0, "b": 0}],
                                "leaves": False,
                            }
                        ],
                        "leaves": False,
                    }
                ],
            },
            {
                "name": "root1",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "sleep", "times": 1},
                    {"op": "wait_for", "name": "f3", "a": 0, "b": 0, "ticks": 1},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {
                "name": "job1",
                "body": [
                    {
                        "op": "task",
                        "name": "c0",
                        "a": 0,
                        "b": 0,
                        "body": [{"op": "sleep", "times": 1}],
                        "end": "cancel_await",
                    },
                    {"op": "root", "name": "root1", "kind": "coroutine", "steps": 0},
                ],
            }
        ],
    },
    "a task that is eager closes a generator, which awaits and goes on": {
        "scope": "application",
        "eager": True,
        "functions": [
            {
                "name": "c0",
                "kind": "coroutine",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "sleep", "times": 3}],
            },
            {"name": "f0", "kind": "coroutine", "style": "bare", "signature": 0, "value": 0, "body": []},
            {
                "name": "f2",
                "kind": "async_generator",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [
                    {"op": "yield", "value": 0},
                    {
                        "op": "task",
                        "name": "c0",
                        "a": 0,
                        "b": 0,
                        "body": [
                            {
                                "op": "try",
                                "body": [{"op": "yield", "value": 0}],
                                "catches": "BaseException",
                                "handler": [],
                                "again": False,
                            }
                        ],
                        "end": "cancel_await",
                    },
                    {"op": "await", "name": "f0", "a": 0, "b": 0},
                ],
            },
            {
                "name": "f4",
                "kind": "coroutine",
                "style": "bare",
                "signature": 0,
                "value": 0,
                "body": [{"op": "wait_for", "name": "c0", "a": 0, "b": 0, "ticks": 2}],
            },
            {
                "name": "root0",
                "kind": "coroutine",
                "style": "wrapped",
                "signature": 0,
                "value": 0,
                "body": [
                    {
                        "op": "async_open",
                        "name": "f2",
                        "a": 0,
                        "b": 0,
                        "steps": ["next", "next"],
                        "end": "drop",
                    },
                    {"op": "await", "name": "f4", "a": 0, "b": 0},
                ],
            },
        ],
        "managers": [],
        "jobs": [
            {"name": "job0", "body": [{"op": "root", "name": "root0", "kind": "coroutine", "steps": 2}]}
        ],
    },
}
