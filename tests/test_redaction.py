"""Which names and texts are secret, and that a secret seen once is hidden from then on."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracepatch.redaction import MAX_PARTS, REDACTED, RedactionPolicy, Redactor
from tracepatch.secret_texts import is_card

SECRET = "hunter2-Zq9"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA75\nq83vEjRWeJCrze8SNF\n-----END RSA PRIVATE KEY-----"
CARDS = (
    "4111111111111111",
    "5500005555555559",
    "378282246310005",
    "6011000990139424",
    "30569309025904",
    "2223003122003222",
)


def redact(text, redactor=None):
    return (redactor or Redactor()).redact(text, len(text))[0]


SECRET_NAMES = """
    password passwd pwd Password PASSWORD passphrase client_secret db_password dbPassword user_password_hash HTTP_COOKIE
    X-Api-Key api.key apiKey APIKey apikey API_KEYS accessToken access-token csrfmiddlewaretoken id_token _token __token
    _User__password password1 newPassword Authorization HTTP_AUTHORIZATION Proxy-Authorization cookie cookies Set-Cookie
    session_id sessionId PHPSESSID credentials aws_secret_access_key private_key privateKey cvv ssn card_number cardNumber
    credit_card creditCardNumber auth pin user[password] user%5Bpassword%5D secrets JWT otp connection_string iban
    smtp_pass DB_PASS
    """


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_names_that_are_secret(name):
    assert Redactor().names_secret(name)


HARMLESS_NAMES = """
    tokenizer tokenize detokenized secretary author authors passenger compass bypass passed max_tokens token_count
    total_tokens prompt_tokens tokens_per_second token_type n_tokens keyboard key keys primary_key monkey session name
    user username description pinned spin company shipping expand panel assignment salty cookiecutter authority
    unauthorized design resident inside
    """


@pytest.mark.parametrize("name", HARMLESS_NAMES.split())
def test_names_that_are_not(name):
    assert not Redactor().names_secret(name)


def test_policy_adds_names_and_can_turn_redaction_off():
    redactor = Redactor(RedactionPolicy(extra_names=("patient-id", "diagnosis")))
    assert redactor.names_secret("patientId")
    assert redactor.names_secret("main_diagnosis")
    assert redactor.names_secret("password")
    assert not Redactor().names_secret("patient_id")
    off = Redactor(RedactionPolicy(enabled=False))
    off.remember(SECRET)
    assert not off.names_secret("password")
    assert off.clean(f"password={SECRET}")
    assert redact(f"password={SECRET}", off) == f"password={SECRET}"
    assert not off.number(4111111111111111)


def test_function_names():
    redactor = Redactor()
    assert redactor.returns_secret("get_token", True)
    assert redactor.returns_secret("get_token", False)
    assert redactor.returns_secret("password", False)
    assert not redactor.returns_secret("tokenize", True)
    assert redactor.returns_secret("check_password", True)
    assert not redactor.returns_secret("check_password", False)


TEXTS = {
    "query": f"user=a&password={SECRET}&page=2",
    "url": f"https://shop.example/login?user=a&token={SECRET}#top",
    "encoded query": "next=" + urllib.parse.quote(f"/login?password={SECRET}&page=2", safe=""),
    "twice encoded": "u="
    + urllib.parse.quote(urllib.parse.quote(f"/a?api_key={SECRET}&b=1", safe=""), safe=""),
    "rails form": f"user%5Bpassword%5D={SECRET}&user%5Bname%5D=a",
    "json": json.dumps({"user": "a", "password": SECRET, "page": 2}),
    "compact json": json.dumps({"user": "a", "password": SECRET, "page": 2}, separators=(",", ":")),
    "pretty json": json.dumps({"user": "a", "password": SECRET, "page": 2}, indent=2),
    "json in json": json.dumps({"body": json.dumps({"user": "a", "api_key": SECRET, "page": 2})}),
    "json in json in json": json.dumps([json.dumps({"b": json.dumps({"api_key": SECRET, "page": 2})})]),
    "json structure": json.dumps({"credentials": {"user": "a", "value": SECRET}, "page": 2}),
    "repr of dict": repr({"user": "a", "password": SECRET, "page": 2}),
    "repr of bytes": repr({b"user": b"a", b"password": SECRET.encode()}),
    "repr of headers": repr([(b"host", b"shop"), (b"x-api-key", SECRET.encode())]),
    "repr of object": f"<Login user='a' password='{SECRET}' page=2>",
    "repr of call": f"login(user, password={SECRET})",
    "header": f"GET / HTTP/1.1\r\nHost: shop\r\nX-Api-Key: {SECRET}\r\nAccept: */*\r\n\r\n",
    "authorization": f"Host: shop\nAuthorization: Digest username=a, response={SECRET}\nAccept: */*",
    "cookie": f"Host: shop\r\nCookie: theme=dark; sid=1; cart={SECRET}; x=y\r\nAccept: */*",
    "set-cookie": f"Set-Cookie: sessionid={SECRET}; Path=/; HttpOnly",
    "escaped headers": repr(f"Host: shop\r\nX-Auth-Token: {SECRET}\r\nAccept: */*"),
    "log": f"2024-01-01 12:00:00 INFO login user=a password={SECRET} took=3ms",
    "log with colon": f"login failed, password: {SECRET}, user: a",
    "spaced": f"password = {SECRET}",
    "sql": f"ALTER USER a WITH PASSWORD = '{SECRET}'",
    "yaml": f"db:\n  password: {SECRET}\n  host: shop",
    "environment": f"os.environ['DB_PASSWORD'] = '{SECRET}'",
    "phrase": f"Your API key: {SECRET}",
    "option": f"mysql --user a --password {SECRET} shop",
    "option with =": f"mysql --password={SECRET} shop",
    "xml": f"<Login><User>a</User><wsse:Password Type='text'>{SECRET}</wsse:Password></Login>",
    "multipart": f'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n{SECRET}\r\n--b--\r\n',
    "dsn": f"postgresql://app:{SECRET}@db.example:5432/shop?sslmode=require",
    "dsn without user": f"redis://:{SECRET}@cache:6379/0",
    "dsn with slash": f"amqp://app:{SECRET}/x@queue/shop",
    "dsn with at": f"amqp://app:{SECRET}@x@queue/shop",
    "dsn without scheme": f"app:{SECRET}@tcp(db:3306)/shop",
    "token as user": f"https://{SECRET}-and-more@git.example/shop.git",
    "bearer": f"curl with Bearer {SECRET} now",
    "bearer in lower case": f"sent bearer {SECRET}",
    "curl": f"curl -s -u ann:{SECRET} https://shop.example/",
    "curl option at its value": f"/usr/bin/curl -suann:{SECRET} https://shop.example/",
    "curl in quotes": f"sh -c \"curl --user 'ann:{SECRET} and more' https://shop.example/\"",
    "curl in json": json.dumps({"run": f'curl --proxy-user "ann:{SECRET}" https://shop.example/'}),
    "odbc": f"Server=db;Uid=a;Pwd={SECRET};Database=shop",
}


@pytest.mark.parametrize("way", TEXTS)
def test_texts(way):
    shown, count, _ = Redactor().redact(TEXTS[way], len(TEXTS[way]))
    assert SECRET not in shown
    assert REDACTED in shown
    assert count
    assert (
        SECRET in Redactor(RedactionPolicy(enabled=False)).redact(TEXTS[way], len(TEXTS[way]))[0]
        or "encoded" in way
    )


WITHIN = ("dsn with slash", "dsn with at", "token as user", "curl in quotes")
"""Here `SECRET` is only a part of the secret."""


@pytest.mark.parametrize("way", [way for way in TEXTS if way not in WITHIN])
def test_what_a_text_held_is_hidden_later(way):
    redactor = Redactor()
    redact(TEXTS[way], redactor)
    assert not redactor.clean(f"<{SECRET}>")
    assert SECRET not in redact(f"ValueError: cannot use <{SECRET}> here", redactor)


def test_what_is_beside_a_secret_stays():
    assert redact(f"user=a&password={SECRET}&page=2") == "user=a&password=[redacted]&page=2"
    assert redact(TEXTS["json"]) == '{"user": "a", "password": "[redacted]", "page": 2}'
    assert redact(TEXTS["dsn"]) == "postgresql://app:[redacted]@db.example:5432/shop?sslmode=require"
    assert (
        redact(TEXTS["header"])
        == "GET / HTTP/1.1\r\nHost: shop\r\nX-Api-Key: [redacted]\r\nAccept: */*\r\n\r\n"
    )
    assert json.loads(redact(TEXTS["json in json"])) == {
        "body": '{"user": "a", "api_key": "[redacted]", "page": 2}'
    }


@pytest.mark.parametrize("shape", [
    TOKEN, PEM, "AKIAIOSFODNN7EXAMPLE", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "xoxb-1234567890-abcdefGHIJ", "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY", "glpat-abcdefghij0123456789",
    *CARDS, "4111 1111 1111 1111", "4111-1111-1111-1111",
])  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "see {} there", "x\n{}", "({})", "a={};b=1"])
def test_shapes(shape, around):
    redactor = Redactor()
    text = around.format(shape)
    assert not redactor.clean(text)
    shown = redact(text, redactor)
    assert shape not in shown
    assert (shown == REDACTED) is (around == "{}")
    for line in shape.split("\n"):
        assert line not in shown


def test_basic_credentials_give_away_their_password_later():
    redactor = Redactor()
    credential = base64.b64encode(f"alice:{SECRET}".encode()).decode()
    assert redact(f"Basic {credential}", redactor) == f"Basic {REDACTED}"
    assert redact(f"alice logs in with {SECRET}", redactor) == f"alice logs in with {REDACTED}"
    assert credential not in redact(f"again {credential}", redactor)


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox", "/api/v1/orders/12345678", "a plain sentence; with, punctuation!", "2024-01-01T12:30:45+00:00",
        "http://localhost:8080/a@b?c=d", "mailto:bob@example.com", "alice@example.com", "user=bob&page=2", "Host: example.com",
        '{"name": "bob", "n": 12}', "Basic usage of the tool", "bearer of bad news", "1700000000000000000", "1700000000000",
        "3.14159265358979", "4111111111111112", "key: value", "550e8400-e29b-41d4-a716-446655440000", "C:\\dir\\file",
        "12:30:45", "a::b::c", "x == y", "tokenizer: fast", "max_tokens=100", "name='bob'", "--verbose --output file",
        "<p>text</p>", "['a', 'b']", "token_count=3, total=5", "error in secretary: none",
        "docker run -u 1000:1000 shop", "curl -u ann https://shop.example:8080/a", "curl -L http://shop.example:8080/",
    ],
)  # fmt: skip
def test_harmless_texts_stay(text):
    redactor = Redactor()
    assert redact(text, redactor) == text
    assert not redactor.wary


def test_forms_in_which_a_secret_comes_again():
    secret = "pä/ss \"w'ord+&"
    redactor = Redactor()
    redactor.remember(secret)
    for form in (
        secret, urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret),
        urllib.parse.quote(secret, safe="").lower(), json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1],
    ):  # fmt: skip
        if form == form.lower() or "%" not in form:
            assert REDACTED in redact(f"seen <{form}> here", redactor), form
    encoded = Redactor()
    redact("password=hunter%2F2%20x", encoded)
    assert redact("got hunter/2 x there", encoded) == f"got {REDACTED} there"
    escaped = Redactor()
    redact('{"password": "p\\u00e4ss\\"w"}', escaped)
    assert redact('got päss"w there', escaped) == f"got {REDACTED} there"


def test_short_secrets_count_only_as_a_whole():
    redactor = Redactor()
    redactor.remember("abc")
    assert redact("abc", redactor) == REDACTED
    assert redact("abcdef", redactor) == "abcdef"


def test_words_that_say_nothing_are_not_remembered():
    redactor = Redactor()
    for word in ("None", "true", "password", "****", "", "   "):
        redactor.remember(word)
    assert not redactor.wary


def test_numbers():
    redactor = Redactor()
    assert redactor.number(4111111111111111)
    assert not redactor.number(4111111111111112)
    assert not redactor.number(48213)
    redactor.remember_number(48213)
    redactor.remember_number(7)
    assert redactor.number(48213)
    assert not redactor.number(7)
    assert redact("pin is 48213 now", redactor) == f"pin is {REDACTED} now"
    assert redact("id 148213", redactor) == "id 148213"
    by_text = Redactor()
    by_text.remember("90210777")
    assert by_text.number(90210777)


def test_cards():
    assert all(map(is_card, CARDS))
    assert not is_card("1700000000000000000")
    assert not is_card("4111111111111")


def test_many_secrets_are_remembered_within_bounds():
    redactor = Redactor()
    for number in range(MAX_PARTS * 4):
        redactor.remember(f"topsecret{number:05}")
    assert redact("xtopsecret00007x", redactor) == f"x{REDACTED}x"
    last = f"topsecret{MAX_PARTS * 4 - 1:05}"
    assert redact(f"see {last} there", redactor) == f"see {REDACTED} there"
    assert redact(last, redactor) == REDACTED
    assert len(redactor._parts) == MAX_PARTS


def test_a_clean_text_is_asked_again_once_something_is_remembered():
    redactor = Redactor()
    assert redactor.clean(f"plain {SECRET}")
    assert redactor.clean(f"plain {SECRET}")
    redactor.remember(SECRET)
    assert not redactor.clean(f"plain {SECRET}")


def test_what_is_not_looked_at_is_not_shown():
    text = "a=1&" * 500 + f"password={SECRET}"
    shown, _, whole = Redactor().redact(text, len(text))
    assert SECRET not in shown
    assert not whole
    digits = "4 9 " * 1000 + CARDS[0]
    assert CARDS[0] not in redact(digits)


def test_a_long_secret_is_hidden_to_its_end():
    redactor = Redactor()
    long = "".join(f"{number:x}z" for number in range(900))
    redactor.remember(long)
    assert redact(f"see {long}", redactor) == f"see {REDACTED}"


HOSTILE = ["=", ":", "a=", "token=", "token={", '"token":"', "token:\\\"", "eyJ", "--a ", "<aa ", "name=", "://", "4 ", "('",
           'form-data; name="password"\n', "-----BEGIN A PRIVATE KEY-----", "x@", "a:b@", "%3D", "%25253D", "Bearer ", "\\", "curl -u a:", "curl -u"]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("tail", ["", "x" * 500, "@"])
def test_time_is_bounded(piece, tail):
    text = (piece * 4096)[:4000] + tail
    started = time.process_time()
    Redactor().redact(text, len(text))
    assert time.process_time() - started < 0.25


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab=:&;'\"\\/ \n@%3D{}[](),.-_<>4é"), max_size=80))
def test_any_text_is_redacted_without_an_error(text):
    redactor = Redactor()
    redactor.clean(text)
    shown, count, whole = redactor.redact(text, len(text))
    assert whole
    assert count or shown == text
    for upto in (0, len(text) // 2):
        assert len(Redactor().redact(text, upto)[0]) <= upto + len(REDACTED) * (count + 1)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(TEXTS)),
    st.text(alphabet="abc xyz,.=&:", max_size=40),
    st.text(alphabet="abc xyz,.=&:\"'", max_size=40),
)
def test_a_secret_is_found_whatever_surrounds_it(way, before, after):
    text = f"{before}\n{TEXTS[way]}\n{after}"
    assert SECRET not in redact(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres%3A%2F%2Fann%3Ahunter2%2540x%40db%2Fshop", "postgres%3A%2F%2Fann%3A[redacted]%40db%2Fshop"),
        ("u=postgres%3A//ann%3Ahunter2%40db/shop&a=1", "u=postgres%3A//ann%3A[redacted]%40db/shop&a=1"),
        (
            "postgres%253A%252F%252Fann%253Ahunter2%2540db",
            "postgres%253A%252F%252Fann%253A[redacted]%2540db",
        ),
        ("next=http%3A%2F%2Fdb%3A8080%2Fann%40db", "next=http%3A%2F%2Fdb%3A8080%2Fann%40db"),
    ],
)
def test_the_password_in_an_encoded_url(url, expected):
    assert Redactor().redact(url, len(url))[0] == expected


def test_an_encoded_ampersand_belongs_to_the_value_that_a_plain_sign_introduces():
    text = "user=ann&password=hunter2%26rest-of-it&page=2"
    assert Redactor().redact(text, len(text))[0] == "user=ann&password=[redacted]&page=2"
    text = "next=%2Fa%3Ftoken%3Dhunter2%26page%3D2"
    assert Redactor().redact(text, len(text))[0] == "next=%2Fa%3Ftoken%3D[redacted]%26page%3D2"


def test_a_half_decoded_form_comes_again():
    redactor = Redactor()
    redactor.redact("token=hunter%2B2+Zq9%26more", 99)
    for text in ("hunter%2B2 Zq9%26more", "hunter+2 Zq9&more"):
        assert redactor.redact(text, 99)[0] == REDACTED


@pytest.mark.parametrize("before", ["", "a", "ab", "ann:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_inside_base64(before, encode):
    secret = "hunter2-Zq9?>~\xff"
    redactor = Redactor()
    redactor.remember(secret)
    text = encode((before + secret + "!").encode()).decode()
    assert redactor.redact(f"got {text} here", 99)[0] == "got [redacted] here"
    assert not Redactor().redact(f"got {text} here", 99)[1]


def test_random_bytes_come_again_as_base64():
    redactor = Redactor()
    redactor.remember_bytes(bytes(range(200, 218)))
    text = base64.urlsafe_b64encode(bytes(range(200, 218))).rstrip(b"=").decode()
    assert redactor.redact(text, 99)[0] == REDACTED


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("invalid token 5f3a99xx", "invalid token [redacted]"),
        ("login failed: password 'abcdefgh' is wrong", "login failed: password '[redacted]' is wrong"),
        ("bad API key 'abcdefgh'.", "bad API key '[redacted]'."),
        ("the token is 'abcdefgh'", "the token is '[redacted]'"),
        ("token expired yesterday", None),
        ("unexpected keyword argument 'password'", None),
        ("missing 1 required positional argument: 'token'", None),
        ("Unexpected token '<' in JSON", None),
    ],
)
def test_what_a_message_calls_a_secret(message, expected):
    redactor = Redactor()
    redactor.heed(message)
    assert redactor.redact(message, 99)[0] == (expected or message)
