"""A database backend for Django: `ENGINE = "hypern.django"`; see docs/django.md.

Without psycopg or psycopg2, import this package ahead of `django.contrib.postgres`: by its place in
INSTALLED_APPS, or in the settings.
"""

from hypern.django import driver as driver  # before anything imports Django's PostgreSQL modules
