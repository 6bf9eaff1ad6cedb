"""What the proofs say, held against the files, the chain, the policy and the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hub.core.retention.manifest import CategoryOutcome, moment
from hub.core.retention.periods import cut_off, parse_period
from hub.core.retention.policy import Policy
from hub.core.retention.proof import Proof, Verified, chain_faults, read_proof


@dataclass(slots=True)
class ProofVerdict:
    """Findings: what must not be, a sentence each. Notes: what can be explained, and should be known anyway."""

    proofs: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class StoredProof:
    """A proof as the table has it."""

    number: int
    sha256: str
    data: bytes


def judge_proofs(
    rows: Sequence[StoredProof],
    files: Mapping[int, bytes],
    open_number: int | None,
    verified: Verified,
    verdict: ProofVerdict,
) -> list[Proof]:
    """Hold the table's proofs against their signatures, their files and each other; return those that can be read.

    Args:
        rows: the sealed runs, in order.
        files: the files outside of the database.
        open_number: of a run that is not sealed.
        verified: knows the keys that are trusted.
        verdict: what is found goes in there.
    """
    proofs = []
    for row in rows:
        try:
            proof = read_proof(row.data, verified)
        except ValueError as error:
            verdict.findings.append(f"proof {row.number} in the table: {error}")
            continue
        if (proof.number, proof.sha256) != (row.number, row.sha256):
            verdict.findings.append(f"proof {row.number} in the table is that of run {proof.number}")
        proofs.append(proof)
    known = {row.number: row.data for row in rows}
    verdict.findings += [f"proof {number} has no file" for number in known if number not in files]
    for number, data in sorted(files.items()):
        _judge_file(number, data, known.get(number), open_number, verified, verdict)
    verdict.findings += chain_faults(proofs)
    verdict.proofs = len(proofs)
    return proofs


def last_complete(proofs: Sequence[Proof]) -> Proof | None:
    """Return the newest proof of a run that went through."""
    return next(
        (proof for proof in reversed(proofs) if proof.manifest["outcome"] == CategoryOutcome.COMPLETE), None
    )


def judge_rules(proofs: Sequence[Proof], policy: Policy, verdict: ProofVerdict) -> None:
    """Compute every cut-off again, and compare the newest policy with the one that is in force."""
    for proof in proofs:
        now = moment(proof.manifest["now"])
        for rule in proof.manifest["cut_offs"]:
            if cut_off(now, parse_period(rule["period"])) != moment(rule["before"]):
                verdict.findings.append(
                    f"proof {proof.number}: the cut-off of {rule['category']} is not {rule['period']} back"
                )
    if proofs:
        said = proofs[-1].manifest["policy"]
        if said["sha256"] != policy.digest:
            verdict.notes.append(
                f"the policy in force ({policy.version}) is another one than the last run's ({said['version']})"
            )
        elif said["version"] != policy.version:
            verdict.findings.append(f"proof {proofs[-1].number} names the policy by another version")


def judge_audit(newest: Mapping[str, Any] | None, proofs: Sequence[Proof], verdict: ProofVerdict) -> None:
    """Hold the newest proof against the newest that the audit knows: {number, sha256}."""
    if newest is None:
        return
    digests = {proof.number: proof.sha256 for proof in proofs}
    if newest["number"] not in digests:
        verdict.findings.append(f"the audit knows proof {newest['number']}, and it is not there")
    elif digests[newest["number"]] != newest["sha256"]:
        verdict.findings.append(f"the audit knows proof {newest['number']} with another hash")


def _judge_file(
    number: int, data: bytes, row: bytes | None, open_number: int | None, verified: Verified, verdict: ProofVerdict
) -> None:
    if data == row:
        return
    try:
        read_proof(data, verified)
    except ValueError as error:
        verdict.findings.append(f"the file of proof {number}: {error}")
        return
    if row is not None:
        verdict.findings.append(f"the file of proof {number} is another one than that in the table")
    elif number == open_number:
        verdict.notes.append(
            f"run {number} was ended between its file and its row; the next run takes the file over"
        )
    else:
        verdict.findings.append(
            f"proof {number} is only a file: the database was put back from a backup, or its row was removed; "
            "the next run puts it back"
        )
