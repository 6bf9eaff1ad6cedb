"""Who may call: this machine, or whoever has the token; and never a page of another site."""

from pathlib import Path

import aiohttp
import pytest

from hub.config.settings import HttpSettings
from tests.hub.api.serving import Served, served

TOKEN = "correct horse"


@pytest.fixture
def closed(tmp_path: Path) -> HttpSettings:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return HttpSettings(token_file=str(tmp_path / "token"))


async def code(request: aiohttp.client._RequestContextManager) -> tuple[int, str]:
    async with request as response:
        assert response.content_type == "application/problem+json"
        return response.status, (await response.json(content_type=None))["code"]


async def test_without_a_token_this_machine_may(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        async with hub.http.get("/api/v1/lockers") as response:
            assert response.status == 200
        async with hub.http.get("/api/v1/session") as response:
            assert await response.json() == {
                "needed": False,
                "signed_in": True,
                "operator": "local",
                "role": "admin",
            }


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN} more",
        "Bearer \u00e9",
    ],
)
async def test_with_a_token_others_may_not(tmp_path: Path, closed: HttpSettings, header: str | None) -> None:
    async with served(tmp_path, http=closed) as hub:
        headers = {} if header is None else {"Authorization": header}
        for path in ("/api/v1/lockers", "/metrics", "/api/v1/commands/x", "/live", "/nothing"):
            assert await code(hub.http.get(path, headers=headers)) == (401, "sign_in_needed")
        async with hub.http.get("/api/v1/lockers", headers=headers) as response:
            assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_the_token_opens(tmp_path: Path, closed: HttpSettings) -> None:
    async with served(tmp_path, http=closed) as hub:
        for scheme in ("Bearer", "bearer"):
            async with hub.http.get("/api/v1/lockers", headers={"Authorization": f"{scheme} {TOKEN}"}) as response:
                assert response.status == 200


async def test_what_everyone_may_see(tmp_path: Path, closed: HttpSettings) -> None:
    async with served(tmp_path, http=closed) as hub:
        for path in ("/", "/healthz", "/openapi.json", "/api/v1/session", "/lockers/berlin-01"):
            async with hub.http.get(path) as response:
                assert response.status == 200


async def test_a_browser_signs_in_and_out(tmp_path: Path, closed: HttpSettings) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        served(tmp_path, http=closed) as hub,
        aiohttp.ClientSession(f"http://127.0.0.1:{hub.port}", cookie_jar=jar) as browser,
    ):
        assert await code(browser.post("/api/v1/session", json={"token": "wrong"})) == (401, "token_wrong")
        assert await code(browser.get("/api/v1/lockers")) == (401, "sign_in_needed")
        async with browser.get("/api/v1/session") as response:
            assert await response.json() == {"needed": True, "signed_in": False, "operator": None, "role": None}
        async with browser.post("/api/v1/session", json={"token": TOKEN}) as response:
            assert await response.json() == {
                "needed": True,
                "signed_in": True,
                "operator": "operator",
                "role": "admin",
            }
            cookie = response.cookies["lockerhub_session"]
            assert cookie["httponly"]
            assert cookie["samesite"] == "Strict"
            assert cookie["max-age"] == "43200"
            assert len(cookie.value) >= 43
        async with browser.get("/api/v1/session") as response:
            assert await response.json() == {
                "needed": True,
                "signed_in": True,
                "operator": "operator",
                "role": "admin",
            }
        async with browser.get("/api/v1/lockers") as response:
            assert response.status == 200
        async with browser.delete("/api/v1/session") as response:
            assert response.status == 204
        # The cookie of before is worth nothing any more.
        stale = {"Cookie": f"lockerhub_session={cookie.value}"}
        assert await code(hub.http.get("/api/v1/lockers", headers=stale)) == (401, "sign_in_needed")


async def test_each_sign_in_is_a_session_of_its_own(tmp_path: Path, closed: HttpSettings) -> None:
    async with served(tmp_path, http=closed) as hub:
        seen = set()
        for _ in range(3):
            async with hub.http.post("/api/v1/session", json={"token": TOKEN}) as response:
                seen.add(response.cookies["lockerhub_session"].value)
        assert len(seen) == 3


async def test_everyone_is_known_by_their_own_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"anna:{TOKEN}\nben:another horse\n")
    async with served(tmp_path, http=HttpSettings(token_file=str(tmp_path / "token"))) as hub:
        for token, name in ((TOKEN, "anna"), ("another horse", "ben")):
            async with hub.http.post("/api/v1/session", json={"token": token}) as response:
                assert (await response.json())["operator"] == name
                cookie = {"Cookie": f"lockerhub_session={response.cookies['lockerhub_session'].value}"}
            for headers in (cookie, {"Authorization": f"Bearer {token}"}):
                async with hub.http.get("/api/v1/session", headers=headers) as response:
                    assert await response.json() == {
                        "needed": True,
                        "signed_in": True,
                        "operator": name,
                        "role": "admin",
                    }


async def test_attempts_are_limited(tmp_path: Path, closed: HttpSettings) -> None:
    async with served(tmp_path, http=closed) as hub:
        answers = [await code(hub.http.post("/api/v1/session", json={"token": str(n)})) for n in range(21)]
        assert answers == [(401, "token_wrong")] * 20 + [(429, "too_many_attempts")]


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"{}", 400, "bad_request"),
        (b'{"token": 5}', 400, "bad_request"),
        (b'{"token": "x", "more": 1}', 400, "bad_request"),
        (b'{"token": "\\ud800"}', 400, "bad_request"),
        (b"\xff", 400, "bad_request"),
        (b"[" * 60_000, 400, "bad_request"),
        (b'{"token": "' + b"x" * 1_000_000 + b'"}', 413, "too_large"),
    ],
)
async def test_bad_sign_ins(tmp_path: Path, closed: HttpSettings, body: bytes, status: int, name: str) -> None:
    async with served(tmp_path, http=closed) as hub:
        headers = {"Content-Type": "application/json"}
        assert await code(hub.http.post("/api/v1/session", data=body, headers=headers)) == (status, name)


async def test_a_form_is_not_json(tmp_path: Path, closed: HttpSettings) -> None:
    async with served(tmp_path, http=closed) as hub:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
            headers = {"Content-Type": kind}
            assert await code(hub.http.post("/api/v1/session", data=b"{}", headers=headers)) == (415, "not_json")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "[", "", "localhost.", "evil.example:80"]
)
async def test_another_name_for_this_machine_is_refused(tmp_path: Path, host: str) -> None:
    async with served(tmp_path) as hub:
        assert await code(hub.http.get("/api/v1/lockers", headers={"Host": host})) == (403, "foreign_host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:1", "[::1]:8080", "hub.example.org"])
async def test_known_names_are_let_in(tmp_path: Path, host: str) -> None:
    async with (
        served(tmp_path, http=HttpSettings(allowed_hosts=["hub.example.org"])) as hub,
        hub.http.get("/api/v1/lockers", headers={"Host": host}) as response,
    ):
        assert response.status == 200


ORIGINS = ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1.evil.example", "http://[", "x"]


@pytest.mark.parametrize("origin", ORIGINS)
async def test_pages_of_other_sites_change_nothing(tmp_path: Path, origin: str) -> None:
    headers = {"Origin": origin}
    async with served(tmp_path) as hub:
        post = hub.http.post("/api/v1/lockers/berlin-01/commands", json={"kind": "locate"}, headers=headers)
        assert await code(post) == (403, "foreign_origin")
        assert await code(hub.http.delete("/api/v1/session", headers=headers)) == (403, "foreign_origin")
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await hub.http.ws_connect("/live", headers=headers)


async def test_the_hubs_own_page_may(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        own = {"Origin": f"http://127.0.0.1:{hub.port}"}
        post = hub.http.post("/api/v1/lockers/berlin-01/commands", json={"kind": "locate"}, headers=own)
        assert await code(post) == (404, "locker_unknown")
        async with hub.http.ws_connect("/live", headers=own) as socket:
            assert (await socket.receive_json())["type"] == "hello"


async def raw_status(hub: Served, request: bytes) -> int:
    return int((await hub.raw(request)).split(b" ", 2)[1])


async def test_requests_that_are_not_quite_http(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        tail = b"Connection: close\r\n\r\n"
        assert await raw_status(hub, b"GET /healthz HTTP/1.0\r\n" + tail) in {400, 403}
        for request in (
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + tail,
            b"GET / HTTP/9.9\r\nHost: localhost\r\n" + tail,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + tail,
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n" + tail,
            b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            b"Transfer-Encoding: chunked\r\n" + tail + b"{}",
            b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n" + tail,
        ):
            assert 400 <= await raw_status(hub, request) < 500
        # The hub is as well as before.
        assert await raw_status(hub, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + tail) == 200


async def test_a_key_that_is_not_utf_8(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        request = (
            b"POST /api/v1/lockers/berlin-01/commands HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: \xff\r\n"
            b"Content-Type: application/json\r\nContent-Length: 17\r\nConnection: close\r\n\r\n"
            b'{"kind":"locate"}'
        )
        answer = await hub.raw(request)
        assert b"400 Bad Request" in answer
        assert b"Idempotency-Key" in answer
