"""The databases that the other tests run on are what they say."""

import psycopg
import pytest

pytestmark = pytest.mark.services


def test_each_kind_of_database_is_what_it_says(postgres_dsn: str, request: pytest.FixtureRequest) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute("SHOW shared_preload_libraries").fetchone()
    assert row == ("timescaledb" if "timescaledb" in request.node.name else "",)
