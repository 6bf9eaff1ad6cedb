"""The hub's errors.

    HubError
    ├── ConfigError        a setting is missing, unknown or out of its range
    ├── LinkError          the broker cannot be reached, or refuses us
    ├── StepDown           another hub has the lease: this one has to become a standby
    ├── EmbeddedError      the demo's own database or broker could not start
    ├── PeopleError        what is asked about a person cannot be (`code`)
    ├── ErasureIncomplete  something of a person is left that no hold names; the erasure has to be run again
    └── StoreError
        ├── StoreUnavailable   the database cannot be reached now, or does not do what is asked, whatever the
        │                      reason; the same call may go through later
        ├── StoreRejected      the database does not accept these rows; the same call never goes through
        ├── CursorConflict     a ledger stands elsewhere than this hub believed (`keys`)
        └── MigrationError     the schema is not what this version needs

A refused command is a value (hub.core.commands.Refusal); what breaks the protocol is a wire.errors.WireError.
"""

from uuid import UUID


class HubError(Exception):
    """The root of all errors that the hub raises on purpose; the text is for people."""


class ConfigError(HubError):
    """A setting is missing, unknown or out of its range."""


class LinkError(HubError):
    """The broker cannot be reached, or refuses us."""


class StepDown(HubError):  # noqa: N818 - what is to be done
    """Another hub has the lease, or may have it: this one has to become a standby."""


class EmbeddedError(HubError):
    """The demo's own database or broker could not start."""


class PeopleError(HubError):
    """What is asked about a person cannot be. The text names nobody; `code` is one of the API's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class ErasureIncomplete(HubError):  # noqa: N818 - what it is
    """Something of a person is left that no hold names; the erasure has to be run again."""


class StoreError(HubError):
    """Something about the database."""


class StoreUnavailable(StoreError):  # noqa: N818 - a state of the world, as in "503 Service Unavailable"
    """The database cannot be reached now, or does not do what is asked; the same call may go through later.

    `about_rows`: the database answered with an error that may be one of certain rows only.
    """

    def __init__(self, text: str, *, about_rows: bool = False) -> None:
        super().__init__(text)
        self.about_rows = about_rows


class StoreRejected(StoreError):  # noqa: N818 - what the database did
    """The database does not accept these rows; the same call never goes through."""


class CursorConflict(StoreError):  # noqa: N818 - the established word for it
    """Ledgers stand elsewhere than this hub believed; nothing was written."""

    def __init__(self, keys: set[tuple[str, UUID]]) -> None:
        super().__init__(f"{len(keys)} ledger cursors were advanced by someone else")
        self.keys = keys


class MigrationError(StoreError):
    """The schema is not what this version needs."""
