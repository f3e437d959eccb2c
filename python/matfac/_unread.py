"""Attributes of a loaded model that are read from its file when they are first asked for."""

from __future__ import annotations

from typing import Any

#: Where a model keeps how its attributes are read: functions without arguments, by name.
UNREAD = "_unread"


class _ReadLater:
    """What a model holds itself goes first: without ``__set__`` it hides this one."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, model: Any, owner: type) -> Any:
        unread = {} if model is None else model.__dict__.get(UNREAD, {})
        if self._name not in unread:
            if model is not None and self._name in model.__dict__:
                return model.__dict__[self._name]  # another thread has read it meanwhile
            raise AttributeError(f"{owner.__name__!r} object has no attribute {self._name!r}")
        value = unread[self._name]()
        # Threads that ask at once all get the one that is kept: ids are compared by identity first.
        return model.__dict__.setdefault(self._name, value)


def read_later() -> Any:
    """Return what stands in a class for an attribute that may have to be read first."""
    return _ReadLater()


def read_all(model: Any) -> None:
    """Read what is still in the file, and let go of it."""
    for name in model.__dict__.get(UNREAD, ()):
        getattr(model, name)
    forget(model)


def forget(model: Any) -> None:
    """Let go of the file: what it had is read or is no longer wanted."""
    model.__dict__.pop(UNREAD, None)
