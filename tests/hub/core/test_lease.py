"""Which hub is active: free, expired, or of a process that is gone."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.lease import GONE_S, LeaseVerdict, LeaseWatch, Standing, lease_name

ME, OTHER = uuid4(), uuid4()
LEASE_S = 10.0
STANDING = Standing(OTHER, expires_in_s=8.0, renewed_ago_s=2.0, session_gone=False, renewals=1)


def changed(**changes: object) -> Standing:
    fields = {name: getattr(STANDING, name) for name in Standing.__slots__}
    return Standing(**{**fields, **changes})


@pytest.mark.parametrize(
    ("standing", "verdict"),
    [
        (STANDING, LeaseVerdict.WAIT),
        (changed(holder=None), LeaseVerdict.TAKE),
        (changed(holder=ME), LeaseVerdict.HOLD),
        (changed(holder=ME, expires_in_s=-5.0), LeaseVerdict.HOLD),
        (changed(expires_in_s=0.0), LeaseVerdict.TAKE),
        (changed(expires_in_s=-3600.0), LeaseVerdict.TAKE),
        (changed(session_gone=True), LeaseVerdict.WAIT),
        (changed(renewed_ago_s=-3600.0, expires_in_s=3610.0), LeaseVerdict.WAIT),
        (changed(renewed_ago_s=-3600.0, expires_in_s=-1.0), LeaseVerdict.WAIT),
    ],
)
def test_at_first_sight(standing: Standing, verdict: LeaseVerdict) -> None:
    assert LeaseWatch(ME, LEASE_S).judge(standing, 5_000.0) is verdict


def test_a_holder_whose_process_died_is_followed_soon() -> None:
    watch = LeaseWatch(ME, LEASE_S)
    gone = changed(session_gone=True)
    assert watch.judge(gone, 0.0) is LeaseVerdict.WAIT
    assert watch.judge(gone, GONE_S * 1000 - 1) is LeaseVerdict.WAIT
    assert watch.judge(gone, GONE_S * 1000) is LeaseVerdict.TAKE


def test_a_holder_that_came_back_with_another_session_keeps_its_lease() -> None:
    watch = LeaseWatch(ME, LEASE_S)
    for turn in range(20):
        at_ms = turn * 900.0
        assert watch.judge(changed(session_gone=True, renewals=turn), at_ms) is LeaseVerdict.WAIT
        assert watch.judge(changed(renewals=turn + 1), at_ms + 800.0) is LeaseVerdict.WAIT


def test_a_database_whose_clock_was_put_back_holds_no_lease_for_ever() -> None:
    watch = LeaseWatch(ME, LEASE_S)
    ahead = changed(renewed_ago_s=-86_400.0, expires_in_s=86_410.0)
    assert watch.judge(ahead, 0.0) is LeaseVerdict.WAIT
    assert watch.judge(ahead, LEASE_S * 1000 - 1) is LeaseVerdict.WAIT
    assert watch.judge(ahead, LEASE_S * 1000) is LeaseVerdict.TAKE


@given(st.lists(st.tuples(st.floats(0, 3000), st.booleans()), max_size=50))
def test_a_holder_that_renews_in_time_is_never_robbed(steps: list[tuple[float, bool]]) -> None:
    watch = LeaseWatch(ME, LEASE_S)
    at_ms = renewed_ms = 0.0
    renewals = 0
    for later_ms, renews in steps:
        at_ms += later_ms
        if renews or at_ms - renewed_ms >= LEASE_S * 1000:
            renewed_ms, renewals = at_ms, renewals + 1
        ago_s = (at_ms - renewed_ms) / 1000
        standing = Standing(OTHER, LEASE_S - ago_s, ago_s, session_gone=False, renewals=renewals)
        assert watch.judge(standing, at_ms) is LeaseVerdict.WAIT


def test_hubs_that_share_accounts_at_one_broker_share_a_lease() -> None:
    accounts = ("hub-ingest", "hub-command", "hub-telemetry")
    assert lease_name("broker", 1883, accounts, "a") == lease_name("broker", 1883, accounts, "b")
    others = {
        lease_name("broker", 1883, accounts, "a"),
        lease_name("broker", 8883, accounts, "a"),
        lease_name("other", 1883, accounts, "a"),
        lease_name("broker", 1883, ("hub2-ingest", "hub2-command", "hub2-telemetry"), "a"),
        # The broker beside the hub is another one on another machine.
        lease_name("127.0.0.1", 1883, accounts, "a"),
        lease_name("127.0.0.1", 1883, accounts, "b"),
    }
    assert len(others) == 6
