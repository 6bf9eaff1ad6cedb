"""Ids that come again, settings, restarts and cancels: what is kept, and what never begins."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from msgspec import structs

from edge_agent import commands as orders
from edge_agent.core.orders import Earlier
from wire.messages import CommandState, decode_reply, encode

if TYPE_CHECKING:
    from tests.edge_agent.conftest import Until


from tests.edge_agent.bench import Bench, cancel, held, receive


async def test_an_id_that_comes_with_another_order_is_refused_and_leaves_the_first_alone(
    bench: Bench, until: "Until"
) -> None:
    command = bench.command()
    first = await receive(bench, until, command)
    reply = await receive(bench, until, structs.replace(command, door=4))
    assert (reply.id, reply.state, reply.reason) == (command.id, CommandState.REJECTED, "id_reused")
    assert structs.replace(await receive(bench, until, command), stages=None) == structs.replace(first, stages=None)
    assert bench.unlocks() == 1
    assert await bench.kinds() == [("door.unlocked", None), ("command.finished", "succeeded")]
    # Also over a restart: what was ordered is in the journal.
    again = bench.files.open(bench.clock)[3]
    await again.load()
    assert again.find(command.id) == bench.journal.find(command.id)


async def test_settings_are_kept_applied_and_told(bench: Bench, until: "Until") -> None:
    wanted: dict[str, str | int | bool] = {"doors.left_open_s": 5, "telemetry.period_s": "0.5"}
    command = bench.command(kind="configure", door=None, args=wanted)
    reply = await receive(bench, until, command)
    assert (reply.state, reply.reason) == (CommandState.SUCCEEDED, None)
    assert bench.configured == [{"doors.left_open_s": 5, "telemetry.period_s": 0.5}]
    assert (await receive(bench, until, command)).state is CommandState.SUCCEEDED
    assert len(bench.configured) == 1
    await receive(bench, until, bench.command(kind="configure", door=None, args={"doors.left_open_s": 7}))
    assert bench.files.open()[1].settings == {"doors.left_open_s": "7", "telemetry.period_s": "0.5"}
    assert await bench.kinds() == [("command.finished", "succeeded")] * 2


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (None, "bad_settings"),
        ({"doors.left_open_s": 0}, "bad_settings: doors.left_open_s"),
        ({"doors.left_open_s": 5, "x\n": 1, "doors.poll_ms": 5}, "bad_settings: x?, doors.poll_ms"),
        ({"doors.open_detect_ms": True}, "bad_settings: doors.open_detect_ms"),
        ({"telemetry.period_s": "soon"}, "bad_settings: telemetry.period_s"),
        ({"y" * 500: 1}, "bad_settings: " + "y" * 186),
    ],
)
async def test_wrong_settings_are_refused_by_name_and_nothing_of_them_is_kept(
    bench: Bench, until: "Until", args: dict[str, str | int | bool] | None, reason: str
) -> None:
    reply = await receive(bench, until, bench.command(kind="configure", door=None, args=args))
    assert (reply.state, reply.reason) == (CommandState.REJECTED, reason)
    assert decode_reply(encode(reply)) == reply
    assert bench.configured == []
    assert bench.files.open()[1].settings == {}
    assert await bench.kinds() == [("command.finished", "rejected")]


@pytest.mark.parametrize("kind", ["configure", "restart"])
@pytest.mark.parametrize("wrong", [{"boot": UUID(int=1)}, {"not_after": 0}])
async def test_a_durable_command_that_came_badly_comes_again_and_is_carried_out(
    bench: Bench, until: "Until", kind: str, wrong: dict[str, Any]
) -> None:
    command = bench.command(kind=kind, door=None, args={"doors.left_open_s": 5} if kind == "configure" else None)
    for _ in range(2):
        reply = await receive(bench, until, structs.replace(command, **wrong))
        assert (reply.state, reply.reason) == (
            CommandState.REJECTED,
            "expired" if "not_after" in wrong else "wrong_boot",
        )
    assert await bench.kinds() == []
    assert bench.journal.find(command.id) is None
    reply = await receive(bench, until, command)
    assert reply.state is (CommandState.SUCCEEDED if kind == "configure" else CommandState.ACCEPTED)
    assert bench.restarts.is_set() is (kind == "restart")


@pytest.mark.parametrize("kind", ["configure", "restart"])
async def test_a_durable_command_that_becomes_too_late_on_the_disk_comes_again(
    bench: Bench, until: "Until", kind: str
) -> None:
    command = bench.command(kind=kind, door=None, args={"doors.left_open_s": 5} if kind == "configure" else None)
    with held(bench) as release:
        bench.commands.receive(encode(command), retained=False)
        bench.clock.shift = 5001
        release()
    await until(lambda: bench.replies)
    assert (bench.replies[0].state, bench.replies[0].reason) == (CommandState.REJECTED, "expired")
    assert bench.journal.find(command.id) is None
    assert (bench.configured, bench.restarts.is_set(), await bench.kinds()) == ([], False, [])
    reply = await receive(bench, until, structs.replace(command, not_after=bench.clock.t() + 5000))
    assert reply.state is (CommandState.SUCCEEDED if kind == "configure" else CommandState.ACCEPTED)


async def test_a_door_is_not_opened_late_by_the_real_clock_however_slow_the_disk(
    bench: Bench, until: "Until"
) -> None:
    command = bench.command(budget_ms=50)
    with held(bench) as release:
        bench.commands.receive(encode(command), retained=False)
        assert not bench.replies, "it was in time when it was judged"
        await until(lambda: bench.clock.t() > command.not_after)
        release()
    await until(lambda: bench.replies)
    assert (bench.replies[0].reason, bench.unlocks()) == ("expired", 0)
    # It had begun, as far as the journal knows: that is how close it was.
    assert bench.replies[0].stages is not None
    assert bench.replies[0].stages.started_us is not None


async def test_settings_that_cannot_be_written_are_not_applied(bench: Bench, until: "Until") -> None:
    async def refuse(refusing: int) -> None:
        await bench.disk.read(lambda c: c.execute(f"PRAGMA query_only = {refusing}").fetchall())

    await refuse(1)
    bench.commands.receive(
        encode(bench.command(kind="configure", door=None, args={"doors.left_open_s": 5})), retained=False
    )
    await until(lambda: bench.disk._retry)  # noqa: SLF001
    assert not bench.replies
    await refuse(0)
    await until(lambda: bench.replies)
    assert (bench.replies[0].state, bench.replies[0].reason) == (CommandState.FAILED, "storage")
    assert (bench.configured, bench.files.open()[1].settings) == ([], {})


async def test_a_restart_is_accepted_and_settled_by_the_next_run(bench: Bench, until: "Until") -> None:
    command = bench.command(kind="restart", door=None)
    reply = await receive(bench, until, command)
    assert reply.state is CommandState.ACCEPTED
    await until(bench.restarts.is_set)
    assert (await receive(bench, until, command)).state is CommandState.ACCEPTED
    assert await bench.kinds() == []
    again = bench.files.open(bench.clock)[3]
    (owed,) = await again.load()
    assert (owed.id, owed.state, owed.reason) == (command.id, CommandState.SUCCEEDED, None)
    assert await bench.kinds_on_disk() == [("command.finished", "succeeded")]
    third = bench.files.open(bench.clock)[3]
    assert await third.load() == []


async def test_what_is_cancelled_before_it_comes_never_begins(bench: Bench, until: "Until") -> None:
    command = bench.command()
    # The copy may be the very next message.
    bench.commands.receive(encode(cancel(bench, command.id, actor=UUID(int=8))), retained=False)
    bench.commands.receive(encode(command), retained=False)
    await until(lambda: bench.replies)
    await bench.commands.drain(20)
    assert [(r.id, r.state, r.reason) for r in bench.replies] == [(command.id, CommandState.REJECTED, "cancelled")]
    reply = await receive(bench, until, command)
    assert (reply.state, reply.reason) == (CommandState.REJECTED, "cancelled")
    assert (await receive(bench, until, cancel(bench, command.id))).reason == "cancelled"
    assert bench.unlocks() == 0
    (event,) = [e for e in await bench.events() if e.kind == "command.finished"]
    assert (event.command, event.actor, event.door) == (command.id, UUID(int=8), None)
    assert event.data == {"command": {"id": str(command.id)}, "state": "rejected", "reason": "cancelled"}
    # It is on the disk: a restart changes nothing.
    again = bench.files.open(bench.clock)[3]
    assert await again.load() == []
    assert again.find(command.id) == Earlier(None, bench.replies[0])


async def test_a_cancel_of_what_has_ended_gets_its_reply(bench: Bench, until: "Until") -> None:
    command = bench.command()
    await receive(bench, until, command)
    reply = await receive(bench, until, cancel(bench, command.id))
    assert (reply.id, reply.state) == (command.id, CommandState.SUCCEEDED)
    assert await bench.kinds() == [("door.unlocked", None), ("command.finished", "succeeded")]


@pytest.mark.parametrize("kind", ["open", "locate", "configure", "restart"])
async def test_a_cancel_in_time_stops_what_is_being_written_down(bench: Bench, until: "Until", kind: str) -> None:
    (bench.files.directory / "led").mkdir()
    (bench.files.directory / "led" / "trigger").write_text("[none] timer")
    command = bench.command(
        kind=kind,
        door=3 if kind == "open" else None,
        args={"doors.left_open_s": 5} if kind == "configure" else None,
    )
    with held(bench) as release:
        bench.commands.receive(encode(command), retained=False)
        bench.commands.receive(encode(cancel(bench, command.id)), retained=False)
        release()
    await until(lambda: bench.replies)
    await bench.commands.drain(20)
    assert [(r.id, r.state, r.reason) for r in bench.replies] == [(command.id, CommandState.REJECTED, "cancelled")]
    assert (bench.unlocks(), bench.configured, bench.restarts.is_set()) == (0, [], False)
    assert (bench.files.directory / "led" / "trigger").read_text() == "[none] timer"
    assert await bench.kinds() == [("command.finished", "rejected")]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"sig": b"bad"}, "bad_signature"),
        ({"not_after": 0}, "expired"),
        ({"boot": UUID(int=1)}, "wrong_boot"),
        ({"args": {"command": "nonsense"}}, "bad_args"),
        ({"args": None}, "bad_args"),
    ],
)
async def test_a_bad_cancel_cancels_nothing(
    bench: Bench, until: "Until", wrong: dict[str, Any], reason: str
) -> None:
    command = bench.command()
    bad = structs.replace(cancel(bench, command.id), **wrong)
    reply = await receive(bench, until, bad)
    assert (reply.id, reply.state, reply.reason) == (bad.id, CommandState.REJECTED, reason)
    assert await bench.kinds() == []
    assert (await receive(bench, until, command)).state is CommandState.SUCCEEDED


async def test_a_cancel_that_cannot_be_written_down_is_not_answered_but_holds(bench: Bench, until: "Until") -> None:
    command = bench.command()
    with held(bench) as release:
        bench.commands.receive(encode(cancel(bench, command.id)), retained=False)
        bench.commands.receive(encode(command), retained=False)
        assert not bench.replies
        release()
    await until(lambda: bench.replies)
    assert (bench.replies[0].reason, bench.unlocks()) == ("cancelled", 0)


async def test_a_flood_is_dropped_and_counted(
    bench: Bench, until: "Until", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "IN_HAND_MAX", 1)
    monkeypatch.setattr(orders, "UNANSWERED_MAX", 2)
    commands = [bench.command(door=door) for door in range(1, 6)]
    for command in commands:
        bench.commands.receive(encode(command), retained=False)
    await until(lambda: len(bench.replies) == 2)
    assert bench.commands.troubles() == {"commands_dropped": 3}
    assert sorted(reply.reason or "" for reply in bench.replies) == ["", "busy"]
    assert bench.journal.find(commands[4].id) is None
