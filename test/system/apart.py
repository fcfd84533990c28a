"""Work in processes of its own: where the processor time of a process is
limited, as in some containers, each has that time for itself."""
import os
import pickle
import signal
import sys


def apart(function, *arguments):
    """What FUNCTION gives, called in a child of this process; an exception of
    it, or its end by a signal, is a RuntimeError here."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            try:
                answer = (function(*arguments), None)
            except Exception as error:
                said = getattr(error, "stderr", None) or ""
                answer = (None, f"{type(error).__name__}: {error} {said}")
            sys.stdout.flush()
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not data:
        raise RuntimeError("its process ended: " + (
            signal.strsignal(-status) if status < 0 else f"status {status}"))
    value, error = pickle.loads(data)
    if error is not None:
        raise RuntimeError(error)
    return value
