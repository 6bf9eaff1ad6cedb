"""The outbox against a plain model: whatever comes in whatever order, every event is here, confirmed or declared.

Each event that was ever posted has a time of its own, by which it is found again on the disk.
"""

import asyncio
import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent import disk as disks
from edge_agent.clock import BootClock, Stamp
from edge_agent.core.doors import Note
from edge_agent.disk import Disk, DiskError, open_disk
from edge_agent.event_rows import Row, chained
from edge_agent.outbox import ForkReason, Outbox
from wire.messages import CHAIN_START, Clock, Event, EventKind

_T = TypeVar("_T")
UNACKED_MAX = 30
WAITING_MAX = 8
FORKS_MAX = 3
# So that troubles do not come so often that nothing else happens.
POSTS_BETWEEN = 3
DAY_MS = 86_400_000
AT = 2_000_000_000_000


class SetClock(BootClock):
    """A clock that goes on by one day when it is told to."""

    def __init__(self) -> None:
        super().__init__(UUID(int=77))
        self.day = 0

    def t(self) -> int:
        return 0

    def stamp(self) -> Stamp:
        return Stamp(0, AT + self.day * DAY_MS, Clock.SYNCED)


class OutboxMachine(RuleBasedStateMachine):
    """Posts, receipts, forks, prunes, refusing disks and restarts, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._patched = ExitStack()
        self._patched.enter_context(patch.object(disks, "EVENTS_WAITING_MAX", WAITING_MAX))
        self._patched.enter_context(patch.object(disks, "_RETRY_S", 0.001))
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1)
        self._directory = tempfile.TemporaryDirectory()
        self.clock = SetClock()
        self.disk: Disk
        self.outbox: Outbox
        self.refusing = False
        self.next_t = 1
        self.posts = 0
        self.forks = 0
        # The model: every event's number once it was seen on the disk, by epoch; and what became of it.
        self.posted: set[int] = set()
        self.numbers: dict[int, tuple[UUID, int]] = {}
        self.confirmed: set[int] = set()
        self.killed: set[int] = set()
        self.told: dict[tuple[str, int], str] = {}
        self.rows: list[tuple[int, str, str, int, bytes, str]] = []
        self.base = CHAIN_START

    def run(self, action: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(action)

    @initialize()
    def begin(self) -> None:
        self.open()

    def open(self) -> None:
        async def opened() -> None:
            self.disk, state = open_disk(Path(self._directory.name), self._thread)
            self.outbox = Outbox(self.disk, state, self.clock, unacked_events_max=UNACKED_MAX)

        self.run(opened())

    def set_refusing(self, refusing: bool) -> None:  # noqa: FBT001
        async def switch() -> None:
            await self.disk.read(lambda c: c.execute(f"PRAGMA query_only = {int(refusing)}").fetchall())

        self.run(switch())
        self.refusing = refusing

    @rule(count=st.integers(1, 7), spare=st.booleans())
    def post(self, count: int, spare: bool) -> None:  # noqa: FBT001
        kind = EventKind.SNAPSHOT if spare else EventKind.DOOR_OPENED
        notes = [Note(self.next_t + i, kind, None if spare else 1) for i in range(count)]
        self.posted |= {note.t for note in notes}
        self.next_t += count
        self.posts += 1

        async def posted() -> None:
            self.outbox.post(notes)

        self.run(posted())
        self.settle()

    def settle(self) -> None:
        async def settled() -> None:
            if self.refusing:
                # One attempt at least is refused with all that waits.
                refused = self.disk.refusals
                while self.disk.refusals == refused and self.disk._queue:  # noqa: SLF001, ASYNC110
                    await asyncio.sleep(0.0005)
            else:
                await self.disk.settled(20)
                assert self.disk._idle.is_set()  # noqa: SLF001

        self.run(settled())
        if not self.refusing:
            self.look()

    def look(self) -> None:
        """Read the file beside the agent's back."""
        connection = sqlite3.connect(Path(self._directory.name) / "agent.db")
        self.rows = connection.execute("SELECT * FROM event ORDER BY seq").fetchall()
        epoch, next_seq, acked, head, self.base = connection.execute(
            "SELECT epoch, next_seq, acked_seq, chain, base_chain FROM ledger"
        ).fetchone()
        connection.close()
        assert (self.outbox.epoch, self.outbox.last_seq + 1) == (UUID(epoch), next_seq)
        assert self.outbox.oldest_seq == (self.rows[0][0] if self.rows else next_seq)
        assert [row[0] for row in self.rows] == list(range(next_seq - len(self.rows), next_seq))
        assert acked <= self.outbox.acked_seq
        chain = self.base
        for seq, boot, clock, at, body, kept in self.rows:
            chain = chained(chain, Row(boot, clock, at, body))
            assert kept == chain
            assert self.told.setdefault((epoch, seq), chain) == chain
        assert head == chain
        for t, seq in self.times():
            self.numbers[t] = (self.outbox.epoch, seq)

    def times(self) -> list[tuple[int, int]]:
        told = [(json.loads(row[4])["t"], row[0]) for row in self.rows]
        return [(t, seq) for t, seq in told if t]

    def gaps(self, reason: str) -> list[dict[str, object]]:
        told = [json.loads(row[4]) for row in self.rows]
        return [e["data"] for e in told if e["kind"] == "outbox.gap" and e["data"]["reason"] == reason]

    @rule(share=st.sampled_from([0, 0.1, 0.3, 1]))
    def ack(self, share: float) -> None:
        upto = self.outbox.acked_seq + round(share * (self.outbox.last_seq - self.outbox.acked_seq))
        self.confirmed |= {
            t for t, (epoch, seq) in self.numbers.items() if epoch == self.outbox.epoch and seq <= upto
        }

        async def acked() -> None:
            self.outbox.ack(upto)

        self.run(acked())
        self.settle()

    @precondition(lambda self: self.forks < FORKS_MAX)
    @rule(reason=st.sampled_from(ForkReason))
    def fork(self, reason: ForkReason) -> None:
        before, waiting = self.outbox.epoch, self.outbox.unacked
        unconfirmed = [t for t, seq in self.times() if seq > self.outbox.acked_seq]
        gaps = self.gaps("outbox_full")

        async def forked() -> None:
            await self.outbox.fork(reason)

        if self.refusing:
            self.fails(forked)
            assert (self.outbox.epoch, self.outbox.unacked) == (before, waiting)
            return
        self.run(forked())
        self.forks += 1
        self.settle()
        first = json.loads(self.rows[0][4])
        assert (first["kind"], first["data"]) == (
            "ledger.forked",
            {"from_epoch": str(before), "reason": reason.value},
        )
        assert self.outbox.epoch != before
        assert (self.base, self.outbox.acked_seq) == (CHAIN_START, 0)
        # Not one more, not one less, in order; and a gap still says whose its numbers are.
        assert [t for t, _ in self.times()] == unconfirmed
        assert len(self.rows) == waiting + 1
        assert all("epoch" in gap for gap in self.gaps("outbox_full"))
        assert len(self.gaps("outbox_full")) <= len(gaps)

    def fails(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def failing() -> bool:
            try:
                await action()
            except DiskError:
                return True
            return False

        assert self.run(failing())

    @rule(days=st.integers(0, 2), events_max=st.integers(0, 12), later=st.booleans())
    def prune(self, days: int, events_max: int, later: bool) -> None:  # noqa: FBT001
        self.clock.day += later

        async def pruned() -> None:
            await self.outbox.prune(days, events_max)

        if self.refusing:
            self.fails(pruned)
            return
        self.run(pruned())
        self.settle()
        if days == 0 and later:
            # All that is confirmed is older than today, or beyond the limit.
            assert self.outbox.oldest_seq > min(self.outbox.acked_seq, self.outbox.last_seq - len(self.rows))

    @precondition(lambda self: not self.refusing and self.posts >= POSTS_BETWEEN)
    @rule()
    def disk_fills_up(self) -> None:
        self.set_refusing(refusing=True)
        self.posts = 0

    @precondition(lambda self: self.refusing)
    @rule()
    def disk_has_room_again(self) -> None:
        self.set_refusing(refusing=False)
        self.settle()

    @precondition(lambda self: self.posts >= POSTS_BETWEEN)
    @rule()
    def crash(self) -> None:
        """The agent is killed: what waited for the disk is gone with it, and nothing else is."""
        self.posts = 0
        refused, self.refusing = self.refusing, False
        self.run(self.disk.close(0))
        self.open()
        self.look()
        if refused:
            self.killed |= self.posted - self.numbers.keys()

    @precondition(lambda self: not self.refusing)
    @rule(first=st.integers(1, 40), events_max=st.integers(1, 10))
    def read(self, first: int, events_max: int) -> None:
        first = min(first, self.outbox.last_seq + 1)

        epoch, begins, events, prev, chain, is_oldest = self.run(
            self.outbox.read(first, events_max, self.clock.stamp())
        )
        expected = [row for row in self.rows if row[0] >= first][:events_max]
        assert events == [Event(**json.loads(row[4])) for row in expected]
        assert epoch == self.outbox.epoch
        if not expected:
            return
        assert begins == expected[0][0]
        chains = {self.rows[0][0] - 1: self.base, **{row[0]: row[5] for row in self.rows}}
        assert (prev, chain) == (chains[begins - 1], chains[begins + len(events) - 1])
        assert is_oldest == (begins == self.rows[0][0])

    @invariant()
    def all_is_accounted_for(self) -> None:
        if self.refusing or not hasattr(self, "outbox"):
            return
        here = Counter(t for t, _ in self.times())
        assert all(count == 1 for count in here.values())
        assert [t for t, _ in self.times()] == sorted(here), "out of order"
        never = {t for t in self.posted if t not in self.numbers} - self.killed
        assert sum(int(str(gap["events"])) for gap in self.gaps("disk_full")) >= len(never - self.confirmed) or (
            # The gap itself was confirmed, and has aged out.
            self.outbox.oldest_seq > 1
        )
        deleted = [
            (gap.get("epoch", str(self.outbox.epoch)), int(str(gap["from"])), int(str(gap["to"])))
            for gap in self.gaps("outbox_full")
        ]
        for t, (epoch, seq) in self.numbers.items():
            assert (
                t in here
                or t in self.confirmed
                or t in self.killed
                or any(str(epoch) == e and a <= seq <= b for e, a, b in deleted)
            ), f"event {t} (number {seq}) is nowhere"
        assert self.outbox.unacked <= UNACKED_MAX

    def teardown(self) -> None:
        if hasattr(self, "disk"):
            self.run(self.disk.close(0))
        self._runner.close()
        self._thread.shutdown()
        self._directory.cleanup()
        self._patched.close()
        super().teardown()


OutboxMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
TestOutbox = OutboxMachine.TestCase
