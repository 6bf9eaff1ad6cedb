"""queries/*.sql: every statement that the store asks for is there, and none is left over."""

import re
from pathlib import Path

import pytest

from hub.store.statements import statement, statements

HUB = Path(__file__).parents[3] / "hub"


def test_every_statement_has_a_user_and_every_user_a_statement() -> None:
    code = "".join(path.read_text() for path in HUB.rglob("*.py"))
    asked = set(re.findall(r'(?:statement|fetch|_change|_one|copy)\(\s*(?:conn, )?"([a-z_]+)"', code))
    assert asked - set(statements()) == set()
    # Some are chosen by a table of names.
    assert {name for name in statements() if f'"{name}"' not in code} == set()


def test_a_statement_is_one_statement_without_comments() -> None:
    for name, text in statements().items():
        assert text, name
        assert "--" not in text, name
        assert ";" not in text, name


def test_an_unknown_name_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        statement("nothing")


def test_no_statement_reckons_with_a_number_whose_type_the_client_chooses() -> None:
    """psycopg sends an int in the smallest type that it fits into: 2147483647 + 1 would be out of range."""
    untyped = re.compile(r"%\(\w+\)s\s*[-+*/](?!\s*interval)|[-+*/]\s*%\(\w+\)s(?!::)")
    assert {name: untyped.findall(text) for name, text in statements().items() if untyped.search(text)} == {}
