"""The label: the address that it carries is read back out of the picture."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import segno

from hub.config.settings import HttpSettings, load
from hub.errors import ConfigError
from tests.hub.api.serving import locker, served

SVG = "{http://www.w3.org/2000/svg}"


def dark(svg: bytes) -> set[tuple[int, int]]:
    """The dark modules (row, column), from the picture's own lines."""
    path = next(one for one in ET.fromstring(svg).iter(f"{SVG}path") if one.get("stroke"))
    drawn, row, column = set(), 0.0, 0
    for kind, numbers in re.findall(r"([Mmh])([-\d. ]+)", path.get("d") or ""):
        parts = [float(one) for one in re.findall(r"-?[\d.]+", numbers)]
        if kind == "h":
            drawn |= {(int(row), one) for one in range(column, column + int(parts[0]))}
            column += int(parts[0])
        else:
            column, row = (int(parts[0]), parts[1]) if kind == "M" else (column + int(parts[0]), row + parts[1])
    return drawn


def expected(address: str) -> set[tuple[int, int]]:
    matrix = segno.make(address, error="q", micro=False).matrix
    return {(y + 4, x + 4) for y, line in enumerate(matrix) for x, module in enumerate(line) if module}


@pytest.mark.parametrize(
    ("public_url", "base"),
    [
        (None, "http://127.0.0.1:{port}"),
        ("https://hub.example.org", "https://hub.example.org"),
        ("https://hub.example.org:8443/", "https://hub.example.org:8443"),
    ],
)
async def test_it_leads_to_the_lockers_page(tmp_path: Path, public_url: str | None, base: str) -> None:
    async with served(tmp_path, http=HttpSettings(public_url=public_url), lockers=[locker("berlin-01")]) as hub:
        async with hub.http.get("/api/v1/lockers/berlin-01/label.svg") as response:
            assert (response.status, response.content_type) == (200, "image/svg+xml")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            picture = await response.read()
        address = f"{base.format(port=hub.port)}/lockers/berlin-01"
    assert dark(picture) == expected(address)
    assert dark(picture) != expected(address + "x")
    assert ET.fromstring(picture).findtext(f"{SVG}desc") == address


async def test_markup_in_a_name_stays_a_name(tmp_path: Path) -> None:
    hostile = locker("a", site="</title><script>alert(1)</script>")
    named = type(hostile)("a", "default", "</title><script>alert(1)</script>&", "", hostile.doors)
    async with served(tmp_path, lockers=[named]) as hub, hub.http.get("/api/v1/lockers/a/label.svg") as response:
        tree = ET.fromstring(await response.read())
    assert tree.findtext(f"{SVG}title") == "</title><script>alert(1)</script>& (a)"
    assert {one.tag for one in tree.iter()} <= {f"{SVG}{tag}" for tag in ("svg", "title", "desc", "path", "g")}


async def test_a_host_that_is_no_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("a long enough token")
    guarded = HttpSettings(host="0.0.0.0", token_file=str(tmp_path / "tokens"))
    async with served(tmp_path, http=guarded, lockers=[locker("a")]) as hub:
        told = await hub.raw(
            b"GET /api/v1/lockers/a/label.svg HTTP/1.1\r\nHost: a/b?c\r\nConnection: close\r\n"
            b"Authorization: Bearer a long enough token\r\n\r\n"
        )
    assert told.startswith(b"HTTP/1.1 400")
    assert b"http.public_url" in told or b"Bad" in told


async def test_a_locker_that_is_not_there_has_no_label(tmp_path: Path) -> None:
    async with served(tmp_path) as hub, hub.http.get("/api/v1/lockers/nowhere/label.svg") as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (404, "locker_unknown")


@pytest.mark.parametrize(
    "url",
    [
        "hub.example.org",
        "ftp://hub",
        "https://",
        "https://a:b@hub",
        "https://hub/path",
        "https://hub?x",
        "https://h b",
    ],
)
def test_a_public_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"http\.public_url( = .*)? must be where people reach the page"):
        load(None, {"HUB_HTTP_PUBLIC_URL": url})
