"""Where secrets stand in a text, and in which forms they may come again.

Secret are: what follows a secret name and `=` or `:` (query strings, forms, multipart forms, JSON, also JSON inside
JSON, logs, headers, cookies, the `repr` of a dict), the second of a pair in brackets, what follows `--password `, an
XML element with a secret name, the password in a URL or DSN, credentials after Bearer and Basic, JWTs, card numbers,
private keys, what `curl -u` gives after a colon, and the key shapes of well-known services. Where the end of a secret is in doubt, more is taken rather
than less.

Pure functions; the time is linear in the text, which the caller bounds, and of separators and groups of digits the
first `MAX_PLACES` are looked at.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote_plus

from .secret_names import listed

MAX_PLACES = 400
"""`=` and `:`, and groups of digits, that are looked at in one text."""
MAX_SECRET = 4_096
MIN_CORE = 10
"""Characters of base64, 60 bits, that are enough not to be met by chance."""

# Every branch begins with a rare literal, so that sre skips from one candidate to the next.
_HINT = re.compile(
    r"%2|%3|J(?<=eyJ)|A(?<=AKIA)|A(?<=ASIA)|z(?<=AIz)|_(?<=gh[opsur]_)|_(?<=_pat_)|_(?<=[srp]k_)|_(?<=npm_)|_(?<=hf_)"
    r"|_(?<=whsec_)|_(?<=shp[a-z]{2}_)|_(?<=dop_v1_)|-(?<=glpat-)|-(?<=sk-)|-(?<=xox[a-z]-)|-(?<=pypi-)|-(?<=-----)"
    r"|</|'(?<=[\[(]')|'(?<=[\[(][bu]')|\"(?<=[\[(]\")|\"(?<=[\[(][bu]\")|\.(?<=ya29\.)|\.(?<=SG\.)|-(?<=--)(?=-?[A-Za-z])"
    r"|B(?=[eE][aA][rR][eE][rR])|b(?=[eE][aA][rR][eE][rR])|B(?=[aA][sS][iI][cC])|b(?=[aA][sS][iI][cC])"
)
_DIGITS = re.compile(r"[0-9](?:[ -]?[0-9]){12}")
_SHAPE = re.compile(
    r"(?P<pem>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----(?:[\s\S]*?-----END [A-Z0-9 ]{0,60}-----|[\s\S]*))"
    r"|(?<![A-Za-z0-9])(?:(?P<key>eyJ[\w-]{5,}(?:\.[\w-]*){1,4}|A[KS]IA[0-9A-Z]{12,}|AIza[\w-]{20,}|gh[opsur]_\w{16,}"
    r"|github_pat_\w{16,}|glpat-[\w-]{16,}|[srp]k_(?:live|test)_\w{6,}|sk-[\w-]{16,}|xox[a-z]-[\w-]{8,}|ya29\.[\w-]{8,}"
    r"|SG\.[\w-]{8,}\.[\w-]{8,}|npm_\w{20,}|hf_\w{16,}|pypi-[\w-]{16,}|whsec_\w{8,}|shp[a-z]{2}_\w{16,}|dop_v1_\w{16,})"
    r"|(?P<scheme>(?i:bearer|basic))(?:[ \t]|%20|\+)+(?P<credential>[^\s\"'<>,;&)\\]+))"
)
_RUN = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_GROUP = re.compile(r"[0-9]+")
_SEPARATOR = re.compile(r"[=:]|%(?:25){0,3}3[AaDd]")
# Read backwards from a separator: closing quotes and brackets, then up to three words.
_NAME_BACK = re.compile(
    r"[ \t]{0,8}((?:[\"'`\\\])]|[27]2(?:52){0,3}%)*)[ \t]{0,2}([\w.\-%$@\[(]+)((?: [\w\-]+){0,2})"
)
_NAME_START = re.compile(r"%(?:25){0,3}(?:26|3[BbDdFf]|2[CcFf])")
_VALUE = re.compile(r"[=:>]?[ \t]*(?:\r?\n[ \t]*(?=[\"'{\[]))?")
_QUOTE = re.compile(r"[bBuUrR]{0,2}(\\*)([\"'`])")
_LINE_END = re.compile(r"[\r\n]|\\+[rn]")
_FIELD_END = re.compile(r"[\s&;]|\\+[rn]")
_ENCODED_FIELD_END = re.compile(r"[\s&;]|\\+[rn]|%(?:25){0,3}26")
_NUMBER_END = re.compile(r"[\s,}\])]")
_BRACKET = re.compile(r"[\[{(]|[\]})]")
_QUOTED = re.compile(r"[\"']([^\"']{4,})[\"']")
_PAIR = re.compile(r"[(\[]\s{0,8}[bBuU]?([\"'])([\w.\- ]{2,64})\1\s{0,8},\s{0,8}[bBuU]?([\"'])")
_INTRODUCED = re.compile(
    r"(?<![\w-])(?:(\w{1,32})[ \t])?(\w[\w-]{1,64})(?=[ \t]{1,8}(?:(?:is|was|of|value)[ \t])?"
    r"[bBuU]?([\"'`]?)([^\s\"'`]{6,}))"
)
_OPTION = re.compile(r"(?<![\w-])--?([A-Za-z][\w-]{1,64})[ \t]+([^\s\"']+|\"[^\"]*\"?|'[^']*'?)")
_LOGIN = re.compile(
    r"(?<![\w-])(?:-[A-Za-z#]{0,8}[uU]|--(?:proxy-)?user)(?:[ \t]+|=)?"
    r"(?:(\\*[\"'])[^\"'\s:]{0,128}:(?P<quoted>(?:(?!\1).)+)|[^\s\"':]{0,128}:(?P<bare>[^\s\"']+))"
)
_ELEMENT = re.compile(r"<([\w:.-]{2,64})(?:\s[^<>]{0,256})?>([^<]+)")
_PART_NAME = re.compile(r"[ \t]*[\"']?([\w.\-\[\]]{1,64})")
_BLANK = re.compile(r"\r?\n\r?\n")
_BOUNDARY = re.compile(r"\r?\n--")
_DSN = re.compile(r"[^\s\"'<>/]{1,256}@[\w\[(]")
_AUTHORITY = re.compile(r"[^\s\"'<>`/?#\\]*")
_SLASHED = re.compile(r"[^/?#:@]*:([^/?#@]+)")
_URL = re.compile(r"[^\s\"'<>`\\]{0,1024}")
_ENCODED_URL = re.compile(r"%((?:25){0,3})3[Aa](?:/|%\1(?:2[Ff])){2}")
_ENCODED_MARK = re.compile(r"%((?:25){0,3})(?:3[AaFf]|40|2[Ff]|23)|[:@/?#&]")
_DELIMITER = re.compile(r"[\s&;,#\"'<>)\]}\\]")
_LIST_END = re.compile(r"[;&,\s]+")
_CODE_POINT = re.compile(r"\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_BASE64_BACK = re.compile(r"[A-Za-z0-9+/_-]*")
_UPPER_ESCAPE = re.compile(r"%[0-9A-F]{2}")

_SCHEMES = listed("bearer basic token digest negotiate apikey ntlm")
_NOT_USERS = listed("mailto sip sips xmpp acct email mail from to cc bcc")
_PROSE = listed(
    "token tokens auth authentication authorization scheme realm of the is was error format and or"
)
_NOTHING = listed("null None true false True False")


class Secret(NamedTuple):
    """Where a secret stands in a text, and what to look for later."""

    start: int
    stop: int
    text: str


Names = Callable[[str], bool]


def suspect(text: str) -> bool:
    """Tell whether a text needs to be searched by `find`: whether it has anything of what makes a secret."""
    if "=" in text or ":" in text:
        return True
    length = len(text)
    return (length > 7 and _HINT.search(text) is not None) or (
        length > 12 and _DIGITS.search(text) is not None
    )


def searched(text: str) -> int:
    """Return how many characters of a text `find` looks at."""
    if text.count("=") + text.count(":") + text.count("%") < MAX_PLACES:
        return len(text)
    for number, found in enumerate(_SEPARATOR.finditer(text)):
        if number >= MAX_PLACES:
            return found.start()
    return len(text)


def find(text: str, is_name: Names, is_phrase: Names) -> Iterator[Secret]:
    """Yield the secrets in a text; `is_name` and `is_phrase` tell which names are secret. They may overlap."""
    if _HINT.search(text) is not None:
        yield from _shapes(text)
        yield from _named_otherwise(text, is_name)
    if len(text) > 12 and _DIGITS.search(text) is not None:
        yield from _cards(text)
    if "curl" in text:
        for found in _LOGIN.finditer(text, text.index("curl")):
            group = "quoted" if found["bare"] is None else "bare"
            yield Secret(*found.span(group), found[group])
    done = 0
    for number, found in enumerate(_SEPARATOR.finditer(text)):
        if number >= MAX_PLACES:
            return
        if found.start() < done:
            continue
        if text.startswith("://", found.start()):
            secret = _userinfo(text, found.start() + 3)
        elif text[found.start()] == "%" and (url := _ENCODED_URL.match(text, found.start())):
            secret = _encoded_userinfo(text, url.end(), url[1])
        else:
            secret = _after(text, found.start(), found.end(), is_name, is_phrase)
        if secret is not None:
            done = secret.stop
            yield secret


def is_card(digits: str) -> bool:
    """Tell whether digits are those of a payment card: 13 to 19, an issuer's first digit, a right check digit.

    Nanosecond and millisecond timestamps begin with 1 and are none.
    """
    if not 13 <= len(digits) <= 19 or digits[0] not in "23456":
        return False
    if digits[0] == "2" and not (len(digits) == 16 and "2221" <= digits[:4] <= "2720"):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = ord(digit) - 48
        if place & 1:
            number = number * 2 - 9 if number > 4 else number * 2
        total += number
    return total % 10 == 0


def credentials(secret: str) -> Iterator[str]:
    """Yield a secret text and the parts of it that are secret alone."""
    secret = secret[:MAX_SECRET]
    scheme, _, value = secret.strip().partition(" ")
    if value and scheme.lower() in _SCHEMES:
        secret = value.strip()
    yield secret
    figures = secret.replace(" ", "").replace("-", "")
    if figures.isdigit():
        yield figures
        return
    if scheme.lower() == "basic" and (decoded := _basic(value)):
        yield decoded
        yield decoded.partition(":")[2]
    elif secret.startswith("-----BEGIN"):
        yield from secret.replace("\\n", "\n").split("\n")[1:3]
        return
    first = _DELIMITER.split(secret.strip(), maxsplit=1)[0]
    if first != secret:
        yield first
        yield secret.rstrip(".,;:)]}>'\" ")
    if "=" in secret:
        for pair in _LIST_END.split(secret)[:32]:
            _, equals, item = pair.partition("=")
            if equals and len(item) >= 8:
                yield item.strip("\"'")


def forms(part: str) -> Iterator[str]:
    """Yield how a text looks percent-encoded and decoded, and escaped and unescaped as in JSON and in a `repr`."""
    yield unquote_plus(part)
    yield part.replace("+", " ")  # half decoded, as between the two steps of urllib's parse_qsl
    yield part.replace('"', '\\"')
    yield "".join(f"\\u{ord(c):04x}" if c > "~" else c for c in part)
    yield repr(part)[1:-1]
    if "\\" in part:
        plain = _CODE_POINT.sub(lambda escape: chr(int(escape[1] or escape[2], 16)), part)
        yield plain.replace('\\"', '"').replace("\\'", "'").replace("\\/", "/").replace("\\\\", "\\")
    for quoted in (
        quote(part, "", errors="replace"),
        quote_plus(part, "", errors="replace"),
        quote(part, errors="replace"),
        quote(part, " ", errors="replace"),
    ):
        yield quoted
        yield _UPPER_ESCAPE.sub(lambda escape: escape[0].lower(), quoted)


def base64_cores(secret: bytes) -> Iterator[str]:
    """Yield what every base64 text has in it whose content has `secret` in it, at each of the three offsets."""
    for before in range(3):
        core = b64encode(b"\0" * before + secret).decode("ascii").rstrip("=")
        # Characters that carry bits of what stands before and after differ from one text to the next.
        core = core[(0, 2, 3)[before] : len(core) if (before + len(secret)) % 3 == 0 else -1]
        if len(core) >= MIN_CORE:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def base64_run(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return where the base64 text around a core begins and ends."""
    before = _BASE64_BACK.match(text[max(0, start - MAX_SECRET) : start][::-1])
    after = _BASE64.match(text, stop)
    return start - (before.end() if before else 0), after.end() if after else stop


def _shapes(text: str) -> Iterator[Secret]:
    for found in _SHAPE.finditer(text):
        if found["scheme"] is None:
            yield Secret(*found.span(), found[0])
        elif _is_credential(found["scheme"], found["credential"]):
            yield Secret(*found.span("credential"), f"{found['scheme']} {found['credential']}")


def _named_otherwise(text: str, is_name: Names) -> Iterator[Secret]:
    """Yield what a name introduces without `=` or `:`."""
    for found in _PAIR.finditer(text) if "," in text else ():
        if is_name(found[2]):
            stop = _closing(text, found.end(), 0, found[3])
            yield Secret(found.end(), stop, text[found.end() : stop])
    for found in _OPTION.finditer(text) if "-" in text else ():
        if is_name(found[1]):
            yield Secret(*found.span(2), found[2].strip("\"'"))
    for found in _ELEMENT.finditer(text) if "</" in text else ():
        if is_name(found[1].rpartition(":")[2]):
            yield Secret(*found.span(2), found[2])


def introduced(text: str, is_name: Names) -> Iterator[str]:
    """Yield what a secret name introduces in prose: `invalid token 5f3a…`, `API key 'x…' has expired`.

    For messages only: in other texts a word after `token` is as likely to be a word.
    """
    for found in _INTRODUCED.finditer(text):
        value = found[4].rstrip(".,;:!?)")
        if (found[3] or not value.isalpha()) and (is_name(found[2]) or is_name(f"{found[1]} {found[2]}")):
            yield value


def _after(text: str, at: int, start: int, is_name: Names, is_phrase: Names) -> Secret | None:
    """Return the secret that the separator at `at` introduces; its value begins at or after `start`."""
    name = _NAME_BACK.match(text[max(0, at - 96) : at][::-1])
    if name is None:
        return None
    closing, last, before = name[1], _NAME_START.split(name[2][::-1])[-1], name[3][::-1]
    if last == "name" and "form-data" in text[max(0, at - 64) : at]:
        return _form_part(text, start, is_name)
    if not is_name(last) and not (before and is_phrase(before + " " + last)):
        if text[at] == ":" and (dsn := _DSN.match(text, start)) and last.lower() not in _NOT_USERS:
            return Secret(start, dsn.end() - 2, text[start : dsn.end() - 2])
        return None
    value = _VALUE.match(text, start)
    start = value.end() if value is not None else start
    quoted = _QUOTE.match(text, start)
    if quoted is not None:
        start, stop = quoted.end(), _closing(text, quoted.end(), len(quoted[1]), quoted[2])
    elif text.startswith(("{", "[", "("), start):
        stop = _bracket(text, start)
    elif text[at] == ":":
        stop = _first(_NUMBER_END if closing else _LINE_END, text, start)
    else:
        # After a plain `=` an encoded `&` belongs to the value.
        end = _ENCODED_FIELD_END if text[at] == "%" else _FIELD_END
        stop = _first(end, text, start)
        if text[start:stop].lower() in _SCHEMES:
            stop = _first(end, text, stop + 1)
    part = text[start:stop]
    return Secret(start, stop, part) if part and part not in _NOTHING else None


def inner(part: str) -> list[str]:
    """Return the quoted texts in a secret that is a structure, such as `{"a": "b"}`."""
    return _QUOTED.findall(part)[:32] if part[:1] in ("{", "[", "(") else []


def _form_part(text: str, start: int, is_name: Names) -> Secret | None:
    """Return the value of a part of a multipart form whose name begins at `start`, if that is secret."""
    name = _PART_NAME.match(text, start)
    if name is None or not is_name(name[1]):
        return None
    blank = _BLANK.search(text, name.end(), name.end() + 512)
    start = name.end() if blank is None else blank.end()
    stop = _first(_BOUNDARY, text, start)
    return Secret(start, stop, text[start:stop]) if stop > start else None


def _first(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.search(text, start)
    return len(text) if found is None else found.start()


def _closing(text: str, start: int, level: int, mark: str) -> int:
    """Return where the quote that was opened before `start`, behind `level` backslashes, closes; else the end."""
    at = text.find(mark, start)
    while at >= 0:
        slashes = at
        while slashes > start and text[slashes - 1] == "\\":
            slashes -= 1
        count = at - slashes
        if (level == 0 and count % 2 == 0) or 0 < count <= level:
            return slashes if level else at
        at = text.find(mark, at + 1)
    return len(text)


def _bracket(text: str, start: int) -> int:
    """Return the end of what the bracket at `start` opens; brackets in quotes count too, so rather too far."""
    depth = 0
    for found in _BRACKET.finditer(text, start):
        depth += 1 if found[0] in "[{(" else -1
        if depth == 0:
            return found.end()
    return len(text)


def _cards(text: str) -> Iterator[Secret]:
    places = MAX_PLACES
    for run in _RUN.finditer(text):
        if run.end() - run.start() < 13:
            continue
        groups = [group.span() for group in _GROUP.finditer(text, *run.span())]
        done = 0
        for number, (start, _) in enumerate(groups):
            places -= 1
            if places < 0:
                yield Secret(start, len(text), "")  # what is not looked at is not shown
                return
            if (
                start < done
                or text[start] not in "23456"
                or (start > 1 and text[start - 1] == "." and text[start - 2].isdigit())
            ):
                continue
            digits = ""
            for group, stop in groups[number : number + 19]:
                digits += text[group:stop]
                if len(digits) > 19:
                    break
                if is_card(digits):
                    yield Secret(start, stop, text[start:stop])
                    done = stop
                    break


def _userinfo(text: str, start: int) -> Secret | None:
    """Return the password of a URL whose authority begins at `start`, or its user where that stands alone."""
    authority = _AUTHORITY.match(text, start)
    run = "" if authority is None else authority[0]
    at = run.rfind("@")
    if at < 0:
        # A password with a raw slash in it; the port of `host:8080/x@y` is none.
        host = _SLASHED.match(run)
        if host is None or host[1].isdigit():
            return None
        url = _URL.match(text, start)
        run = "" if url is None else url[0]
        at = run.rfind("@")
        if at < 0:
            return None
    user, colon, password = run[:at].partition(":")
    if colon:
        return Secret(start + len(user) + 1, start + at, password) if password else None
    # A lone user is often the name of an account (`ssh://git@`): hidden here, but looked for only when it is long.
    return Secret(start, start + at, user if len(user) >= 16 else "") if user else None


def _encoded_userinfo(text: str, start: int, level: str) -> Secret | None:
    """Return the password of a percent-encoded URL, `level` is the `25`s of its encoding, or its lone user."""
    run = _URL.match(text, start)
    colon = at = -1
    after = start
    for found in _ENCODED_MARK.finditer(text, start, start if run is None else run.end()):
        if found[0][0] == "%" and found[1] != level:
            continue
        mark = found[0][-2:].upper()
        if mark == "3A" or mark[-1] == ":":
            if colon < 0:
                colon, after = found.start(), found.end()
        elif mark == "40" or mark[-1] == "@":
            at = found.start()
        else:
            break
    if at < after:
        return None
    part = text[after:at]
    return Secret(after, at, part if colon >= 0 or len(part) >= 16 else "") if part else None


def _is_credential(scheme: str, value: str) -> bool:
    if scheme.lower() == "bearer":
        return value.lower().strip(".:!?") not in _PROSE and not value.startswith("realm=")
    return _basic(value) is not None or (
        len(value) >= 8 and (value.endswith("=") or any(map(str.isdigit, value)))
    )


def _basic(value: str) -> str | None:
    """Return the `user:password` in the credential of a Basic header."""
    value = value.strip()
    try:
        decoded = b64decode(value + "=" * (-len(value) % 4), validate=True).decode()
    except (Base64Error, UnicodeDecodeError, ValueError):
        return None
    return decoded if ":" in decoded and decoded.isprintable() else None
