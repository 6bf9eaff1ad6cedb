"""Compares what the boards and the lockers' own files say with what the hub stored and told. Pure.

Each finding is a sentence, the same for the same fault, so that new findings can be told from earlier ones.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Final

from faults.history import Command, Content, Entry, History, Movement, Numbers, Stored

LINE_MS: Final = 25
"""A board times a pulse when it has read the frame; the locker's last look at the clock is so much earlier at most:
a frame on a line of 9600 baud, and the scheduler of a busy machine. Where the boards know that they were put aside
themselves (`Movement.within_ms`), that comes on top: a real board does not stand still with its locker."""
_ACTED: Final = {
    "succeeded": 0,
    "sent": 1,
    "unknown": 1,
    "timed_out": 1,
    "failed": 2,
    "rejected": 3,
    "cancelled": 3,
    "expired": 3,
}
_DID_NOT_ACT: Final = frozenset({"rejected", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong, one sentence each; `declared` and `quarantined` are told, and wrong only where unexpected."""

    lost: frozenset[str] = field(default_factory=frozenset)
    duplicate: frozenset[str] = field(default_factory=frozenset)
    phantom: frozenset[str] = field(default_factory=frozenset)
    late: frozenset[str] = field(default_factory=frozenset)
    double: frozenset[str] = field(default_factory=frozenset)
    declared: frozenset[str] = field(default_factory=frozenset)
    quarantined: frozenset[str] = field(default_factory=frozenset)

    def since(self, before: "Findings") -> "Findings":
        """Return what was not found before."""
        return Findings(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(Findings)))


def check(history: History) -> Findings:
    """Compare. Everything has to be at rest: what is still on its way counts as lost."""
    lost, declared, quarantined = _missing(history)
    late, double, pulsed = _pulses(history)
    return Findings(
        lost=frozenset(lost),
        duplicate=frozenset(_stored_twice(history.stored)) | frozenset(_too_often(history)),
        phantom=frozenset([*_from_nowhere(history), *_invented_edges(history), *_untrue(history, pulsed)]),
        late=frozenset(late),
        double=frozenset(double),
        declared=frozenset(declared),
        quarantined=frozenset(quarantined),
    )


def _needed(entries: Iterable[Entry]) -> dict[tuple[str, Content], int]:
    """Return how often each content has to be stored.

    A fork writes what was not confirmed once more, under a new epoch, and a cloned disk begins with the events of
    its original: so what counts is the most that any one epoch of any one file has.
    """
    # The same number of one epoch of one file may have been read many times.
    in_one: Counter[tuple[str, object, str, Content]] = Counter()
    for entry in set(entries):
        in_one[entry.ledger, entry.epoch, entry.locker, entry.content] += 1
    needed: dict[tuple[str, Content], int] = {}
    for (_, _, locker, content), count in in_one.items():
        key = locker, content
        needed[key] = max(needed.get(key, 0), count)
    return needed


def _missing(history: History) -> tuple[list[str], list[str], list[str]]:
    stored = Counter((row.locker, row.content) for row in history.stored)
    told = {
        "declared": _numbers(history.declared),
        "quarantined": _numbers(history.quarantined),
    }
    places: defaultdict[tuple[str, Content], list[Entry]] = defaultdict(list)
    for entry in history.entries:
        places[entry.locker, entry.content].append(entry)
    sentences: dict[str, list[str]] = {"lost": [], "declared": [], "quarantined": []}
    for (locker, content), needed in _needed(history.entries).items():
        missing = needed - stored[locker, content]
        if missing <= 0:
            continue
        entries = sorted(set(places[locker, content]), key=lambda entry: (str(entry.epoch), entry.seq))
        verdict = next(
            (name for name, keys in told.items() if any((locker, e.epoch, e.seq) in keys for e in entries)), "lost"
        )
        sentences[verdict] += [f"{_entry(entries[0])} ({nth} of {missing})" for nth in range(1, missing + 1)]
    return sentences["lost"], sentences["declared"], sentences["quarantined"]


def _too_often(history: History) -> list[str]:
    needed = _needed(history.entries)
    stored = Counter((row.locker, row.content) for row in history.stored)
    return [
        f"{key[0]}: {_content(key[1])} is stored {count} times, and happened {needed[key]} times"
        for key, count in stored.items()
        if 0 < needed.get(key, 0) < count
    ]


def _stored_twice(stored: Iterable[Stored]) -> list[str]:
    counts = Counter((row.locker, row.epoch, row.seq) for row in stored)
    return [f"{locker} {epoch} #{seq} is stored {n} times" for (locker, epoch, seq), n in counts.items() if n > 1]


def _from_nowhere(history: History) -> list[str]:
    known = {(entry.locker, entry.content) for entry in [*history.entries, *history.later]}
    return [
        f"{row.locker} {row.epoch} #{row.seq}: {_content(row.content)} is in no locker's file"
        for row in history.stored
        if (row.locker, row.content) not in known
    ]


def _invented_edges(history: History) -> list[str]:
    """A locker may miss an edge while it is down; it must not tell of one that never was."""
    told: Counter[tuple[str, str, int | None]] = Counter()
    for (locker, content), count in _needed(history.entries).items():
        if content.kind in {"door.opened", "door.closed"}:
            told[locker, content.kind, content.door] += count
    true: Counter[tuple[str, str, int | None]] = Counter()
    true.update((edge.locker, "door.opened", edge.door) for edge in history.opened)
    true.update((edge.locker, "door.closed", edge.door) for edge in history.closed)
    return [
        f"{locker} door {door}: {count} times {kind} in its file, {true[locker, kind, door]} times at the board"
        for (locker, kind, door), count in told.items()
        if count > true[locker, kind, door]
    ]


def _pulses(history: History) -> tuple[list[str], list[str], dict[str, int]]:
    """Give each pulse one command of its door: one still in time, before one that is not.

    Returns (late, double, the time of the pulse by command).
    """
    commands: defaultdict[tuple[str, int], list[Command]] = defaultdict(list)
    for command in _once(history.commands):
        commands[command.locker, command.door].append(command)
    late, double = [], []
    pulsed: dict[str, int] = {}
    for pulse in sorted(set(_numbered(history.pulses)), key=lambda numbered: (numbered[0].t, numbered[1])):
        movement, _ = pulse
        waiting = [
            command
            for command in commands[movement.locker, movement.door]
            if command.sent_t <= movement.t and command.id not in pulsed
        ]
        earliest_t = movement.t - movement.within_ms
        in_time = [command for command in waiting if earliest_t <= command.not_after + LINE_MS]
        where = f"{movement.locker} door {movement.door}: a pulse at {movement.t}"
        if in_time:
            chosen = min(in_time, key=lambda c: (_ACTED.get(history.states.get(c.id, ""), 1), c.not_after))
        elif waiting:
            chosen = max(waiting, key=lambda command: command.not_after)
            over = movement.t - chosen.not_after
            late.append(f"{where} is {over} ms after the deadline of {chosen.id}")
        else:
            double.append(f"{where} belongs to no command")
            continue
        pulsed[chosen.id] = movement.t
    return late, double, pulsed


def _untrue(history: History, pulsed: dict[str, int]) -> list[str]:
    sentences = []
    for command in _once(history.commands):
        for state in {history.states.get(command.id), history.told.get(command.id)}:
            if state == "succeeded" and command.id not in pulsed:
                sentences.append(f"command {command.id} is told as succeeded, and no pulse was sent")
            elif state in _DID_NOT_ACT and command.id in pulsed:
                sentences.append(f"command {command.id} is told as {state}, and a pulse was sent")
    return sentences


def _once(commands: Iterable[Command]) -> list[Command]:
    """Return each id once: from when it was first sent until the last deadline that it was given."""
    merged: dict[str, Command] = {}
    for command in commands:
        known = merged.get(command.id)
        merged[command.id] = (
            command
            if known is None
            else known._replace(
                sent_t=min(known.sent_t, command.sent_t), not_after=max(known.not_after, command.not_after)
            )
        )
    return list(merged.values())


def _numbered(movements: Iterable[Movement]) -> list[tuple[Movement, int]]:
    """Return movements with a number that tells equal ones apart."""
    counts: Counter[Movement] = Counter()
    numbered = []
    for movement in movements:
        numbered.append((movement, counts[movement]))
        counts[movement] += 1
    return numbered


def _numbers(ranges: Iterable[Numbers]) -> set[tuple[str, object, int]]:
    return {(r.locker, r.epoch, seq) for r in ranges for seq in range(r.first, r.last + 1)}


def _entry(entry: Entry) -> str:
    return f"{entry.ledger} {entry.epoch} #{entry.seq}: {_content(entry.content)}"


def _content(content: Content) -> str:
    door = "" if content.door is None else f" of door {content.door}"
    return f"{content.kind}{door} at {content.at}"
