"""The page's files as browsers get them: packed for those that take it, whole for the others, once for all."""

import gzip
import re
from pathlib import Path

import pytest

from hub.api.page import folder
from tests.hub.api.serving import served

SHELL = "/static/app/views/shell.js"


@pytest.mark.parametrize("accepted", ["gzip, deflate, br", "identity", ""])
async def test_a_file_comes_packed_to_who_takes_it(tmp_path: Path, accepted: str) -> None:
    whole = (folder() / "app/views/shell.js").read_bytes()
    async with served(tmp_path) as hub:
        asked = (
            f"GET {SHELL} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept-Encoding: {accepted}\r\n\r\n"
        )
        head, _, body = (await hub.raw(asked.encode())).partition(b"\r\n\r\n")
    packed = "gzip" in accepted
    assert (b"Content-Encoding: gzip" in head) is packed
    assert b"Vary: Accept-Encoding" in head
    assert (gzip.decompress(body) if packed else body) == whole
    assert not packed or len(body) < len(whole) / 2


async def test_a_file_that_is_known_is_not_sent_again(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        async with hub.http.get(SHELL) as first:
            tag = first.headers["ETag"]
        async with hub.http.get(SHELL, headers={"If-None-Match": tag}) as second:
            assert (second.status, await second.read()) == (304, b"")
        async with hub.http.get(SHELL, headers={"If-None-Match": '"another"'}) as third:
            assert third.status == 200


async def test_a_person_whose_address_is_none_gets_the_page_and_a_program_a_problem(tmp_path: Path) -> None:
    person = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
    index = (folder() / "index.html").read_text(encoding="utf-8")
    async with served(tmp_path) as hub:
        async with hub.http.get("/", headers=person) as there:
            tag = there.headers["ETag"]
        for path in ("/nowhere", "/lockers/berlin-01/nowhere"):
            async with hub.http.get(path, headers={**person, "If-None-Match": tag}) as answer:
                assert (answer.status, await answer.text()) == (404, index), path
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            async with hub.http.get(path) as answer:
                assert (answer.status, (await answer.json(content_type=None))["code"]) == (404, "not_found")
        async with hub.http.get("/nowhere", headers={**person, "Host": "rebound.example"}) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (403, "foreign_host")
        for method, path in (("GET", "/api/v1/nowhere"), ("GET", "/static/nowhere"), ("POST", "/nowhere")):
            async with hub.http.request(method, path, headers=person) as answer:
                assert (answer.status, answer.content_type) == (404, "application/problem+json"), path


async def test_a_file_outside_of_the_page_is_not_there(tmp_path: Path) -> None:
    async with served(tmp_path) as hub:
        for path in ("/static/app/none.js", "/static/%2e%2e/%2e%2e/README.md", "/static/../../README.md"):
            async with hub.http.get(path) as answer:
                assert answer.status == 404, path


async def test_all_style_sheets_come_as_one_in_their_order(tmp_path: Path) -> None:
    listed = re.findall(r'@import "([^"]+)";', (folder() / "css/all.css").read_text(encoding="utf-8"))
    sheets = [(folder() / "css" / one).resolve() for one in listed]
    there = {path for path in folder().rglob("*.css") if path.name != "all.css"}
    assert len(listed) == len(set(listed))
    assert set(sheets) == {path.resolve() for path in there}
    async with served(tmp_path) as hub, hub.http.get("/static/css/all.css") as answer:
        text = await answer.text()
    places = [text.index(path.read_text(encoding="utf-8")) for path in sheets]
    assert places == sorted(places)
    assert "@import" not in text
