"""`trace()` as a decorator: a recording per call, for functions, coroutines and both kinds of generators."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from types import FrameType
from typing import Any, Protocol, TypeVar, cast

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Running(Protocol):
    """The recording of one call.

    A generator runs in its caller's Context, so the recording is current only while the generator itself runs: it is
    paused whenever an item is handed out.
    """

    def end(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


Enter = Callable[[FrameType], Running]
"""Begins a recording of what runs below a frame."""


def wrapped(function: FunctionT, enter: Enter) -> FunctionT:
    """Return `function` with a recording for each call; it looks and behaves like the original."""
    if inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, enter)
    elif inspect.isasyncgenfunction(function):
        wrapper = _async_generator(function, enter)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, enter)
    else:
        wrapper = _function(function, enter)
    return cast(FunctionT, functools.wraps(function)(wrapper))


def _function(function: Callable[..., Any], enter: Enter) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Any:
        running = enter(sys._getframe())
        try:
            return function(*args, **kwargs)
        finally:
            running.end()

    return traced


def _coroutine(function: Callable[..., Any], enter: Enter) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> Any:
        running = enter(sys._getframe())
        try:
            return await function(*args, **kwargs)
        finally:
            running.end()

    return traced


def _generator(function: Callable[..., Any], enter: Enter) -> Callable[..., Any]:
    def traced(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        running = enter(sys._getframe())
        try:
            generator = function(*args, **kwargs)
            advance: Callable[[], Any] = functools.partial(next, generator)
            while True:
                try:
                    item = advance()
                except StopIteration as end:
                    return end.value
                running.pause()
                try:
                    sent = yield item
                except GeneratorExit:
                    running.resume()
                    generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in from outside: the generator's to handle
                    running.resume()
                    advance = functools.partial(generator.throw, error)
                else:
                    running.resume()
                    advance = functools.partial(generator.send, sent)
        finally:
            running.end()

    return traced


def _async_generator(function: Callable[..., Any], enter: Enter) -> Callable[..., Any]:
    async def traced(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        running = enter(sys._getframe())
        try:
            generator = function(*args, **kwargs)
            advance: Callable[[], Any] = generator.__anext__
            while True:
                try:
                    item = await advance()
                except StopAsyncIteration:
                    return
                running.pause()
                try:
                    sent = yield item
                except GeneratorExit:
                    running.resume()
                    await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - thrown in from outside: the generator's to handle
                    running.resume()
                    advance = functools.partial(generator.athrow, error)
                else:
                    running.resume()
                    advance = functools.partial(generator.asend, sent)
        finally:
            running.end()

    return traced
