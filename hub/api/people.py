"""All routes about people."""

from hub.api.accounts import Accounts
from hub.api.audit import AuditRoutes
from hub.api.notices import Notices
from hub.api.rights import Rights
from hub.api.routes import Route, needing
from hub.api.transactions import TransactionRoutes
from hub.config.settings import People as PeopleConfig
from hub.operators import Role
from hub.people.parts import PeopleParts
from hub.store.database import Store


def people_routes(parts: PeopleParts, config: PeopleConfig, store: Store) -> list[Route]:
    """Return the routes."""
    return [
        *needing(Role.OPERATOR, AuditRoutes(store).routes()),
        *needing(Role.ADMIN, Accounts(parts.people, parts.desk).routes()),
        *needing(Role.ADMIN, Notices(parts.people).routes()),
        # Whoever hands out compartments at the desk does not have to see the accounts behind them.
        *needing(Role.OPERATOR, TransactionRoutes(config, store, lambda: parts.code_key).routes()),
        *needing(Role.ADMIN, Rights(parts.desk).routes()),
    ]
