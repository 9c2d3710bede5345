"""Decorators as libraries write them: with and without `wraps`, as classes, and one that leaves no trace."""

import functools


def wrapping(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def hiding(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def with_options(**options):
    def decorate(function):
        def wrapper(*args):
            return options and function(*args)

        return wrapper

    return decorate


REGISTRY = {}


def replacing(function):
    """The original is held by the registry only; what the attribute holds does not lead to it."""
    REGISTRY[function.__name__] = function

    def replacement(*args):
        return REGISTRY["replaced"](*args)

    return replacement


class Command:
    def __init__(self, callback):
        self.callback = callback

    def __call__(self, *args):
        return self.callback(*args)


class SlottedCommand:
    __slots__ = ("callback",)

    def __init__(self, callback):
        self.callback = callback
