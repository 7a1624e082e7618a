"""`DatabaseMiddleware` for each framework, and an option that all of them take."""

from hypern.web.read_your_writes import ReadYourWrites

__all__ = ["ReadYourWrites"]
