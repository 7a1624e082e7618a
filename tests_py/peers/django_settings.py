"""Settings for Django's own tests, on the server of HYPERN_TEST_URL."""

from __future__ import annotations

import os
from typing import Any

import django

from hypern.config.parse import parse

_given = parse(os.environ["HYPERN_TEST_URL"])


def _database(name: str) -> dict[str, Any]:
    return {
        "ENGINE": os.environ.get("PEERS_ENGINE", "hypern.django"),
        "NAME": name,
        "USER": _given["user"],
        "PASSWORD": _given.get("password", ""),
        "HOST": _given["host"],
        "PORT": _given.get("port", ""),
    }


DATABASES = {"default": _database("peers_django"), "other": _database("peers_django_other")}
SECRET_KEY = "django_tests_secret_key"  # two tests expect it
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if django.VERSION < (6,):
    DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "django_counting.CountingRunner"
