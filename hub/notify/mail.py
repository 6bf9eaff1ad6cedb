"""A mail over SMTP."""

import re
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

import aiosmtplib

from hub.config.certificates import trusting
from hub.config.notify import EmailChannel
from hub.config.secrets import read_secret
from hub.core.notify.notices import Message
from hub.core.notify.retry import DeliveryOutcome, DeliveryVerdict, of_replies
from hub.core.notify.templates import one_line, render_email

_ADDRESS: Final = re.compile(r"[^\s<>@]+@")


class Mail:
    """The recipients of one channel. Reads its files at once. Raises ConfigError."""

    def __init__(self, channel: EmailChannel, public_url: str | None) -> None:
        where = f"notify.channel {channel.name}"
        self._channel = channel
        self._public_url = public_url
        self._password = (
            None if channel.password_file is None else read_secret(channel.password_file, f"{where}: password_file")
        )
        self._tls = None if channel.security == "none" else trusting(channel.tls_ca_file, where)
        self._domain = channel.sender.rpartition("@")[2]
        self.to = ", ".join(masked(address) for address in channel.to)

    async def send(self, message: Message) -> DeliveryOutcome:
        """Try once. Never raises for what network or server do."""
        channel = self._channel
        try:
            refused, said = await aiosmtplib.send(
                self.compose(message),
                sender=channel.sender,
                recipients=channel.to,
                hostname=channel.host,
                port=channel.port,
                # Its own default asks the name service for this machine's name, and waits for it.
                local_hostname=self._domain,
                username=channel.username,
                password=self._password,
                use_tls=channel.security == "tls",
                start_tls=channel.security == "starttls",
                tls_context=self._tls,
                timeout=channel.timeout_s,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            told = "; ".join(f"{one.code} {_shown(one.message)}" for one in error.recipients)
            return of_replies([one.code for one in error.recipients], f"nobody was accepted: {told}")
        except aiosmtplib.SMTPConnectError as error:
            return DeliveryOutcome(DeliveryVerdict.LATER, _shown(error.message))
        except aiosmtplib.SMTPResponseException as error:
            return of_replies([error.code], f"{error.code} {_shown(error.message)}")
        except aiosmtplib.SMTPNotSupported as error:
            return DeliveryOutcome(DeliveryVerdict.FAILED, _shown(error.message))
        except aiosmtplib.SMTPException as error:
            return DeliveryOutcome(DeliveryVerdict.LATER, _shown(error.message))
        except (OSError, ValueError) as error:
            return DeliveryOutcome(
                DeliveryVerdict.LATER, f"the connection to {channel.host} failed: {type(error).__name__}"
            )
        if refused:
            # The others have it: to send it again would give it to them twice.
            codes = ", ".join(str(one.code) for one in refused.values())
            return DeliveryOutcome(
                DeliveryVerdict.SENT, f"{len(refused)} of {len(channel.to)} addresses were refused: {codes}"
            )
        return DeliveryOutcome(DeliveryVerdict.SENT, _shown(said))

    def compose(self, message: Message) -> EmailMessage:
        """Return the mail. A message that is tried again has the same Message-ID."""
        told = render_email(message, self._public_url)
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self._channel.sender
        mail["To"] = ", ".join(self._channel.to)
        mail["Subject"] = told.subject
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        if message.notice is not None:
            # So that mail programs show what is about one alarm together.
            mail["References"] = f"<alarm-{message.notice.alarm}@{self._domain}>"
        mail.set_content(told.text)
        return mail


def masked(address: str) -> str:
    """Return an address so that whoever has it knows it: `du…@example.org`."""
    name, _, domain = address.rpartition("@")
    return f"{name[:2]}…@{domain}"


def _shown(text: str) -> str:
    return _ADDRESS.sub("…@", one_line(text))
