"""Quarantine: bounded in size, in number and in rate, and what is left out is counted."""

from collections.abc import Sequence
from uuid import UUID

from hub.core.accounting import Tally
from hub.core.ledger import Key
from hub.errors import CursorConflict, StoreRejected
from hub.metrics import Metrics
from hub.mqtt.quarantine import Quarantine, RateLimits, event_texts, storable
from hub.store.batcher import Batcher
from hub.store.rows import Quarantined

KEY: Key = ("berlin-01", UUID(int=1))


class Nowhere:
    """A sink that nobody runs: what is put stays in the queue."""

    async def write(self, batch: Sequence[Quarantined]) -> None:
        raise AssertionError(batch)

    async def committed(self, batch: Sequence[Quarantined]) -> None:
        raise AssertionError(batch)

    async def rejected(self, unit: Quarantined, error: StoreRejected) -> None:
        raise AssertionError(unit) from error

    async def conflict(self, batch: Sequence[Quarantined], error: CursorConflict) -> Sequence[Quarantined]:
        raise AssertionError(batch) from error

    def kept_back(self, unit: Quarantined) -> None:
        raise AssertionError(unit)


def made(metrics: Metrics, *, per_minute: int = 1000, queue: int = 100) -> tuple[Quarantine, Batcher[Quarantined]]:
    batcher: Batcher[Quarantined] = Batcher(
        "quarantine", Nowhere(), metrics, queue_rows_max=queue, flush_rows_max=1000, flush_age_ms_max=1000
    )
    return Quarantine(batcher, metrics, payload_bytes_max=4, per_topic_per_minute=per_minute), batcher


def value(metrics: Metrics, name: str, **labels: str) -> float:
    found = metrics.registry.get_sample_value(name, labels)
    assert found is not None
    return found


async def test_a_payload_is_cut_and_a_whole_one_is_not() -> None:
    quarantine, _ = made(Metrics("0"))
    row = quarantine.row("t" * 999, b"123456", "schema", "d" * 999, 0)
    assert (row.payload, row.payload_bytes, len(row.topic), len(row.detail)) == (b"1234", 6, 300, 500)
    assert (row.key, row.seq) == (None, None)
    one = quarantine.event("t", b"123456", "schema", "why", 0, KEY, 7)
    assert (one.payload, one.payload_bytes, one.key, one.seq) == (b"1234", 6, KEY, 7)


async def test_each_topic_has_its_own_rate() -> None:
    metrics, tally = Metrics("0"), Tally()
    quarantine, batcher = made(metrics, per_minute=2)
    for _ in range(5):
        quarantine.keep("one", b"{", "malformed", "why", 0, tally)
    quarantine.keep("other", b"{", "malformed", "why", 0)
    assert batcher.in_flight == 3
    assert value(metrics, "lockerhub_quarantine_limited_total") == 3
    assert value(metrics, "lockerhub_intake_quarantined_total", reason="malformed") == 6
    assert (tally.received, tally.open()) == (5, 0)
    assert [count for count in tally.settled.values() if count] == [2, 3]


async def test_a_full_queue_is_counted() -> None:
    metrics = Metrics("0")
    quarantine, batcher = made(metrics, queue=2)
    for _ in range(3):
        quarantine.keep_whole("one", b"123456", "ledger_fork", "why", 0, KEY)
    assert batcher.in_flight == 2
    assert value(metrics, "lockerhub_batch_dropped_total", table="quarantine") == 1


def test_a_limit_is_for_each_key_and_forgets_the_one_unseen_for_longest() -> None:
    limits: RateLimits[str] = RateLimits(60, 2, 2)
    assert [limits.pass_one("a", 0) for _ in range(3)] == [True, True, False]
    assert limits.pass_one("b", 0)
    assert not limits.pass_one("a", 0)
    assert limits.pass_one("a", 1000)
    # A third key takes the place of b, which then begins anew.
    assert limits.pass_one("c", 1000)
    assert not limits.pass_one("a", 1000)
    assert [limits.pass_one("b", 1000) for _ in range(3)] == [True, True, False]


def test_the_events_of_a_message_are_found_by_number_as_they_were_sent() -> None:
    text = b'{"v": 1, "first": 7, "more": [], "events": [{"t":  1}, 3, "x"]}'
    assert event_texts(text) == {7: b'{"t":  1}', 8: b"3", 9: b'"x"'}


def test_text_is_made_storable() -> None:
    assert storable("a\x00b\ud800c") == "a\N{SYMBOL FOR NULL}b?c"
