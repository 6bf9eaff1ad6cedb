"""The words: a mail's subject and text, and the JSON of a webhook."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hub.core.notify.notices import Digest, Message, Notice, counted
from hub.core.printable import unprintable

SUBJECT_CHARACTERS_MAX: Final = 180
_SAID: Final = {"raised": "ALARM", "cleared": "over", "acked": "acknowledged"}


@dataclass(frozen=True, slots=True)
class Email:
    """A mail. The subject is one line of printable characters."""

    subject: str
    text: str


def one_line(text: str) -> str:
    """Return a text as one line that can be shown: whatever breaks lines, or turns them about, is a blank."""
    shown = "".join(" " if unprintable(char) else char for char in text)
    return " ".join(shown.split())


def render_email(message: Message, public_url: str | None) -> Email:
    """Return a message as a mail."""
    if message.notice is not None:
        notice = message.notice
        head = f"[{notice.severity}] {_SAID[notice.transition]}: {notice.what}: {notice.where}"
        lines = _lines(notice, public_url)
    elif message.digest is not None:
        digest = message.digest
        head = f"[digest] {digest.total} changes of alarms: {counted(digest.counts)}"
        lines = _digest_lines(digest, public_url)
    else:
        head = f"[test] Notifications over {message.channel} work"
        lines = [
            "This is a test. Nothing has happened.",
            f"An operator asked the hub to send it over the channel {message.channel}.",
            *_link(public_url, ""),
        ]
    subject = one_line(head)
    if len(subject) > SUBJECT_CHARACTERS_MAX:
        subject = f"{subject[: SUBJECT_CHARACTERS_MAX - 1]}…"
    return Email(subject, "\n".join([*(one_line(line) for line in lines), ""]))


def render_webhook(message: Message, public_url: str | None) -> dict[str, Any]:
    """Return a message as the JSON of a webhook: `type` is alarm.raised, alarm.digest, test and so on."""
    transition = message.transition
    body: dict[str, Any] = {
        "type": "test" if transition == "test" else f"alarm.{transition}",
        "timestamp": message.at,
        "id": message.id,
        "channel": message.channel,
    }
    if message.notice is not None:
        body["data"] = _told(message.notice, public_url)
    elif message.digest is not None:
        digest = message.digest
        body["data"] = {
            "since": digest.since,
            "until": digest.until,
            "total": digest.total,
            "counts": digest.counts,
            "alarms": [_told(notice, public_url) for notice in digest.notices],
            "url": _url(public_url, "/alarms"),
        }
    else:
        body["data"] = {"text": "This is a test. Nothing has happened."}
    return body


def _told(notice: Notice, public_url: str | None) -> dict[str, Any]:
    fields = {name: getattr(notice, name) for name in Notice.__struct_fields__}
    return {**fields, "url": _url(public_url, f"/alarms/{notice.alarm}")}


def _lines(notice: Notice, public_url: str | None) -> list[str]:
    lines = [f"{notice.what}.", f"Where: {notice.where}", f"Severity: {notice.severity}"]
    if notice.site:
        lines.append(f"Site: {notice.site}")
    if notice.locker:
        lines.append(f"Locker: {notice.locker}" + ("" if notice.door is None else f", door {notice.door}"))
    lines.append(f"Since: {_time(notice.began_at)}")
    if notice.count > 1:
        lines.append(f"Times: {notice.count}")
    if notice.transition == "cleared":
        lines.append(f"Over: {_time(notice.at)}")
    elif notice.transition == "acked":
        lines.append(f"Acknowledged: {_time(notice.at)}" + (f" by {notice.by}" if notice.by else ""))
    else:
        lines += ["", f"Consequence: {notice.consequence}", f"What to do: {notice.todo}"]
    return [*lines, *_link(public_url, f"/alarms/{notice.alarm}")]


def _digest_lines(digest: Digest, public_url: str | None) -> list[str]:
    left = digest.total - len(digest.notices)
    return [
        f"{digest.total} changes of alarms between {_time(digest.since)} and {_time(digest.until)}:",
        counted(digest.counts),
        "",
        *(f"[{one.severity}] {_SAID[one.transition]}: {one.what}: {one.where}" for one in digest.notices),
        *([f"and {left} more, none worse than these"] if left > 0 else []),
        *_link(public_url, "/alarms"),
    ]


def _link(public_url: str | None, path: str) -> list[str]:
    url = _url(public_url, path)
    return [] if url is None else ["", url]


def _url(public_url: str | None, path: str) -> str | None:
    return None if public_url is None else f"{public_url.rstrip('/')}{path}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
