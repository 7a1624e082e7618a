"""`DatabaseMiddleware` for any WSGI application; see docs/frameworks/wsgi.md."""

from hypern.web.wsgi import DatabaseMiddleware, StartResponse, WSGIApp

__all__ = ["DatabaseMiddleware", "StartResponse", "WSGIApp"]
