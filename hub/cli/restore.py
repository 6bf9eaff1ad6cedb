"""`hub restore-check`: bring a database that was put back to where it was."""

from typing import Annotated
from uuid import uuid4

import orjson
import typer

from hub import clock
from hub.cli.options import ByOption, ConfigOption, JsonOption, load, with_store
from hub.errors import HubError
from hub.operators import LOCAL
from hub.people.restoring import RestoreCheck, Restored
from hub.people.service import erasing
from hub.retention.build import build_retention
from hub.retention.verification import verify
from hub.store.database import Database
from hub.store.erasure import ErasureStore
from hub.store.people import By
from hub.store.statistics import recount
from hub.store.transactions import Transactions


def restore_check(
    *,
    withdraw_codes: Annotated[
        bool, typer.Option("--withdraw-codes", help="Withdraw all access codes, whatever is found.")
    ] = False,
    by: ByOption = LOCAL,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """After a restore: erase again who was erased since the backup; exit status 1 if something is left to do."""
    loaded = load(config)

    async def check(store: Database) -> Restored:
        parts = erasing(loaded, store)
        retention = build_retention(loaded, store, str(uuid4()))

        async def proofs() -> list[str]:
            try:
                key = await retention.key()
                return (await verify(store, retention, [key.public])).findings
            except HubError as error:
                return [f"The proofs of retention cannot be verified: {error}"]

        restoring = RestoreCheck(
            parts.journal, parts.eraser, ErasureStore(store, recount), Transactions(store), proofs
        )
        return await restoring.run(By(by, clock.wall()), withdraw_codes=withdraw_codes)

    found = with_store(loaded, check)
    if as_json:
        typer.echo(orjson.dumps(found).decode())
    else:
        typer.echo(
            f"{found.entries} erasures in the journal, {len(found.applied)} done again: {found.rows} rows gone, "
            f"{found.kept} kept in part by holds; {found.codes_withdrawn} access codes withdrawn"
        )
        for sentence in found.to_do:
            typer.echo(f"to do: {sentence}")
    if found.to_do:
        raise typer.Exit(1)
