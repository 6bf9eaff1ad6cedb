"""The tail of one locker's messages: what came, what went, what became of it, and what is withheld."""

from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from hub.live import Changes
from hub.live.tap_view import TapView
from hub.metrics import Metrics
from hub.mqtt.tap import PAYLOAD_CHARACTERS_MAX, SHOWN_MAX, MessageTap
from tests.hub.api.serving import served
from tests.hub.live.watching import AT, FLEET, QUICK, Watch
from wire.messages import PROTOCOL, Command, encode
from wire.topics import Channel, topic_of

EVENTS = topic_of("berlin-01", Channel.EVENTS)
COMMANDS = topic_of("berlin-01", Channel.COMMANDS)
WHO = UUID("11111111-2222-4333-8444-555555555555")


@pytest.fixture
def tail() -> MessageTap:
    return MessageTap(Metrics("0"))


def told(view: TapView) -> Any:  # noqa: ANN401 - None, or what is sent
    return view.diff(Changes(AT))


def test_nothing_is_kept_while_nobody_watches(tail: MessageTap) -> None:
    tail.note("in", EVENTS, b"{}", "taken")
    assert not tail.watched
    view = TapView(tail, "berlin-01")
    assert view.snapshot() == {"messages": []}
    assert told(view) is None
    # Others are not watched by that, and what is no locker's topic is nobody's.
    tail.note("in", topic_of("paris-02", Channel.EVENTS), b"{}", "taken")
    tail.note("in", "some/where/else", b"{}", "taken")
    assert told(view) is None
    view.close()
    assert not tail.watched


def test_two_who_watch_see_the_same_and_the_last_one_ends_it(tail: MessageTap) -> None:
    one, two = tail.watch("berlin-01"), tail.watch("berlin-01")
    assert one is two
    tail.unwatch("berlin-01")
    tail.note("in", EVENTS, b"{}", "taken")
    assert len(one.newest) == 1
    tail.unwatch("berlin-01")
    assert not tail.watched


def test_what_is_new_is_told_once_and_the_newest_are_in_the_snapshot(tail: MessageTap) -> None:
    view = TapView(tail, "berlin-01")
    tail.note("in", EVENTS, b"one", "taken", retained=True)
    tail.note("out", COMMANDS, b'{"kind":"open"}', "sent")
    assert view.snapshot() == {"messages": []}, "what the next turn tells is not told before"
    data = told(view)
    assert data is not None
    first, second = data["messages"]
    assert (first.n, first.direction, first.channel, first.payload, first.retained, first.verdict) == (
        1, "in", "events", "one", True, "taken",
    )  # fmt: skip
    assert (second.n, second.direction, second.channel, second.payload) == (2, "out", "commands", '{"kind":"open"}')
    assert told(view) is None
    assert view.snapshot() == {"messages": [first, second]}
    for number in range(1, 251):
        tail.note("in", EVENTS, b"%d" % number, "taken")
    data = told(view)
    assert data is not None
    assert [message.payload for message in data["messages"]] == [str(n) for n in range(151, 251)]
    assert data["skipped"] == 150
    assert len(view.snapshot()["messages"]) == SHOWN_MAX


def test_long_payloads_are_cut_and_what_is_no_text_is_shown_as_far_as_it_is(tail: MessageTap) -> None:
    view = TapView(tail, "berlin-01")
    tail.note("in", EVENTS, "ä".encode() * 5000, "quarantined:malformed")
    tail.note("in", EVENTS, b"\xff\x00{", "quarantined:malformed")
    long, broken = told(view)["messages"]
    assert (len(long.payload), long.cut, long.bytes) == (PAYLOAD_CHARACTERS_MAX, True, 10_000)
    assert (broken.payload, broken.cut, broken.bytes) == ("�\x00{", False, 3)


def forget() -> Command:
    return Command(
        v=PROTOCOL, id=UUID(int=7), locker="berlin-01", kind="forget", door=None, args={"actor": str(WHO)},
        actor=WHO, reason=None, boot=UUID(int=1), not_after=5, sig=b"x" * 64,
    )  # fmt: skip


def test_whom_a_forget_is_about_is_withheld_wherever_it_stands(tail: MessageTap) -> None:
    view = TapView(tail, "berlin-01")
    command = encode(forget())
    assert str(WHO).encode() in command
    tail.note("out", COMMANDS, command, "sent")
    order = {"id": str(UUID(int=7)), "locker": "berlin-01", "kind": "forget", "args": {"actor": str(WHO)}}
    ended = {"kind": "command.finished", "data": {"command": order, "state": "succeeded"}}
    tail.note("in", EVENTS, orjson.dumps({"events": [ended]}), "taken")
    tail.note("out", COMMANDS, command[:-3], "unsent")
    messages = told(view)["messages"]
    assert len(messages) == 3
    for message in messages:
        assert str(WHO) not in message.payload
        assert "withheld" in message.payload
    assert '"kind":"forget"' in messages[0].payload
    # Of other commands nothing is withheld.
    tail.note("out", COMMANDS, command.replace(b'"forget"', b'"restart"'), "sent")
    (other,) = told(view)["messages"]
    assert str(WHO) in other.payload


async def test_a_viewer_sees_a_lockers_messages(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        await watch.say("subscribe", "tail:berlin-01")
        assert (await watch.until("snapshot"))["data"] == {"messages": []}
        hub.tail.note("in", EVENTS, b'{"v":1,"markup":"<script>"}', "taken")
        (message,) = (await watch.until("diff"))["data"]["messages"]
        assert message["payload"] == '{"v":1,"markup":"<script>"}'
        await watch.say("unsubscribe", "tail:berlin-01")
        await watch.say("subscribe", "fleet")
        await watch.until("snapshot", "fleet")
        assert not hub.tail.watched
