"""Rows as CSV that spreadsheets open without running anything (RFC 4180; OWASP, "CSV Injection")."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

BOM: Final = "\ufeff"
_LINE_END: Final = "\r\n"
# What begins a formula, also in its full-width form, which spreadsheets take for the same.
_BEGINS_FORMULA: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
_BEGINS_CELL_OF_ITS_OWN: Final = frozenset("\t\r\n")
_MARK: Final = "'"
# Semicolon and tab separate cells too where a spreadsheet's region says so.
_TO_QUOTE: Final = re.compile(r'[",;\t\r\n]|^\s|\s$')


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as lines, each with its CRLF."""
    return "".join([",".join([cell(value) for value in row]) + _LINE_END for row in rows])


def cell(value: object) -> str:
    """Return one value as it stands between two commas.

    Nothing is empty, numbers are numbers, times are RFC 3339, objects and lists are JSON. A text that a spreadsheet
    would take for a formula has an apostrophe before it, and so has one that begins with an apostrophe: whoever
    takes one leading apostrophe away has the text as it was.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return _quoted(_harmless(_text(value)))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    return msgspec.json.encode(value).decode()


def _harmless(text: str) -> str:
    if not text:
        return text
    if text[0] in _BEGINS_CELL_OF_ITS_OWN or text[0] == _MARK or _first_seen(text) in _BEGINS_FORMULA:
        return _MARK + text
    return text


def _first_seen(text: str) -> str:
    """Return the first character that is more than space, control or format: some programs look behind those."""
    for character in text:
        if not character.isspace() and unicodedata.category(character) not in {"Cc", "Cf"}:
            return character
    return ""


def _quoted(text: str) -> str:
    if _TO_QUOTE.search(text) is None:
        return text
    return '"' + text.replace('"', '""') + '"'
