"""Receivers of notifications: a web server and a mail server that answer as they are told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SECRET = "a secret that is long enough"
PASSWORD = "the mail server's password"
Answer = int | tuple[int, dict[str, str], str] | str
"""A status; a status with headers and text; `hang` or `close`."""


@dataclass
class Hook:
    """What a webhook's receiver saw. It answers with each of `answers` in turn, and then goes on with the last."""

    url: str = ""
    answers: list[Answer] = field(default_factory=lambda: [200])
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def hook(*answers: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Hook]:
    one = Hook(answers=list(answers) or [200])

    async def serve(request: web.Request) -> web.Response:
        one.seen.append((dict(request.headers), await request.read()))
        one.came.set()
        answer = one.answers.pop(0) if len(one.answers) > 1 else one.answers[0]
        if answer == "hang":
            await one.release.wait()
            return web.Response()
        if answer == "close":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        assert not isinstance(answer, str)
        status, headers, text = (answer, {}, "") if isinstance(answer, int) else answer
        return web.Response(status=status, headers=headers, text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    server = TestServer(app, host="127.0.0.1", scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls, access_log=None)
    one.url = str(server.make_url("/hooks/secret-path"))
    try:
        yield one
    finally:
        one.release.set()
        await server.close()


@dataclass
class MailServer:
    """What a mail server took, and how it refuses."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    """Answers to DATA, one after another; then 250."""
    refused: dict[str, str] = field(default_factory=dict)
    """Answers to recipients."""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Sequence[str]
    ) -> str:
        del server, session, options
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del server
        if self.data:
            return self.data.pop(0)
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
        self.secured.append(session.ssl is not None)
        return "250 taken"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any  # noqa: ANN401 - aiosmtpd's
    ) -> AuthResult:  # fmt: skip
        del server, session, envelope, mechanism
        assert isinstance(given, LoginPassword)
        self.users.append(given.login.decode())
        return AuthResult(success=given.password == PASSWORD.encode(), handled=False)


@asynccontextmanager
async def mail_server(tls: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[MailServer]:  # noqa: ANN401
    one = MailServer()
    loop = asyncio.get_running_loop()
    wrapped = settings.pop("tls_at_once", False)

    def connection() -> SMTP:
        return SMTP(
            one, hostname="mail.test", loop=loop, tls_context=None if wrapped else tls,
            authenticator=one.authenticate, auth_require_tls=not wrapped and tls is not None, **settings,
        )  # fmt: skip

    server = await loop.create_server(connection, "127.0.0.1", 0, ssl=tls if wrapped else None)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await server.wait_closed()


def certificate(folder: Path) -> tuple[ssl.SSLContext, str]:
    """A server's side of TLS for 127.0.0.1, and the authority's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(made.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + made.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    return context, str(folder / "ca.pem")


def secret(folder: Path, text: str = SECRET, name: str = "secret") -> str:
    (folder / name).write_text(f"{text}\n")
    (folder / name).chmod(0o600)
    return str(folder / name)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that other tasks bring about; the test's own time limit ends it."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.005)
