import hashlib
import json
import re

from tests.dashboards.fake_hub import OPERATOR

VENDOR = OPERATOR / "vendor"


def test_every_vendored_file_is_the_one_that_was_locked() -> None:
    lock = json.loads((VENDOR / "vendor.lock.json").read_text(encoding="utf-8"))
    assert _sha256(lock["file"]) == lock["sha256"]
    assert _sha256("LICENSE") == lock["license_sha256"]
    assert {path.name for path in VENDOR.iterdir()} == {lock["file"], "LICENSE", "vendor.lock.json"}


def test_no_file_of_the_page_names_another_host() -> None:
    # The two hosts are XML's names for SVG and Lit's notes on its own names; nobody asks them for anything.
    known = {"www.w3.org", "lit.dev"}
    for path in OPERATOR.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert set(re.findall(r"(?:https?|wss?)://([\w.-]+)", text)) <= known, path


def test_no_markup_is_made_from_text() -> None:
    for path in (OPERATOR / "app").rglob("*.js"):
        found = re.findall(
            r"unsafe\w+|innerHTML|outerHTML|insertAdjacentHTML|console\.", path.read_text(encoding="utf-8")
        )
        assert found == [], path


def _sha256(name: str) -> str:
    return hashlib.sha256((VENDOR / name).read_bytes()).hexdigest()
