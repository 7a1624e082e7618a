"""`DatabaseMiddleware` for any ASGI application; see docs/frameworks/asgi.md."""

from hypern.web.asgi import ASGIApp, DatabaseMiddleware, Message, Receive, Send

__all__ = ["ASGIApp", "DatabaseMiddleware", "Message", "Receive", "Send"]
