"""Lists as Azure Resource Manager pages them: `value`, and `nextLink` while there is more.

Parameters: https://learn.microsoft.com/rest/api/azureml/model-versions/list (`$top`, `$skip`, `listViewType`)
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from emulator.azure_ml.errors import user_error
from emulator.azure_ml.store import Body

PAGE = 30
_VIEWS = {"ActiveOnly": (False,), "ArchivedOnly": (True,), "All": (False, True)}


def viewed(request: Request, rows: Sequence[tuple[str, Body]]) -> list[tuple[str, Body]]:
    """Rows of the asked-for `listViewType`: those that are not archived, where nothing else is said.

    Raises:
        AzureError: 400, there is no such view.
    """
    name = request.query_params.get("listViewType") or "ActiveOnly"
    if name not in _VIEWS:
        raise user_error(f"listViewType is one of {', '.join(_VIEWS)}, not {name[:100]!r}")
    return [(key, body) for key, body in rows if bool(body["properties"].get("isArchived")) in _VIEWS[name]]


def paged(request: Request, items: Sequence[Body], base_url: str) -> Response:
    """One page of `items`, and where the next one is; `$top` limits all pages together.

    Raises:
        AzureError: 400, `$top` or `$skip` is no number.
    """
    query = dict(request.query_params)
    top, skip = _number(query, "$top", len(items)), _number(query, "$skip", 0)
    size = min(PAGE, top)
    shown: Body = {"value": items[skip : skip + size]}
    if top > size and len(items) > skip + size:
        rest = {"$top": str(top - size)} if "$top" in query else {}
        following = urlencode({**query, "$skip": str(skip + size), **rest}, safe="$")
        shown["nextLink"] = f"{base_url}{request.url.path}?{following}"
    return JSONResponse(shown)


def _number(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise user_error(f"{name} is a number, not {text[:100]!r}")
    return int(text)
