"""Proofs: every byte counts, each follows the one before, and what is left out shows."""

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.retention.manifest import (
    CategoryOutcome,
    LeftRows,
    cut_offs_of,
    done,
    instant,
    manifest,
    moment,
    opening,
)
from hub.core.retention.periods import parse_period
from hub.core.retention.policy import Category, Exempt, Policy
from hub.core.retention.proof import FORMAT, ORIGIN, Proof, canonical, chain_faults, read_proof, seal
from hub.core.retention.verdict import (
    ProofVerdict,
    StoredProof,
    judge_audit,
    judge_proofs,
    judge_rules,
    last_complete,
)

NOW = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
POLICY = Policy(
    "1",
    {one: parse_period("7 years") for one in Category if one not in {Category.CODE, Category.PROOF}},
    (Exempt("acme", Category.EVENT, parse_period("5 years"), "so"),),
)
STEP = {
    "category": "event", "series": "event", "chunk": "event_2019_11", "lower": NOW, "upper": None, "act": "rows",
    "removed": 5,
}  # fmt: skip
LEFT = LeftRows({"event": NOW, "job": None}, {"h": {"event": 2}}, {"rows": 0, "sha256": ORIGIN}, {"stored": 9},
            {("event", "event_2019_11"): 2}, [(Category.CODE, "HubError")])  # fmt: skip


def sign(context: str, data: bytes) -> bytes:
    """A signature that only this test can make, and everybody can check."""
    return sha256(b"key" + context.encode() + data).digest()


def verified(owner: str, context: str, data: bytes, signature: bytes) -> bool:
    return owner == "owner" and signature == sign(context, data)


def proofs(count: int, **changed: object) -> list[Proof]:
    made: list[Proof] = []
    began = opening({"id": "h", "version": "0"}, POLICY, NOW, "hub", [])
    for number in range(1, count + 1):
        previous = made[-1].sha256 if made else ORIGIN
        said = manifest(number, previous, began, (NOW, NOW), CategoryOutcome.COMPLETE, [STEP], LEFT)
        made.append(seal({**said, **changed}, "owner", sign))
    return made


def kept(made: list[Proof]) -> list[StoredProof]:
    return [StoredProof(one.number, one.sha256, one.data) for one in made]


def files(made: list[Proof]) -> dict[int, bytes]:
    return {one.number: one.data for one in made}


def judged(rows: list[StoredProof], outside: Mapping[int, bytes], open_number: int | None = None) -> ProofVerdict:
    verdict = ProofVerdict()
    judge_proofs(rows, outside, open_number, verified, verdict)
    return verdict


def test_what_a_manifest_says() -> None:
    (proof,) = proofs(1)
    said = proof.manifest
    assert said["done"] == [
        {
            "category": "event", "table": "event", "chunk": "event_2019_11", "from": instant(NOW), "to": None,
            "by": "rows", "before": 7, "removed": 5, "after": 2,
        }
    ]  # fmt: skip
    assert [one for one in said["cut_offs"] if one["category"] == "event"] == [
        {"category": "event", "tenant": None, "period": "7 years", "reason": None,
         "before": "2019-11-21T07:30:00.000000Z"},
        {"category": "event", "tenant": "acme", "period": "5 years", "reason": "so",
         "before": "2021-11-21T07:30:00.000000Z"},
    ]  # fmt: skip
    assert said["failed"] == [{"category": "code", "why": "HubError"}]
    assert said["oldest"] == {"event": instant(NOW), "job": None}
    assert (said["format"], said["number"], said["previous"], said["outcome"]) == (FORMAT, 1, ORIGIN, "complete")
    before = cut_offs_of(said, Category.EVENT)
    assert before == POLICY.cut_offs(Category.EVENT, NOW)
    assert cut_offs_of(said, Category.CODE) is None
    assert moment(said["now"]) == NOW
    assert done([{**STEP, "act": "chunk"}], LEFT.rows)[0]["after"] == 0


def test_a_proof_can_be_checked_without_this_program() -> None:
    (proof,) = proofs(1)
    document = json.loads(proof.data)
    text = json.dumps(document["manifest"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert sha256(text).hexdigest() == document["sha256"] == proof.sha256
    assert b64decode(document["signature"]) == sign(FORMAT, text)
    assert read_proof(proof.data, verified) == proof


@given(st.data())
def test_not_a_byte_may_be_another_one(data: st.DataObject) -> None:
    (proof,) = proofs(1)
    place = data.draw(st.integers(0, len(proof.data) - 1))
    other = data.draw(st.integers(1, 255))
    altered = bytearray(proof.data)
    altered[place] ^= other
    with pytest.raises(ValueError, match="it"):
        read_proof(bytes(altered), verified)


@given(st.integers(0, 500))
def test_not_a_byte_may_be_cut_off(length: int) -> None:
    (proof,) = proofs(1)
    with pytest.raises(ValueError, match="it"):
        read_proof(proof.data[: min(length, len(proof.data) - 1)], verified)


def envelope(**changed: object) -> bytes:
    (proof,) = proofs(1)
    return canonical({**json.loads(proof.data), **changed}) + b"\n"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[1]", "it is not a proof"),
        (b"{}", "it is not a proof"),
        (b"[" * 100_000, "it is not JSON"),
        (envelope(manifest=1), "it is not a proof"),
        (envelope(manifest={}), "not of the format"),
        (envelope(manifest={"format": FORMAT, "number": True, "previous": ""}), "not of the format"),
        (envelope(manifest={"format": FORMAT, "number": 1, "previous": 2}), "not of the format"),
        (envelope(sha256="0"), "its hash is not that of its manifest"),
        (envelope(signature="?"), "its signature is not base64"),
        (envelope(signature="AAAA"), "not that of a key that is trusted"),
        (envelope(key="other"), r"\(key other\)"),
        (envelope(key=5), r"\(key 5\)"),
        (envelope() + b" ", "not written in its canonical form"),
    ],
)
def test_what_is_no_proof_says_why(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_proof(data, verified)


def test_a_chain_has_no_gap_and_no_other_history() -> None:
    made = proofs(4)
    assert chain_faults(made) == []
    assert chain_faults([]) == []
    assert chain_faults([made[0], made[3]]) == ["proof 2 is missing", "proof 3 is missing"]
    assert chain_faults(made[1:]) == ["proof 1 is missing"]
    other = proofs(2, by="operator")
    (fault,) = chain_faults([made[0], other[1]])
    assert fault.startswith("proof 2 does not follow proof 1")


def test_table_and_files_agree() -> None:
    made = proofs(3)
    assert judged(kept(made), files(made)).findings == []
    assert judged(kept(made), files(made)).proofs == 3
    assert judged(kept(made), files(made[:2])).findings == ["proof 3 has no file"]
    assert judged(kept(made[:2]), files(made)).findings[0].startswith("proof 3 is only a file: the database was")
    after_a_kill = judged(kept(made[:2]), files(made), open_number=3)
    assert (after_a_kill.findings, len(after_a_kill.notes)) == ([], 1)
    other = proofs(3, by="operator")
    assert judged(kept(made), {**files(made), 2: other[1].data}).findings == [
        "the file of proof 2 is another one than that in the table"
    ]
    assert judged(kept(made), {**files(made), 2: b"x"}).findings == ["the file of proof 2: it is not JSON"]
    (finding, missing) = judged(
        [*kept(made[:1]), StoredProof(2, "0", b"x"), *kept(made[2:])], files(made)
    ).findings[::2]
    assert (finding, missing) == ("proof 2 in the table: it is not JSON", "proof 2 is missing")
    swapped = [StoredProof(1, made[0].sha256, made[0].data), StoredProof(2, made[0].sha256, made[0].data)]
    assert "proof 2 in the table is that of run 1" in judged(swapped, files(made[:2])).findings


def rules(made: list[Proof], policy: Policy = POLICY) -> ProofVerdict:
    verdict = ProofVerdict()
    judge_rules(made, policy, verdict)
    return verdict


def test_cut_offs_are_computed_again() -> None:
    assert rules(proofs(2)).findings == []
    assert rules([]).notes == []
    said: list[dict[str, Any]] = [dict(one) for one in proofs(1)[0].manifest["cut_offs"]]
    said[0]["before"] = instant(NOW - timedelta(days=9))
    assert rules(proofs(1, cut_offs=said)).findings == ["proof 1: the cut-off of event is not 7 years back"]
    other = Policy("2", POLICY.periods)
    assert rules(proofs(1), other).notes == ["the policy in force (2) is another one than the last run's (1)"]
    same = {"version": "9", "sha256": POLICY.digest}
    assert rules(proofs(1, policy=same)).findings == ["proof 1 names the policy by another version"]


def test_the_audit_knows_the_newest() -> None:
    made = proofs(2)
    for newest, findings in (
        (None, []),
        ({"number": 2, "sha256": made[1].sha256}, []),
        ({"number": 3, "sha256": "x"}, ["the audit knows proof 3, and it is not there"]),
        ({"number": 2, "sha256": "x"}, ["the audit knows proof 2 with another hash"]),
    ):
        verdict = ProofVerdict()
        judge_audit(newest, made, verdict)
        assert verdict.findings == findings


def test_the_data_is_held_against_the_last_run_that_went_through() -> None:
    made = proofs(2)
    assert last_complete(made) is made[1]
    assert last_complete([made[0], *proofs(1, outcome="partial")]) is made[0]
    assert last_complete([]) is None
