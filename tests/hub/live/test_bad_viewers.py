"""What viewers should not do, over raw sockets against the real application."""

import asyncio
import json
import zlib
from pathlib import Path

import pytest

from hub.config.settings import HttpSettings, LiveSettings
from tests.hub.api.serving import Served, locker, served
from tests.hub.live.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    connected,
    handshake,
)
from tests.hub.live.watching import FLEET, QUICK, Watch, come_online, until

TOKEN = "a-token-of-annas"
MANY = [locker(f"l-{number}") for number in range(400)]


def count(hub: Served, name: str, **labels: str) -> float:
    return hub.metrics.registry.get_sample_value(f"lockerhub_live_{name}", labels) or 0.0


async def still_served(hub: Served) -> None:
    """Somebody else sees what happens, whatever the bad one did."""
    async with hub.http.ws_connect("/live", headers={"Authorization": f"Bearer {TOKEN}"}) as socket:
        watch = Watch(socket)
        await watch.say("subscribe", "fleet")
        await watch.until("snapshot")
        name = next(iter(hub.fleet.lockers))
        come_online(hub, name)
        while name not in {changed for changed, _ in (await watch.until("diff"))["data"]["lockers"]}:
            pass


BAD = [
    ("{", "bad_message"),
    ("[]", "bad_message"),
    ("5", "bad_message"),
    ('{"type": "subscribe"}', "view_unknown"),
    ('{"type": "subscribe", "view": 5}', "bad_message"),
    ('{"type": "subscribe", "view": "' + "x" * 161 + '"}', "bad_message"),
    ('{"type": "shout", "view": "fleet"}', "bad_message"),
    ('{"type": "subscribe", "view": "fleet", "since": 1}', "bad_message"),
    ("[" * 2000, "bad_message"),
    ('{"type": "subscribe", "view": ""}', "view_unknown"),
    ('{"type": "subscribe", "view": ":"}', "view_unknown"),
    ('{"type": "subscribe", "view": "locker"}', "view_unknown"),
    ('{"type": "subscribe", "view": "locker:"}', "view_unknown"),
    ('{"type": "subscribe", "view": "events:"}', "view_unknown"),
    ('{"type": "subscribe", "view": "site"}', "view_unknown"),
    ('{"type": "subscribe", "view": "tail"}', "view_unknown"),
    ('{"type": "subscribe", "view": "fleet:berlin-01"}', "view_unknown"),
    ('{"type": "subscribe", "view": "health:berlin-01"}', "view_unknown"),
    ('{"type": "subscribe", "view": "site:Atlantis"}', "site_unknown"),
    ('{"type": "subscribe", "view": "locker:nowhere"}', "locker_unknown"),
    ('{"type": "subscribe", "view": "events:nowhere"}', "locker_unknown"),
    ('{"type": "subscribe", "view": "tail:nowhere"}', "locker_unknown"),
    ('{"type": "resync", "view": "nothing"}', "view_unknown"),
]


async def test_bad_messages_are_answered_and_the_link_lives_on(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, hub.http.ws_connect("/live") as socket:
        watch = Watch(socket)
        assert (await watch.next())["type"] == "hello"
        for text, code in BAD:
            await socket.send_str(text)
            frame = await watch.next()
            assert (frame["type"], frame["code"]) == ("error", code), text
            assert frame["detail"]
        await socket.send_bytes(b'{"type": "subscribe", "view": "fleet"}')
        assert (await watch.next())["code"] == "bad_message"
        await watch.say("unsubscribe", "never:seen")
        await watch.say("subscribe", "fleet")
        assert (await watch.next())["type"] == "snapshot"
        assert count(hub, "messages_total", result="refused") == len(BAD) + 1


async def test_only_the_hubs_own_pages_may_connect(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub:
        foreign = await hub.raw(handshake(hub, "Origin: https://evil.example\r\nConnection: close\r\n"))
        assert foreign.startswith(b"HTTP/1.1 403 ")
        assert b"foreign_origin" in foreign
        null = await hub.raw(handshake(hub, "Origin: null\r\nConnection: close\r\n"))
        assert null.startswith(b"HTTP/1.1 403 ")
        async with connected(hub, f"Origin: http://{hub.host}:{hub.port}\r\n") as viewer:
            assert (await viewer.until("hello"))["protocol"] == 2
        # No browser leaves it out; a program may.
        async with connected(hub) as viewer:
            await viewer.until("hello")


@pytest.fixture
def signed(tmp_path: Path) -> HttpSettings:
    file = tmp_path / "tokens"
    file.write_text(f"anna:{TOKEN}\nvera:viewer:a-token-of-veras\n")
    return HttpSettings(token_file=str(file))


async def cookie_of(hub: Served, token: str = TOKEN) -> str:
    async with hub.http.post("/api/v1/session", json={"token": token}) as response:
        assert response.status == 200
        morsel = response.cookies["lockerhub_session"]
    hub.http.cookie_jar.clear()
    return f"Cookie: lockerhub_session={morsel.value}\r\n"


async def sign_out(hub: Served, cookie: str) -> None:
    name, _, value = cookie.strip().partition(": ")
    async with hub.http.delete("/api/v1/session", headers={name: value}) as response:
        assert response.status == 204


async def test_without_a_session_or_after_it_nobody_gets_in(tmp_path: Path, signed: HttpSettings) -> None:
    async with served(tmp_path, lockers=FLEET, http=signed) as hub:
        cookie = await cookie_of(hub)
        for headers in ("", "Cookie: lockerhub_session=made-up\r\n", "Authorization: Bearer wrong\r\n"):
            refused = await hub.raw(handshake(hub, headers + "Connection: close\r\n"))
            assert refused.startswith(b"HTTP/1.1 401 "), headers
        async with connected(hub, cookie) as viewer:
            assert (await viewer.until("hello"))["role"] == "admin"
        await sign_out(hub, cookie)
        assert (await hub.raw(handshake(hub, cookie + "Connection: close\r\n"))).startswith(b"HTTP/1.1 401 ")


async def test_signing_out_ends_the_connections_of_that_session_and_no_other(
    tmp_path: Path, signed: HttpSettings
) -> None:
    async with served(tmp_path, lockers=FLEET, http=signed) as hub:
        mine, theirs = await cookie_of(hub), await cookie_of(hub)
        async with connected(hub, mine) as one, connected(hub, mine) as two, connected(hub, theirs) as other:
            for viewer in (one, two, other):
                viewer.say("subscribe", "fleet")
                await viewer.until("snapshot")
            await sign_out(hub, mine)
            assert await one.end() == 1008
            assert await two.end() == 1008
            come_online(hub, "berlin-01")
            await other.until("diff")
        assert count(hub, "closed_total", reason="signed_out") == 2
        await until(lambda: not hub.live.viewers)


async def test_the_messages_of_a_locker_are_not_for_those_who_only_look(
    tmp_path: Path, signed: HttpSettings
) -> None:
    async with served(tmp_path, lockers=FLEET, http=signed) as hub:
        async with connected(hub, await cookie_of(hub, "a-token-of-veras")) as viewer:
            assert (await viewer.until("hello"))["role"] == "viewer"
            viewer.say("subscribe", "tail:berlin-01")
            assert (await viewer.until("error"))["code"] == "role_needed"
            assert not hub.tail.watched
            viewer.say("subscribe", "locker:berlin-01")
            await viewer.until("snapshot")
        async with connected(hub, await cookie_of(hub)) as viewer:
            viewer.say("subscribe", "tail:berlin-01")
            await viewer.until("snapshot")


async def test_who_never_reads_is_let_go_and_costs_the_others_nothing(tmp_path: Path) -> None:
    impatient = LiveSettings(diff_interval_ms=1, viewer_queue_frames_max=2, send_timeout_s=0.5)
    async with served(tmp_path, lockers=MANY, live=impatient) as hub, connected(hub, receive_bytes=4096) as stuck:
        stuck.say("subscribe", "fleet")
        async with hub.http.ws_connect("/live") as socket:
            watch = Watch(socket)
            await watch.say("subscribe", "fleet")
            await watch.until("snapshot")
            rounds = 0
            while not count(hub, "closed_total", reason="never_reads"):
                rounds += 1
                hub.fleet.load([locker(f"l-{n}", site=f"Site {rounds} {'x' * 200}") for n in range(400)])
                hub.live.wake()
                assert len((await watch.until("diff"))["data"]["lockers"]) == 400
                assert all(viewer.queued <= 2 for viewer in hub.live.viewers)
        assert rounds > 3
        await still_served(hub)


async def test_who_reads_a_byte_now_and_then_is_let_go(tmp_path: Path) -> None:
    impatient = LiveSettings(diff_interval_ms=1, viewer_queue_frames_max=2, send_timeout_s=0.5)
    async with served(tmp_path, lockers=MANY, live=impatient) as hub, connected(hub, receive_bytes=4096) as slow:
        slow.say("subscribe", "fleet")

        async def sip() -> None:
            while True:
                await slow.reader.read(1)
                await asyncio.sleep(0.02)

        sipping = asyncio.create_task(sip())
        rounds = 0
        while not count(hub, "closed_total", reason="never_reads"):
            rounds += 1
            hub.fleet.load([locker(f"l-{n}", site=f"Site {rounds} {'x' * 200}") for n in range(400)])
            hub.live.wake()
            await asyncio.sleep(0.01)
        sipping.cancel()
        await still_served(hub)


async def test_a_flood_of_pings_is_answered_no_faster_than_it_may_be(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, connected(hub) as viewer:
        await viewer.until("hello")
        for number in range(5000):
            viewer.send(PING, b"%d" % number)
        assert await viewer.frame() == (PONG, b"0")
        await until(lambda: count(hub, "messages_total", result="held"))
        await still_served(hub)
        assert {viewer.queued for viewer in hub.live.viewers} <= {0}


async def test_who_does_not_answer_pings_is_gone_and_who_does_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_LOOK_S", 0.05), ("_PING_AFTER_S", 0.1), ("_SILENT_S_MAX", 5.0)):
        monkeypatch.setattr(f"hub.api.socket.{name}", seconds)
    async with served(tmp_path, lockers=FLEET) as hub, connected(hub) as dead, connected(hub) as quiet:
        pinged = 0
        while not count(hub, "closed_total", reason="silent"):
            opcode, payload = await quiet.frame()
            if opcode == PING:
                pinged += 1
                quiet.send(PONG, payload)
        assert pinged > 1
        assert await dead.end() is None
        await until(lambda: len(hub.live.viewers) == 1)
        quiet.say("ping")
        await quiet.until("pong")


async def test_ten_thousand_subscriptions_are_too_many(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=MANY) as hub, connected(hub) as viewer:
        for number in range(10_000):
            viewer.say("subscribe", f"locker:l-{number % 400}")
        assert (await viewer.until("error"))["code"] == "too_many_views"
        await until(lambda: count(hub, "messages_total", result="held"))
        (one,) = hub.live.viewers
        assert len(one.views) == 16
        await still_served(hub)


async def test_forged_words_of_falling_behind_are_only_subscriptions(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET, live=QUICK) as hub, connected(hub) as viewer:
        viewer.say("resync", "fleet")
        assert (await viewer.until("snapshot"))["view"] == "fleet"
        viewer.send(TEXT, b'{"type": "resync", "view": "fleet", "seq": 999999}')
        assert (await viewer.until("error"))["code"] == "bad_message"
        for kind in ("snapshot", "diff", "hello"):
            viewer.send(TEXT, json.dumps({"type": kind, "view": "fleet", "seq": 5, "data": {}}).encode())
            assert (await viewer.until("error"))["code"] == "bad_message"
        viewer.say("ping")
        await viewer.until("pong")


BROKEN = [
    ("a message that is too long", 1009, lambda viewer: viewer.send(TEXT, b"x" * 4097)),
    (
        "a message of 4 MB and a byte that is announced only",
        1009,
        lambda viewer: viewer.send(TEXT, length=2**22 + 1),
    ),
    ("a length that nothing has", 1009, lambda viewer: viewer.send(TEXT, length=2**63)),
    ("text that is not UTF-8", 1007, lambda viewer: viewer.send(TEXT, b'{"type": "\xff\xfe"}')),
    ("a continuation of nothing", 1002, lambda viewer: viewer.send(CONTINUATION, b"x")),
    ("an unknown opcode", 1002, lambda viewer: viewer.send(5, b"x")),
    ("a long ping", 1002, lambda viewer: viewer.send(PING, b"x" * 126)),
    ("a ping in pieces", 1002, lambda viewer: viewer.send(PING, b"x", fin=False)),
    ("an invalid close code", 1002, lambda viewer: viewer.send(CLOSE, (5).to_bytes(2, "big"))),
    ("compressed data without an agreement", 1002, lambda viewer: viewer.send(TEXT | 0x40, b"x")),
]


@pytest.mark.parametrize(("code", "send"), [pytest.param(code, send, id=name) for name, code, send in BROKEN])
async def test_what_breaks_the_protocol_ends_the_link(tmp_path: Path, code: int, send: object) -> None:
    assert callable(send)
    async with served(tmp_path, lockers=FLEET) as hub, connected(hub) as viewer:
        await viewer.until("hello")
        send(viewer)
        assert await viewer.end() == code
        await still_served(hub)


async def test_pieces_of_a_message_that_never_ends_are_bounded(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, connected(hub) as viewer:
        await viewer.until("hello")
        viewer.send(TEXT, b'{"type": "pi', fin=False)
        # Control frames may come in between, and are answered.
        viewer.send(PING, b"?")
        assert await viewer.frame() == (PONG, b"?")
        viewer.send(CONTINUATION, b'ng"}')
        await viewer.until("pong")
        viewer.send(TEXT, b"x", fin=False)
        for _ in range(5000):
            viewer.send(CONTINUATION, b"x", fin=False)
        assert await viewer.end() == 1009


async def test_a_compressed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub:
        async with connected(hub, "Sec-WebSocket-Extensions: permessage-deflate\r\n") as viewer:
            squeeze = zlib.compressobj(9, wbits=-15)
            bomb = squeeze.compress(b"x" * 3_000_000) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            assert len(bomb) < 4096
            viewer.send(TEXT | 0x40, bomb.removesuffix(b"\x00\x00\xff\xff"))
            assert await viewer.end() == 1009
        await still_served(hub)


async def test_binary_messages_are_answered_with_an_error(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, connected(hub) as viewer:
        viewer.send(BINARY, b'{"type": "ping"}')
        assert (await viewer.until("error"))["code"] == "bad_message"
        viewer.say("ping")
        await viewer.until("pong")


async def test_who_goes_without_a_word_is_forgotten(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub:
        async with connected(hub) as viewer:
            viewer.say("subscribe", "tail:berlin-01")
            await viewer.until("snapshot")
            assert len(hub.live.viewers) == 1
            assert hub.tail.watched.keys() == {"berlin-01"}
        await until(lambda: not hub.live.viewers and not hub.tail.watched)


async def test_a_close_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, connected(hub) as viewer:
        await viewer.until("hello")
        viewer.send(CLOSE, (1000).to_bytes(2, "big"))
        assert await viewer.end() == 1000


async def test_a_hub_that_stops_tells_all_of_them_at_once(tmp_path: Path) -> None:
    async with served(tmp_path, lockers=FLEET) as hub, connected(hub) as one, connected(hub) as two:
        for viewer in (one, two):
            await viewer.until("hello")
        stopping = asyncio.create_task(hub.socket.close())
        assert [await viewer.end() for viewer in (one, two)] == [1012, 1012]
        await stopping
