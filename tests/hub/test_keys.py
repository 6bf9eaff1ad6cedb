"""The command key: made once, kept from others, and it signs what the agents verify."""

import logging
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import structs

from hub.errors import ConfigError
from hub.keys import (
    load_key,
    load_or_make_proof_key,
    load_public_key,
    make_key,
    parse_public_key,
    public_path,
)
from wire.messages import Command, decode_command, encode, signing_bytes

COMMAND = Command(v=1, id=UUID(int=1), locker="berlin-01", kind="open", boot=UUID(int=2), not_after=5, door=3)


def public_key(path: Path) -> Ed25519PublicKey:
    key = serialization.load_pem_public_key(public_path(path).read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    return key


def test_a_signature_holds_over_the_wire_and_for_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "command_key.pem"
    made = make_key(path)
    signed = decode_command(encode(load_key(path).sign(COMMAND)))
    key = public_key(path)
    key.verify(signed.sig, signing_bytes(signed))
    assert made.sign(COMMAND) == signed
    with pytest.raises(InvalidSignature):
        key.verify(signed.sig, signing_bytes(structs.replace(signed, locker="berlin-02")))


def test_the_key_is_for_its_owner_alone_and_the_public_half_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "command_key.pem"
    key = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_path(path) == tmp_path / "command_key.pub.pem"
    assert public_path(path).read_text() == key.public_pem() == load_key(path).public_pem()


def test_a_key_in_use_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "command_key.pem"
    make_key(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="a key in use is not overwritten"):
        make_key(path)
    assert path.read_bytes() == before


def test_a_key_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot make"):
        make_key(tmp_path / "file" / "key.pem")


def test_a_missing_key_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"commands.key_file: .* does not exist; `hub key make "):
        load_key(tmp_path / "nothing.pem")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    make_key(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others; `chmod 600 "):
        load_key(path)


def test_what_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is not a PEM private key"):
        load_key(path)
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(other)
    with pytest.raises(ConfigError, match="is not an Ed25519 key"):
        load_key(path)
    with pytest.raises(ConfigError, match="cannot read"):
        load_key(tmp_path)


def test_a_proof_key_is_made_at_its_first_use_and_read_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "retention_key.pem"
    caplog.set_level(logging.WARNING, "hub.keys")
    made = load_or_make_proof_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert "Made the key that signs proofs" in caplog.text
    caplog.clear()
    again = load_or_make_proof_key(path)
    assert caplog.text == ""
    assert again.public.pem() == made.public.pem() == public_path(path).read_text()
    assert load_public_key(public_path(path)).fingerprint == made.public.fingerprint
    assert len(made.public.fingerprint) == 64


def test_a_signature_is_of_one_key_one_context_and_one_text(tmp_path: Path) -> None:
    key, other = load_or_make_proof_key(tmp_path / "a.pem"), load_or_make_proof_key(tmp_path / "b.pem")
    signature = key.sign("proof/1", b"text")
    assert key.public.verified("proof/1", b"text", signature)
    assert not other.public.verified("proof/1", b"text", signature)
    assert not key.public.verified("proof/2", b"text", signature)
    assert not key.public.verified("proof/1", b"texts", signature)
    assert not key.public.verified("proof/1", b"text", b"")
    standard = public_key(tmp_path / "a.pem")
    standard.verify(signature, b"proof/1\ntext")


def test_what_is_no_proof_key_or_no_public_key(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    load_or_make_proof_key(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=r"retention.key_file: .* can be read by others"):
        load_or_make_proof_key(path)
    with pytest.raises(ConfigError, match="cannot read the public key"):
        load_public_key(tmp_path / "nothing.pem")
    with pytest.raises(ConfigError, match="this is not a PEM public key"):
        load_public_key(path)
    curve = generate_private_key(SECP256R1()).public_key()
    other = curve.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        parse_public_key(other)
