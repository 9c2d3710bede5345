"""Which names are those of secrets.

A name is secret when one of its words, or two or three neighbouring words together, stand in `SECRET`, or when a word
ends in one of `ENDINGS` (`csrfmiddlewaretoken`). Words are what is left after splitting at everything that is no
letter and at camelCase, so `X-Api-Key`, `api_key`, `apiKey` and `APIKEY` are one name, while `tokenizer`,
`secretary` and `author` are others. `EXACT` holds words that count only as the whole name. A name about tokens that
also counts or describes them (`max_tokens`, `token_count`, `token_type`) is not secret.
"""

from __future__ import annotations

import re

MAX_NAME = 256
"""Of a longer name the beginning and the end are looked at."""


def listed(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


SECRET = listed("""
    password passwd passwort passcode passphrase passkey pwd htpasswd
    userpass dbpass smtppass loginpass adminpass rootpass proxypass mysqlpass pgpass mypass basicpass
    secret token jwt bearer credential cred creds authorization cookie
    apikey appkey accesskey secretkey privatekey privkey signingkey encryptionkey decryptionkey masterkey sessionkey
    sharedkey authkey accountkey storagekey servicekey consumerkey licensekey deploykey sshkey gpgkey pgpkey hmackey
    aeskey rsakey saskey clientkey hmac keypair seedphrase mnemonic
    basicauth httpauth proxyauth xauth authheader digestauth
    sessionid sessid phpsessid jsessionid connectsid csrf xsrf signature hmacsignature connectionstring
    otp totp mfacode authcode codeverifier verificationcode pincode pinnumber userpin cardpin
    securitycode securityanswer securityquestion recoverycode backupcode
    cvv cvc cvn cardnumber cardno cardnum creditcard debitcard ccnumber ccnum ccno
    ssn socialsecurity nationalid taxid passportnumber passportno
    accountnumber routingnumber iban bankaccount pemfile keyfile
    """)
EXACT = listed("auth oauth pass pw pin pan sid sig salt sas userinfo")
ENDINGS = (
    "password", "passwd", "passphrase", "passcode", "token", "secret", "cookie", "credential", "apikey", "secretkey",
    "accesskey", "privatekey", "sessionid", "cardnumber",
)  # fmt: skip
COUNTING = listed("""
    max min maximum minimum num number n nb count counts counter total limit limits budget usage used per length len
    size index idx position pos type types kind prompt completion vocab bos eos pad unk sep mask cls special rate bucket
    expires expiry expiration ttl lifetime url uri endpoint
    """)
COUNTING_MANY = listed("input output cached reasoning batch cost price remaining")
"""These describe `tokens`, while an `input_token` may be one."""
PREDICATES = listed("check validate verify is has have needs requires matches can revoke invalidate count")
"""A function whose name begins so answers a question about a secret; only text that it returns is secret."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def words(name: str) -> list[str]:
    """Return the words of a name in lower case, known ones in the singular."""
    found = []
    for word in _WORD.findall(_ESCAPE.sub(" ", name)):
        word = word.lower()
        if word[-1] == "s" and (word[:-1] in SECRET or word[:-1].endswith(ENDINGS)):
            word = word[:-1]
        found.append(word)
    return found


def is_secret(name: str, extra: frozenset[str] = frozenset()) -> bool:
    """Tell whether a name is secret; `extra` holds further names, their words joined. About 3 µs."""
    if len(name) > MAX_NAME:
        name = f"{name[: MAX_NAME // 2]} {name[-MAX_NAME // 2 :]}"
    parts = words(name)
    if len(parts) == 1 and parts[0] in EXACT:
        return True
    counting = not COUNTING.isdisjoint(parts)
    counting = counting or ("tokens" in name.lower() and not COUNTING_MANY.isdisjoint(parts))
    for start, word in enumerate(parts):
        if word == "token" and counting:
            continue
        if word.endswith(ENDINGS) or word.startswith("password"):
            return True
        if any(_known(joined, extra) for joined in _joined(parts[start : start + 3])):
            return True
    return False


def is_secret_phrase(text: str, extra: frozenset[str] = frozenset()) -> bool:
    """Tell whether a text ends in a secret name of two or three words, as `Your API key` does."""
    parts = words(text)[-3:]
    return len(parts) > 1 and any(_known(joined, extra) for joined in ("".join(parts[-2:]), "".join(parts)))


def is_predicate(name: str) -> bool:
    """Tell whether a function of this name answers a question (`check_password`)."""
    parts = words(name)
    return bool(parts) and parts[0] in PREDICATES


def _joined(parts: list[str]) -> list[str]:
    return ["".join(parts[: count + 1]) for count in range(len(parts))]


def _known(joined: str, extra: frozenset[str]) -> bool:
    if joined in SECRET or joined in extra:
        return True
    return joined[-1] == "s" and (joined[:-1] in SECRET or joined[:-1] in extra)
