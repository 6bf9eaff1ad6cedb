"""All routes about people."""

from hub.api.accounts import AccountRoutes
from hub.api.audit import AuditRoutes
from hub.api.notices import NoticeRoutes
from hub.api.privacy_requests import PrivacyRequestRoutes
from hub.api.routes import Route, needing
from hub.api.transactions import TransactionRoutes
from hub.config.settings import PeopleSettings
from hub.operators import Role
from hub.people.service import PeopleService
from hub.store.database import Database


def people_routes(parts: PeopleService, config: PeopleSettings, store: Database) -> list[Route]:
    """Return the routes."""
    return [
        *needing(Role.OPERATOR, AuditRoutes(store).routes()),
        *needing(Role.ADMIN, AccountRoutes(parts.people, parts.desk).routes()),
        *needing(Role.ADMIN, NoticeRoutes(parts.people).routes()),
        # Whoever hands out compartments at the desk does not have to see the accounts behind them.
        *needing(Role.OPERATOR, TransactionRoutes(config, store, lambda: parts.code_key).routes()),
        *needing(Role.ADMIN, PrivacyRequestRoutes(parts.desk).routes()),
    ]
