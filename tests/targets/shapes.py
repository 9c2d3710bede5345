"""One function of each shape that a target must find."""

import functools
from json import JSONDecoder, dumps  # noqa: F401 - re-exported on purpose
from math import sqrt  # noqa: F401

from .wrappers import Command, SlottedCommand, hiding, replacing, with_options, wrapping


def plain(x):
    return x


async def coroutine():
    return 1


def generator():
    yield 1


async def async_generator():
    yield 1


@wrapping
def wrapped():
    return "wrapped"


@hiding
def hidden():
    return "hidden"


@hiding
@with_options(a=1)
@wrapping
def hidden_thrice():
    return "hidden thrice"


@replacing
def replaced():
    return "replaced"


@functools.lru_cache
def cached(x):
    return x


@Command
def command():
    return "command"


@SlottedCommand
def slotted_command():
    return "slotted"


@functools.singledispatch
def dispatched(x):
    return x


bound_early = functools.partial(plain, 1)
alias = plain
nameless = lambda x: x  # noqa: E731


def outer(k):
    def inner(x):
        def innermost():
            return x + k

        return innermost()

    class Local:
        def method(self):
            return k

    return inner, Local


made = outer(1)[0]


class Base:
    def inherited(self):
        return 1


class Cart(Base):
    limit = 3

    def checkout(self, user):
        return [item + 1 for item in (user,)]

    @staticmethod
    def static():
        return 1

    @classmethod
    def class_method(cls):
        return cls

    @property
    def total(self):
        return 1

    @total.setter
    def total(self, value):
        pass

    @functools.cached_property
    def slow(self):
        return 1

    @functools.partialmethod
    def partly(self):
        return 1

    @hiding
    def hidden(self):
        return 1

    @classmethod
    @wrapping
    def both(cls):
        return cls

    class Item:
        def price(self):
            return 1


if Cart.limit:

    def twice():
        return "first"

    first_twice = twice

    def twice():
        return "second"


generated = {"__name__": "nowhere"}
exec("def generated_function(): return 1", generated)
generated_function = generated["generated_function"]
