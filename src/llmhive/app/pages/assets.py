"""Static files: our own, and plotly's bundle from its package, each at an address that may be kept for ever."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from functools import cached_property
from importlib import resources

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llmhive.app.http.memory import accepts_gzip

_KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"
_OURS = ("llmhive.css", "llmhive.js", "charts.js", "icon.svg")
_PLOTLY = "plotly.min.js"


class Asset:
    """One file."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content
        self.kind = _KINDS[name.rpartition(".")[2]]
        self.url = f"/static/{hashlib.sha256(content).hexdigest()[:16]}/{name}"

    @property
    def is_packed(self) -> bool:
        """Whether `packed` is there at once."""
        return "packed" in self.__dict__

    @cached_property
    def packed(self) -> bytes:
        """It as gzip; made when first asked for."""
        return gzip.compress(self.content, 9 if len(self.content) < 1_000_000 else 6, mtime=0)


class Assets:
    """All of them."""

    def __init__(self) -> None:
        ours = resources.files("llmhive.app.pages") / "static"
        self._all = {name: Asset(name, (ours / name).read_bytes()) for name in _OURS}
        # the package itself is not imported: only its bundle is wanted
        bundle = resources.files("plotly.package_data") / _PLOTLY
        self._all[_PLOTLY] = Asset(_PLOTLY, bundle.read_bytes())

    def url(self, name: str) -> str:
        """Where a file is."""
        return self._all[name].url

    def add_to(self, app: FastAPI) -> None:
        """Register the route."""

        async def static(request: Request) -> Response:
            asset = self._all.get(request.path_params["name"])
            if asset is None or request.url.path != asset.url:
                # one of another version, say: the page that named it is loaded again with the next click
                return Response("There is no such file.", 404, {"Cache-Control": "no-store"}, "text/plain")
            headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
            content = asset.content
            if accepts_gzip(request.headers.get("accept-encoding", "").encode()):
                # on the loop: threads may all wait for the database
                headers["Content-Encoding"] = "gzip"
                content = asset.packed if asset.is_packed else await asyncio.to_thread(lambda: asset.packed)
            return Response(content, 200, headers, asset.kind)

        app.router.routes.append(Route("/static/{digest}/{name}", static, methods=["GET"], include_in_schema=False))
