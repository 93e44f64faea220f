"""The processes of one run notice at once if one of them has ended.

JAX notices it after minutes, where it does: who waits for a process that is gone waits
in native code. So each process keeps a connection to the first. The system closes it
when the process ends, however that comes.
"""

import contextlib
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

# The address and the store of the coordinator. In JAX 0.10 to 0.12 neither has a public
# name; Orbax reads them here, too.
from jax._src import distributed

from mobilenets.errors import NotSaved, UserError
from mobilenets.runtime import signals

_KEY = "mobilenets/peers"
_DONE = b"."  # said before a connection is closed in good order
_GRACE_SECONDS = 3  # in which a process may say itself why the run ends
_CONNECTING_SECONDS = 60
_SAYING_SECONDS = 5  # in which a process that has connected says its number
_gone = threading.Event()


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Ends this process with a sentence if another one ends within this block.

    Only where `jax.distributed` has been initialized.

    Raises:
      UserError: the first process cannot be reached.
    """
    state = distributed.global_state
    assert state.coordinator_address is not None, "jax.distributed is initialized"
    if state.process_id == 0:
        connections = _accept(state.client, state.num_processes)
    else:
        connections = [_connect(state.client, state.coordinator_address)]
    names = [f"Process {i + 1}" for i in range(len(connections))]
    if state.process_id != 0:
        names = ["The first process, or the connection to it,"]
    for name, connection in zip(names, connections, strict=True):
        thread = threading.Thread(target=_watch, args=(name, connection), daemon=True)
        thread.start()
    try:
        yield
    except SystemExit:  # all of them stop, and have saved
        _say_goodbye(connections)
        raise
    except Exception as error:
        _end_with(error)
    _say_goodbye(connections)


def _say_goodbye(connections: list[socket.socket]) -> None:
    """Tells the others that this process ends in good order."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(_DONE)


def _end_with(error: Exception) -> NoReturn:
    """Ends this process with its error: JAX would wait for the others."""
    is_first = distributed.global_state.process_id == 0
    if not isinstance(error, UserError) or isinstance(error, NotSaved):
        # It may follow from the end of another process: then `_watch` says so instead.
        # If all have it, the others wait longer than the first, which may speak then.
        time.sleep(1 if is_first else 2)
        if _gone.is_set():
            time.sleep(2 * _GRACE_SECONDS)
    if isinstance(error, UserError):
        print(f"\nerror: {error}", file=sys.stderr, flush=True)
        # The others may have the same to say, but end as soon as the first one does.
        time.sleep(_GRACE_SECONDS if is_first else 0)
        signals.end("", 1)
    traceback.print_exception(error)
    signals.end("error: see above.", 1)


def _accept(client: Any, count: int) -> list[socket.socket]:
    """The connections of the other processes, by their numbers."""
    connections = {}
    with socket.create_server(("", 0)) as server:
        server.settimeout(_CONNECTING_SECONDS)
        client.key_value_set(_KEY, str(server.getsockname()[1]))
        try:
            while len(connections) < count - 1:
                connection, _ = server.accept()
                number = _number(connection)
                if number in range(1, count):  # else it is no process of this run
                    connections[number] = connection
        except OSError as error:
            raise _unreachable(error) from None
    return [connections[i] for i in sorted(connections)]


def _number(connection: socket.socket) -> int:
    """The number of the process at the other end; 0 if it says none at once."""
    connection.settimeout(_SAYING_SECONDS)
    try:
        said = connection.recv(4, socket.MSG_WAITALL)
    except OSError:
        return 0
    connection.settimeout(None)
    return int.from_bytes(said, "big") if len(said) == 4 else 0


def _connect(client: Any, coordinator: str) -> socket.socket:
    """The connection to the first process, which runs the coordinator."""
    port = int(client.blocking_key_value_get(_KEY, 1000 * _CONNECTING_SECONDS))
    host = coordinator.rsplit(":", 1)[0].strip("[]")
    try:
        connection = socket.create_connection((host, port), _CONNECTING_SECONDS)
    except OSError as error:
        raise _unreachable(error) from None
    connection.settimeout(None)
    connection.sendall(distributed.global_state.process_id.to_bytes(4, "big"))
    return connection


def _unreachable(error: OSError) -> UserError:
    return UserError(
        f"--distributed: the processes cannot connect to the first one: {error}. Open "
        "the ports between the hosts."
    )


def _watch(name: str, connection: socket.socket) -> None:
    """Waits until the process at the other end has ended."""
    try:
        if connection.recv(1) == _DONE:
            return
    except OSError:
        pass
    _gone.set()
    if distributed.global_state.process_id == 0:
        time.sleep(_GRACE_SECONDS)
    # Else at once: JAX's own end, when its coordinator is gone, is a native traceback.
    signals.end(
        f"error: {name} has ended, so this one ends too. What was saved is kept: start "
        "all processes again to continue from the last checkpoint.",
        1,
    )
