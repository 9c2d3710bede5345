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
}
