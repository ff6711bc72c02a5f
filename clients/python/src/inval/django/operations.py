"""Operations for migrations: what feeds which key is a matter of the schema.

    operations = [
        CreateInval(),
        Track("book", key="book:{id}"),
        Track("book", key="publisher:{publisher}:books"),
        Track("book.tags", key="book:{book}:tags"),
    ]

They do nothing on databases other than PostgreSQL, where a router does not allow the migration, and, if
INVAL["OPTIONAL"] says so, where the extension is not there.
"""

import logging
from datetime import timedelta
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from django.db import router
from django.db.migrations.operations.base import Operation

from .conf import conf
from .database import Extension, find_extension, is_available, missing, quote_name
from .resolve import identity, resolve
from .rules import array_text

logger = logging.getLogger("inval")


class _InvalOperation(Operation):
    reversible = True
    reduces_to_sql = True

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing: models stay as they are."""

    def extension(self, schema_editor: Any, needed: bool) -> Optional[Extension]:
        """The extension to work with; None if there is nothing to do.

        needed  whether it is an error if it is missing; without it there is nothing to be undone

        Raises LookupError where it has to be there and is not.
        """
        connection = schema_editor.connection
        if connection.vendor != "postgresql":
            return None
        found = find_extension(connection)
        if found is None and schema_editor.collect_sql:
            return Extension("", "")  # sqlmigrate: an earlier operation will have made it
        if found is None and needed and not conf().optional:
            raise LookupError(missing(connection))
        return found


class CreateInval(_InvalOperation):
    """CREATE EXTENSION inval, unless it is there.  Takes a superuser.

    schema  the schema to create it in, made if it is not there; default: as CREATE EXTENSION does

    Backwards drops it if no rule is left, of whatever application.
    """

    def __init__(self, schema: Optional[str] = None) -> None:
        self.schema = schema

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        connection = schema_editor.connection
        if not self._concerns(app_label, connection) or find_extension(connection) is not None:
            return
        if conf().optional and not is_available(connection):
            logger.warning("The server of database %r does not have inval: nothing is tracked.", connection.alias)
            return
        where = ""
        if self.schema is not None:
            where = f" SCHEMA {quote_name(self.schema)}"
            schema_editor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_name(self.schema)}")
        schema_editor.execute(f"CREATE EXTENSION IF NOT EXISTS inval{where}")

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        connection = schema_editor.connection
        if not self._concerns(app_label, connection):
            return
        extension = find_extension(connection)
        if extension is None:
            return
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {extension.prefix}inval_rule")
            rules = cursor.fetchone()[0]
        if rules and not schema_editor.collect_sql:
            logger.warning(
                "The extension inval stays in database %r: it has %d rules that other migrations, or other applications, "
                "have made.", connection.alias, rules
            )
            return
        schema_editor.execute("DROP EXTENSION IF EXISTS inval")

    def _concerns(self, app_label: str, connection: Any) -> bool:
        return bool(connection.vendor == "postgresql" and router.allow_migrate(connection.alias, app_label))

    def describe(self) -> str:
        return "Creates extension inval"

    @property
    def migration_name_fragment(self) -> str:
        return "create_extension_inval"


class Track(_InvalOperation):
    """inval_track: from now on every committed change of a row invalidates the keys that it feeds.

    model_name    "book"; "app.book" of another application (whose migration this one depends on); "book.tags": the
                  table behind a many-to-many field
    key           a key template of fields, lookups or columns: "owner:{publisher__owner}:books".  With via, of the
                  columns of its result
    columns       instead of key: fields, for the key <table>:{first}:{second}…
    changes       fields: an UPDATE counts only if one of them changed, or what the key is made of
    ttl, repeat_after  timedelta
    via, refill   queries, in SQL: they name tables and columns of the database
    fence         default: True, unless there is a field or the action keeps no value at the key (version, none)
    previous      options of an earlier Track for the same rule (field and action are the same), which backwards brings
                  back; else backwards removes the rule

    The rest is as in docs/reference.md.  Models and fields are those of the moment of this migration; what is renamed
    later the rule follows by itself.

    It waits for the transactions that write to the table, and lets none begin meanwhile: use lock_timeout.  Raises
    FieldError for a field that is not there, LookupError for a model or if the extension is missing.
    """

    # Positional: Django's writer of migrations (squashmigrations) knows no other parameters.
    def __init__(
        self,
        model_name: str,
        key: Optional[str] = None,
        columns: Union[str, Sequence[str], None] = None,
        field: Optional[str] = None,
        action: str = "delete",
        delivery: str = "commit",
        changes: Optional[Sequence[str]] = None,
        via: Optional[str] = None,
        ttl: Optional[timedelta] = None,
        publish: Optional[str] = None,
        stream: Optional[str] = None,
        fence: Optional[bool] = None,
        repeat_after: Optional[timedelta] = None,
        refill: Optional[str] = None,
        targets: Sequence[str] = ("default",),
        state: str = "on",
        previous: Optional[Mapping[str, Any]] = None,
        elidable: bool = False,
    ) -> None:
        self.options: Dict[str, Any] = {
            "model_name": model_name, "key": key, "columns": columns, "field": field, "action": action,
            "delivery": delivery, "changes": changes, "via": via, "ttl": ttl, "publish": publish, "stream": stream,
            "fence": fence, "repeat_after": repeat_after, "refill": refill, "targets": targets, "state": state,
        }
        identity(self.options)  # says what cannot be
        self.previous = previous
        self.elidable = elidable
        if previous is not None:
            unknown = set(previous) - set(self.options)
            moved = {"model_name", "key", "columns", "field", "action", "via"} & set(previous)
            if unknown or moved:
                raise ValueError(
                    f"previous has {sorted(unknown | moved)}: it has options of the same rule, such as delivery or ttl"
                )

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._apply(app_label, schema_editor, to_state, "track", self.options)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if self.previous is None:
            self._apply(app_label, schema_editor, to_state, "untrack", self.options)
        else:
            self._apply(app_label, schema_editor, to_state, "track", {**self.options, **_defaults(), **self.previous})

    def _apply(self, app_label: str, schema_editor: Any, state: Any, what: str, options: Mapping[str, Any]) -> None:
        extension = self.extension(schema_editor, needed=what == "track")
        if extension is None:
            return
        model, rule = resolve(state.apps, app_label, options)
        alias = schema_editor.connection.alias
        # Not allow_migrate_model: it is about tables that Django makes, and those that it does not can be tracked too.
        if not router.allow_migrate(alias, model._meta.app_label, model_name=model._meta.model_name, model=model):
            return
        if what == "track":
            _make_foreign_keys(schema_editor)
        sql, params = rule.track(extension.prefix) if what == "track" else rule.untrack(extension.prefix)
        schema_editor.execute(sql, params)

    def reduce(self, operation: Operation, app_label: str) -> Any:
        """Track and Untrack of one rule are nothing; of two Tracks of one rule the latter counts."""
        if isinstance(operation, Track) and identity(operation.options) == identity(self.options):
            if type(operation) is Untrack:
                return [] if self.previous is None else [operation]
            options: Dict[str, Any] = {**operation.options, "previous": self.previous, "elidable": self.elidable}
            return [type(self)(**options)]
        return super().reduce(operation, app_label)

    def describe(self) -> str:
        return f"Tracks {self.options['model_name']} under {_what(self.options)}"

    @property
    def migration_name_fragment(self) -> str:
        return "track_%s" % self.options["model_name"].replace(".", "_").lower()


class Untrack(Track):
    """Removes the rule that Track with these arguments has made; backwards brings it back.

    A rule is known by model, key (or columns), field, action and via; the other arguments are for backwards.  It is no
    error if there is no such rule.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._apply(app_label, schema_editor, from_state, "untrack", self.options)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._apply(app_label, schema_editor, to_state, "track", self.options)

    def reduce(self, operation: Operation, app_label: str) -> Any:
        return _InvalOperation.reduce(self, operation, app_label)

    def describe(self) -> str:
        return f"No longer tracks {self.options['model_name']} under {_what(self.options)}"

    @property
    def migration_name_fragment(self) -> str:
        return "un" + super().migration_name_fragment


class SetVar(_InvalOperation):
    """inval_set_var: gives the variable {$name} of key templates its values.  Takes the right to call that function.

    values    one or several texts.  None at all: what INVAL["VARS"] says, unless the variable has values already, which
              a deploy may have set (manage.py inval deploy)
    previous  the values that backwards brings back; none: it removes the variable
    """

    def __init__(self, name: str, values: Sequence[str] = (), previous: Sequence[str] = ()) -> None:
        if isinstance(values, str) or isinstance(previous, str):
            raise TypeError(f"SetVar({name!r}, …) takes lists of values: [{values or previous!r}]")
        self.name = name
        self.values = list(values)
        self.previous = list(previous)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._apply(app_label, schema_editor, self.values or self._configured(), bool(self.values))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        self._apply(app_label, schema_editor, self.previous, True)

    def _configured(self) -> List[str]:
        if self.name not in conf().vars:
            raise LookupError(f"SetVar({self.name!r}) has no values, and INVAL['VARS'] does not name {self.name!r}")
        return [conf().vars[self.name]]

    def _apply(self, app_label: str, schema_editor: Any, values: Sequence[str], replace: bool) -> None:
        alias = schema_editor.connection.alias
        extension = self.extension(schema_editor, needed=bool(values))
        if extension is None or not router.allow_migrate(alias, app_label):
            return
        sql, params = f"SELECT {extension.prefix}inval_set_var(%s, VARIADIC %s::text[])", [self.name, array_text(values)]
        if not replace:
            sql += f" WHERE NOT EXISTS (SELECT FROM {extension.prefix}inval_var WHERE name = %s)"
            params.append(self.name)
        schema_editor.execute(sql, params)

    def describe(self) -> str:
        return f"Sets the variable {{${self.name}}} of inval"

    @property
    def migration_name_fragment(self) -> str:
        return f"set_var_{self.name.lower()}"


def _what(options: Mapping[str, Any]) -> str:
    key = options["key"] or "columns %s" % options["columns"]
    return key if options["field"] is None else f"{key}, field {options['field']}"


def _defaults() -> Dict[str, Any]:
    """Options that inval_track sets anew at each call, as they are if they are not given."""
    return {
        "delivery": "commit", "changes": None, "ttl": None, "publish": None, "stream": None, "fence": None,
        "repeat_after": None, "refill": None, "targets": ("default",), "state": "on",
    }


def _make_foreign_keys(schema_editor: Any) -> None:
    """Makes the constraints of tables that this migration has created, which Django leaves for its end.

    A path in a template follows foreign keys: they have to be there.
    """
    while schema_editor.deferred_sql:
        statement = schema_editor.deferred_sql.pop(0)
        if statement is not None:
            schema_editor.execute(statement)
