"""`DatabaseMiddleware` for Django, sync and async; see docs/frameworks/django.md."""

from hypern.web.django import DatabaseMiddleware

__all__ = ["DatabaseMiddleware"]
