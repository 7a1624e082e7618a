"""The Hypern application: handlers `(req, res, ctx)`, whose sessions end with the request."""

from hypern.app.application import Hypern
from hypern.app.context import Context
from hypern.app.request import Request
from hypern.app.response import Response

__all__ = ["Context", "Hypern", "Request", "Response"]
