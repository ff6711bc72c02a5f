"""A Django project as small as one can be that has the admin.

libpq takes the server from PGHOST, PGPORT and PGUSER; so does psql. REDIS_SOCKET is the socket of a Redis server:
its database 0 is the one that inval invalidates, 1 belongs to cacheops.
"""

import os

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The sessions of the admin need no table.
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "cacheops",
    "library",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "CONN_MAX_AGE": None,
    }
}

REDIS_SOCKET = os.environ["REDIS_SOCKET"]
CACHEOPS_REDIS = {"unix_socket_path": REDIS_SOCKET, "db": 1}
# Everything that cacheops can cache, of every model of the application.
CACHEOPS = {"library.*": {"ops": "all", "timeout": 3600}}
