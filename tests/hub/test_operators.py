"""Who may operate the hub: names and tokens from a file, and a sentence for every file that is not right."""

from pathlib import Path

import pytest

from hub.errors import ConfigError
from hub.operators import Operators, Role

ANNA, BEN = "anna's long token", "ben's own long token"


def read(tmp_path: Path, text: str) -> Operators:
    (tmp_path / "tokens").write_text(text)
    return Operators.read(str(tmp_path / "tokens"))


def test_each_token_has_its_name(tmp_path: Path) -> None:
    operators = read(tmp_path, f"\nanna:{ANNA}\n\n  ben.k_2-x: {BEN} \n")
    assert (operators.who(ANNA), operators.who(BEN)) == ("anna", "ben.k_2-x")
    assert [operators.who(token) for token in ("", "anna", f"anna:{ANNA}", ANNA[:-1], "\ud800")] == [None] * 5
    assert operators.needed
    assert operators.several


def test_a_token_alone_is_the_operators(tmp_path: Path) -> None:
    operators = read(tmp_path, f"{ANNA}\n")
    assert operators.who(ANNA) == "operator"
    assert operators.needed
    assert not operators.several


def test_a_machine_is_no_second_person(tmp_path: Path) -> None:
    operators = read(tmp_path, f"anna:{ANNA}\nmachine.prometheus:{BEN}")
    assert operators.who(BEN) == "machine.prometheus"
    assert not operators.several


def test_a_token_may_have_a_colon_behind_a_name(tmp_path: Path) -> None:
    assert read(tmp_path, "anna:a:b:c:d:e:f:g:h").who("a:b:c:d:e:f:g:h") == "anna"


def test_each_may_what_their_role_says(tmp_path: Path) -> None:
    operators = read(tmp_path, f"anna:viewer:{ANNA}\nben: operator : {BEN}\ncarl:{ANNA}+\ndora:admin:{BEN}+\n")
    assert [operators.role_of(name) for name in ("anna", "ben", "carl", "dora")] == [
        Role.VIEWER, Role.OPERATOR, Role.ADMIN, Role.ADMIN,
    ]  # fmt: skip
    assert [operators.who(token) for token in (ANNA, BEN, f"{ANNA}+", f"{BEN}+")] == ["anna", "ben", "carl", "dora"]


def test_whoever_may_only_look_is_no_second_person(tmp_path: Path) -> None:
    assert not read(tmp_path, f"anna:admin:{ANNA}\nben:viewer:{BEN}").several
    assert read(tmp_path, f"anna:admin:{ANNA}\nben:operator:{BEN}").several


def test_each_role_covers_those_below_it() -> None:
    roles = [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
    assert [[one.covers(other) for other in roles] for one in roles] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_without_a_file_there_is_nobody_to_tell_apart() -> None:
    operators = Operators.read(None)
    assert not operators.needed
    assert not operators.several
    assert operators.who("") is None
    assert operators.role_of("local") is Role.ADMIN


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty; a line is `name:role:token`"),
        (" \n\n", "is empty"),
        ("anna:short", "line 1: the token of anna has 5 characters, and 12 are the least"),
        ("short", "line 1: the token of operator has 5 characters"),
        ("anna:", "line 1: the token of anna has 0 characters"),
        (f"anna:{ANNA}\nanna:{BEN}", "line 2: there is an operator anna already"),
        (f"anna:{ANNA}\n\nben:{ANNA}", "line 3: ben has the token of another operator"),
        (f"anna:{ANNA}\n{BEN}", "line 2: a line is `name:role:token`"),
        (f"{ANNA}\n{BEN}", "line 1: a line is `name:role:token`"),
        (f"Anna:{ANNA}", "line 1: what stands before the colon is a name"),
        (f":{ANNA}", "line 1: what stands before the colon is a name"),
        (f"{'a' * 33}:{ANNA}", "line 1: what stands before the colon is a name"),
        (f"anna b:{ANNA}", "line 1: what stands before the colon is a name"),
        (f"anna:vewer:{ANNA}", "line 1: anna has the role 'vewer'; did you mean viewer?"),
        (f"anna:Viewer:{ANNA}", "line 1: anna has the role 'Viewer'; did you mean viewer?"),
        (f"anna:operators:{ANNA}", "did you mean operator?"),
        (f"anna:viewer:{ANNA}\nanna:admin:{BEN}", "line 2: there is an operator anna already"),
        (f"anna:viewer:{ANNA}\nben:admin:{ANNA}", "line 2: ben has the token of another operator"),
        ("anna:viewer:short", "line 1: the token of anna has 5 characters"),
        ("anna:viewer:", "line 1: the token of anna has 0 characters"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert sentence in str(refused.value)
    assert ANNA not in str(refused.value)
    assert BEN not in str(refused.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"http\.token_file: cannot read .*: No such file"):
        Operators.read(str(tmp_path / "nothing"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        Operators.read(str(tmp_path / "binary"))
