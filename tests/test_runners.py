"""The runner model, replayed from lists of events: no interpreter hook involved."""

from __future__ import annotations

from types import CodeType, SimpleNamespace
from typing import Any

import pytest

from tracepatch.codes import APPLICATION, LIBRARY, SKIPPED, Entry
from tracepatch.runners import Runners
from tracepatch_shared import records


def code_of(source: str) -> CodeType:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace["f"].__code__


PLAIN = code_of("def f(): pass")
CORO = code_of("async def f(): pass")
GEN = code_of("def f(): yield")


class Replay:
    """Feeds the model by names of frames; each name is one frame."""

    def __init__(self, **options: Any) -> None:
        self.watched: list[CodeType] = []
        self.time = 0
        self.model = Runners(
            max_depth=options.pop("max_depth", 100), watch=self.watched.append, clock=self.tick, **options
        )
        self.frames: dict[str, Any] = {}
        self.nodes: dict[str, Any] = {}

    def tick(self) -> int:
        self.time += 1
        return self.time

    def frame(self, name: str, code: CodeType = PLAIN, back: str | None = None) -> Any:
        found = self.frames.get(name)
        if found is None:
            found = SimpleNamespace(f_code=code, f_back=self.frames.get(back) if back else None)
            self.frames[name] = found
        return found

    def start(
        self, name: str, code: CodeType = PLAIN, *, back: str | None = None, action: int = APPLICATION
    ) -> Any:
        self.nodes[name] = self.model.start(Entry(code, "m", action), self.frame(name, code, back))
        return self.nodes[name]

    def leave(self, name: str) -> Any:
        return self.model.leave(id(self.frames[name]))

    def suspend(self, name: str) -> bool:
        return self.model.suspend(id(self.frames[name]))

    def resume(self, name: str) -> None:
        self.model.resume(id(self.frames[name]))

    def kinds(self) -> list[str]:
        return [records.NAMES[event[0]] for event in self.model.events]


def test_calls_nest_and_the_thread_is_free_again_after_the_root() -> None:
    replay = Replay()
    root, inner = replay.start("root"), replay.start("inner")
    assert inner.runner is root.runner
    assert replay.leave("inner") is inner
    assert replay.leave("root") is root
    assert replay.model.current == {}
    assert replay.model.open == {}


def test_an_awaited_coroutine_stays_on_its_runner_and_a_driven_one_begins_another() -> None:
    replay = Replay()
    root = replay.start("root", CORO)
    awaited = replay.start("awaited", CORO, back="root")
    replay.frame("loop")
    driven = replay.start("driven", CORO, back="loop")
    assert awaited.runner is root.runner
    assert driven.runner is not root.runner
    assert driven.runner.outer is root.runner
    replay.leave("driven")
    assert replay.start("next").runner is root.runner


def test_a_suspended_root_takes_the_whole_runner_off_the_thread() -> None:
    replay = Replay()
    root = replay.start("root", CORO)
    replay.start("leaf", CORO, back="root")
    assert not replay.suspend("leaf"), "only the root's yield counts"
    assert replay.suspend("root")
    assert replay.model.current == {}
    replay.resume("root")
    replay.resume("leaf")
    assert replay.start("more").runner is root.runner
    assert replay.kinds() == ["BRANCH", "SUSPEND", "RESUME"]


def test_a_throw_wakes_the_runner_from_the_inside_out() -> None:
    replay = Replay()
    root = replay.start("root", CORO)
    replay.start("leaf", CORO, back="root")
    replay.suspend("root")
    replay.resume("leaf")
    assert replay.leave("leaf") is not None
    assert replay.start("handler").runner is root.runner
    replay.leave("handler")
    assert replay.leave("root") is root


def test_a_generator_takes_its_part_of_the_stack_along() -> None:
    replay = Replay()
    replay.start("root")
    generator = replay.start("gen", GEN)
    replay.suspend("gen")
    sibling = replay.start("sibling")
    assert [node is sibling for node in sibling.runner.stack] == [False, True]
    replay.leave("sibling")
    replay.resume("gen")
    inner = replay.start("inner")
    assert inner.runner.stack[-2] is generator
    assert replay.kinds() == ["BRANCH", "YIELD", "REENTER"]


def test_a_generator_that_is_resumed_by_another_task_moves_to_it() -> None:
    replay = Replay()
    replay.frame("loop")
    replay.start("first", CORO)
    generator = replay.start("gen", GEN, back="first")
    replay.suspend("gen")
    replay.suspend("first")
    second = replay.start("second", CORO, back="loop")
    replay.resume("gen")
    assert generator.runner is second.runner
    assert replay.leave("gen") is generator
    assert second.runner.stack == [second]


def test_library_calls_below_a_library_call_are_counted_and_callbacks_hang_under_it() -> None:
    replay = Replay()
    replay.start("root")
    border = replay.start("border", action=LIBRARY)
    assert border is not None
    assert replay.start("inside", action=LIBRARY) is None
    callback = replay.start("callback")
    assert callback.runner.stack == [replay.nodes["root"], border, callback]
    assert replay.leave("callback") is callback
    assert replay.leave("inside") is None
    assert border.elided == 1


def test_depth_prunes_and_counts() -> None:
    replay = Replay(max_depth=2)
    replay.start("root")
    second = replay.start("second")
    assert replay.start("third") is None
    assert replay.start("skipped", action=SKIPPED) is None
    assert second.elided == 2


def test_an_exit_below_the_top_closes_what_lies_above_as_lost() -> None:
    replay = Replay()
    replay.start("root")
    replay.start("vanished")
    replay.leave("root")
    assert replay.kinds() == ["BRANCH", "LOST"]
    assert replay.model.lost == 1
    assert replay.model.open == {}


def test_a_frame_whose_identity_comes_again_was_dead() -> None:
    replay = Replay()
    replay.start("root")
    generator = replay.start("gen", GEN)
    replay.suspend("gen")
    again = replay.start("gen", GEN)
    assert again is not generator
    assert replay.kinds() == ["BRANCH", "YIELD", "LOST"]


def test_a_library_root_of_a_branch_shows_only_with_application_code_below() -> None:
    replay = Replay()
    replay.start("root", CORO)
    replay.suspend("root")
    assert replay.start("timer", action=LIBRARY) is None
    assert replay.kinds() == ["BRANCH", "SUSPEND"]
    assert replay.start("callback") is not None
    assert replay.kinds() == ["BRANCH", "SUSPEND", "BRANCH"]


def test_a_spawned_task_is_linked_to_the_node_that_spawned_it() -> None:
    replay = Replay()
    replay.frame("loop")
    root = replay.start("root", CORO)
    child = replay.frame("child", CORO, "loop")
    replay.model.spawning(id(child))
    replay.suspend("root")
    node = replay.start("child", CORO, back="loop")
    assert (node.runner.kind, node.runner.link, node.runner.parent) == ("task", "exact", root)
    replay.frame("other", CORO, "loop")
    other = replay.start("other", CORO, back="loop")
    assert other.runner.link == "inferred"


@pytest.mark.parametrize("action", [APPLICATION, LIBRARY])
def test_only_roots_and_generators_are_watched(action: int) -> None:
    replay = Replay()
    replay.start("root", CORO)
    replay.start("awaited", CORO, back="root", action=action)
    assert replay.watched == [CORO]
    replay.start("gen", GEN, back="root")
    assert replay.watched == [CORO, GEN]
