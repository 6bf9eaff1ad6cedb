"""`hub retention verify`: the proofs, and whether the database is as they say."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hub.config.settings import RetentionSettings
from hub.core.retention.manifest import cut_offs_of, moment
from hub.core.retention.plan import RetentionAction
from hub.core.retention.policy import Category
from hub.core.retention.proof import Proof
from hub.core.retention.series import SERIES
from hub.core.retention.verdict import (
    ProofVerdict,
    StoredProof,
    judge_audit,
    judge_proofs,
    judge_rules,
    last_complete,
)
from hub.keys import PublicKey, load_public_key, public_path
from hub.retention.rules import RuleRun
from hub.retention.run import RetentionRun
from hub.store.audit import audit_page
from hub.store.database import Database

_ORDERED_BY_OTHERS: Final = (Category.ACCOUNT, Category.AUDIT)
"""What may wait for what is not in the proof: a hold on a part of a person, a row before it in the chain."""


def trusted_keys(config: RetentionSettings) -> list[PublicKey]:
    """Read the public keys whose signatures count: the one that signs now, once it is made, and those of before.

    Raises:
        ConfigError: a file of `trusted_key_files` is missing, or one of all is not a key.
    """
    own = public_path(Path(config.key_file))
    paths = [own] if own.exists() else []
    return [load_public_key(path) for path in (*paths, *map(Path, config.trusted_key_files))]


async def verify(store: Database, retention: RetentionRun, keys: Sequence[PublicKey]) -> ProofVerdict:
    """Compute everything again. Nothing is changed. `keys` are those whose signatures count."""
    verdict = ProofVerdict()
    by_name = {key.fingerprint: key for key in keys}

    def verified(owner: str, context: str, data: bytes, signature: bytes) -> bool:
        return owner in by_name and by_name[owner].verified(context, data, signature)

    rows = [StoredProof(row["number"], row["sha256"], bytes(row["proof"])) for row in await retention.proofs.all()]
    files = await asyncio.to_thread(retention.files.read)
    open_run = await retention.proofs.open_run()
    proofs = judge_proofs(rows, files, None if open_run is None else open_run.number, verified, verdict)
    if open_run is not None:
        verdict.notes.append(f"run {open_run.number} is under way, or was ended in the middle")
    policy = await retention.policy()
    judge_rules(proofs, policy, verdict)
    sealed = await audit_page(store, limit=1, action="retention.sealed")
    judge_audit(sealed[0]["detail"] if sealed else None, proofs, verdict)
    last = last_complete(proofs)
    if last is None:
        verdict.notes.append("no run has gone through yet, so there is nothing to hold the data against")
    else:
        await _judge_series(retention, last, verdict)
        if last.manifest["policy"]["sha256"] == policy.digest:
            await _judge_others(retention, last, RuleRun(0, moment(last.manifest["now"]), policy), verdict)
    await _judge_chunks(retention, proofs, verdict)
    await _judge_ledgers(retention, verdict)
    return verdict


async def _judge_series(retention: RetentionRun, last: Proof, verdict: ProofVerdict) -> None:
    began_at, ended_at = moment(last.manifest["began_at"]), moment(last.manifest["ended_at"])
    for series in SERIES:
        before = cut_offs_of(last.manifest, series.category)
        if before is None:
            continue
        found = await retention.store.overdue(series, before, began_at, ended_at)
        if found.overdue:
            verdict.findings.append(
                f"{series.table}: {found.overdue} rows lie below the cut-off of run {last.number}, the oldest of "
                f"{found.oldest}; they were there before it, and no hold kept them"
            )
        if found.late:
            verdict.notes.append(
                f"{series.table}: {found.late} rows below the cut-off came after run {last.number}"
            )
        if found.held:
            verdict.notes.append(f"{series.table}: {found.held} rows below the cut-off were kept by holds")


async def _judge_others(retention: RetentionRun, last: Proof, run: RuleRun, verdict: ProofVerdict) -> None:
    tables = {series.table for series in SERIES}
    # A hold may have ended since: what it kept waits for the next run.
    excused = bool(last.manifest["holds"])
    for due in await retention.plan_of(run):
        rest = due.due - due.held
        if due.table in tables or not rest:
            continue
        sentence = f"{due.table}: {rest} rows lie below the cut-off of run {last.number}"
        if excused or due.category in _ORDERED_BY_OTHERS:
            verdict.notes.append(sentence)
        else:
            verdict.findings.append(sentence)


async def _judge_chunks(retention: RetentionRun, proofs: Sequence[Proof], verdict: ProofVerdict) -> None:
    dropped = {
        one["chunk"]: proof.number
        for proof in proofs
        for one in proof.manifest["done"]
        if one["by"] == RetentionAction.CHUNK
    }
    for name in await retention.store.chunks_there(list(dropped)):
        sentence = f"{name} was dropped by run {dropped[name]}, and it is there"
        # Chunks are numbered and never come back; a month's partition may be made again for what comes late.
        if "_hyper_" in name:
            verdict.findings.append(sentence)
        else:
            verdict.notes.append(sentence)


async def _judge_ledgers(retention: RetentionRun, verdict: ProofVerdict) -> None:
    for row in await retention.store.ledgers_wrong():
        verdict.findings.append(
            f"ledger {row['locker']} {row['epoch']}: {row['counted']} numbers are counted as gone, "
            f"{row['written']} are written down"
        )
    for row in await retention.store.resurrected():
        verdict.findings.append(
            f"ledger {row['locker']} {row['epoch']}: {row['rows']} rows are there although their numbers are gone, "
            f"from number {row['first']} on"
        )
