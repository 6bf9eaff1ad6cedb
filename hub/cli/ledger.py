"""`hub ledger`: what became of every number of every ledger."""

from dataclasses import dataclass, field
from typing import Annotated, Final

import orjson
import typer

from hub.cli.options import ConfigOption, JsonOption, fail, load, with_store
from hub.core.ledger import Key
from hub.core.verify import CountersView, LedgerView, judge
from hub.store.database import Database
from hub.store.ledgers import Ledgers

ledger_app = typer.Typer(help="What became of every number of every ledger.", no_args_is_help=True)

_LISTED_MAX: Final = 1000
_STATEMENT_TIMEOUT_MS: Final = 3_600_000  # a ledger of many years is counted in one statement

LockerOption = Annotated[str | None, typer.Option("--locker", help="Of this locker only.", show_default=False)]


@dataclass
class _Report:
    ledgers: int = 0
    last: int = 0
    stored: int = 0
    quarantined: int = 0
    declared: int = 0
    gone: int = 0
    missing: int = 0
    duplicates: int = 0
    given_up: int = 0
    incomplete: int = 0
    without_cursor: list[Key] = field(default_factory=list)
    """Ledgers that have events, and nothing that says how far they go."""
    listed: list[LedgerView] = field(default_factory=list)

    def add(self, ledger: LedgerView) -> None:
        self.ledgers += 1
        self.last += ledger.last
        self.stored += ledger.stored
        self.quarantined += ledger.quarantined
        self.declared += ledger.declared
        self.gone += ledger.gone
        self.missing += ledger.missing
        self.duplicates += ledger.duplicates
        self.given_up += ledger.given_up
        if not ledger.complete:
            self.incomplete += 1
            if len(self.listed) < _LISTED_MAX:
                self.listed.append(ledger)


@ledger_app.command()
def verify(*, locker: LockerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Count every ledger from its rows; exit status 1 if a number is lost, doubled, or not as it was counted."""

    async def count(store: Database) -> _Report:
        report, ledgers = _Report(), Ledgers(store)
        async for row in ledgers.each(locker=locker):
            counted = await ledgers.count((row["locker"], row["epoch"]))
            if counted is not None:
                report.add(judge(counted))
        report.without_cursor = await ledgers.without_cursor(locker=locker)
        return report

    report = with_store(load(config), count, statement_timeout_ms=_STATEMENT_TIMEOUT_MS)
    if not report.ledgers and not report.without_cursor and locker is not None:
        fail(f"there is no ledger of {locker!r}: it has sent no event yet, or the id is not right")
    if as_json:
        typer.echo(orjson.dumps(report).decode())
    else:
        for ledger in report.listed:
            typer.echo(f"{ledger.locker}  {ledger.epoch}  {'; '.join(ledger.problems)}")
            for part in ledger.missing_list:
                typer.echo(f"  missing {part.from_seq} to {part.to_seq}")
        for name, epoch in report.without_cursor:
            typer.echo(f"{name}  {epoch}  has events and no cursor: the database was restored in part")
        typer.echo(
            f"{report.ledgers} ledgers, {report.last} numbers: {report.stored} stored, "
            f"{report.quarantined} quarantined, {report.declared} declared missing, {report.gone} gone by a rule, "
            f"{report.missing} unexplained, {report.duplicates} doubled; "
            f"{report.incomplete} ledgers are not complete"
        )
    if report.incomplete or report.without_cursor:
        raise typer.Exit(1)


@ledger_app.command()
def show(*, locker: LockerOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show every ledger by its counters."""

    async def write(store: Database) -> None:
        # Written as it is read: a fleet's ledgers need not fit into memory.
        before = "["
        async for row in Ledgers(store).each(locker=locker):
            one = CountersView(**row)
            if as_json:
                typer.echo(before + orjson.dumps(one).decode(), nl=False)
                before = ",\n"
            else:
                typer.echo(
                    f"{one.locker:<32}  {one.epoch}  last {one.last:>10}  stored {one.stored:>10}  "
                    f"quarantined {one.quarantined:>6}  missing {one.missing:>6}  gone {one.gone:>10}  "
                    f"{one.chain or '-'}"
                )
        if as_json:
            typer.echo("[]" if before == "[" else "]")

    with_store(load(config), write)
