"""The proxies of this suite leave nothing behind that could be taken for the library's."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Callable

import pytest
from proc import sockets
from reliability.fault_proxy import FaultProxy, run
from reliability.own_server import OwnServer
from reliability.stalling_proxy import StallingProxy


@pytest.mark.parametrize("proxy", [FaultProxy, StallingProxy])
def test_a_connection_that_is_made_while_a_proxy_closes_is_closed_with_it(
    running_server: OwnServer, proxy: Callable[[int], FaultProxy | StallingProxy]
) -> None:
    run(asyncio.sleep(0))  # the loop has sockets of its own
    busy = threading.Event()

    async def keep_the_loop_busy() -> None:
        busy.set()
        time.sleep(0.2)  # until its next turn it has both to do: accept and close

    before = sockets()
    gc.disable()
    try:
        with proxy(running_server.port) as opened:
            holder = threading.Thread(target=run, args=(keep_the_loop_busy(),))
            holder.start()
            assert busy.wait(5)
            client = socket.create_connection(("127.0.0.1", opened.port))
        holder.join()
        client.close()
        assert sockets() == before
    finally:
        gc.enable()
