"""The floor of the service's benchmarks: a bare ASGI app on the same server that answers with the same bytes.

``python -m tests.benchmarks.bare FILE``: FILE maps a target (path and query) to its body, pickled. Prints its port.
"""

from __future__ import annotations

import pickle
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn


def main() -> None:
    """Serve until stopped."""
    bodies: dict[bytes, bytes] = pickle.loads(Path(sys.argv[1]).read_bytes())
    heads = {
        target: [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        for target, body in bodies.items()
    }

    async def app(
        scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        target = scope["raw_path"]
        if scope["query_string"]:
            target = target + b"?" + scope["query_string"]
        await send({"type": "http.response.start", "status": 200, "headers": heads[target]})
        await send({"type": "http.response.body", "body": bodies[target]})

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        app, http="httptools", loop="uvloop", ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, server_header=False,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
