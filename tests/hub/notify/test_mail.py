"""Mail against a real server: TLS and passwords, what is in a mail, and what each refusal means."""

import asyncio
import logging
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from hub.config.notify import EmailChannel
from hub.core.notify.notices import Message
from hub.core.notify.retry import DeliveryVerdict
from hub.notify.mail import Mail, masked
from tests.hub.core.notify.alarms import AT, notice
from tests.hub.notify.receivers import PASSWORD, MailServer, certificate, mail_server, secret
from tests.services.conftest import free_port

MESSAGE = Message(id=UUID(int=7), at=AT, channel="duty", notice=notice("raised"))
TO = ["anna@example.org", "duty@example.com"]


def mail(port: int, **changes: Any) -> Mail:  # noqa: ANN401 - settings
    fields = {
        "name": "duty", "host": "127.0.0.1", "port": port, "security": "none", "sender": "hub@example.org",
        "to": TO, "timeout_s": 5.0, **changes,
    }  # fmt: skip
    return Mail(EmailChannel(**fields), "https://hub.example.org")


async def test_a_mail_is_what_people_read(tmp_path: Path) -> None:
    del tmp_path
    async with mail_server() as server:
        outcome = await mail(server.port).send(MESSAGE)
    assert (outcome.verdict, outcome.detail) == (DeliveryVerdict.SENT, "taken")
    (told,) = server.mails
    assert server.envelopes == [("hub@example.org", TO)]
    assert told["Subject"] == "[critical] ALARM: Door 3 was opened by force: Berlin, lobby (berlin-01), door 3"
    assert told["From"] == "hub@example.org"
    assert told["To"] == ", ".join(TO)
    assert told["Message-ID"] == f"<{MESSAGE.id}@example.org>"
    assert told["References"] == f"<alarm-{UUID(int=1)}@example.org>"
    assert told["Auto-Submitted"] == "auto-generated"
    assert told["Date"].datetime == AT
    assert "What to do: Look at the door" in told.get_content()


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_tls_and_a_password(tmp_path: Path, security: str) -> None:
    context, ca = certificate(tmp_path)
    settings = {"tls_at_once": True} if security == "tls" else {"require_starttls": True, "auth_required": True}
    async with mail_server(context, **settings) as server:
        one = mail(
            server.port, security=security, tls_ca_file=ca, username="hub", password_file=secret(tmp_path, PASSWORD)
        )
        assert (await one.send(MESSAGE)).verdict is DeliveryVerdict.SENT
    assert server.users == ["hub"]
    if security == "starttls":
        assert server.secured == [True]


async def test_whom_it_does_not_trust_it_does_not_tell(tmp_path: Path) -> None:
    context, _ = certificate(tmp_path)
    async with mail_server(context) as server:
        one = mail(server.port, security="starttls", username="hub", password_file=secret(tmp_path, PASSWORD))
        assert (await one.send(MESSAGE)).verdict is DeliveryVerdict.LATER
    assert (server.users, server.mails) == ([], [])


async def test_a_server_without_tls_is_not_told_either(tmp_path: Path) -> None:
    async with mail_server() as server:
        one = mail(server.port, security="starttls", username="hub", password_file=secret(tmp_path, PASSWORD))
        outcome = await one.send(MESSAGE)
    assert outcome.verdict is not DeliveryVerdict.SENT
    assert "STARTTLS" in outcome.detail
    assert (server.users, server.mails) == ([], [])


async def test_a_wrong_password_fails_at_once_and_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    context, ca = certificate(tmp_path)
    async with mail_server(context, auth_required=True) as server:
        one = mail(
            server.port, security="starttls", tls_ca_file=ca, username="hub",
            password_file=secret(tmp_path, "not the password"),
        )  # fmt: skip
        outcome = await one.send(MESSAGE)
    assert outcome.verdict is DeliveryVerdict.FAILED
    assert outcome.detail.startswith("535")
    assert "not the password" not in outcome.detail + caplog.text


def refusing(server: MailServer, **replies: str) -> None:
    server.refused = {address: replies[address.partition("@")[0]] for address in TO if address[:4] in replies}


@pytest.mark.parametrize(
    ("data", "refused", "verdict", "detail"),
    [
        (["451 try later"], {}, DeliveryVerdict.LATER, "451 try later"),
        (["554 no thanks"], {}, DeliveryVerdict.FAILED, "554 no thanks"),
        ([], {"anna": "550 no such", "duty": "550 no such"}, DeliveryVerdict.FAILED, "nobody was accepted: 550"),
        ([], {"anna": "550 no such", "duty": "450 busy"}, DeliveryVerdict.LATER, "nobody was accepted: 550"),
        ([], {"anna": "550 no such anna@example.org"}, DeliveryVerdict.SENT, "1 of 2 addresses were refused: 550"),
    ],
)
async def test_refusals(data: list[str], refused: dict[str, str], verdict: DeliveryVerdict, detail: str) -> None:
    async with mail_server() as server:
        server.data = list(data)
        refusing(server, **refused)
        outcome = await mail(server.port).send(MESSAGE)
    assert outcome.verdict is verdict
    assert outcome.detail.startswith(detail)
    assert "anna@" not in outcome.detail


async def test_nobody_there() -> None:
    outcome = await mail(free_port()).send(MESSAGE)
    assert outcome.verdict is DeliveryVerdict.LATER


async def test_a_server_that_never_answers() -> None:
    done = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        await done.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    try:
        outcome = await mail(server.sockets[0].getsockname()[1], timeout_s=0.2).send(MESSAGE)
        assert outcome.verdict is DeliveryVerdict.LATER
    finally:
        done.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "where",
    [
        "x\r\nBcc: evil@example.net\r\n\r\nhello",
        "a\n.\r\nMAIL FROM:<evil@example.net>",
        "\u202ecod.exe",
        "Ünïcödé 日本",
    ],
)
async def test_no_text_becomes_a_header_or_an_order(where: str) -> None:
    hostile = msgspec.structs.replace(MESSAGE, notice=notice("raised", where=where))
    async with mail_server() as server:
        assert (await mail(server.port).send(hostile)).verdict is DeliveryVerdict.SENT
    (told,) = server.mails
    assert told["Bcc"] is None
    assert server.envelopes == [("hub@example.org", TO)]
    assert set(told.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "References", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    if where.startswith("Ü"):
        assert where in told["Subject"]
        assert where in told.get_content()


def test_addresses_are_shown_so_that_only_who_has_them_knows_them() -> None:
    assert masked("duty@example.org") == "du…@example.org"
    assert mail(25).to == "an…@example.org, du…@example.com"
