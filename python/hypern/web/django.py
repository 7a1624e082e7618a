"""`DatabaseMiddleware` for Django, sync and async: one scope per request, over before its response.

    MIDDLEWARE = ["hypern.middleware.django.DatabaseMiddleware", ...]

In views `db(request)` or `db()` is the request's session. It lives beside Django's ORM and touches
none of its connections. See docs/frameworks/django.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from typing import TYPE_CHECKING, ClassVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from hypern._scope import SCOPE_KEY
from hypern.middleware._body import AsyncScopedBody, ScopedBody
from hypern.middleware._request import (
    FAILED,
    FAILURES,
    Finalize,
    RequestScope,
    Verdict,
    carries_scope,
    check_options,
    verdict_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase, StreamingHttpResponse

    GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

_RAISED = "hypern.raised"


class DatabaseMiddleware:
    """Opens a scope for each request. Other options than these: a subclass in MIDDLEWARE.

    rollback_on: status codes (anything with `in`) whose response rolls back what is still open; a
        view that raised rolls back whatever the status. A commit() of the view stands
    finalize: "auto": before the first byte, but the sessions of a StreamingHttpResponse live until
        it has been sent, its transactions settled before the first byte; "start": always before the
        first byte; "end": of a StreamingHttpResponse after the body, transactions too
    """

    sync_capable = True
    async_capable = True

    rollback_on: ClassVar[Container[int]] = FAILURES
    finalize: ClassVar[Finalize] = "auto"

    def __init__(self, get_response: GetResponse) -> None:
        check_options(self.rollback_on, self.finalize)
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        if carries_scope(request.META):
            return self.get_response(request)
        scope = request.META[SCOPE_KEY] = RequestScope(request.META.get("HTTP_X_REQUEST_ID"))
        return self._serve_async(request, scope) if self._is_async else self._serve(request, scope)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Django has caught what the view raised, and makes a response of it."""
        request.META[_RAISED] = True

    def _serve(self, request: HttpRequest, scope: RequestScope) -> HttpResponseBase:
        with scope.current():
            try:
                response = cast("HttpResponseBase", self.get_response(request))
                verdict = self._verdict(request, response)
                if not self._lives_on(response):
                    scope.end(verdict)
                elif self.finalize == "auto":
                    scope.settle(verdict)
            except BaseException as error:
                scope.abandon(error)
                raise
        self._pass_on(scope, response, verdict)
        return response

    async def _serve_async(self, request: HttpRequest, scope: RequestScope) -> HttpResponseBase:
        with scope.current():
            try:
                response = await cast("Awaitable[HttpResponseBase]", self.get_response(request))
                verdict = self._verdict(request, response)
                if not self._lives_on(response):
                    await scope.aend(verdict)
                elif self.finalize == "auto":
                    await scope.asettle(verdict)
            except BaseException as error:
                await scope.aabandon(error)
                raise
        self._pass_on(scope, response, verdict)
        return response

    def _verdict(self, request: HttpRequest, response: HttpResponseBase) -> Verdict:
        if _RAISED in request.META:
            return FAILED
        return verdict_of(response.status_code, self.rollback_on)

    def _lives_on(self, response: HttpResponseBase) -> bool:
        return response.streaming and self.finalize != "start"

    def _pass_on(self, scope: RequestScope, response: HttpResponseBase, verdict: Verdict) -> None:
        if not self._lives_on(response):
            return
        # Its own iterator is closed by the response in any case.
        streamed = cast("StreamingHttpResponse", response)
        body = streamed.streaming_content
        streamed.streaming_content = (
            AsyncScopedBody(scope, cast("AsyncIterator[bytes]", body), verdict=verdict)
            if streamed.is_async
            else ScopedBody(scope, cast("Iterator[bytes]", body), at_end=True, verdict=verdict)
        )
