"""An error that nobody foresaw, as it goes into the log: with its place, and without the values of rows."""

import traceback

from hub.masking import scrub


def described(error: BaseException) -> dict[str, str]:
    """Return the fields of a log line: `error`, one sentence, and `where`, the lines of code that led there."""
    return {"error": sentence(error), "where": "".join(traceback.format_tb(error.__traceback__))}


def sentence(error: BaseException) -> str:
    """Return the kind of an error and the first line of its text: further ones may have the values of a row."""
    text = scrub(str(error).strip().split("\n", 1)[0])
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
