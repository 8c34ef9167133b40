"""`AsyncClient` with the blocking face of `Client`, so that one suite drives both."""

import asyncio
import inspect
import threading

import socketio


class BlockingAsyncClient:
    def __init__(self, **options):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._client = self._run(self._make(options))

    @staticmethod
    async def _make(options):
        return socketio.AsyncClient(**options)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def __getattr__(self, name):
        member = getattr(self._client, name)
        if not inspect.iscoroutinefunction(member):
            return member
        return lambda *args, **kwargs: self._run(member(*args, **kwargs))

    def shutdown(self):
        self._run(self._client.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
