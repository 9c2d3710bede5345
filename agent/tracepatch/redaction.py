"""Replace the secrets of one trace before anything of them is kept.

`secret_names` says which names are secret, `secret_texts` what in a text is. What was redacted once is redacted
wherever it comes again in the same trace, in its plain, percent-encoded and escaped forms: the first `MAX_PARTS`
texts of at least `MIN_PART` characters as a part of other texts, later ones (up to `MAX_WORDS`) as whole words, shorter
ones only as whole values, integers as whole values and words. Words such as `true` that say nothing (`COMMON`) are
not remembered. What was captured before its secret was known stays as it is; capture therefore reads what stands under
secret names first.

Concurrency: one `Redactor` per trace, called by every thread that the trace runs on, inside interpreter callbacks;
no locks: each change is one append or one set operation. It does not raise for exact `str`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .secret_names import MAX_NAME, is_predicate, is_secret, is_secret_phrase, listed, words
from .secret_texts import (
    base64_cores,
    base64_run,
    credentials,
    find,
    forms,
    inner,
    introduced,
    is_card,
    searched,
    suspect,
)

REDACTED = "[redacted]"
MIN_PART = 4
MAX_PARTS = 128
"""Texts, their encoded forms among them, that are looked for in every other text: about 30 ns each."""
MAX_CORES = 64
"""Texts that are looked for as the inside of base64, each in up to six forms."""
MAX_WORDS = 4_096
MAX_REMEMBERED = 1_024
"""Characters of a remembered text; a longer one is known by its beginning."""
MIN_NUMBER = 1_000
SMALL = (1 << 30) - 1
"""Far below card numbers, and of one digit in CPython, which makes comparing fast."""
MAX_NAMES = 4_096
MAX_CLEAN = 1_024
CLEAN_LENGTH = 128
"""Texts up to this length, `MAX_CLEAN` of them, are remembered as free of secrets."""

COMMON = listed("""
    none null true false undefined bearer basic digest token password secret cookie string unknown default nil empty
    unexpected expected invalid missing required expired found must this field error not provided failed
    redacted [redacted] object bytes dict list tuple text value name type http https localhost
    """)
_TOKEN = re.compile(r"[^\s&;,=:'\"<>()\[\]{}\\]+")


@dataclass(frozen=True, kw_only=True)
class RedactionPolicy:
    """What the owner of the process adds; nothing that a controller sends changes it.

    `enabled=False` shows everything: for policy files that say so, and for tests that prove they can fail.
    """

    enabled: bool = True
    extra_names: tuple[str, ...] = ()


DEFAULT = RedactionPolicy()


class Redactor:
    """What is secret in one trace, and what of it was seen."""

    __slots__ = (
        "_clean", "_cores", "_extra", "_numbers", "_parts", "_remembered", "_whole", "_words",
        "enabled", "high", "low", "names", "numeric", "plain", "plain_names", "plain_naming", "wary",
    )  # fmt: skip

    def __init__(self, policy: RedactionPolicy = DEFAULT) -> None:
        self.enabled = policy.enabled
        self.wary = False
        """Whether any text is remembered."""
        self.numeric = False
        """Whether any number is remembered."""
        self.low, self.high = -SMALL, SMALL
        """Integers from one to the other are no secrets."""
        self.plain: set[str] = set()
        """Texts that `UsualReader` shows as they are; a new set whenever something is remembered."""
        self.plain_names: set[str] = set()
        """Names of that kind that make no value secret."""
        self.plain_naming: set[str] = set()
        """Names of that kind whose value may be the name of a secret."""
        self.names: dict[str, bool] = {}
        """What `names_secret` answered, for callers that cannot afford a call."""
        self._extra = frozenset("".join(words(name)) for name in policy.extra_names) - {""}
        self._clean: set[str] = set()
        self._remembered: set[str] = set()
        self._parts: list[str] = []
        self._cores: list[str] = []
        self._words: set[str] = set()
        self._whole: set[str] = set()
        self._numbers: set[str] = set()

    # -- names

    def names_secret(self, name: str) -> bool:
        """Tell whether `name`, an exact `str`, names a secret; asked once for each name of the trace."""
        known = self.names.get(name)
        if known is None:
            known = self.enabled and is_secret(name, self._extra)
            if len(self.names) < MAX_NAMES and len(name) <= MAX_NAME:
                self.names[name] = known
        return known

    def returns_secret(self, name: str, text: bool) -> bool:
        """Tell whether what a function of this name returns is secret; `text` says that it is text."""
        return self.names_secret(name) and (text or not is_predicate(name))

    def _phrase(self, text: str) -> bool:
        return is_secret_phrase(text, self._extra)

    # -- what was seen

    def remember(self, secret: str) -> None:
        """Redact `secret`, and what it holds of credentials, wherever it comes again in this trace."""
        if not self.enabled or secret in self._remembered:
            return
        for number, part in enumerate(credentials(secret)):
            if number and len(part) < MIN_PART:
                continue
            if not self._add(part):
                continue
            self.remember_bytes(part.encode("utf-8", "replace"))
            if len(part) >= MIN_PART and not (part.isascii() and part.isalnum()):
                for form in forms(part[:MAX_REMEMBERED]):
                    self._add(form)
        for part in inner(secret):
            self._add(part)
        if len(secret) <= MAX_REMEMBERED and len(self._remembered) < MAX_WORDS:
            self._remembered.add(secret)

    def heed(self, message: str) -> None:
        """Remember what the prose of an exception's message calls a secret."""
        if self.enabled:
            for part in introduced(message, self.names_secret):
                self.remember(part)

    def remember_bytes(self, secret: bytes) -> None:
        """Redact base64 that has this secret in it, as in a Basic credential or a token made of random bytes."""
        if self.enabled and len(set(secret)) > 3:
            for core in base64_cores(secret[:MAX_REMEMBERED]):
                if len(self._cores) < MAX_CORES and core not in self._cores:
                    self._cores.append(core)
                    self._look_again()

    def remember_number(self, number: int) -> None:
        """Redact an integer of four digits or more wherever it comes again as a whole value or word."""
        if self.enabled and not -MIN_NUMBER < number < MIN_NUMBER and -(1 << 64) < number < 1 << 64:
            self._add_number(str(number))

    def _add(self, part: str) -> bool:
        """Remember a text and tell whether it is worth it."""
        part = part.strip()[:MAX_REMEMBERED]
        if not part or part.lower() in COMMON or len(set(part)) == 1 or not any(map(str.isalnum, part)):
            return False
        if part.isdigit() and len(part) >= MIN_PART:
            self._add_number(part)
        if len(part) < MIN_PART:
            if len(self._whole) < MAX_WORDS:
                self._whole.add(part)
        elif part in self._parts or part in self._words:
            return True
        elif len(self._parts) < MAX_PARTS:
            self._parts.append(part)
        elif len(self._words) < MAX_WORDS:
            self._words.add(part)
        self._look_again()
        return True

    def _add_number(self, figures: str) -> None:
        if len(self._numbers) < MAX_WORDS:
            self._numbers.add(figures)
            self._words.add(figures)
        self.numeric = True
        self.low, self.high = 1 - MIN_NUMBER, MIN_NUMBER - 1
        self._look_again()

    def _look_again(self) -> None:
        """What was free of secrets may not be any more."""
        self._clean = set()
        self.plain = set()
        self.plain_names = set()
        self.plain_naming = set()
        self.wary = True

    def number(self, number: int) -> bool:
        """Tell whether an integer is secret: a card number, or one that was seen under a secret name."""
        if not self.enabled:
            return False
        if self.numeric and -(1 << 64) < number < 1 << 64 and str(number) in self._numbers:
            return True
        return 10**12 <= number < 10**19 and is_card(str(number))

    # -- texts

    def clean(self, text: str) -> bool:
        """Tell quickly that nothing in `text` can be secret; False says only that `redact` must look.

        About 100 ns for a text that was asked about before, below 1 µs for a short new one.
        """
        clean = self._clean
        if text in clean or not self.enabled:
            return True
        if suspect(text) or (self.wary and self.seen(text)):
            return False
        if len(text) <= CLEAN_LENGTH and len(clean) < MAX_CLEAN:
            clean.add(text)
        return True

    def seen(self, text: str) -> bool:
        """Tell whether anything that was remembered is in a text."""
        if text in self._whole or text in self._words:
            return True
        for part in self._parts:
            if part in text:
                return True
        for core in self._cores:
            if core in text:
                return True
        return bool(self._words) and not self._words.isdisjoint(_TOKEN.findall(text))

    def redact(self, text: str, upto: int) -> tuple[str, int, bool]:
        """Return `text` up to `upto` with its secrets replaced, how many there were, and whether that is all of it.

        What follows `upto` is looked at and left out; so is what is beyond the bound of the search. A text that is
        secret as a whole comes back as `REDACTED` alone. Remembers the secrets.
        """
        length = len(text)
        clean = self._clean
        if not self.enabled or text in clean:
            return text[:upto], 0, upto >= length
        if text in self._whole or text in self._words:
            return REDACTED, 1, True
        upto = min(upto, searched(text))
        spans: list[tuple[int, int]] = []
        for start, stop, part in find(text, self.names_secret, self._phrase):
            spans.append((start, stop))
            self.remember(part)
        for part in self._parts:
            at = text.find(part)
            while at >= 0:
                # Of a text that was too long only the beginning is known: what follows is taken as well.
                stop = at + len(part) if len(part) < MAX_REMEMBERED else length
                spans.append((at, stop))
                at = text.find(part, stop)
        for core in self._cores:
            at = text.find(core)
            while at >= 0:
                spans.append(base64_run(text, at, at + len(core)))
                at = text.find(core, spans[-1][1])
        if self._words:
            spans.extend(found.span() for found in _TOKEN.finditer(text) if found[0] in self._words)
        if spans:
            return (*_replaced(text, sorted(spans), upto), upto >= length)
        if length <= CLEAN_LENGTH and len(clean) < MAX_CLEAN:
            # Into the set of before: what another thread remembered meanwhile has replaced it.
            clean.add(text)
        return text[:upto], 0, upto >= length


def _replaced(text: str, spans: list[tuple[int, int]], end: int) -> tuple[str, int]:
    """Return `text` up to `end` with what stands in sorted spans replaced, and by how many marks."""
    shown: list[str] = []
    count = done = 0
    for start, stop in spans:
        if start >= end:
            break
        if start >= done and start < stop:
            shown += (text[done:start], REDACTED)
            count += 1
        done = max(done, stop)
    shown.append(text[done:end])
    whole = "".join(shown)
    if count and not whole.replace(REDACTED, "").strip(" \t\r\n\"'"):
        return REDACTED, count
    return whole, count
