"""What every test needs."""

import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester", "tests.own_time"]

# How long an example, or its making, takes is no property of what is tested; in CI hypothesis says so by itself.
if not os.environ.get("CI"):
    settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("here")


_OF_A_LIBRARY = "aiomqtt.exceptions"
"""aiomqtt leaves how a link ended in a future that is read only by whoever waits for messages then."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also what is marked `long`: whole matrices, many seeds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `long`, unless all is asked for."""
    if config.getoption("--all"):
        return
    long = [item for item in items if item.get_closest_marker("long") is not None]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item.get_closest_marker("long") is None]


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = logging.Formatter().format(record)
        if _OF_A_LIBRARY not in told:
            self.kept.append(told)


@pytest.fixture(autouse=True)
def _no_task_fails_unheard() -> Iterator[None]:
    """Fail where asyncio itself had to say that a task or callback failed, as nobody else asked."""
    heard = _Kept()
    logging.getLogger("asyncio").addHandler(heard)
    yield
    logging.getLogger("asyncio").removeHandler(heard)
    assert not heard.kept, "\n".join(heard.kept)


_SET_UP_BY_THE_HUB = ("gmqtt", "asyncio", "aiohttp.access", "psycopg.pool")


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Take away what a command line run in this process has set up: its standard error is closed afterwards."""
    loggers = [logging.getLogger(), *map(logging.getLogger, _SET_UP_BY_THE_HUB)]
    levels = [logger.level for logger in loggers]
    hook = sys.excepthook
    yield
    root = loggers[0]
    for handler in [one for one in root.handlers if type(one) is logging.StreamHandler]:
        root.removeHandler(handler)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    sys.excepthook = hook
