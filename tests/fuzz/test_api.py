"""Requests made up from the API's own document, and all that schemathesis checks of answers.

Each as an admin of an org, over what https leads to. The same ones each time.
"""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from starlette.types import Receive, Scope, Send

from peers.names import Label
from tests.api.asking import context_of
from tests.services.minting import mint
from tests.store import samples
from wgctl.api.remote import remote_app
from wgctl.services import app as apps
from wgctl.store.store import Store

pytestmark = pytest.mark.timeout(600)

_EXAMPLES = 12

# What no schema can say: that a name has a meaning already, that two ports are one, or what a thing
# looks like by now.
_SAID_IN_WORDS = ["2xx", "400", "403", "404", "409", "412"]

_CONFIG = {"checks": {"positive_data_acceptance": {"expected-statuses": _SAID_IN_WORDS}}}


def _furnished() -> Store:
    """Return a store with what the names in the document's examples lead to."""
    store = Store(samples.furnish(Path(tempfile.mkdtemp(prefix="wgctl-fuzz-"))))
    samples.add_peer(store, "acme", 1)
    apps.add(store, "acme", "default", Label("web"), now=samples.NOW)
    return store


_STORE = _furnished()
_SECONDS = itertools.count()
_APP = remote_app(context_of(_STORE), clock=lambda: float(next(_SECONDS)))
_HEADERS = {"Authorization": f"Bearer {mint(_STORE, 'acme', 'fuzz').render()}"}


async def _from_elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    await _APP({**scope, "client": ("192.0.2.1", 4000)}, receive, send)


schema = schemathesis.openapi.from_asgi(
    "/v1/openapi.json",
    _from_elsewhere,
    headers=_HEADERS,
    config=schemathesis.Config.from_dict(_CONFIG),
)


@schema.parametrize()
@settings(
    max_examples=_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: Any) -> None:
    case.call_and_validate(headers=_HEADERS)
