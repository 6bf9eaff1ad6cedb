"""The documents say what the code does: every setting with its default, every metric, every message."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.config.settings import sections
from hub.core.accounting import MessageAccounting
from hub.metrics import Metrics
from wire import messages
from wire.errors import WireError
from wire.messages import EventKind, Message, encode
from wire.topics import HUB_STATE, Channel

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def operations() -> str:
    return (DOCS / "operations.md").read_text()


@pytest.fixture(scope="module")
def protocol() -> str:
    return (DOCS / "protocol.md").read_text()


def written_settings(text: str) -> dict[str, dict[str, str]]:
    """Section, key, default, as the tables have them: a table begins with its section's name."""
    found: dict[str, dict[str, str]] = {}
    section: dict[str, str] | None = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        heading = re.fullmatch(r"`\[(\w+)\]`", cells[0])
        if heading:
            section = found.setdefault(heading[1], {})
        elif not line.startswith("|"):
            section = None
        elif section is not None and not cells[0].startswith("-"):
            keys = re.findall(r"`(\w+)`", cells[0])
            defaults = [one.strip() for one in cells[1].split(",")]
            section.update(zip(keys, defaults * len(keys) if len(defaults) == 1 else defaults, strict=False))
    return found


def shown(default: object) -> str:
    if default is None or default == []:
        return "–"  # noqa: RUF001 - as it stands in the document
    if isinstance(default, bool):
        return str(default).lower()  # as TOML has it
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_every_setting_is_told_with_its_default_and_no_other(operations: str) -> None:
    def default(field: Any) -> object:  # noqa: ANN401 - msgspec's FieldInfo
        return field.default_factory() if callable(field.default_factory) else field.default

    expected = {
        section: {key: shown(default(field)) for key, field in keys.items()} for section, keys in sections().items()
    }
    assert written_settings(operations) == expected


def exported() -> set[str]:
    metrics = Metrics("0")
    metrics.count_accounts(MessageAccounting(), lambda: (0, 0))
    ends = {"counter": "_total", "info": "_info"}
    return {
        one.name + ends.get(one.type, "") for one in metrics.registry.collect() if one.name.startswith("lockerhub_")
    }


def test_every_metric_is_told_and_no_other(operations: str) -> None:
    assert set(re.findall(r"\blockerhub_\w+", operations)) == exported()


EXAMPLE = re.compile(r"^```json (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DECODERS: dict[str, Callable[[bytes], Message]] = {
    "Events": messages.decode_events,
    "Telemetry": messages.decode_telemetry,
    "Presence": messages.decode_presence,
    "Reply": messages.decode_reply,
    "Command": messages.decode_command,
    "Receipt": messages.decode_receipt,
    "HubState": messages.decode_hub_state,
}


def test_every_example_is_a_message_and_every_message_has_one(protocol: str) -> None:
    found = EXAMPLE.findall(protocol)
    assert len(found) == protocol.count("```json")
    for name, text in found:
        message = DECODERS[name](text.encode())
        # Not a field of it is one that a reader would ignore.
        written = set(re.findall(r'"(\w+)":', text))
        assert written == set(re.findall(r'"(\w+)":', encode(message).decode())), name
    assert {name for name, _ in found} == DECODERS.keys()


def test_the_check_of_examples_finds_a_bad_one() -> None:
    ((name, text),) = EXAMPLE.findall('```json Receipt\n{"v": 1, "epoch": "x"}\n```')
    with pytest.raises(WireError):
        DECODERS[name](text.encode())


def test_every_kind_and_every_channel_is_told(protocol: str) -> None:
    (kinds,) = re.findall(r"^\*\*Kinds\*\*: (.*?)\n\n", protocol, re.MULTILINE | re.DOTALL)
    assert {kind.value for kind in EventKind} == set(re.findall(r"`([a-z_.]+)`", kinds))
    for channel in Channel:
        assert f"/{channel.value}`" in protocol
    assert f"`{HUB_STATE}`" in protocol


def test_the_bytes_that_are_signed_are_told(protocol: str) -> None:
    command = DECODERS["Command"](dict(EXAMPLE.findall(protocol))["Command"].encode())
    assert isinstance(command, messages.Command)
    context, _, array = messages.signing_bytes(command).decode().partition("\n")
    assert f"`{context}`" in protocol
    (fields,) = re.findall(r"`\[(v, [a-z_, ]+)\]`", protocol)
    signed = [getattr(command, name) for name in fields.split(", ")]
    assert msgspec.json.decode(array) == msgspec.to_builtins(signed)


TEST_NAME = re.compile(r"`(?:(tests/[\w/]+\.py)::)?(test_\w+)`")


def missing_tests(text: str, folder: str) -> list[str]:
    """Return the tests that a document names and that do not exist; one without a file is sought in `folder`."""
    named = TEST_NAME.findall(text)
    files = {path: (DOCS.parent / path) for path, _ in named if path}
    texts = {path: file.read_text() if file.is_file() else "" for path, file in files.items()}
    texts[""] = "".join(file.read_text() for file in sorted((DOCS.parent / folder).rglob("*.py")))
    return [f"{path}::{name}" for path, name in named if f"def {name}(" not in texts[path]]


@pytest.mark.parametrize("document", ["guarantees.md", "field-cases.md"])
def test_every_test_that_a_document_names_exists(document: str) -> None:
    assert missing_tests((DOCS / document).read_text(), "tests/field") == []


def test_a_test_that_does_not_exist_is_found() -> None:
    here = "tests/test_docs.py"
    text = f"`{here}::test_a_test_that_does_not_exist_is_found`, `{here}::test_gone`, `test_gone_too`"
    assert missing_tests(text, "tests/field") == [f"{here}::test_gone", "::test_gone_too"]


def test_each_guarantee_of_the_readme_has_its_tests() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    promised = re.findall(r"^- \*\*(.+?)\.\*\*", readme, re.MULTILINE)
    rows = [line.split("|") for line in (DOCS / "guarantees.md").read_text().splitlines() if line.startswith("| ")]
    proved = {row[1].strip(): TEST_NAME.findall(row[2]) for row in rows[1:]}
    assert list(proved) == promised
    assert all(proved.values())


def test_each_field_case_has_a_reference_and_a_test() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (DOCS / "field-cases.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| report ")
    ]
    for row in rows:
        assert len(row) == 5, row
        assert re.search(r"[\w.-]+/[\w.-]+#\d+", row[0]), row
        assert TEST_NAME.search(row[4]), row
