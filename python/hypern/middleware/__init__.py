"""`DatabaseMiddleware` for ASGI, WSGI and Django, under the paths that applications import."""
