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
