"""Carrying out orders: the clock is asked once more at the very end, and no failure opens a door twice."""

from typing import TYPE_CHECKING

import pytest

from edge_agent import commands as orders
from edge_agent.boards import kerong_cu16 as cu16
from edge_agent.boards.link import BoardLinkError
from edge_agent.journal import Journal
from wire.messages import Command, CommandState, encode

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Until


from tests.edge_agent.bench import Bench


async def test_a_command_is_on_disk_before_it_acts(bench: Bench, until: "Until") -> None:
    command = bench.command()
    known: list[int] = []

    def look() -> None:
        if bench.written[-1][2] == cu16.UNLOCK:
            _, _, outbox, _ = bench.files.open()
            known.append(outbox.last_seq)

    bench.on_write = look
    bench.commands.receive(encode(command), retained=False)
    await until(lambda: bench.replies)
    assert len(known) == 1
    again: Journal = bench.files.open()[3]
    assert await again.load() == []
    found = again.find(command.id)
    assert found is not None
    assert found.reply is not None
    assert found.reply.state is CommandState.SUCCEEDED
    assert await bench.kinds() == [("door.unlocked", None), ("command.finished", "succeeded")]


async def test_a_deadline_that_passes_while_it_is_written_down_is_kept(
    bench: Bench, until: "Until", monkeypatch: pytest.MonkeyPatch
) -> None:
    start = bench.journal.start

    async def slow(command: Command) -> None:
        await start(command)
        bench.clock.shift = 5001

    monkeypatch.setattr(bench.journal, "start", slow)
    bench.commands.receive(encode(bench.command()), retained=False)
    await until(lambda: bench.replies)
    assert (bench.replies[0].state, bench.replies[0].reason) == (CommandState.REJECTED, "expired")
    assert bench.unlocks() == 0
    assert await bench.kinds() == [("command.finished", "rejected")]


async def test_a_command_that_cannot_be_written_down_does_not_act(bench: Bench, until: "Until") -> None:
    other = bench.files.open()[0]
    await other.submit(lambda connection: connection.execute("ALTER TABLE command RENAME TO gone").rowcount)
    command = bench.command()
    bench.commands.receive(encode(command), retained=False)
    # Its end cannot be written down either: nobody is told before it is.
    await until(lambda: bench.disk._retry)  # noqa: SLF001
    assert not bench.replies
    await other.submit(lambda connection: connection.execute("ALTER TABLE gone RENAME TO command").rowcount)
    await until(lambda: bench.replies)
    assert (bench.replies[0].state, bench.replies[0].reason) == (CommandState.FAILED, "storage")
    assert bench.unlocks() == 0
    assert await bench.kinds() == [("command.finished", "failed")]


async def test_a_line_that_breaks_at_the_pulse_is_a_failure(
    bench: Bench, until: "Until", monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> bool:
        raise BoardLinkError("the line is down")

    monkeypatch.setattr(bench.cabinet, "unlock", broken)
    command = bench.command()
    bench.commands.receive(encode(command), retained=False)
    await until(lambda: bench.replies)
    monkeypatch.undo()
    assert (bench.replies[0].state, bench.replies[0].reason) == (CommandState.FAILED, "board_offline")
    bench.commands.receive(encode(command), retained=False)
    await until(lambda: len(bench.replies) == 2)
    assert bench.replies[1].state is CommandState.FAILED
    assert bench.unlocks() == 0


async def test_twins_in_one_moment_act_once(bench: Bench, until: "Until") -> None:
    command = encode(bench.command())
    for _ in range(5):
        bench.commands.receive(command, retained=False)
    await until(lambda: bench.replies)
    await bench.commands.drain(20)
    assert bench.unlocks() == 1
    assert len(bench.replies) == 1


async def test_one_command_too_many_is_rejected_as_busy(
    bench: Bench, until: "Until", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "IN_HAND_MAX", 2)
    for door in range(1, 5):
        bench.commands.receive(encode(bench.command(door=door)), retained=False)
    await until(lambda: len(bench.replies) == 4)
    reasons = sorted(reply.reason or "" for reply in bench.replies)
    assert reasons == ["", "", "busy", "busy"]
    assert bench.unlocks() == 2


async def test_a_located_locker_blinks_and_then_gives_the_led_back(bench: Bench, until: "Until") -> None:
    trigger = bench.files.directory / "led" / "trigger"
    trigger.parent.mkdir()
    trigger.write_text("none [mmc0] timer heartbeat")
    command = encode(bench.command(kind="locate", door=None))
    bench.commands.receive(command, retained=False)
    await until(lambda: bench.replies)
    assert bench.replies[0].state is CommandState.SUCCEEDED
    await until(lambda: trigger.read_text() == "mmc0")
    bench.commands.receive(command, retained=False)
    await until(lambda: len(bench.replies) == 2)
    assert trigger.read_text() == "mmc0"
    assert await bench.kinds() == [("command.finished", "succeeded")]


async def test_a_beacon_that_is_not_there_is_a_failure(bench: Bench, until: "Until") -> None:
    bench.commands.receive(encode(bench.command(kind="locate", door=None)), retained=False)
    await until(lambda: bench.replies)
    assert (bench.replies[0].state, bench.replies[0].reason) == (CommandState.FAILED, "beacon_failed")


async def test_an_open_door_is_pulsed_all_the_same(bench: Bench, until: "Until") -> None:
    bench.board.turn_key(2, 0)
    await until(lambda: bench.cabinet.views()[2].open)
    bench.commands.receive(encode(bench.command()), retained=False)
    await until(lambda: bench.replies)
    assert bench.replies[0].state is CommandState.SUCCEEDED
    assert bench.unlocks() == 1


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"v": 1}', b'{"v": 2, "id": "nonsense"}', b"\xff" * 300_000]
)
async def test_what_is_no_command_is_counted_and_nothing_else(bench: Bench, payload: bytes) -> None:
    bench.commands.receive(payload, retained=False)
    await bench.commands.drain(20)
    assert bench.commands.malformed == 1
    assert (bench.replies, bench.unlocks()) == ([], 0)


async def test_a_newer_protocol_gets_an_answer(bench: Bench, until: "Until") -> None:
    bench.commands.receive(encode(bench.command(v=2)), retained=False)
    await until(lambda: bench.replies)
    assert bench.replies[0].reason == "version"


async def test_a_forgery_leaves_no_trace_in_the_ledger(bench: Bench, until: "Until") -> None:
    bench.commands.receive(encode(bench.command(sig=b"bad")), retained=False)
    await until(lambda: bench.replies)
    assert bench.replies[0].reason == "bad_signature"
    assert await bench.kinds() == []
