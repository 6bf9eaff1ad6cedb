"""The limit of 20 s on what a test takes for itself, in a pytest of its own with a much shorter limit."""

import pytest

from tests import own_time

TESTS = """
import time
import pytest

@pytest.fixture(scope="module")
def shared():
    time.sleep(0.2)

@pytest.fixture
def asked_for_later(request):
    request.getfixturevalue("shared")

@pytest.fixture
def own():
    time.sleep(0.2)

def test_that_is_the_first_to_need_what_is_shared(asked_for_later):
    pass

def test_that_is_long():
    time.sleep(0.2)

def test_whose_fixture_is_long(own):
    pass

@pytest.mark.long
def test_that_may_be_long():
    time.sleep(0.2)
"""


def test_what_takes_too_long_for_itself_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makepyfile(TESTS)
    with monkeypatch.context() as patch:
        patch.setattr(own_time, "LIMIT_S", 0.1)
        patch.setattr(own_time, "slowness", lambda: 1.0)
        done = pytester.inline_run("-p", "tests.own_time", "-o", "asyncio_default_fixture_loop_scope=function")
    passed, skipped, failed = done.listoutcomes()
    assert not skipped
    assert [report.nodeid.partition("::")[2] for report in passed] == [
        "test_that_is_the_first_to_need_what_is_shared", "test_that_may_be_long",
    ]  # fmt: skip
    assert [report.nodeid.partition("::")[2] for report in failed] == [
        "test_that_is_long", "test_whose_fixture_is_long",
    ]  # fmt: skip
    assert "it may take 0.1 s" in failed[0].longreprtext


def test_the_limit_is_in_proportion_on_a_slower_machine() -> None:
    assert own_time.too_long(19.9, 1.0) is None
    assert own_time.too_long(39.9, 2.0) is None
    assert "took 40.1 s; it may take 40.0 s" in (own_time.too_long(40.1, 2.0) or "")
    assert own_time.slowness() >= 1.0
