"""`req`: the request that a handler reads. Its body is received before the handler runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException

_decode = msgspec.json.Decoder().decode


class Request:
    """One HTTP request.

    method, path: str. params: the path's parameters, str by name. query: the query string's, a
    mapping to the last value, with getlist(). headers: a case-insensitive mapping. body: bytes.
    """

    __slots__ = ("_scope", "body")

    def __init__(self, scope: Mapping[str, Any], body: bytes) -> None:
        self._scope = scope
        self.body = body

    @property
    def method(self) -> str:
        """The method, in upper case."""
        return str(self._scope["method"])

    @property
    def path(self) -> str:
        """The path, decoded, without the query string."""
        return str(self._scope["path"])

    @property
    def params(self) -> dict[str, str]:
        """The parameters of the path: `/users/:id` gives "id"."""
        params: dict[str, str] = self._scope.get("path_params", {})
        return params

    @property
    def query(self) -> QueryParams:
        """The parameters of the query string."""
        return QueryParams(self._scope["query_string"])

    @property
    def headers(self) -> Headers:
        """The headers."""
        return Headers(raw=self._scope["headers"])

    def text(self) -> str:
        """The body as text. If it is not UTF-8, the response is a 400."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise HTTPException(400, "the body is not UTF-8") from error

    def json(self) -> Any:
        """The body, JSON, as Python values. If it is not JSON, the response is a 400."""
        try:
            return _decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise HTTPException(400, f"the body is not JSON: {error}") from error
        except RecursionError as error:
            raise HTTPException(400, "the body is JSON that is nested too deeply") from error
