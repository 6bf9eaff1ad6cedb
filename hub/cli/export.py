"""`hub export`: what is stored, as CSV or NDJSON, read straight from the database."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, BinaryIO, Final
from uuid import UUID

import msgspec
import typer

from hub import clock
from hub.cli.options import ConfigOption, fail, load, with_store
from hub.core.commands import CommandStatus
from hub.core.spans import EVER, BadSpan, Span, read_time, span
from hub.core.statistics import HOUR, hour_of
from hub.export_tables import (
    Form,
    Sheet,
    Written,
    alarms_sheet,
    commands_sheet,
    events_sheet,
    quarantine_sheet,
    statistics_sheet,
    telemetry_sheet,
    written,
)
from hub.store.alarms import AlarmFilter, AlarmStore
from hub.store.commands import CommandStore
from hub.store.database import Database
from hub.store.history import EventFilter, History
from hub.store.statistics import StatisticsStore
from wire.messages import Kind
from wire.topics import is_locker_id

export_app = typer.Typer(
    help="What is stored, as CSV or NDJSON. Exit status 1: the file is not whole.", no_args_is_help=True
)

_STATEMENT_TIMEOUT_MS: Final = 600_000
_PAGE_ROWS: Final = 2000
_ALL: Final = 2**62

SinceOption = Annotated[
    str | None,
    typer.Option("--since", help="From when, as 2026-11-20T08:00:00Z; the beginning.", show_default=False),
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Before when; now.", show_default=False)]
LockerOption = Annotated[str | None, typer.Option("--locker", help="Of this locker.", show_default=False)]
FormOption = Annotated[Form, typer.Option("--format", help="csv or ndjson.")]
BomOption = Annotated[bool, typer.Option("--bom", help="For spreadsheets that misread UTF-8 without it.")]
RowsOption = Annotated[
    int | None, typer.Option("--rows-max", min=1, help="No more rows than this; all.", show_default=False)
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", help="A file, which is there once it is whole; standard output.", show_default=False),
]


@dataclass(frozen=True)
class _File:
    form: Form
    bom: bool
    rows_max: int | None
    output: Path | None


@export_app.command()
def events(  # noqa: PLR0913 - an option each
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    locker: LockerOption = None,
    site: Annotated[str | None, typer.Option(help="Of the lockers at this site.", show_default=False)] = None,
    door: Annotated[int | None, typer.Option(min=1, max=999, help="Of this door.", show_default=False)] = None,
    kind: Annotated[str | None, typer.Option(help="Of this kind: door.opened, …", show_default=False)] = None,
    actor: Annotated[UUID | None, typer.Option(help="Of this person's actor id.", show_default=False)] = None,
    command: Annotated[UUID | None, typer.Option(help="Of this command.", show_default=False)] = None,
    transaction: Annotated[UUID | None, typer.Option(help="Of this transaction.", show_default=False)] = None,
    form: FormOption = Form.CSV,
    bom: BomOption = False,
    rows_max: RowsOption = None,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> None:
    """Events, newest first."""
    begin, end = _span(since, until)
    _check_locker(locker)
    if door is not None and locker is None:
        fail("--door needs --locker: every locker has a door of that number", status=2)
    if kind is not None:
        _check_kind(kind)

    async def sheet(store: Database) -> Sheet:
        wanted = EventFilter(
            since=begin, until=end, locker=locker, lockers=await _at(store, site), door=door, kind=kind,
            actor=actor, command=command, transaction=transaction,
        )  # fmt: skip
        return events_sheet(History(store), wanted)

    _export(sheet, _File(form, bom, rows_max, output), config)


@export_app.command()
def telemetry(
    locker: Annotated[str, typer.Argument(help="Of this locker.")],
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    form: FormOption = Form.CSV,
    bom: BomOption = False,
    rows_max: RowsOption = None,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> None:
    """A locker's readings, newest first."""
    within = _span(since, until)
    _check_locker(locker)

    async def sheet(store: Database) -> Sheet:
        return telemetry_sheet(History(store), locker, within)

    _export(sheet, _File(form, bom, rows_max, output), config)


@export_app.command()
def statistics(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    locker: LockerOption = None,
    site: Annotated[str | None, typer.Option(help="Of the lockers at this site.", show_default=False)] = None,
    form: FormOption = Form.CSV,
    bom: BomOption = False,
    rows_max: RowsOption = None,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> None:
    """The counts of doors, an hour each, oldest first."""
    begin, end = _span(since, until)
    _check_locker(locker)
    hours = (hour_of(begin), hour_of(end - timedelta(microseconds=1)) + HOUR)

    async def sheet(store: Database) -> Sheet:
        lockers = (locker,) if locker is not None else await _at(store, site)
        return statistics_sheet(StatisticsStore(store), hours, lockers)

    _export(sheet, _File(form, bom, rows_max, output), config)


@export_app.command()
def commands(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    locker: LockerOption = None,
    state: Annotated[CommandStatus | None, typer.Option(help="In this state.", show_default=False)] = None,
    form: FormOption = Form.CSV,
    bom: BomOption = False,
    rows_max: RowsOption = None,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> None:
    """Commands by when they were accepted, newest first."""
    within = _span(since, until)
    _check_locker(locker)

    async def sheet(store: Database) -> Sheet:
        return commands_sheet(CommandStore(store), within, locker, state)

    _export(sheet, _File(form, bom, rows_max, output), config)


@export_app.command()
def alarms(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    locker: LockerOption = None,
    form: FormOption = Form.CSV,
    bom: BomOption = False,
    rows_max: RowsOption = None,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> None:
    """Alarms, open and closed, newest raised first, by when they were raised."""
    within = _span(since, until)
    _check_locker(locker)

    async def sheet(store: Database) -> Sheet:
        return alarms_sheet(AlarmStore(store), AlarmFilter(since=within[0], until=within[1], locker=locker))

    _export(sheet, _File(form, bom, rows_max, output), config)


@export_app.command()
def quarantine(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    locker: LockerOption = None,
    form: FormOption = Form.CSV,
    bom: BomOption = False,
    rows_max: RowsOption = None,
    output: OutputOption = None,
    config: ConfigOption = None,
) -> None:
    """What was not acceptable, without its content, newest first."""
    within = _span(since, until)
    _check_locker(locker)

    async def sheet(store: Database) -> Sheet:
        return quarantine_sheet(History(store), within, locker)

    _export(sheet, _File(form, bom, rows_max, output), config)


def _export(sheet_of: Callable[[Database], Awaitable[Sheet]], file: _File, config: Path | None) -> None:
    state = Written()

    async def write(store: Database) -> None:
        sheet = await sheet_of(store)
        pieces = written(
            sheet, file.form, state, rows_max=file.rows_max or _ALL, page_rows=_PAGE_ROWS, bom=file.bom
        )  # fmt: skip
        with _opened(file.output) as out:
            async with aclosing(pieces):
                async for piece in pieces:
                    out.write(piece)
            out.flush()

    with_store(load(config), write, statement_timeout_ms=_STATEMENT_TIMEOUT_MS)
    typer.echo(f"{state.rows} rows{'; there are more' if state.cut else ''}", err=True)


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    """Open standard output, or a file that takes its name once the block has ended well."""
    if path is None:
        yield sys.stdout.buffer
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(path)
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror or error}")
    finally:
        part.unlink(missing_ok=True)


async def _at(store: Database, site: str | None) -> tuple[str, ...] | None:
    if site is None:
        return None
    found = tuple(one.id for one in await store.registry() if one.site == site)
    if not found:
        fail(f"no locker of the registry is at the site {site!r}; `hub locker list` lists them", status=2)
    return found


def _span(since: str | None, until: str | None) -> Span:
    try:
        return span(
            None if since is None else read_time(since), None if until is None else read_time(until),
            now=clock.wall(), back=EVER,
        )  # fmt: skip
    except BadSpan as error:
        fail(str(error).rstrip("."), status=2)


def _check_locker(locker: str | None) -> None:
    if locker is not None and not is_locker_id(locker):
        fail(f"{locker!r} is not a locker id: 1 to 32 of a-z, 0-9 and -", status=2)


def _check_kind(kind: str) -> None:
    try:
        msgspec.convert(kind, Kind)
    except msgspec.ValidationError:
        fail(f"{kind!r} is not a kind of event; door.opened is one", status=2)
