"""A real TCP proxy that makes an endpoint as far away as asked: each byte travels half a round trip each way."""

import asyncio
import threading
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def delayed(url, round_trip):
    """Yield the URL of a proxy in front of an endpoint, ``round_trip`` seconds away."""
    there = urlsplit(url)
    loop = asyncio.new_event_loop()
    ready, address = threading.Event(), []

    async def serve():
        server = await asyncio.start_server(connect, "127.0.0.1", 0, backlog=1_000)
        address.append(server.sockets[0].getsockname()[1])
        ready.set()
        async with server:
            await server.serve_forever()

    async def connect(reader, writer):
        with suppress(asyncio.CancelledError):  # the proxy is closing
            onward_reader, onward_writer = await asyncio.open_connection(there.hostname, there.port)
            await asyncio.gather(carry(reader, onward_writer), carry(onward_reader, writer))

    async def carry(source, sink):
        # What was sent is delivered in its order: each chunk waits for its own time, behind those before it.
        chunks = asyncio.Queue()

        async def deliver():
            while True:
                due, data = await chunks.get()
                await asyncio.sleep(max(0, due - loop.time()))
                with suppress(ConnectionError):
                    if not data:
                        sink.close()
                        return
                    sink.write(data)
                    await sink.drain()

        delivery = loop.create_task(deliver())
        data = b"begin"
        while data:
            with suppress(ConnectionError):
                data = b""
                data = await source.read(1 << 16)
            chunks.put_nowait((loop.time() + round_trip / 2, data))
        await delivery

    def run():
        asyncio.set_event_loop(loop)
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    task = loop.create_task(serve())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{address[0]}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        for left in asyncio.all_tasks(loop):
            left.cancel()
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
        loop.close()
