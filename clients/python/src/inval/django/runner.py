"""A test runner that gives each process, and each database, a Redis database of its own.

Clones of the test database (test --parallel) have the same rows with the same ids, hence the same keys: in one Redis
database one process would be given the values of another, and remove them.
"""

import copy
from typing import Any, List, Optional

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.models.signals import pre_migrate
from django.test import runner as django_runner
from django.test.runner import DiscoverRunner, ParallelTestSuite
from django.test.utils import override_settings

from .conf import conf, inval_caches, inval_databases
from .database import is_available, quote_name
from .glue import move_shared, redis_client
from .location import with_db


def first_db() -> int:
    """INVAL["TEST"]["FIRST_DB"]: the number of the first Redis database that tests may empty."""
    number = conf().test.get("FIRST_DB")
    if not isinstance(number, int) or number < 0:
        raise ImproperlyConfigured(
            'InvalTestRunner needs INVAL["TEST"] = {"FIRST_DB": 8}: the number of the first Redis database that the tests '
            "may empty; with --parallel N they use N more"
        )
    return number


def use_redis_database(number: int) -> None:
    """Lets each InvalCache of this process use this Redis database, and lets clear() empty it.

    For test runners other than InvalTestRunner, together with ALTER DATABASE … SET inval.redis_url.
    """
    aliases = inval_caches()
    before = {alias: caches[alias].config for alias in aliases}
    changed = copy.deepcopy(settings.CACHES)
    for alias in aliases:
        changed[alias]["LOCATION"] = with_db(changed[alias]["LOCATION"], number)
        changed[alias].setdefault("OPTIONS", {})["CLEAR"] = "flushdb"
    # Not to be disabled: the process ends with it.
    override_settings(CACHES=changed).enable()
    for alias in aliases:
        # Entries that were made at import are of the cache that was there then.
        move_shared(before[alias], caches[alias].config)


def _init_worker(*args: Any, **kwargs: Any) -> None:
    """A process of a parallel run begins: Django gives it a clone of each database, this the clone's Redis database."""
    ParallelTestSuite.init_worker(*args, **kwargs)
    use_redis_database(first_db() + django_runner._worker_id)


class InvalParallelTestSuite(ParallelTestSuite):
    init_worker = _init_worker


class InvalTestRunner(DiscoverRunner):
    """TEST_RUNNER = "inval.django.test.InvalTestRunner".

    The test database removes keys from Redis database FIRST_DB (of the server in LOCATION), its clone n from FIRST_DB
    + n, and so read the processes that use them.  It takes a superuser to set that, as it does to create the extension.
    """

    parallel_test_suite = InvalParallelTestSuite

    def setup_databases(self, **kwargs: Any) -> Any:
        self._check_numbers()
        use_redis_database(first_db())
        pre_migrate.connect(_before_migrations, dispatch_uid="inval.runner")
        try:
            old = super().setup_databases(**kwargs)
        finally:
            pre_migrate.disconnect(dispatch_uid="inval.runner")
        ours = self._databases()
        for connection, original, _ in old:
            # Only what Django has made for the tests: without a test that needs one the name is that of the real one.
            name = connection.settings_dict["NAME"]
            if connection.alias not in ours or name == original:
                continue
            # Also where migrations were not run (TEST["MIGRATE"]).
            set_redis_url(connection.alias, name, first_db())
            for number in range(1, self.parallel + 1 if self.parallel > 1 else 1):
                clone = connection.creation.get_test_db_clone_settings(str(number))["NAME"]
                if _exists(connection.alias, clone):
                    set_redis_url(connection.alias, clone, first_db() + number)
        return old

    def _databases(self) -> List[str]:
        return [alias for alias in inval_databases() if alias in connections and is_available(connections[alias])]

    def _check_numbers(self) -> None:
        last = first_db() + (self.parallel if self.parallel > 1 else 0)
        for alias in inval_caches():
            limit = database_limit(caches[alias])
            if limit is not None and last >= limit:
                raise ImproperlyConfigured(
                    f"the tests would use the Redis databases {first_db()} to {last}, and the server has {limit}: lower "
                    'INVAL["TEST"]["FIRST_DB"] or --parallel, or raise "databases" in redis.conf'
                )


def database_limit(cache: Any) -> Optional[int]:
    """How many databases the Redis server has; None if it does not say."""
    try:
        return int(redis_client(cache.inval).config_get("databases")["databases"])
    except Exception:  # not allowed, not there, another server
        return None


def _before_migrations(using: str, **_: Any) -> None:
    """Migrations may write rows: not even those remove keys from another Redis database."""
    connection = connections[using]
    if using in inval_databases() and is_available(connection):
        set_redis_url(using, connection.settings_dict["NAME"], first_db())


def set_redis_url(alias: str, database: str, number: int) -> None:
    """ALTER DATABASE … SET inval.redis_url, for the server of that alias: LOCATION with this number.

    Holds for new sessions; those of this process are closed, and the database's worker of inval is started anew.
    """
    aliases = inval_caches()
    if not aliases:
        return
    url = with_db(settings.CACHES[aliases[0]]["LOCATION"], number)
    try:
        _set_redis_url(connections[alias], database, url)
    except DatabaseError as error:
        raise ImproperlyConfigured(
            f"InvalTestRunner has to set inval.redis_url for the database {database!r}, and the server says: {error}\n"
            "It takes a superuser, and a LOCATION without a password (instead: ?passfile=…)"
        ) from None


def _set_redis_url(connection: Any, database: str, url: str) -> None:
    with connection.cursor() as cursor:
        # Else the setting is unknown, and no value of it is checked.
        cursor.execute("LOAD 'inval'")
        cursor.execute(f"ALTER DATABASE {quote_name(database)} SET inval.redis_url = %s", [url])
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type LIKE 'inval%%'",
            [database],
        )
        if database == connection.settings_dict["NAME"]:
            cursor.execute("SELECT set_config('inval.redis_url', %s, false)", [url])


def _exists(alias: str, database: str) -> bool:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [database])
        return bool(cursor.fetchone()[0])
