"""DatabaseMiddleware for ASGI, WSGI and Django: one scope per request, over before its response."""
