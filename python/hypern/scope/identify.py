"""Which request an argument of `db()` means."""

from __future__ import annotations

from typing import Final

from hypern.errors import InterfaceError
from hypern.scope.scope import GENERATED, Scope, closed, current_scope, open_scope

# The key of the Scope that a middleware leaves in an ASGI scope, a WSGI environ or Django's META.
SCOPE_KEY: Final = "hypern.scope"


class Current:
    """The type of `CURRENT`: the argument that stands for the current scope."""

    def __repr__(self) -> str:
        return "<the current scope>"


CURRENT: Final = Current()


def identify(ctx_or_request_id: object) -> tuple[str, Scope | None]:
    """The request id that an argument of `db()` means, and the scope that owns it, if any.

    Raises InterfaceError if there is no argument and no open scope, SessionClosed for a scope that
    has ended, TypeError for an object that means no request, ValueError for an empty id.
    """
    owner: Scope | None
    if isinstance(ctx_or_request_id, str):
        if type(ctx_or_request_id) is not str:  # a subclass may compare and hash as it likes
            ctx_or_request_id = str.__str__(ctx_or_request_id)
        if not ctx_or_request_id.startswith(GENERATED):
            if not ctx_or_request_id:
                raise ValueError("a request id must not be empty")
            return ctx_or_request_id, open_scope(ctx_or_request_id)
        owner = open_scope(ctx_or_request_id)
        if owner is None:
            raise closed(ctx_or_request_id)
        return ctx_or_request_id, owner
    if ctx_or_request_id is CURRENT:
        owner = current_scope.get()
        if owner is None:
            raise InterfaceError(
                "no request is current: add DatabaseMiddleware (hypern.middleware) to the "
                "application, open a scope with hypern.database.scope(), or pass a request id. "
                "loop.run_in_executor() and other threads do not inherit the request: use "
                "asyncio.to_thread(), or pass them contextvars.copy_context().run"
            )
    else:
        owner = _carried_by(ctx_or_request_id)
        if owner is None:
            request_id = getattr(ctx_or_request_id, "request_id", None)
            if isinstance(request_id, str):
                return identify(request_id)
            raise TypeError(
                "pass a request id (str), an object with a str request_id, a request that "
                "DatabaseMiddleware has seen, or nothing for the current one; not "
                f"{type(ctx_or_request_id).__name__}"
            )
    if owner.ended:
        owner = owner.successor()
    if not owner.is_entered:
        raise InterfaceError(f"{owner!r} has not been entered; use it in a with statement")
    return owner.request_id, owner


def _carried_by(request: object) -> Scope | None:
    """The scope that a middleware left in a framework's request, or in its raw form, a dict.

    It takes precedence over any `request_id` of the request: another middleware may have taken that
    from a header, and a client must not choose whose session it gets.
    """
    if isinstance(request, Scope):
        return request
    if isinstance(request, dict):
        return _left_in(request)
    for name in ("scope", "environ", "META"):
        carrier = getattr(request, name, None)
        if isinstance(carrier, dict) and (found := _left_in(carrier)) is not None:
            return found
    return None


def _left_in(carrier: dict[str, object]) -> Scope | None:
    holder = carrier.get(SCOPE_KEY)
    return holder if isinstance(holder, Scope) else None
