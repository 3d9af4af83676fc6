"""What is changed of dbt's own ways while it runs in this process.

Each is undone when dbt has ended. All of it is about dbt 1.11; none changes
what is built.
"""

import ast
import contextlib
import gc
import logging
import sys
import threading
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, cast

from python_ml.interrupts import cancel_on_end

# Compiled templates, by the kind of their environment and their words.
TEMPLATES: dict[tuple[type, str], CodeType] = {}


@contextlib.contextmanager
def parsing_in_turn() -> Iterator[None]:
    """Let dbt's threads parse Python literals one after the other.

    Before 3.11.8 Python counts the depth of all parsings in one place, so now
    and then two at once fail with "AST constructor recursion depth mismatch"
    (python/cpython#106905).
    """
    if sys.version_info >= (3, 11, 8):
        yield
        return
    import jinja2.nativetypes

    # One that keeps the function by name, and the one who looks it up.
    modules: tuple[Any, ...] = (ast, jinja2.nativetypes)
    before = [module.parse for module in modules]
    parse = ast.parse
    lock = threading.RLock()

    def parse_in_turn(*arguments: Any, **keywords: Any) -> Any:
        with lock:
            return parse(*arguments, **keywords)

    for module in modules:
        module.parse = parse_in_turn
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            module.parse = own


@contextlib.contextmanager
def debug_events_dropped() -> Iterator[None]:
    """Drop the events that no log shall hold before their text is made.

    dbt 1.11 puts each into words for its log and forgets those below the
    log's level afterwards: a tenth of the time of a build.
    """
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.event_manager import EventManager

    fire = EventManager.fire_event

    def fire_unless_debug(
        self: Any, event: Any, level: Any = None, **keywords: Any
    ) -> None:
        if (level or event.level_tag()) not in (
            EventLevel.DEBUG,
            EventLevel.TEST,
        ):
            fire(self, event, level, **keywords)

    setattr(EventManager, "fire_event", fire_unless_debug)  # noqa: B010
    try:
        yield
    finally:
        setattr(EventManager, "fire_event", fire)  # noqa: B010


@contextlib.contextmanager
def connections_kept() -> Iterator[None]:
    """Let dbt's nodes use connections again that others are done with.

    dbt-postgres 1.11 opens and closes one for every node. A fresh one has to
    log in and to learn the catalogue: a third of the processor time of a build
    in which nothing is due, most of it the server's. `discard all` leaves
    nothing of the node before: settings, temporary tables, locks. The role is
    the login's then, so the profile can name none.
    """
    from dbt.adapters.contracts.connection import Connection, ConnectionState
    from dbt.adapters.postgres.connections import PostgresConnectionManager

    free: list[Any] = []
    open_ = PostgresConnectionManager.__dict__["open"]
    close_handle = PostgresConnectionManager._close_handle

    def open_kept(cls: Any, connection: Connection) -> Connection:
        if connection.state != ConnectionState.OPEN:
            with contextlib.suppress(IndexError):
                connection.handle = free.pop()
                connection.state = ConnectionState.OPEN
                return connection
        opened = cast(Connection, open_.__func__(cls, connection))
        cancel_on_end(opened.handle, "cancel")
        return opened

    def keep_handle(cls: Any, connection: Connection) -> None:
        handle = connection.handle
        try:
            handle.rollback()
            autocommit, handle.autocommit = handle.autocommit, True
            with handle.cursor() as cursor:
                cursor.execute("discard all")
            handle.autocommit = autocommit
        except Exception:  # broken or cancelled: no longer of use
            close_handle(connection)
        else:
            free.append(handle)

    patched: Any = PostgresConnectionManager
    patched.open = classmethod(open_kept)
    patched._close_handle = classmethod(keep_handle)
    try:
        yield
    finally:
        patched.open = open_
        del patched._close_handle
        for handle in free:
            handle.close()


@contextlib.contextmanager
def templates_compiled_once() -> Iterator[None]:
    """Let dbt compile a Jinja template of the same words once in a process.

    dbt 1.11 keeps those of macros, for one run. Hooks, generic tests and
    descriptions repeat each other hundreds of times, and all of them from one
    run to the next: a third of the time of parsing. What is compiled depends
    on the words and the kind of environment alone.
    """
    from dbt_common.clients.jinja import MacroFuzzEnvironment

    patched: Any = MacroFuzzEnvironment
    compile_ = patched.compile

    def compile_once(
        self: Any, source: Any, *arguments: Any, **keywords: Any
    ) -> Any:
        # A name, or a tree in place of text, is nothing of dbt's templates.
        if not isinstance(source, str) or arguments or keywords:
            return compile_(self, source, *arguments, **keywords)
        key = (type(self), source)
        if key not in TEMPLATES:
            TEMPLATES[key] = compile_(self, source)
        return TEMPLATES[key]

    patched.compile = compile_once
    try:
        yield
    finally:
        del patched.compile


@contextlib.contextmanager
def macros_looked_up_at_once() -> Iterator[None]:
    """Let dbt put the macros of a context into one dictionary when it is made.

    dbt 1.11 makes some three contexts for every node, and asks five
    dictionaries for each of the 600 macros in turn: a tenth of the time of a
    build. Whose macro goes before another's of the same name stays as it is.
    """
    from dbt.context.macros import MacroNamespace

    patched: Any = MacroNamespace
    get_item = patched.__getitem__

    def by_name(self: Any) -> dict[str, Any]:
        if "_by_name" not in vars(self):
            self._by_name = {}
            for macros in reversed([*self._search_order()]):
                self._by_name.update(macros)
        return vars(self)["_by_name"]  # type: ignore[no-any-return]

    patched.keys = lambda self: by_name(self).keys()
    patched.__getitem__ = lambda self, name: by_name(self)[name]
    try:
        yield
    finally:
        del patched.keys
        patched.__getitem__ = get_item


@contextlib.contextmanager
def callers_found_at_once() -> Iterator[None]:
    """Let dbt name the module that declares a behaviour flag by its frame.

    dbt-common 1.39 describes the whole stack for each of a dozen flags, source
    lines included, though a flag may name its module itself: a tenth of a
    second in a fresh process, several in one that has loaded much.
    """
    from dbt_common import behavior_flags

    patched: Any = behavior_flags.BehaviorFlagRendered
    default_source = patched.__dict__["_default_source"]

    def caller() -> str:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            name = frame.f_globals.get("__name__")
            if name and name != behavior_flags.__name__:
                return str(name)
            frame = frame.f_back
        return "Unknown"

    patched._default_source = staticmethod(caller)
    try:
        yield
    finally:
        patched._default_source = default_source


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """Look for no garbage while many objects are made and all of them stay."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def manifest_passed_over() -> Iterator[None]:
    """Let the collector of garbage pass over what stands when dbt begins.

    That is the parsed project and dbt's modules, half a million objects that
    all stay; looking through them again and again is a tenth of a build.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def loggers_kept() -> Iterator[None]:
    """Take off again the handlers that dbt puts on loggers, root's too."""
    before = {
        name: list(logger.handlers) for name, logger in _loggers().items()
    }
    try:
        yield
    finally:
        for name, logger in _loggers().items():
            for handler in list(logger.handlers):
                if handler not in before.get(name, []) and not isinstance(
                    handler, logging.NullHandler
                ):
                    logger.removeHandler(handler)
                    if isinstance(handler, logging.FileHandler):
                        handler.close()


def _loggers() -> dict[str, logging.Logger]:
    named = {
        name: logger
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    return named | {"root": logging.root}
