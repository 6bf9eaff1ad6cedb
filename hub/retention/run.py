"""Retention at work: what is due is planned, deleted in small transactions, and proved.

**What if it is killed?** Every transaction writes down what it did (`retention_step`), so nothing that has gone is
without a trace. The next run seals the interrupted one, with a proof of what it did, and begins anew with cut-offs
of its own: what is due is decided by the rows that are there, not by where somebody stopped.

**The file comes before the commit of the row.** A kill between the two leaves a file without its row, and an open
run of that number: the next run finds them and takes the file over. The other way round, a row without its file
could be a kill, or a file that somebody removed, and nobody could tell. So a row without its file is always a
finding of `hub retention verify`, and is never mended in silence. A file without its row, and without a run that
explains it, is what a database looks like that was put back from a backup: the row is put back from the file, and
the next proof says so.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from hub import clock
from hub.config.settings import RetentionSettings
from hub.core.retention.manifest import CategoryOutcome, LeftRows, cut_offs_of, done, manifest, moment, opening
from hub.core.retention.plan import Chunk, Due, RetentionAction
from hub.core.retention.policy import Category, Policy, PolicyError, parse_policy
from hub.core.retention.proof import ORIGIN, Proof, read_proof, seal
from hub.core.retention.series import SERIES
from hub.errors import ConfigError, HubError, StoreUnavailable
from hub.keys import ProofKey, load_or_make_proof_key
from hub.retention.proof_files import ProofFiles
from hub.retention.rules import CategoryRule, Erase, RuleRun, Sweep, plan_run, rules
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from hub.store.proofs import OpenRun, ProofStore
from hub.store.retention import RetentionStore
from hub.store.series import SeriesScope

_log = logging.getLogger(__name__)

_LOOKED_BACK: Final = 100
_ITSELF: Final = "hub"
"""Who runs retention when nobody asks for it."""


class RetentionRun:
    """Plans and runs. Whoever runs holds `alone(store, "retention")`: two at once are refused by the database.

    Args:
        store: the database.
        config: where the policy, the key and the proofs are.
        hub: who says so in the proofs: `id` and `version`.
        erase: erases a person whose account is closed.
        sweep: deletes codes that should be gone.
        wall: the clock.
    """

    def __init__(
        self,
        store: Database,
        config: RetentionSettings,
        hub: Mapping[str, str],
        *,
        erase: Erase | None = None,
        sweep: Sweep | None = None,
        wall: Callable[[], datetime] = clock.wall,
    ) -> None:
        self.store = RetentionStore(store)
        self.proofs = ProofStore(store)
        self.files = ProofFiles(Path(config.directory))
        self._ledgers = Ledgers(store)
        self._config = config
        self._hub = hub
        self._rules: list[CategoryRule] = rules(self.store, erase, sweep)
        self._wall = wall

    async def policy(self) -> Policy:
        """Read the policy as it is now. Raises ConfigError with what is wrong with it."""
        return parse_file(self._config.policy_file, await self.store.tenants())

    async def newest_complete(self) -> datetime | None:
        """Return when a run last went through, of the newest hundred."""
        for row in await self.proofs.page(below=None, limit=_LOOKED_BACK):
            if read_proof(bytes(row["proof"]), _anybody).manifest["outcome"] == CategoryOutcome.COMPLETE:
                sealed_at: datetime = row["sealed_at"]
                return sealed_at
        return None

    async def proofs_page(self, *, number: int | None, below: int | None, limit: int) -> list[Proof]:
        """Return one proof, or a page of them, newest first."""
        if number is not None:
            one = await self.proofs.one(number)
            rows = [] if one is None else [one]
        else:
            rows = await self.proofs.page(below=below, limit=limit)
        return [read_proof(bytes(row["proof"]), _anybody) for row in rows]

    async def restore_files(self, by: str) -> list[Path]:
        """Write the files again that are not there; the audit knows who did it. Return them."""
        found = await asyncio.to_thread(self.files.read)
        key = await self.key()
        written = []
        for row in await self.proofs.all():
            if row["number"] not in found:
                proof = read_proof(bytes(row["proof"]), _anybody)
                await asyncio.to_thread(self.files.write, proof, key.public)
                written.append(self.files.path(proof.number))
        if written:
            await self.proofs.note_files(len(written), by, self._wall())
        return written

    async def key(self) -> ProofKey:
        """Return the key that signs; it is made if there is none."""
        return await asyncio.to_thread(load_or_make_proof_key, Path(self._config.key_file))

    async def plan(self, now: datetime) -> list[Due]:
        """Return what a run would do at this time; nothing is changed."""
        return await self.plan_of(plan_run(now, await self.policy()))

    async def plan_of(self, run: RuleRun) -> list[Due]:
        """Return what a run with this policy would do."""
        return [due for rule in self._rules for due in await rule.plan(run)]

    async def run(self, now: datetime, by: str = _ITSELF) -> dict[str, Any]:
        """Run to the end; return the manifest.

        Raises:
            HubError: a category failed. The others went through, and the proof says so.
            StoreUnavailable: the database is away; the next run goes on.
        """
        async for what in self.steps(now, by):
            _log.debug("Retention goes on", extra={"did": what})
        row = await self.proofs.newest()
        assert row is not None, "it was sealed"  # noqa: S101
        return dict(read_proof(bytes(row["proof"]), _anybody).manifest)

    async def steps(self, now: datetime, by: str = _ITSELF) -> AsyncGenerator[str, None]:
        """Run, and yield after everything that is committed. Whoever stops listening has killed it there."""
        key, policy = await self.key(), await self.policy()
        repairs = await self._repair(key, now)
        yield "repaired"
        number = await self.proofs.begin(now, opening(self._hub, policy, now, _kind(by), repairs))
        yield "begun"
        run = RuleRun(number, now, policy)
        # What an error says may name somebody, and proofs are kept for ever: they have its kind only.
        failed: list[tuple[Category, str]] = []
        sentences: list[str] = []
        for rule in self._rules:
            try:
                async for what in rule.apply(run):
                    yield what
            except StoreUnavailable:
                raise
            except HubError as error:
                # One category that cannot go does not keep the others beyond their time.
                _log.exception("A category of retention failed", extra={"category": rule.category.value})
                failed.append((rule.category, type(error).__name__))
                sentences.append(f"{rule.category}: {error}")
        yield "applied"
        open_run = await self.proofs.open_run()
        assert open_run is not None, "nobody else seals it"  # noqa: S101
        await self._seal(open_run, CategoryOutcome.PARTIAL if failed else CategoryOutcome.COMPLETE, key, by, failed)
        yield "sealed"
        if failed:
            raise HubError("; ".join(sentences))

    async def _repair(self, key: ProofKey, now: datetime) -> list[str]:
        """Bring rows and files together after a kill or a restore, and seal what was interrupted."""
        repairs: list[str] = []
        found = await asyncio.to_thread(self.files.read)
        newest = await self.proofs.newest()
        number, digest = (newest["number"], newest["sha256"]) if newest else (0, ORIGIN)
        while (data := found.get(number + 1)) is not None:
            number += 1
            try:
                proof = read_proof(data, lambda owner, *signed: _is(key, owner) and key.public.verified(*signed))
                if (proof.number, proof.previous) != (number, digest):
                    raise ValueError("it does not follow the proof before it")  # noqa: TRY301 - as the others
            except ValueError as error:
                aside = await asyncio.to_thread(self.files.put_aside, number)
                repairs.append(f"the file of proof {number} was put aside as {aside.name}: {error}")
                break
            repairs += await self._take_over(proof, now)
            digest = proof.sha256
        open_run = await self.proofs.open_run()
        if open_run is not None:
            await self._seal(open_run, CategoryOutcome.INTERRUPTED, key, _ITSELF, [])
        for one in repairs:
            _log.warning("The proofs of retention were repaired", extra={"what": one})
        return repairs

    async def _take_over(self, proof: Proof, now: datetime) -> list[str]:
        """Put a proof that is only a file into the table. Nothing to tell if a kill explains it."""
        open_run = await self.proofs.open_run()
        said = proof.manifest
        began_at, sealed_at = moment(said["began_at"]), moment(said["ended_at"])
        await self.proofs.restore(proof, began_at, sealed_at, at=now)
        if open_run is not None and open_run.number == proof.number:
            left = {(one["table"], one["chunk"]): one["after"] for one in said["done"]}
            if done(await self.proofs.steps(proof.number), left) == said["done"]:
                return []
        return [f"the row of proof {proof.number} was put back from its file"]

    async def _seal(
        self,
        run: OpenRun,
        outcome: CategoryOutcome,
        key: ProofKey,
        by: str,
        failed: list[tuple[Category, str]],
    ) -> None:
        newest = await self.proofs.newest()
        steps = await self.proofs.steps(run.number)
        ended_at = max(run.began_at, self._wall())
        said = manifest(
            run.number, newest["sha256"] if newest else ORIGIN, run.began, (run.began_at, ended_at), outcome, steps,
            await self._left(steps, run, failed),
        )  # fmt: skip
        proof = seal(said, key.public.fingerprint, key.sign)

        async def write() -> None:
            await asyncio.to_thread(self.files.write, proof, key.public)

        await self.proofs.seal(proof, ended_at, by=by, before_commit=write)

    async def _left(
        self, steps: list[dict[str, Any]], run: OpenRun, failed: list[tuple[Category, str]]
    ) -> LeftRows:
        now = moment(run.began["now"])
        cut_offs = {series.table: (series, cut_offs_of(run.began, series.category)) for series in SERIES}
        rows = {}
        for step in steps:
            series, before = cut_offs.get(step["series"], (None, None))
            if series is not None and before is not None and step["act"] == RetentionAction.ROWS:
                chunk = Chunk(step["chunk"], step["lower"], step["upper"])
                count = await self.store.series.due(SeriesScope(run.number, series, chunk, before, now, held=False))
                rows[step["series"], step["chunk"]] = count.due
        holds = {}
        for hold in await self.store.active_holds(now):
            kept = {
                table: await self.store.kept_by(hold, series, before)
                for table, (series, before) in cut_offs.items()
                if before is not None
            }
            holds[str(hold)] = {table: count for table, count in kept.items() if count}
        return LeftRows(
            oldest=await self.store.oldest(),
            holds=holds,
            audit=await self.store.audit_anchor(),
            ledgers=await self._ledgers.totals(),
            rows=rows,
            failed=failed,
        )


def parse_file(path: str | None, tenants: list[str] | None) -> Policy:
    """Read a policy's file, or the one that comes with the hub. Raises ConfigError with what is wrong with it."""
    try:
        if path is None:
            data = files("hub.retention").joinpath("policy.toml").read_bytes()
        else:
            data = Path(path).read_bytes()
        return parse_policy(data, tenants)
    except OSError as error:
        raise ConfigError(f"retention.policy_file: cannot read {path}: {error.strerror}") from None
    except PolicyError as error:
        raise ConfigError(f"retention.policy_file: {path or 'the default policy'}: {error}") from None


def _anybody(*_: object) -> bool:
    """For what this hub has written itself: `hub retention verify` is where signatures count."""
    return True


def _is(key: ProofKey, fingerprint: str) -> bool:
    return key.public.fingerprint == fingerprint


def _kind(by: str) -> str:
    """Return what a proof says of who asked for the run: names stand in the audit."""
    return _ITSELF if by == _ITSELF else "operator"
