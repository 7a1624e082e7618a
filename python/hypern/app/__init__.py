"""The Hypern application: handlers `(req, res, ctx)`, whose sessions end with the request."""

from hypern.app._application import Hypern
from hypern.app._context import Context
from hypern.app._request import Request
from hypern.app._response import Response

__all__ = ["Context", "Hypern", "Request", "Response"]
