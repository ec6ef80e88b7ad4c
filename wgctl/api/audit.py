"""Routes of the audit trail, and the noting of what was denied to who came with a token."""

import time

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from wgctl.api.context import Context, StoreOf
from wgctl.api.door import needs, routes
from wgctl.api.pages import Cursor, Limit, page
from wgctl.api.problems import refusal
from wgctl.api.shapes import moment
from wgctl.core.access import Caller, Scope
from wgctl.core.access_schema import AuditRecord
from wgctl.core.audit import Record
from wgctl.core.errors import Denied, Invalid
from wgctl.core.pace import Pace
from wgctl.core.schema import Page
from wgctl.services import audit as trail
from wgctl.store.store import Store

__all__ = ["note_denials", "router"]

router = routes()

# Each is a commit: a token that tries all day must not fill the disk, and one line tells as much.
_PER_S = 0.2
_AT_ONCE = 20.0
_MOST_CHARACTERS = 200
_LAST_PLACE = 18  # digits: below 2**63


@router.get("/orgs/{org}/audit", dependencies=[needs(Scope.AUDIT_READ)])
def list_audit_of_org(
    store: StoreOf, org: str, cursor: Cursor = "", limit: Limit = 100
) -> Page[AuditRecord]:
    """Return the audit trail of an org, from its first record on."""
    return _page(store, org, cursor, limit)


@router.get("/audit", dependencies=[needs(Scope.DEPLOYMENT_READ)])
def list_audit(store: StoreOf, cursor: Cursor = "", limit: Limit = 100) -> Page[AuditRecord]:
    """Return the audit trail of what no org owns, from its first record on."""
    return _page(store, None, cursor, limit)


def note_denials(app: FastAPI) -> None:
    """Have `app` note in the audit trail whatever it denies, as often as one token may fill it."""
    pace = Pace(per_s=_PER_S, burst=_AT_ONCE)

    async def denied(request: Request, error: Exception) -> JSONResponse:
        caller: Caller = request.state.caller
        if caller.token is not None and pace.admit(caller.token.id, now=time.monotonic()):
            context: Context = request.app.state.context
            asked = f"{request.method} {request.url.path}"[:_MOST_CHARACTERS]
            now = context.now()
            await context.changes.run(
                lambda: trail.note_denial(context.store, caller, asked, now=now)
            )
        return refusal(error)

    app.add_exception_handler(Denied, denied)


def _page(store: Store, org: str | None, cursor: str, limit: int) -> Page[AuditRecord]:
    if cursor and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _LAST_PLACE):
        raise Invalid(f"cursor {cursor!a}, expected the `next` of the part before")
    found = trail.listed(store, org, after=int(cursor or 0), limit=limit + 1)
    return page(found, limit=limit, shape=_shape, cursor=lambda record: str(record.place))


def _shape(record: Record) -> AuditRecord:
    return AuditRecord(
        place=record.place,
        at=moment(record.at),
        body=record.body,
        previous=record.previous.hex(),
        hash=record.hash.hex(),
    )
