"""What each named statement about commands does to the tables; see tests/pair/tables.py."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from tests.pair.tables import Result, Row, Tables, a_read, a_write

_UNDER_WAY: Final = ("queued", "sent", "accepted", "timed_out")
_FINAL_TOLD: Final = ("rejected", "succeeded", "failed", "unknown")
_STATE_RANK: Final = {"queued": 0, "sent": 1, "accepted": 2, "timed_out": 3}
_OUTCOME_RANK: Final = {"closed": 3, "opened": 2, "open_not_detected": 1, None: 0}
_OUTCOME_OF: Final = {
    "door.closed": "closed",
    "door.opened": "opened",
    "door.open_not_detected": "open_not_detected",
}


@a_write
def command_put(tables: Tables, given: Row) -> Result:
    new = _plain(given)
    old = tables.commands.get(new["id"])
    if old is None:
        tables.commands[new["id"]] = _as_kept(new)
        return Result(count=1)
    if old["locker"] != new["locker"]:
        return Result()
    row = dict(old)
    if _rank(new["state"]) > _rank(old["state"]):
        row |= {
            "state": new["state"], "detail": new["detail"], "late": new["late"] or old["state"] == "timed_out",
        }  # fmt: skip
    if _OUTCOME_RANK[new["outcome"]] > _OUTCOME_RANK[old["outcome"]]:
        row["outcome"] = new["outcome"]
    row["cancel_requested"] = old["cancel_requested"] or new["cancel_requested"]
    row["attempts"] = max(old["attempts"], new["attempts"])
    row["stages_ms"] = new["stages_ms"] | old["stages_ms"]
    tables.commands[new["id"]] = _as_kept(row)
    return Result(count=1)


@a_write
def command_saw(tables: Tables, given: Row) -> Result:
    row = tables.commands.get(given["id"])
    if (
        row is None
        or (row["locker"], row["door"]) != (given["locker"], given["door"])
        or _OUTCOME_RANK[given["outcome"]] <= _OUTCOME_RANK[row["outcome"]]
    ):
        return Result()
    tables.commands[given["id"]] = row | {"outcome": given["outcome"]}
    return Result(count=1)


@a_read
def command(tables: Tables, given: Row) -> Result:
    return commands_by_id(tables, {"ids": [given["id"]]})


@a_read
def commands_by_id(tables: Tables, given: Row) -> Result:
    return Result([dict(tables.commands[one]) for one in given["ids"] if one in tables.commands])


@a_read
def commands_instant_newest(tables: Tables, given: Row) -> Result:
    found = [
        row
        for row in tables.commands.values()
        if row["class"] == "instant" and row["accepted_at"] >= given["since"]
    ]
    found.sort(key=lambda row: (row["accepted_at"], row["id"]), reverse=True)
    return Result([dict(row) for row in found[: given["limit"]]])


@a_read
def commands_durable_under_way(tables: Tables, given: Row) -> Result:
    after = given["after_at"], given["after_id"]
    found = [row for row in _durable(tables) if row["kind"] != "forget" and (row["accepted_at"], row["id"]) > after]
    return Result(
        [
            {"id": row["id"], "accepted_at": row["accepted_at"], "registered": True}
            for row in found[: given["limit"]]
        ]
    )


@a_read
def forgets_under_way(tables: Tables, given: Row) -> Result:
    found = [row for row in _durable(tables) if row["kind"] == "forget"]
    registered = {row["id"] for row in tables.lockers}
    turns: dict[str, int] = {}
    result = Result()
    for row in found:
        turn = turns[row["locker"]] = turns.get(row["locker"], 0) + 1
        if turn <= given["per_locker"]:
            taken = {name: row[name] for name in ("id", "locker", "accepted_at")}
            result.rows.append(taken | {"registered": row["locker"] in registered})
    after = given["after_locker"], given["after_at"], given["after_id"]
    result.rows.sort(key=_forget_key)
    return Result([row for row in result.rows if _forget_key(row) > after][: given["limit"]])


def _forget_key(row: Row) -> tuple[str, datetime, UUID]:
    return row["locker"], row["accepted_at"], row["id"]


@a_write
def forgets_add(tables: Tables, given: Row) -> Result:
    given = _plain(given)
    registered = {row["id"] for row in tables.lockers}
    result = Result()
    for one, locker in zip(given["ids"], given["lockers"], strict=True):
        waits = any(
            row["locker"] == locker and row["kind"] == "forget" and row["state"] == "queued"
            and row["args"] == given["args"]
            for row in tables.commands.values()
        )  # fmt: skip
        if waits or locker not in registered:
            continue
        tables.commands[one] = {
            "id": one, "class": "durable", "locker": locker, "kind": "forget", "door": None, "actor": None,
            "by": None, "reason": None, "args": given["args"], "accepted_at": given["now"],
            "deadline_ms": given["deadline_ms"], "expires_at": given["expires_at"], "state": "queued",
            "detail": None, "outcome": None, "late": False,
            "cancel_requested": False, "attempts": 0, "stages_ms": {}, "untouched": True,
        }  # fmt: skip
        result.count += 1
    return result


@a_write
def commands_settle_from_ledger(tables: Tables, given: Row) -> Result:
    result = Result()
    for event in sorted(tables.events, key=lambda row: row.occurred_ms):
        row = None if event.command is None else tables.commands.get(event.command)
        if (
            row is None
            or event.kind != "command.finished"
            or row["locker"] != event.locker
            or row["state"] not in _UNDER_WAY
            or row["accepted_at"] < given["since"]
        ):
            continue
        data = msgspec.json.decode(event.data or b"{}")
        state, detail, durable = data["state"], data.get("reason"), row["class"] == "durable"
        if data["command"]["id"] != str(row["id"]) or state not in _FINAL_TOLD:
            continue
        if durable and state == "rejected" and detail in {"expired", "too_far_ahead", "wrong_boot"}:
            continue
        if detail == "cancelled":
            state = "expired" if durable and not row["cancel_requested"] else "cancelled"
        late = row["late"] or row["state"] == "timed_out"
        tables.commands[row["id"]] = _as_kept(row | {"state": state, "detail": detail, "late": late})
        result.rows.append({"id": row["id"]})
        result.count += 1
    return result


@a_write
def commands_outcome_from_ledger(tables: Tables, given: Row) -> Result:
    result = Result()
    for event in tables.events:
        row = None if event.command is None else tables.commands.get(event.command)
        outcome = _OUTCOME_OF.get(event.kind)
        if (
            row is None
            or outcome is None
            or row["class"] != "instant"
            or (row["locker"], row["door"]) != (event.locker, event.door)
            or row["accepted_at"] < given["since"]
            or _OUTCOME_RANK[outcome] <= _OUTCOME_RANK[row["outcome"]]
        ):
            continue
        tables.commands[row["id"]] = row | {"outcome": outcome}
        result.count += 1
    return result


@a_write
def durable_add(tables: Tables, given: Row) -> Result:
    if given["id"] in tables.commands:
        return Result()
    tables.commands[given["id"]] = _plain(given) | {
        "class": "durable", "state": "queued", "detail": None, "outcome": None, "late": False,
        "cancel_requested": False, "attempts": 0, "stages_ms": {}, "untouched": True,
    }  # fmt: skip
    return Result(count=1)


@a_write
def durable_adopt(tables: Tables, given: Row) -> Result:
    row = tables.commands.get(given["id"])
    if row is None or row["class"] != "durable" or row["state"] != "queued":
        return Result()
    tables.commands[given["id"]] = row | {"untouched": False}
    return Result(count=1)


@a_write
def durable_deliver(tables: Tables, given: Row) -> Result:
    return _change(
        tables,
        given["ids"],
        lambda row: row["state"] in {"queued", "sent", "accepted"} and not row["cancel_requested"],
        lambda row: {
            "state": "sent" if row["state"] == "queued" else row["state"], "attempts": row["attempts"] + 1,
        },
    )  # fmt: skip


@a_write
def durable_settle(tables: Tables, given: Row) -> Result:
    given = _plain(given)
    return _change(
        tables,
        [given["id"]],
        lambda row: _rank(given["state"]) > _rank(row["state"]),
        lambda row: {
            "state": given["state"], "detail": given["detail"], "stages_ms": row["stages_ms"] | given["stages_ms"],
        },
        durable=False,
    )  # fmt: skip


@a_write
def durable_expire(tables: Tables, given: Row) -> Result:
    told = {"state": "expired", "detail": given["detail"]}
    return _change(
        tables,
        given["ids"],
        lambda row: row["state"] in (_UNDER_WAY if row["kind"] == "forget" else {"queued"}),
        lambda _: told,
    )


@a_write
def durable_overdue(tables: Tables, given: Row) -> Result:
    told = {"detail": given["detail"]}
    return _change(tables, given["ids"], lambda row: row["state"] in {"sent", "accepted"}, lambda _: told)


@a_write
def durable_cancel(tables: Tables, given: Row) -> Result:
    return _change(
        tables,
        [given["id"]],
        lambda row: row["state"] in {"queued", "sent", "accepted"} and row["kind"] != "forget",
        lambda row: {
            "cancel_requested": True, "state": "cancelled" if row["state"] == "queued" else row["state"],
        },
    )  # fmt: skip


@a_write
def durable_take_back(tables: Tables, given: Row) -> Result:
    result = Result()
    for one, accepted_at in zip(given["ids"], given["ats"], strict=True):
        row = tables.commands.get(one)
        if (
            row is not None
            and row.get("untouched")
            and row["accepted_at"] == accepted_at
            and row["state"] == "queued"
        ):
            del tables.commands[one]
            result.count += 1
    return result


def _change(
    tables: Tables,
    ids: list[UUID],
    where: Callable[[Row], bool],
    news: Callable[[Row], Row],
    *,
    durable: bool = True,
) -> Result:
    result = Result()
    for one in ids:
        row = tables.commands.get(one)
        if row is None or (durable and row["class"] != "durable") or not where(row):
            continue
        tables.commands[one] = _as_kept(row | news(row))
        result.count += 1
    return result


def _durable(tables: Tables) -> list[Row]:
    found = [row for row in tables.commands.values() if row["class"] == "durable" and row["state"] in _UNDER_WAY]
    return sorted(found, key=lambda row: (row["accepted_at"], row["id"]))


def _as_kept(row: Row) -> Row:
    """What the trigger of 0011_forget.sql makes of a row: an order to forget that has ended names nobody."""
    ended = row["kind"] == "forget" and row["state"] not in _UNDER_WAY
    return row | {"args": None, "actor": None} if ended else row


def _rank(state: str) -> int:
    return _STATE_RANK.get(state, 4)


def _plain(given: Row) -> Row:
    return {name: getattr(value, "obj", value) for name, value in given.items()}
