"""The proofs outside the database: a file each, and beside them the public half of the key that signs them."""

import os
from pathlib import Path
from typing import Final

from hub.core.retention.proof import Proof
from hub.errors import HubError
from hub.keys import PublicKey

_DIGITS: Final = 6
_PUBLIC_KEY: Final = "retention_key.pub.pem"


class ProofFiles:
    """`<directory>/proofs/NNNNNN.json`. Errors are HubError, with the file and what is wrong with it."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "proofs"

    def path(self, number: int) -> Path:
        """Return where a proof is."""
        return self._folder / f"{number:0{_DIGITS}}.json"

    def write(self, proof: Proof, public: PublicKey) -> None:
        """Write a proof; it is on the disk when this returns. What is there with other content is put aside."""
        path = self.path(proof.number)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.read_bytes() != proof.data:
                self.put_aside(proof.number)
            _write_durably(path, proof.data)
            key = self._folder / _PUBLIC_KEY
            pem = public.pem().encode()
            if not key.exists() or key.read_bytes() != pem:
                # Of a key that was replaced the public half stays too, under its name.
                _write_durably(self._folder / f"{public.fingerprint[:16]}.pub.pem", pem)
                _write_durably(key, pem)
        except OSError as error:
            raise HubError(f"the proof cannot be written to {path}: {error.strerror}") from None

    def read(self) -> dict[int, bytes]:
        """Return the files by their number."""
        try:
            return {
                int(path.stem): path.read_bytes()
                for path in sorted(self._folder.glob("*.json"))
                if path.stem.isdecimal()
            }
        except OSError as error:
            raise HubError(f"the proofs in {self._folder} cannot be read: {error.strerror}") from None

    def put_aside(self, number: int) -> Path:
        """Rename a file that is no proof, so that it stays as evidence and is in nobody's way; return its name."""
        path = self.path(number)
        place = 1
        while (aside := path.with_suffix(f".json.{place}.refused")).exists():
            place += 1
        path.rename(aside)
        return aside


def _write_durably(path: Path, data: bytes) -> None:
    made = path.with_suffix(".new")
    with made.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
