import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards.fake_hub import OPERATOR

PAGE = OPERATOR / "vendor"
TESTS = Path(__file__).parent / "vendor"
LOCK = "vendor.lock.json"
LICENCES = {"lit": "BSD-3-Clause", "uplot": "MIT", "axe-core": "MPL-2.0"}

both = pytest.mark.parametrize("folder", [PAGE, TESTS], ids=["page", "tests"])


@both
def test_every_vendored_file_is_the_one_that_was_locked(folder: Path) -> None:
    for bundle in locked(folder):
        assert bundle["files"], bundle["name"]
        for name, sha256 in bundle["files"].items():
            assert sha256_of(folder / name) == sha256, name


@both
def test_every_vendored_library_has_its_licence_with_it(folder: Path) -> None:
    for bundle in locked(folder):
        assert bundle["license"] == LICENCES[bundle["name"]]
        assert sha256_of(folder / bundle["license_file"]) == bundle["license_sha256"]


@both
def test_nothing_else_is_vendored(folder: Path) -> None:
    known = {LOCK, "SOURCE.md"} if folder == TESTS else {LOCK}
    for bundle in locked(folder):
        known |= {*bundle["files"], bundle["license_file"]}
    assert {path.name for path in folder.iterdir()} == known


def test_every_vendored_library_is_in_one_of_the_locks() -> None:
    assert {bundle["name"] for folder in (PAGE, TESTS) for bundle in locked(folder)} == set(LICENCES)


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


def locked(folder: Path) -> list[dict[str, Any]]:
    bundles: list[dict[str, Any]] = json.loads((folder / LOCK).read_text(encoding="utf-8"))
    return bundles


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
