"""The tables that fill with time: each stands once, and under a category that has a period."""

from hub.core.retention.policy import BY_TENANT, Category
from hub.core.retention.series import SERIES


def test_each_table_stands_once_and_may_differ_by_tenant() -> None:
    assert len({series.table for series in SERIES}) == len(SERIES)
    assert {series.category for series in SERIES} <= set(BY_TENANT)


def test_only_events_have_numbers_of_ledgers() -> None:
    assert [series.table for series in SERIES if series.ledger] == ["event"]
    assert next(series for series in SERIES if series.ledger).category is Category.EVENT
