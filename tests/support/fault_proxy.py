# SPDX-License-Identifier: MIT
"""A TCP proxy that spoils the traffic through it, as told while it runs.

    with FaultProxy("127.0.0.1", broker_port) as proxy:
        connect(proxy.port)
        proxy.to_broker.black_hole = True

Each direction has faults of its own: `proxy.to_broker` is what clients send, `proxy.to_client` what
they get. A setting applies to the connections there are and to those that come. One thread with an
asyncio loop does the work; the methods may be called from any other thread and have taken effect
when they return. It knows nothing of AMQP, and listens on this machine only.
"""
import asyncio
import collections
import socket
import struct
import threading
import time

READ_SIZE = 65536
HELD_BYTES_MAX = 1 << 20  # of one direction of one connection: beyond it the sender has to wait
CONNECT_TIMEOUT_S = 5


class Faults:
    """What is done to one direction. Plain values: set them at any time."""

    def __init__(self):
        self.heal()

    def heal(self):
        """As a good network."""
        self.delay_s = 0.0          # all bytes come so much later, in order
        self.bytes_per_s = None     # no more than this
        self.slice_bytes = None     # sent on in pieces of so many bytes, each a segment
        self.black_hole = False     # bytes are taken and go nowhere, and no end is passed on
        self.reset_after = None     # bytes of a connection from now on; then it is reset
        self.cut_epoch = getattr(self, "cut_epoch", 0)

    def cut_after(self, n_bytes):
        """Reset each connection when so many more bytes of it have passed."""
        self.cut_epoch += 1
        self.reset_after = n_bytes


class _Direction:
    """One direction of one connection: what a reader took is held until a writer passes it on."""

    def __init__(self, source, target, faults):
        self._source = source
        self._target = target
        self._faults = faults
        self._held = collections.deque()  # (due, bytes); bytes b"" is the end
        self._n_held = 0
        self._changed = asyncio.Event()
        self._lost = False  # once bytes are missing, nothing that follows would make sense
        self._cut_epoch = 0
        self._until_cut = None
        self.n_passed = 0

    async def read(self):
        """Take what comes until the end."""
        loop = asyncio.get_running_loop()
        while True:
            data = await loop.sock_recv(self._source, READ_SIZE)
            self._lost = self._lost or self._faults.black_hole
            if not self._lost:
                self._held.append((time.monotonic() + self._faults.delay_s, data))
                self._n_held += len(data)
                self._changed.set()
            if not data:
                return
            while self._n_held > HELD_BYTES_MAX:
                self._changed.clear()
                await self._changed.wait()

    async def write(self):
        """Pass on what was held until the end, which is passed on too."""
        while True:
            while not self._held:
                self._changed.clear()
                await self._changed.wait()
            due, data = self._held.popleft()
            if due > time.monotonic():
                await asyncio.sleep(due - time.monotonic())
            if self._lost or self._faults.black_hole:
                self._lost = True
                continue
            if not data:
                self._target.shutdown(socket.SHUT_WR)
                return
            await self._pass(data)
            self._n_held -= len(data)
            self._changed.set()

    async def _pass(self, data):
        loop = asyncio.get_running_loop()
        at = 0
        while at < len(data):
            size = self._allowed(len(data) - at)
            if size == 0:
                raise ConnectionResetError("cut here")
            if self._faults.black_hole:
                self._lost = True
                return
            await loop.sock_sendall(self._target, data[at:at + size])
            at += size
            self.n_passed += size
            if self._until_cut is not None:
                self._until_cut -= size
            rate = self._faults.bytes_per_s
            # Between slices the loop has to run: others must not starve, and settings may change.
            await asyncio.sleep(size / rate if rate else 0)

    def _allowed(self, size):
        """How many bytes may be sent in one piece now; 0: the connection is to be cut."""
        faults = self._faults
        if faults.cut_epoch != self._cut_epoch:
            self._cut_epoch = faults.cut_epoch
            self._until_cut = faults.reset_after
        if faults.reset_after is None:
            self._until_cut = None
        if faults.slice_bytes:
            size = min(size, faults.slice_bytes)
        if faults.bytes_per_s:  # ten pieces a second, so that it flows rather than jumps
            size = min(size, max(1, faults.bytes_per_s // 10))
        return size if self._until_cut is None else min(size, self._until_cut)


class _Link:
    """One connection through the proxy: two sockets, two directions."""

    def __init__(self, proxy, client, broker):
        self._sockets = (client, broker)
        self.directions = (_Direction(client, broker, proxy.to_broker),
                           _Direction(broker, client, proxy.to_client))
        self._tasks = []

    async def run(self):
        """Until both sides have ended, or one was reset."""
        self._tasks = [asyncio.ensure_future(job) for direction in self.directions
                       for job in (direction.read(), direction.write())]
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = any(task.cancelled() or task.exception() for task in done)
        await self.end(reset=failed)

    async def end(self, reset):
        """Close both sockets; with `reset` the peers get an RST instead of an orderly end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._sockets:
            if sock.fileno() < 0:
                continue
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


class FaultProxy:
    """Listens on `port` and passes connections on to the target, with faults."""

    def __init__(self, host, port):
        self._target = (host, port)
        self.to_broker = Faults()
        self.to_client = Faults()
        self.port = None
        self.n_accepted = 0
        self._links = {}  # link: its task
        self._connecting = set()  # tasks of what becomes a link
        self._listener = None
        self._accepting = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    # ---- what tests call, from their own thread ----

    def start(self):
        """Listen on a free port."""
        self._thread.start()
        self.accept()
        return self

    def stop(self):
        """End everything."""
        self._call(self._end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def n_links(self):
        """Connections through the proxy now."""
        return len(self._links)

    def heal(self):
        """No more faults, and connections are taken. One that has lost bytes stays deaf."""
        self.to_broker.heal()
        self.to_client.heal()
        self.accept()

    def refuse(self):
        """Nobody listens any more; the connections there are stay."""
        self._call(self._stop_listening())

    def accept(self):
        """Listen again, on the same port."""
        self._call(self._listen())

    def reset(self):
        """Reset all connections, on both sides."""
        self._call(self._end_links(reset=True))

    def close(self):
        """End all connections in order (FIN), on both sides."""
        self._call(self._end_links(reset=False))

    def flap(self, times, up_s, down_s):
        """So many times: a while of use, then everything is reset and refused for a while."""
        for _ in range(times):
            time.sleep(up_s)
            self.refuse()
            self.reset()
            time.sleep(down_s)
            self.accept()

    # ---- the loop's thread ----

    def _call(self, job):
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(30)

    async def _listen(self):
        if self._listener is not None:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port or 0))
        listener.listen(64)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._accepting = asyncio.ensure_future(self._accept_all(listener))

    async def _stop_listening(self):
        if self._listener is None:
            return
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listener.close()
        self._listener = None

    async def _accept_all(self, listener):
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            self.n_accepted += 1
            task = asyncio.ensure_future(self._serve(client))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _serve(self, client):
        broker = socket.socket()
        for sock in (client, broker):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.wait_for(
                asyncio.get_running_loop().sock_connect(broker, self._target), CONNECT_TIMEOUT_S)
        except (OSError, asyncio.TimeoutError, asyncio.CancelledError):
            # As the target would have it: refused.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            broker.close()
            return
        link = _Link(self, client, broker)
        self._links[link] = asyncio.current_task()
        self._connecting.discard(asyncio.current_task())
        try:
            await link.run()
        finally:
            del self._links[link]

    async def _end_links(self, reset):
        for task in list(self._connecting):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for link, task in list(self._links.items()):
            await link.end(reset)
            await asyncio.gather(task, return_exceptions=True)

    async def _end_all(self):
        await self._stop_listening()
        await self._end_links(reset=True)
