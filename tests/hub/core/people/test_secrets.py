"""E-mail addresses, codes and passwords: what is the same, what is kept, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.people.codes import ALPHABET, RANDOM_BYTES, code_of, digest_of, plain
from hub.core.people.email import key, written
from hub.core.people.passwords import Hashed, hashed, matches


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" Berta@Example.org ", "Berta@Example.org"),
        ("mu\u0308ller@example.org", "m\u00fcller@example.org"),
        ("a@localhost", "a@localhost"),
    ],
)
def test_an_address_is_kept_as_it_was_given_in_nfc(given: str, kept: str) -> None:
    assert written(given) == kept


@pytest.mark.parametrize(
    "wrong",
    ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n.c", "a@.c", "a@b..c", "a@b.", "\u202ea@b.c", "x" * 251 + "@b.c"],
)
def test_what_is_no_address_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"e-mail address") as refused:
        written(wrong)
    assert len(wrong) < 3 or wrong not in str(refused.value)


@given(st.emails())
def test_an_address_is_one_in_whatever_case(email: str) -> None:
    assert key(email.upper()) == key(email.lower()) == key(f" {email}")


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES), st.binary(min_size=32, max_size=32))
def test_a_code_is_known_however_it_is_typed_and_by_nobody_without_the_secret(random: bytes, secret: bytes) -> None:
    code = code_of(random)
    assert set(code) <= set(ALPHABET)
    typed = f" {code[:4].lower()}-{code[4:]} ".replace("0", "o").replace("1", "l")
    assert plain(typed) == code
    digest = digest_of(secret, "default", code)
    assert digest_of(secret, "default", typed) == digest
    assert digest_of(secret, "another", code) != digest
    assert digest_of(bytes(31) + b"x", "default", code) != digest or secret == bytes(31) + b"x"


def test_a_password_is_known_by_its_hash_and_the_parameters_beside_it() -> None:
    stored = hashed("correct horse", bytes(16))
    assert matches("correct horse", stored)
    assert not matches("Correct horse", stored)
    old = Hashed(bytes(16), b"", scrypt_n=16, scrypt_r=1, scrypt_p=1)
    assert not matches("correct horse", old)
