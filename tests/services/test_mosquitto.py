"""The broker as it is shipped: who may come in, who may say what to whom, and what is too large."""

import asyncio
import datetime as dt
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.services.conftest import ROOT, MosquittoBroker, ended, free_port, listens, mosquitto, program, wait_for
from wire.topics import HUB_STATE, Channel, subscription, topic_of

pytestmark = pytest.mark.services


@pytest.fixture(scope="module", name="mosquitto_broker")
def one_of_its_own() -> Iterator[MosquittoBroker]:
    """A broker that keeps nothing of what other tests told theirs."""
    with mosquitto() as running:
        yield running


def client(broker: MosquittoBroker, name: str, client_id: str | None = None) -> aiomqtt.Client:
    password = broker.hub_password if name.startswith("hub-") else broker.locker_password(name)
    return aiomqtt.Client(
        broker.host, broker.port, username=name, password=password, identifier=client_id or name, timeout=10
    )


async def heard(receiver: aiomqtt.Client) -> list[tuple[str, bytes]]:
    """Everything that the receiver gets until it hears the mark that the hub sends it afterwards."""
    found: list[tuple[str, bytes]] = []
    async with asyncio.timeout(10):
        async for message in receiver.messages:
            assert isinstance(message.payload, bytes)
            if message.payload == b"mark":
                break
            found.append((str(message.topic), message.payload))
    return found


async def test_a_locker_speaks_for_itself_and_nobody_else(mosquitto_broker: MosquittoBroker) -> None:
    up = (Channel.PRESENCE, Channel.EVENTS, Channel.TELEMETRY, Channel.REPLIES)
    async with client(mosquitto_broker, "hub-ingest") as hub, client(mosquitto_broker, "berlin-01") as locker:
        await hub.subscribe("lh/v1/#", qos=1)
        for whose in ("berlin-01", "paris-02"):
            for channel in Channel:
                await locker.publish(topic_of(whose, channel), b"x", qos=1)
        await locker.publish(HUB_STATE, b"x", qos=1)
        await locker.publish("elsewhere", b"x", qos=1)
        async with client(mosquitto_broker, "hub-command") as other:
            await other.publish(HUB_STATE, b"mark", qos=1)
        assert {topic for topic, _ in await heard(hub)} == {topic_of("berlin-01", channel) for channel in up}


async def test_a_locker_hears_its_own_commands_and_receipts_only(mosquitto_broker: MosquittoBroker) -> None:
    async with client(mosquitto_broker, "hub-command") as hub, client(mosquitto_broker, "berlin-01") as locker:
        # The broker grants subscriptions that it then does not serve: only what arrives counts.
        for topic in ("#", subscription(Channel.COMMANDS), "$SYS/#"):
            await locker.subscribe(topic, qos=1)
        for whose in ("berlin-01", "paris-02"):
            for channel in Channel:
                await hub.publish(topic_of(whose, channel), b"x", qos=1)
        await hub.publish(HUB_STATE, b"mark", qos=1)
        down = {topic_of("berlin-01", channel) for channel in (Channel.COMMANDS, Channel.RECEIPTS)}
        assert {topic for topic, _ in await heard(locker)} == down


async def test_nobody_takes_a_connection_by_its_client_id(mosquitto_broker: MosquittoBroker) -> None:
    async with client(mosquitto_broker, "hub-ingest") as hub, client(mosquitto_broker, "berlin-01") as locker:
        async with client(mosquitto_broker, "paris-02", client_id="berlin-01"):
            pass
        async with client(mosquitto_broker, "hub-command", client_id="hub-ingest") as command:
            await hub.subscribe(HUB_STATE, qos=1)
            await locker.subscribe(HUB_STATE, qos=1)
            await command.publish(HUB_STATE, b"mark", qos=1)
            assert await heard(hub) == []
            assert await heard(locker) == []


async def test_without_the_right_password_nobody_comes_in(mosquitto_broker: MosquittoBroker) -> None:
    assert mosquitto_broker.accepts("hub-ingest", mosquitto_broker.hub_password)
    assert not mosquitto_broker.accepts("hub-ingest", "wrong")
    assert not mosquitto_broker.accepts("nobody", mosquitto_broker.hub_password)
    with pytest.raises(aiomqtt.MqttError):
        await aiomqtt.Client(mosquitto_broker.host, mosquitto_broker.port).__aenter__()


async def test_a_message_of_the_protocols_size_passes_and_a_larger_one_does_not(
    mosquitto_broker: MosquittoBroker,
) -> None:
    topic = topic_of("berlin-01", Channel.EVENTS)
    async with client(mosquitto_broker, "hub-ingest") as hub:
        await hub.subscribe(topic, qos=1)
        async with client(mosquitto_broker, "berlin-01") as locker:
            await locker.publish(topic, bytes(256 * 1024), qos=1)
        with pytest.raises(aiomqtt.MqttError):
            async with client(mosquitto_broker, "berlin-01") as locker:
                await locker.publish(topic, bytes(300 * 1024), qos=1, timeout=2)
        await hub.publish(topic, b"mark", qos=1)
        assert [len(payload) for _, payload in await heard(hub)] == [256 * 1024]


def test_the_broker_starts_without_complaint_but_the_one_that_is_meant(mosquitto_broker: MosquittoBroker) -> None:
    complaints = [line for line in mosquitto_broker.log.read_text().splitlines() if "Warning" in line]
    assert all("lh/v1/hub/state" in line for line in complaints)


def test_messages_are_not_delayed_and_retained_ones_survive(mosquitto_broker: MosquittoBroker) -> None:
    lines = (mosquitto_broker.directory / "config" / "mosquitto.conf").read_text().splitlines()
    assert {"set_tcp_nodelay true", "persistence true", "allow_anonymous false"} <= set(lines)
    assert lines == (ROOT / "mosquitto" / "mosquitto.conf").read_text().splitlines()


class Authority:
    """A certificate authority for one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        extension = x509.BasicConstraints(ca=True, path_length=0)
        self._write("ca", self._name, self._key, extension)

    def issue(self, file: str, common_name: str) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        self._write(file, name, ec.generate_private_key(ec.SECP256R1()), names)

    def context(self, file: str) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._folder / "ca.crt")
        context.load_cert_chain(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        return context

    def _write(
        self, file: str, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> None:
        now = dt.datetime.now(dt.UTC)
        draft = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key.public_key())
        draft = draft.serial_number(x509.random_serial_number()).add_extension(extension, critical=False)
        draft = draft.not_valid_before(now - dt.timedelta(hours=1))
        signed = draft.not_valid_after(now + dt.timedelta(hours=1)).sign(self._key, hashes.SHA256())
        (self._folder / f"{file}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        (self._folder / f"{file}.key").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))


@pytest.fixture
def tls() -> Iterator[tuple[int, Authority]]:
    """Mosquitto with tls.conf.example as its one listener: its port, and who issues certificates."""
    mosquitto = program("mosquitto")
    with tempfile.TemporaryDirectory() as name:
        directory, port = Path(name), free_port()
        config = directory / "config"
        (config / "listeners").mkdir(parents=True)
        (config / "tls").mkdir()
        (directory / "data").mkdir()
        for file in ("mosquitto.conf", "acl"):
            shutil.copy(ROOT / "mosquitto" / file, config)
        (config / "passwords").touch()
        example = (ROOT / "mosquitto" / "listeners" / "tls.conf.example").read_text()
        (config / "listeners" / "tls.conf").write_text(
            example.replace("listener 8883", f"listener {port} 127.0.0.1")
        )
        authority = Authority(config / "tls")
        authority.issue("broker", "localhost")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "mosquitto", directory], check=True)
        with (directory / "log").open("wb") as log:
            command = [mosquitto, "-c", "config/mosquitto.conf"]
            process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        with ended(process):
            wait_for(lambda: listens(port), "Mosquitto did not listen", process, directory / "log")
            yield port, authority


async def test_with_tls_the_certificate_says_who_speaks(tls: tuple[int, Authority]) -> None:
    port, authority = tls
    for name in ("hub-ingest", "berlin-01"):
        authority.issue(name, name)
    events = topic_of("berlin-01", Channel.EVENTS)
    async with (
        aiomqtt.Client("localhost", port, tls_context=authority.context("hub-ingest")) as hub,
        # Neither a client id nor a username makes it another locker.
        aiomqtt.Client(
            "localhost",
            port,
            tls_context=authority.context("berlin-01"),
            identifier="hub-ingest",
            username="paris-02",
        ) as locker,
    ):
        await hub.subscribe("lh/v1/#", qos=1)
        await locker.publish(topic_of("paris-02", Channel.EVENTS), b"x", qos=1)
        await locker.publish(events, b"x", qos=1)
        await locker.publish(events, b"mark", qos=1)
        assert await heard(hub) == [(events, b"x")]


async def test_with_tls_nobody_comes_in_without_a_certificate(tls: tuple[int, Authority], tmp_path: Path) -> None:
    port, authority = tls
    authority.issue("berlin-01", "berlin-01")
    bare = authority.context("berlin-01")
    assert await connects(port, bare)
    stranger = Authority(tmp_path)
    stranger.issue("berlin-01", "berlin-01")
    forged = authority.context("berlin-01")
    forged.load_cert_chain(tmp_path / "berlin-01.crt", tmp_path / "berlin-01.key")
    assert not await connects(port, forged, timeout_s=2)
    anonymous = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(bare.get_ca_certs(binary_form=True)[0]))
    assert not await connects(port, anonymous, timeout_s=2)


async def connects(port: int, context: ssl.SSLContext, timeout_s: float = 10) -> bool:
    try:
        async with aiomqtt.Client("localhost", port, tls_context=context, timeout=timeout_s):
            return True
    except aiomqtt.MqttError:
        return False
