"""All routes about people."""

from hub.api.accounts import Accounts
from hub.api.audit import AuditRoutes
from hub.api.notices import Notices
from hub.api.rights import Rights
from hub.api.routes import Route
from hub.api.transactions import TransactionRoutes
from hub.config import People as PeopleConfig
from hub.people.parts import PeopleParts
from hub.store.timescale import Store


def people_routes(parts: PeopleParts, config: PeopleConfig, store: Store) -> list[Route]:
    """Return the routes."""
    return [
        *AuditRoutes(store).routes(),
        *Accounts(parts.people, parts.desk).routes(),
        *Notices(parts.people).routes(),
        *TransactionRoutes(config, store, lambda: parts.code_key).routes(),
        *Rights(parts.desk).routes(),
    ]
