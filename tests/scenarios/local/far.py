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

    async def connect(reader, writer):
        with suppress(asyncio.CancelledError):  # the proxy is closing
            onward_reader, onward_writer = await asyncio.open_connection(there.hostname, there.port)
            try:
                await asyncio.gather(
                    _carry(reader, onward_writer, round_trip / 2), _carry(onward_reader, writer, round_trip / 2)
                )
            finally:
                onward_writer.close()
                writer.close()

    async def serve():
        server = await asyncio.start_server(connect, "127.0.0.1", 0, backlog=1_000)
        address.append(server.sockets[0].getsockname()[1])
        ready.set()
        async with server:
            await server.serve_forever()

    task = loop.create_task(serve())
    thread = threading.Thread(target=_run, args=(loop, task), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield f"http://127.0.0.1:{address[0]}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


def _run(loop, task):
    asyncio.set_event_loop(loop)
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    left = asyncio.all_tasks(loop)
    for each in left:
        each.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.close()


async def _carry(source, sink, seconds):
    """Carry what comes from one side to the other, each chunk some seconds later and behind those before it."""
    loop, chunks = asyncio.get_running_loop(), asyncio.Queue()
    delivery = loop.create_task(_deliver(chunks, sink))
    data = b"begin"
    while data:
        try:
            data = await source.read(1 << 16)
        except ConnectionError:
            data = b""
        chunks.put_nowait((loop.time() + seconds, data))
    await delivery


async def _deliver(chunks, sink):
    loop = asyncio.get_running_loop()
    while True:
        due, data = await chunks.get()
        await asyncio.sleep(max(0, due - loop.time()))
        try:
            if not data:
                sink.close()
                return
            sink.write(data)
            await sink.drain()
        except ConnectionError:
            return
