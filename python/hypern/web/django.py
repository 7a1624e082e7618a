"""`DatabaseMiddleware` for Django: one scope per request, ended before its response.

    MIDDLEWARE = ["hypern.middleware.django.DatabaseMiddleware", ...]

In views `db(request)` or `db()` is the request's session. It is independent of Django's ORM and its
connections. See docs/frameworks/django.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from hypern.scope.asked import CARRIER, RequestOptions
from hypern.scope.identify import SCOPE_KEY
from hypern.scope.options import NAMES
from hypern.session.steps import awaited, blocking, later, now
from hypern.web.body import AsyncScopedBody, ScopedBody
from hypern.web.options import FAILED, Options
from hypern.web.request import RequestScope, carries_scope

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from hypern.session.steps import Steps, View

    GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

_RAISED = "hypern.raised"


def _of_settings() -> dict[str, Any]:
    """The options in the setting HYPERN, in which what is no option is an alias's."""
    from django.conf import settings

    given: Mapping[str, Any] = getattr(settings, "HYPERN", {})
    return {name: value for name, value in given.items() if not isinstance(value, dict)} | {
        name: value for name, value in given.items() if name in NAMES
    }


def _of_class(middleware: type) -> dict[str, Any]:
    """The options that are attributes of a subclass, where a function takes the request."""
    names = (*NAMES, CARRIER)
    return {name: getattr(middleware, name) for name in names if hasattr(middleware, name)}


class DatabaseMiddleware(Options):
    """Opens a scope for each request. For other options (see `Options`), set them in a subclass and
    name that in MIDDLEWARE; those of `scope()` may also be in the setting `HYPERN`, a dict. A view
    that raised rolls back whatever the status; the body of a StreamingHttpResponse is produced.
    """

    __module__ = "hypern.middleware.django"

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.check_options()
        self.scope_options = RequestOptions({**_of_settings(), **_of_class(type(self))})
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        if carries_scope(request.META):
            return self.get_response(request)
        scope = request.META[SCOPE_KEY] = RequestScope(
            request.META.get("HTTP_X_REQUEST_ID"), (self, request)
        )
        if self._is_async:
            return later(self._serving(awaited, request, scope))
        return now(self._serving(blocking, request, scope))

    def method_of(self, carrier: HttpRequest) -> str:
        """The request's method."""
        return carrier.method or "GET"

    def route_of(self, carrier: HttpRequest) -> str | None:
        """The template of the URL pattern that Django has found."""
        match = carrier.resolver_match
        return None if match is None else f"/{match.route}"

    def header_of(self, carrier: HttpRequest, name: str) -> str | None:
        """A header of the request."""
        value: str | None = carrier.headers.get(name)
        return value

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Note that the view raised; Django has caught that, and makes a response of it."""
        request.META[_RAISED] = True

    def _serving(
        self, view: View, request: HttpRequest, scope: RequestScope
    ) -> Steps[HttpResponseBase]:
        with scope.current():
            try:
                response: Any = yield self.get_response(request)
                has_raised = _RAISED in request.META
                verdict = FAILED if has_raised else self.verdict(response.status_code)
                is_at_end = response.streaming and self.outlive_start(is_produced=True)
                yield from scope.starting(view, self, verdict, is_at_end=is_at_end)
            except BaseException as error:
                yield from scope.abandoning(view, error)
                raise
        header = scope.reply(self)
        if header is not None and header[0] != "Set-Cookie":
            response.headers[header[0]] = header[1]
        elif header is not None:
            response.cookies.load(header[1])
        if is_at_end:
            # Django closes the body's own iterator in any case.
            body = AsyncScopedBody if response.is_async else ScopedBody
            response.streaming_content = body(scope, response.streaming_content, verdict)
        passed: HttpResponseBase = response
        return passed
