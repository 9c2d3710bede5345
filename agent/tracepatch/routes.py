"""Which route a framework has chosen for a request, as its template: `/items/{id}`.

It chooses below the entry, so that this is known only while the request goes on. A call that is given what was chosen
tells, as others tell the status (`response`). Where none does, the route stays unknown.

Concurrency: on application threads inside callbacks; only exact types are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .objects import mro_of, qualname_of
from .walk import instance_dict

if TYPE_CHECKING:
    from .arrival import Outcome

_REQUESTS = ("request", "_request", "request_websocket", "_websocket")


def starlette(response: Outcome, arguments: Mapping[str, Any]) -> None:
    """A route, or a mount, handles the request: a mount is where those inside begin."""
    given = arguments.get("self")
    path = instance_dict(given).get("path")
    mounts = any(_named(owner, "Mount") for owner in mro_of(type(given)))
    if mounts and type(path) is str:
        response.mounts(path)
    else:
        _chosen(response, path)


def fastapi(response: Outcome, arguments: Mapping[str, Any]) -> None:
    """A route was chosen, with the prefixes of the routers that include it (since 0.160 or so)."""
    if arguments.get("mount") is False:
        _chosen(response, arguments.get("path"))


def django(response: Outcome, arguments: Mapping[str, Any]) -> None:
    """A part of the path was resolved, from the last to the whole; what is resolved later is another path."""
    route, known = arguments.get("route"), response.route
    if type(route) is str and route[:1] not in ("/", "^"):
        route = "/" + route
    if known is None or (type(route) is str and route.endswith(known[1:])):
        _chosen(response, route)


def flask(response: Outcome, arguments: Mapping[str, Any]) -> None:
    """The request's own context ends; Flask 3.2 and Quart 0.23 have one for it and the application."""
    given = instance_dict(arguments.get("self"))
    request = next((given[name] for name in _REQUESTS if given.get(name) is not None), None)
    _chosen(response, instance_dict(instance_dict(request).get("url_rule")).get("rule"))


def aiohttp(response: Outcome, arguments: Mapping[str, Any]) -> None:
    """A resource was found, and this becomes what is known of it."""
    resource = instance_dict(instance_dict(arguments.get("route")).get("_resource"))
    _chosen(response, resource.get("_formatter", resource.get("_path")))


def litestar(response: Outcome, arguments: Mapping[str, Any]) -> None:
    """A route handles the request."""
    scope = arguments.get("scope")
    if type(scope) is dict:
        _chosen(response, scope.get("path_template"))


def pyramid(response: Outcome, arguments: Mapping[str, Any]) -> None:
    """A view is looked up for a request that was matched."""
    route = instance_dict(arguments.get("request")).get("matched_route")
    _chosen(response, instance_dict(route).get("pattern"))


TELLS: Final = {
    ("aiohttp.web_urldispatcher", "__init__"): aiohttp,
    ("django.urls.resolvers", "__init__"): django,
    ("fastapi.telemetry._api", "_route_selected"): fastapi,
    ("flask.ctx", "pop"): flask,
    ("litestar.routes.http", "handle"): litestar,
    ("pyramid.view", "_call_view"): pyramid,
    ("quart.ctx", "pop"): flask,
    ("starlette.routing", "handle"): starlette,
}


def _chosen(response: Outcome, path: object) -> None:
    if type(path) is str and path:
        response.routed(path)


def _named(owner: type, name: str) -> bool:
    found = qualname_of(owner)
    return type(found) is str and found == name
