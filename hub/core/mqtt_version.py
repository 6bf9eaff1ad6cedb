"""Which version of MQTT the next connection speaks."""

from typing import Final, Literal

CLIMB_S: Final = 300.0
"""After so long on MQTT 3.1.1 a link tries MQTT 5 again, at a broker that has spoken it."""


class VersionChoice:
    """Speaks MQTT 5, and MQTT 3.1.1 only in the attempt that follows a refusal.

    A broker that is starting, stopping or full also hangs up or does not answer. Once it has spoken MQTT 5, only a
    refusal of the version itself counts.
    """

    def __init__(self, setting: Literal["auto", "5", "3.1.1"]) -> None:
        self._only: str | None = None if setting == "auto" else setting
        self._fell = False
        self._had_5 = False

    @property
    def next(self) -> str:
        """The version of the next attempt."""
        return self._only or ("3.1.1" if self._fell else "5")

    @property
    def climbs(self) -> bool:
        """Whether a connection that is up should be made again, to go back to MQTT 5."""
        return self._only is None and self._fell and self._had_5

    def up(self) -> None:
        """Note that a connection was made."""
        self._had_5 = self._had_5 or self.next == "5"

    def ended(self) -> None:
        """Note that a connection ended, or could not be made for another reason."""
        self._fell = False

    def refused(self, *, explicitly: bool) -> None:
        """Note that the broker refused the version, or (not explicitly) that it gave no answer at all."""
        self._fell = not self._fell and (explicitly or not self._had_5)
