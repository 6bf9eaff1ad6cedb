"""Made-up alarms for the page's tests, as docs/api.md describes them."""

from typing import Final

from aiohttp import web
from playwright.async_api import Locator, Page

from tests.dashboards.fake_hub import FakeHub, Json, fleet, stamp

SEVERITIES: Final = ("critical", "high", "medium", "low")
KINDS: Final = (
    ("door.forced", "critical", "Door {door} was opened by force"),
    ("door.left_open", "medium", "Door {door} was left open"),
    ("door.open_not_detected", "low", "Door {door} was told to open and was not seen open"),
    ("door.jammed", "high", "Door {door} is jammed"),
    ("sensor.fault", "medium", "The sensor of door {door} does not work"),
)


def alarm(name: str, *, ago_s: float = 60, **more: object) -> Json:
    """Return an Alarm: door 3 of hamburg-01 was forced, and nobody has seen it yet."""
    at = stamp(-ago_s)
    return {
        "id": f"00000000-0000-4000-8000-{abs(hash_of(name)):012}",
        "type": "door.forced",
        "severity": "critical",
        "tenant": "default",
        "site": "Hamburg",
        "locker": "hamburg-01",
        "door": 3,
        "state": "active_unacked",
        "began_at": at,
        "raised_at": at,
        "cleared_at": None,
        "last_at": at,
        "count": 1,
        "value": None,
        "limit": None,
        "unit": None,
        "acked_at": None,
        "acked_by": None,
        "ack_note": None,
        "shelved": None,
        "suppressed": None,
        "parent": None,
        "children": 0,
        "chattering": False,
        "stale": False,
        "rule": "door.forced",
        "what": "Door 3 was opened by force",
        "where": "Hamburg, main station (hamburg-01), door 3",
        "consequence": "What is behind it may be taken; the lock may be broken.",
        "todo": "Look at the door, or at its camera. Close it; if it does not lock, take it out of service.",
        **more,
    }


def hash_of(name: str) -> int:
    """Return a number that is the same in every run."""
    return int.from_bytes(name.encode()[-5:], "big") % 10**12


def acked(one: Json, **more: object) -> Json:
    """Return an alarm after somebody has acknowledged it."""
    seen = {"active_unacked": "active_acked", "cleared_unacked": "normal"}
    return {**one, "state": seen[one["state"]], "acked_at": stamp(), "acked_by": "anna", **more}


def shelved(one: Json, **more: object) -> Json:
    """Return an alarm that anna has shelved for an hour."""
    shelf = {"by": "anna", "why": "technician is on the way", "at": stamp(), "until": stamp(3600)}
    return {**one, "shelved": shelf, "suppressed": "shelved", **more}


def outage(site: str, lockers: int) -> list[Json]:
    """Return the alarm of a site's outage, and those of its lockers, which are folded into it."""
    parent = alarm(
        f"out {site}",
        type="site.offline",
        site=site,
        locker=None,
        door=None,
        children=lockers,
        value=lockers,
        what=f"{lockers} lockers of the site cannot be reached",
        where=site,
        rule="site.offline",
    )
    return [
        parent,
        *(
            alarm(
                f"{site[:2]}{n:03}",
                type="locker.offline",
                severity="high",
                site=site,
                locker=f"{site.lower()}-{n:02}",
                door=None,
                parent=parent["id"],
                suppressed="folded",
                what="The locker cannot be reached",
                where=f"{site}, lobby ({site.lower()}-{n:02})",
                rule="locker.offline",
            )
            for n in range(1, lockers + 1)
        ),
    ]


def many(count: int) -> list[Json]:
    """Return alarms of several types at several sites, every fourth of them acknowledged, every fifth cleared."""
    found = []
    for n in range(count):
        kind, severity, what = KINDS[n % len(KINDS)]
        state = "active_acked" if n % 4 == 3 else "cleared_unacked" if n % 5 == 4 else "active_unacked"
        site = ("Berlin", "Hamburg", "Leipzig")[n % 3]
        found.append(
            alarm(
                f"m{n:04}",
                ago_s=60 + 37 * n,
                type=kind,
                severity=severity,
                state=state,
                site=site,
                locker=f"{site.lower()}-{n // 12:02}",
                door=n % 12 + 1,
                rule=kind,
                what=what.format(door=n % 12 + 1),
                where=f"{site}, lobby ({site.lower()}-{n // 12:02}), door {n % 12 + 1}",
                acked_by="anna" if state == "active_acked" else None,
            )
        )
    return found


def health(**more: object) -> Json:
    """Return the health of quiet alarms, without their history."""
    return {
        "open": 3,
        "unacked": 2,
        "by_severity": {"critical": 1, "high": 0, "medium": 1, "low": 1},
        "shares": {"critical": 0.02, "high": 0.05, "medium": 0.2, "low": 0.73},
        "rate_10min": 1,
        "peak_10min": 4,
        "rate_target": 1,
        "flood": False,
        "flood_since": None,
        "standing": 0,
        "stale": [],
        "chattering": [],
        "top": [],
        "suppressed": {"shelved": 0, "maintenance": 0, "out_of_service": 0, "folded": 0},
        **more,
    }


def alarming(*alarms: Json, lockers: int = 3, total: int | None = None, **more: object) -> FakeHub:
    """Return a hub with these open alarms."""
    hub = fleet(lockers)
    show(hub, *alarms, total=total, **more)
    return hub


def show(hub: FakeHub, *alarms: Json, total: int | None = None, **more: object) -> None:
    """Give a hub these open alarms, for viewers that come from now on."""
    count = len(alarms) if total is None else total
    hub.views["alarms"] = {"alarms": list(alarms), "total": count, "health": health(**more)}


def row(page: Page, one: Json) -> Locator:
    """Return the row of an alarm."""
    return page.locator(f"[data-alarm='{one['id']}']")


def takes(hub: FakeHub, act: str, skipped: list[Json] | None = None) -> list[Json]:
    """Let the hub take an act; return the bodies that it gets."""
    bodies: list[Json] = []

    def answer(_: web.Request, body: Json | None) -> Json:
        assert body is not None
        bodies.append(body)
        asked = len(body["ids"]) if "ids" in body else len(hub.views["alarms"]["alarms"])
        left = skipped or []
        return {"done": asked - len(left), "skipped": left}

    hub.answers[f"POST /api/v1/alarms/{act}"] = answer
    return bodies


FORCED = alarm("forced", ago_s=5)
JAM = alarm("jammed", ago_s=600, type="door.jammed", severity="high", door=5, what="Door 5 is jammed")
LEFT = alarm(
    "left",
    ago_s=30,
    type="door.left_open",
    severity="medium",
    site="Berlin",
    locker="berlin-08",
    door=2,
    what="Door 2 was left open",
    where="Berlin, library (berlin-08), door 2",
)
