"""Names in the order in which people look for them."""

from hypothesis import given
from hypothesis import strategies as st

from hub.core.fleet import Fleet, LockerSpec
from hub.core.natural import natural_key
from hub.core.printable import composed

NAMES = st.text("aB1029- é٣", max_size=8)


def test_numbers_sort_as_numbers() -> None:
    names = ["Locker 10", "locker 2", "Locker 1", "Locker 02", "Locker", "Locker 2b"]
    assert sorted(names, key=natural_key) == [
        "Locker", "Locker 1", "Locker 02", "locker 2", "Locker 2b", "Locker 10"
    ]  # fmt: skip


@given(st.lists(NAMES, max_size=6))
def test_it_is_one_order_of_all_names(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    turned = names[::-1]
    assert sorted(turned, key=natural_key) == ordered
    assert sorted(ordered) == sorted(names)


def test_lists_follow_it_when_the_registry_changes() -> None:
    fleet = Fleet(silent_after_ms=1.0)
    for ids in (["x-10", "x-2"], ["x-10", "x-2", "x-1"], ["x-2"]):
        fleet.load(LockerSpec(one, "default", one, "", ()) for one in ids)
        assert [one for _, one in fleet.order] == sorted(ids, key=natural_key)


def test_one_name_is_one_however_it_was_typed() -> None:
    assert composed("Mu\u0308ller") == "M\u00fcller"
    assert composed("Müller") == "Müller"
