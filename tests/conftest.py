"""What every test needs."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long an example takes is no property of what is tested; in CI hypothesis says so by itself.
if not os.environ.get("CI"):
    settings.register_profile("here", deadline=None)
    settings.load_profile("here")


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """Take away what a command line run in this process has set up: its standard error is closed afterwards."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [one for one in root.handlers if type(one) is logging.StreamHandler]:
        root.removeHandler(handler)
    root.setLevel(level)
