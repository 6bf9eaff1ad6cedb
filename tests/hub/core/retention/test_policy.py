"""The policy: the default is the privacy notice's, and what is wrong with another one is said in a sentence."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.retention.periods import Period, PeriodUnit
from hub.core.retention.policy import AT_ONCE, Category, Policy, PolicyError, parse_policy

DEFAULT = (Path(__file__).parents[4] / "hub" / "retention" / "policy.toml").read_bytes()
NOW = datetime(2026, 11, 21, tzinfo=UTC)
EXCEPTION = '\n[[exception]]\ntenant = "acme"\ncategory = "event"\nperiod = "5 years"\nreason = "Works agreement"\n'


def parse(data: bytes | str) -> Policy:
    return parse_policy(data if isinstance(data, bytes) else data.encode(), ["default", "acme"])


def with_exception(**changed: str | None) -> str:
    lines = {"tenant": '"acme"', "category": '"event"', "period": '"5 years"', "reason": '"Works agreement"'}
    told = "".join(f"{key} = {value}\n" for key, value in {**lines, **changed}.items() if value is not None)
    return f"{DEFAULT.decode()}\n[[exception]]\n{told}"


def test_the_default_is_the_privacy_notices() -> None:
    policy = parse(DEFAULT)
    assert {category: policy.written(category) for category in Category} == {
        Category.EVENT: "7 years", Category.ACCOUNT: "3 years", Category.CODE: AT_ONCE,
        Category.READING: "13 months", Category.READING_ROLLUP: "7 years", Category.COMMAND: "7 years",
        Category.JOB: "7 years", Category.AUDIT: "7 years", Category.QUARANTINE: "30 days",
        Category.ALARM: "7 years",
        Category.RIGHTS: "3 years", Category.PROOF: "always",
    }  # fmt: skip
    assert policy.exceptions == ()
    assert policy.cut_offs(Category.EVENT, NOW).of("acme") == datetime(2019, 11, 21, tzinfo=UTC)


def test_a_tenant_may_keep_less_or_more_with_a_reason() -> None:
    policy = parse(DEFAULT.decode() + EXCEPTION + EXCEPTION.replace("event", "account").replace("5 y", "9 y"))
    events, accounts = policy.cut_offs(Category.EVENT, NOW), policy.cut_offs(Category.ACCOUNT, NOW)
    assert events.earliest == events.of("default") == events.of(None) == datetime(2019, 11, 21, tzinfo=UTC)
    assert events.latest == events.of("acme") == datetime(2021, 11, 21, tzinfo=UTC)
    assert accounts.earliest == accounts.of("acme") == datetime(2017, 11, 21, tzinfo=UTC)
    assert accounts.latest == datetime(2023, 11, 21, tzinfo=UTC)
    assert policy.said()["exceptions"][0] == {
        "tenant": "acme", "category": "event", "period": "5 years", "reason": "Works agreement",
    }  # fmt: skip


def test_where_nobody_knows_the_tenants_every_name_is_taken() -> None:
    text = with_exception(tenant='"somebody"').encode()
    assert parse_policy(text, None).exceptions[0].tenant == "somebody"
    with pytest.raises(PolicyError, match=r"there is no tenant 7$"):
        parse_policy(with_exception(tenant="7").encode(), None)


def test_the_digest_is_of_what_it_says_and_not_of_how_it_is_written() -> None:
    policy = parse(DEFAULT)
    assert parse(b"# another comment\n" + DEFAULT).digest == policy.digest
    assert parse(DEFAULT.replace(b"2026.1", b"2026.2")).digest != policy.digest
    assert parse(DEFAULT.replace(b"30 days", b"31 days")).digest != policy.digest
    assert parse(with_exception()).digest != policy.digest
    assert parse(with_exception()).digest != parse(with_exception(reason='"Another"')).digest


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (DEFAULT.replace(b"7 years", b"0 years"), "keep.event: a period of zero keeps nothing"),
        (DEFAULT.replace(b"7 years", b"-7 years"), "keep.event: -7 years: a period is not below zero"),
        (DEFAULT.replace(b'"7 years"', b"7"), "keep.event is 7; a number and its unit in quotes is right"),
        (DEFAULT.replace(b"\nevent =", b"\nevents ="), "unknown category 'events'; did you mean event?"),
        (DEFAULT.replace(b"\njob =", b"\nx ="), "unknown category 'x'; known are account, alarm, audit"),
        (DEFAULT.replace(b'\njob = "7 years"', b""), "keep.job is missing: every category has its rule"),
        (DEFAULT.replace(b'\njob = "7 years"', b'\njob = "7 years"\njob = "8 years"'), "it is not TOML"),
        (DEFAULT.replace(b"at once", b"3 days"), "keep.code is '3 days'; only \"at once\" is right"),
        (DEFAULT.replace(b"always", b"9 years"), "keep.proof is '9 years'; only \"always\" is right"),
        (DEFAULT.replace(b'version = "2026.1"', b""), "version is missing"),
        (DEFAULT.replace(b'"2026.1"', b"2026.1"), "version is 2026.1; a text of 1 to 40 characters"),
        (DEFAULT.replace(b"2026.1", b"2" * 41), "a text of 1 to 40 characters"),
        (DEFAULT.replace(b"2026.1", b"1\\n2"), "a text of 1 to 40 characters"),
        (DEFAULT.replace(b"[keep]", b"[keeps]"), "at the top: unknown key 'keeps'; did you mean keep?"),
        (b'version = "1"', r"\[keep\] is missing"),
        (b'version = "1"\nkeep = 7', r"\[keep\] is missing"),
        (b"\xef\xbb\xbf" + DEFAULT, "byte order mark"),
        (b"\xff", "not UTF-8 text: byte 0"),
        (b"{json: 1}", "it is not TOML"),
        (b"a = " + b"[" * 5000, "it is not TOML"),
        ("exception = 1\n" + DEFAULT.decode(), r"written as \[\[exception\]\]"),
        (b"exception = [1]\n" + DEFAULT, r"written as \[\[exception\]\]"),
        (with_exception(reason=None), "exception 1 has no reason: who departs from the rule"),
        (with_exception(reason='""'), "exception 1 has no reason"),
        (with_exception(reason='" "'), "the reason is a text of 1 to 200"),
        (with_exception(reason="7"), "the reason is a text of 1 to 200"),
        (with_exception(reason=f'"{"x" * 201}"'), "the reason is a text of 1 to 200"),
        (with_exception(period=None), "exception 1 has no period"),
        (with_exception(period='"0 days"'), "exception 1, period: a period of zero"),
        (with_exception(tenant='"acmee"'), "there is no tenant 'acmee'; did you mean acme?"),
        (with_exception(tenant="[1]"), "there is no tenant"),
        (with_exception(category='"evnt"'), "there is no category 'evnt'; did you mean event?"),
        (with_exception(category="[1]"), "there is no category"),
        (with_exception(category='"audit"'), "audit has one rule for all tenants; exceptions are for event"),
        (with_exception(until='"2030"'), "in exception 1: unknown key 'until'"),
        (with_exception() + EXCEPTION, "exception 2: there is one for acme and event already"),
    ],
)
def test_what_is_wrong_is_told(text: bytes | str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        parse(text)


@given(st.binary(max_size=200))
def test_whatever_is_no_policy_is_refused(data: bytes) -> None:
    with pytest.raises(PolicyError):
        parse(data)


def test_of_two_rules_the_earlier_counts() -> None:
    # An event of a person whose account is closed goes by the rule of the account where that comes first, and by
    # its own where that does: each is applied on its own, and whatever is due by one of them goes.
    policy = parse(DEFAULT)
    event, account = policy.periods[Category.EVENT], policy.periods[Category.ACCOUNT]
    assert (event, account) == (Period(7, PeriodUnit.YEAR), Period(3, PeriodUnit.YEAR))
    deactivated = datetime(2023, 11, 20, tzinfo=UTC)
    assert deactivated < policy.cut_offs(Category.ACCOUNT, NOW).default
    assert datetime(2023, 1, 1, tzinfo=UTC) > policy.cut_offs(Category.EVENT, NOW).default
