"""The Hypern application: handlers `(req, res, ctx)`, whose sessions end with the request."""

from hypern.app.application import Hypern
from hypern.app.context import Context
from hypern.app.request import Request
from hypern.app.response import Response

__all__ = ["Context", "Hypern", "Request", "Response"]

# Users import them from here, so repr() and pickle name this module rather than an internal one.
for _cls in (Context, Hypern, Request, Response):
    _cls.__module__ = __name__
