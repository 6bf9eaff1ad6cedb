"""Text that may be shown: everything that can be, nothing that acts on its surroundings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.printable import unprintable


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("Straße 1, <b>Köln</b> & \"'`${}", None),
        ("日本語 עברית 👩‍🔧", None),
        ("a\nb", "a control character (U+000A)"),
        ("\r", "a control character (U+000D)"),
        ("a\x00", "a control character (U+0000)"),
        ("\x85", "a control character (U+0085)"),
        ("\ud800", "half of a character (U+D800)"),
        ("\u2028", "a line separator (U+2028)"),
        ("\u2029", "a paragraph separator (U+2029)"),
        ("abc\u202e", "a change of direction (U+202E)"),
        ("\u2066", "a change of direction (U+2066)"),
    ],
)
def test_texts(text: str, found: str | None) -> None:
    assert unprintable(text) == found


@given(st.text())
def test_what_is_printable_is_one_line(text: str) -> None:
    if unprintable(text) is None:
        assert len(text.splitlines()) <= 1
        assert text.encode().decode() == text
