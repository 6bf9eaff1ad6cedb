"""The proof of a run: a manifest in canonical JSON, chained to the one before by its hash, and signed.

docs/retention.md tells an auditor how to check one without this program.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

FORMAT: Final = "lockerhub.retention.proof/1"
"""Stands in the manifest, and as a line before it in what is signed."""
ORIGIN: Final = "0" * 64
"""What the first manifest has as the hash of the one before."""

_ENVELOPE: Final = {"manifest", "sha256", "key", "signature"}

Verified = Callable[[str, str, bytes, bytes], bool]
"""Takes a key's fingerprint, a context, data, a signature; says whether that key is trusted and has signed."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A manifest as it lies in its file. `data` is the file, byte for byte."""

    number: int
    previous: str
    sha256: str
    manifest: Mapping[str, Any]
    data: bytes


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the one form of a document of texts and whole numbers: UTF-8, keys sorted, no white space."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()  # fmt: skip


def seal(manifest: Mapping[str, Any], fingerprint: str, sign: Callable[[str, bytes], bytes]) -> Proof:
    """Return the signed proof of a manifest that has `format`, `number` and `previous`."""
    text = canonical(manifest)
    digest = sha256(text).hexdigest()
    envelope = {
        "manifest": manifest,
        "sha256": digest,
        "key": fingerprint,
        "signature": b64encode(sign(FORMAT, text)).decode(),
    }
    return Proof(manifest["number"], manifest["previous"], digest, manifest, canonical(envelope) + b"\n")


def read_proof(data: bytes, verified: Verified) -> Proof:
    """Read a proof's file. Raises ValueError with what is wrong with it: not a byte of it may be another one."""
    try:
        envelope = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(envelope, dict) or envelope.keys() != _ENVELOPE or not isinstance(envelope["manifest"], dict):
        raise ValueError("it is not a proof of retention")
    manifest = envelope["manifest"]
    number, previous = manifest.get("number"), manifest.get("previous")
    if manifest.get("format") != FORMAT or type(number) is not int or not isinstance(previous, str):
        raise ValueError(f"its manifest is not of the format {FORMAT}")
    text = canonical(manifest)
    digest = sha256(text).hexdigest()
    if envelope["sha256"] != digest:
        raise ValueError("its hash is not that of its manifest: it was altered")
    try:
        signature = b64decode(str(envelope["signature"]), validate=True)
    except ValueError:
        raise ValueError("its signature is not base64: it was altered") from None
    if not verified(str(envelope["key"]), FORMAT, text, signature):
        raise ValueError(
            f"its signature is not that of a key that is trusted here (key {str(envelope['key'])[:16]})"
        )
    if canonical(envelope) + b"\n" != data:
        raise ValueError("it is not written in its canonical form: it was altered")
    return Proof(number, previous, digest, manifest, data)


def chain_faults(proofs: Iterable[Proof]) -> list[str]:
    """Say where proofs, in order, do not follow each other: a number left out, a hash that is another one."""
    faults = []
    number, digest = 0, ORIGIN
    for proof in proofs:
        missing = range(number + 1, proof.number)
        faults += [f"proof {one} is missing" for one in missing]
        if not missing and proof.previous != digest:
            faults.append(
                f"proof {proof.number} does not follow proof {number}: the hash that it names is another one"
            )
        number, digest = proof.number, proof.sha256
    return faults
