"""A project as small as one can be that uses all of inval.django.  manage.py says what it needs in the environment."""

import os

SECRET_KEY = "only for tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "inval.django", "shop"]
TEST_RUNNER = "inval.django.test.InvalTestRunner"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("PGDATABASE", "postgres"),
        "TEST": {"NAME": "test_shop"},
    }
}
if "INVAL_STANDBY_PORT" in os.environ:
    DATABASES["replica"] = {**DATABASES["default"], "PORT": os.environ["INVAL_STANDBY_PORT"], "TEST": {"MIRROR": "default"}}

CACHES = {
    "default": {
        "BACKEND": "inval.django.InvalCache",
        "LOCATION": os.environ.get("INVAL_REDIS_URL", "redis://127.0.0.1:6379/0"),
        "TIMEOUT": 3600,
        # Tests stop servers on purpose, but a busy machine is not a stopped one.
        "OPTIONS": {"CONNECT_TIMEOUT": 5, "READ_TIMEOUT": 5, "WAIT": 10, "DATABASE": os.environ.get("INVAL_LOAD_FROM", "default")},
    }
}
INVAL = {
    "COVERAGE": ["team_id"],
    "VARS": {"git_sha": "a1b2c3"},
    "TEST": {"FIRST_DB": 1},
}
