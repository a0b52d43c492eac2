"""Django's settings. What can be set from outside is in `.env.example`, name by name."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from podi import env

BASE_DIR = env.BASE_DIR
DATA_DIR = Path(env.text("PODI_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY", debug=DEBUG, data_dir=DATA_DIR)
SECRET_KEY_FALLBACKS = env.items("SECRET_KEY_FALLBACKS")
JWT_SECRET_KEY = env.secret("JWT_SECRET_KEY", debug=DEBUG, data_dir=DATA_DIR)
UPLOAD_TOKEN_SECRET = env.secret("UPLOAD_TOKEN_SECRET", debug=DEBUG, data_dir=DATA_DIR)
FIELD_ENCRYPTION_KEYS = env.items("FIELD_ENCRYPTION_KEYS") or [
    env.secret("FIELD_ENCRYPTION_KEY", debug=DEBUG, data_dir=DATA_DIR)
]
SERVICE_API_TOKEN = env.text("SERVICE_API_TOKEN")
if SERVICE_API_TOKEN and not DEBUG and len(SERVICE_API_TOKEN) < env.MIN_SECRET_CHARS:
    raise ImproperlyConfigured("SERVICE_API_TOKEN is a placeholder or shorter than 32 characters (DEBUG is off).")

PORT = env.integer("PORT", default=8099)
BIND = env.text("PODI_BIND", default="127.0.0.1")
ADMIN_USERNAME = env.text("PODI_ADMIN_USERNAME", default="admin")
ADMIN_PASSWORD = env.text("PODI_ADMIN_PASSWORD")
PUBLIC_URL = env.text("PODI_PUBLIC_URL", "PODI_INTERNAL_BASE_URL", default=f"http://localhost:{PORT}").rstrip("/")
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", default="*" if DEBUG else "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXIES = env.items("TRUSTED_PROXIES")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")

INSTALLED_APPS = [
    "daphne",
    "podi.apps.AdminConfig",  # django.contrib.admin with our own site
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "podi.base",
    "podi.events",
    "media",
    "wallet",
    "executors",
    "abilities",
    "coze_plugin",
]

MIDDLEWARE = [
    "podi.base.api.request_id.request_id_middleware",
    "podi.middleware.api_middleware",
    "podi.middleware.PageSecurity",
    "podi.middleware.StaticFiles",
    "podi.middleware.PageSession",
    "podi.middleware.PageLocale",
    "podi.middleware.PageCommon",
    "podi.middleware.PageCsrf",
    "podi.middleware.PageAuthentication",
    "podi.middleware.PageMessages",
    "podi.middleware.PageFrames",
]

ROOT_URLCONF = "podi.urls"
WSGI_APPLICATION = "podi.wsgi.application"
ASGI_APPLICATION = "podi.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASE_URL = env.text("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'podi.sqlite3'}")
DATABASES = {"default": environ.Env.db_url_config(DATABASE_URL)}
_database = DATABASES["default"]
_database["CONN_MAX_AGE"] = env.integer("DATABASE_CONN_MAX_AGE", default=60)
_database["CONN_HEALTH_CHECKS"] = True
if _database["ENGINE"].endswith("sqlite3"):
    _database["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}  # a file: threads and processes share it as in life
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=30000;",
    }
elif _database["ENGINE"].endswith("mysql"):
    try:
        import MySQLdb  # noqa: F401
    except ImportError:
        raise ImproperlyConfigured(
            "DATABASE_URL asks for MySQL or MariaDB, but mysqlclient is not installed: its C headers were missing. "
            "Install them (Debian: `apt-get install libmariadb-dev pkg-config gcc python3-dev`; "
            "macOS: `brew install mysql-client pkg-config`) and run `make install` again."
        ) from None
    _database["OPTIONS"] = {
        "charset": "utf8mb4",
        "isolation_level": "read committed",
        "init_command": "SET sql_mode='STRICT_TRANS_TABLES'",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.text("REDIS_URL")
REDIS_PREFIX = env.text("REDIS_PREFIX", default="podi")
CHANNEL_LAYERS = {
    "default": (
        {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [REDIS_URL], "prefix": REDIS_PREFIX},
        }
        if REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}
ABILITY_TASK_MAX_WORKERS = env.integer("ABILITY_TASK_MAX_WORKERS", default=4, minimum=1)
Q_CLUSTER = {
    # Jobs are short and the task table is the truth, so: no success rows, large batches, a quick broker poll. The
    # defaults cost a factor of ten (docs/architecture notes on django-q2).
    "name": REDIS_PREFIX,
    "label": _("Background jobs"),
    "workers": ABILITY_TASK_MAX_WORKERS,
    "timeout": 300,
    "retry": 360,
    "max_attempts": 5,
    "ack_failures": True,
    "save_limit": -1,
    "bulk": 5,
    "poll": 0.05,
    "queue_limit": 20,
    "recycle": 5000,
    "catch_up": False,
    **({"redis": REDIS_URL} if REDIS_URL else {"orm": "default"}),
}

AUTH_USER_MODEL = "base.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SIMPLE_JWT = {
    "SIGNING_KEY": JWT_SECRET_KEY,
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=env.integer("JWT_ACCESS_TOKEN_EXPIRES", default=3600, minimum=60)),
    "REFRESH_TOKEN_LIFETIME": timedelta(seconds=env.integer("JWT_REFRESH_TOKEN_EXPIRES", default=604800, minimum=300)),
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": "type",
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["podi.base.api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["podi.base.api.parsers.StrictJsonParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "podi.base.api.envelope.handle",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PODI",
    "DESCRIPTION": "AI capability gateway for print-on-demand image businesses.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "podi.openapi.drop_database_bounds",
    ],
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "displayOperationId": False},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "podi" / "locale"]
TIME_ZONE = env.text("TIME_ZONE", default="Asia/Shanghai")
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEBUG  # in development no collectstatic is needed
MEDIA_FILES_DIR = DATA_DIR / "files"
# Aliyun OSS. With both keys it is where files are kept, unless MEDIA_STORAGE says otherwise.
OSS_ENDPOINT = env.text("OSS_ENDPOINT", default="oss-cn-hangzhou.aliyuncs.com")
OSS_REGION = env.text("OSS_REGION", default="oss-cn-hangzhou")
OSS_BUCKET = env.text("OSS_BUCKET", default="pod-oss-private")
OSS_ACCESS_KEY = env.text("OSS_ACCESS_KEY", "OSS_AK")
OSS_SECRET_KEY = env.text("OSS_SECRET_KEY", "OSS_SK")
OSS_PUBLIC_DOMAIN = env.text("OSS_PUBLIC_DOMAIN", "OSS_DOWNLOAD_DOMAIN", "DOWNLOAD_DOMAIN")
OSS_SIGNATURE_VERSION = env.text("OSS_SIGNATURE_VERSION", default="v4")
OSS_CONNECT_TIMEOUT = env.integer("OSS_CONNECT_TIMEOUT", default=120, minimum=5)
OSS_UPLOAD_RETRIES = env.integer("OSS_UPLOAD_RETRIES", default=3, minimum=1)
OSS_RESUMABLE_THRESHOLD_MB = env.integer("OSS_RESUMABLE_THRESHOLD_MB", default=8, minimum=1)
OSS_RESUMABLE_PART_SIZE_MB = env.integer("OSS_RESUMABLE_PART_SIZE_MB", default=8, minimum=1)
OSS_RESUMABLE_THREADS = env.integer("OSS_RESUMABLE_THREADS", default=2, minimum=1, maximum=32)
OSS_ROLE_ARN = env.text("OSS_ROLE_ARN")
OSS_STS_ENDPOINT = env.text("OSS_STS_ENDPOINT")
OSS_STS_DURATION = env.integer("OSS_STS_DURATION", default=900, minimum=900, maximum=3600)
OSS_CALLBACK_HOST = env.text("OSS_CALLBACK_HOST").rstrip("/")
OSS_CALLBACK_KEY_URLS = env.items(
    "OSS_CALLBACK_KEY_URLS", default="http://gosspublic.alicdn.com/,https://gosspublic.alicdn.com/"
)
MEDIA_STORAGE = env.text("MEDIA_STORAGE", default="oss" if OSS_ACCESS_KEY and OSS_SECRET_KEY else "local")
if MEDIA_STORAGE == "oss" and not (OSS_ACCESS_KEY and OSS_SECRET_KEY):
    raise ImproperlyConfigured(
        "MEDIA_STORAGE is oss, but OSS_ACCESS_KEY (OSS_AK) or OSS_SECRET_KEY (OSS_SK) is not set."
    )
UPLOAD_TOKEN_TTL = env.integer("UPLOAD_TOKEN_TTL", default=3600, minimum=300)
UPLOAD_GRANT_TTL_S = env.integer("UPLOAD_GRANT_TTL_S", default=900, minimum=60, maximum=3600)
UPLOAD_MAX_BYTES = env.integer("UPLOAD_MAX_BYTES", default=200 * 1024 * 1024, minimum=1)
UPLOAD_TYPES = env.items(
    "UPLOAD_TYPES",
    default="image/*,video/*,audio/*,text/plain,text/csv,application/json,application/pdf,application/zip",
)
UPLOAD_ALLOWED_ORIGINS = env.items("UPLOAD_ALLOWED_ORIGINS")
FILES_ACCEL_PREFIX = env.text("FILES_ACCEL_PREFIX")  # nginx's internal location for MEDIA_FILES_DIR, where there is one
UNUSED_ASSET_DAYS = env.integer("UNUSED_ASSET_DAYS", default=7, minimum=1)

IDEMPOTENCY_RETENTION_S = env.integer("IDEMPOTENCY_RETENTION_S", default=86400, minimum=3600)

# Limits on what comes from outside (bytes, pixels, seconds).
DATA_UPLOAD_MAX_MEMORY_SIZE = env.integer("MAX_BODY_BYTES", default=40 * 1024 * 1024)
FETCH_MAX_BYTES = env.integer("FETCH_MAX_BYTES", default=50 * 1024 * 1024)
FETCH_TIMEOUT_S = env.number("FETCH_TIMEOUT_S", default=60)
FETCH_MAX_MEDIA_BYTES = env.integer("FETCH_MAX_MEDIA_BYTES", default=200 * 1024 * 1024)
FETCH_MAX_TASK_BYTES = env.integer("FETCH_MAX_TASK_BYTES", default=400 * 1024 * 1024)
FETCH_MEDIA_TIMEOUT_S = env.number("FETCH_MEDIA_TIMEOUT_S", default=100)
FETCH_MAX_REDIRECTS = env.integer("FETCH_MAX_REDIRECTS", default=3)
FETCH_ALLOWED_NETWORKS = env.items("FETCH_ALLOWED_NETWORKS")
MAX_IMAGE_PIXELS = env.integer("MAX_IMAGE_PIXELS", default=100_000_000)
MAX_OUTPUT_BYTES = env.integer("MAX_OUTPUT_BYTES", default=500 * 1024 * 1024)
SIGNED_URL_TTL_S = env.integer("SIGNED_URL_TTL_S", default=86400, minimum=60)
OSS_ROOT_PREFIX = env.text("OSS_ROOT_PREFIX", default="uploads")

# Points. The quote is a dotted name of `(action: str) -> int | None`, the price of one picture.
WALLET_SIGNUP_POINTS = env.integer("WALLET_SIGNUP_POINTS", default=500, minimum=0, maximum=1_000_000_000)
WALLET_HOLD_TTL_S = env.integer("WALLET_HOLD_TTL_S", default=86400, minimum=60)
WALLET_POINTS_PER_IMAGE = env.integer("WALLET_POINTS_PER_IMAGE", default=5, minimum=0)
WALLET_POINTS_QUOTE = ""
WALLET_AUDIT_HOUR = env.integer("WALLET_AUDIT_HOUR", default=3, minimum=0, maximum=23)

# How tasks run (seconds unless the name says otherwise).
TASK_DEADLINE_S = env.integer("TASK_DEADLINE_S", default=3600)
TASK_MAX_ATTEMPTS = env.integer("TASK_MAX_ATTEMPTS", default=3, minimum=1)
TASK_CLAIM_S = env.number("TASK_CLAIM_S", default=20)
INVOKE_WAIT_S = env.number("INVOKE_WAIT_S", default=55)
INVOKE_MAX_WAIT_S = env.number("INVOKE_MAX_WAIT_S", default=110)
INVOKE_INLINE_MAX_PIXELS = env.integer("INVOKE_INLINE_MAX_PIXELS", default=2_000_000, minimum=0)
INVOKE_THREADS = env.integer("INVOKE_THREADS", default=8, minimum=1)
POLLER_TICK_S = env.number("POLLER_TICK_S", default=0.25)
QUEUE_LIMIT = env.integer("QUEUE_LIMIT", default=10, minimum=1)
COMFYUI_DEFAULT_EXECUTOR_ID = env.text("COMFYUI_DEFAULT_EXECUTOR_ID")
COMFYUI_ROUTE_BY_QUEUE = env.boolean("COMFYUI_ROUTE_BY_QUEUE", default=False)
COMFYUI_QUEUE_BATCH_SIZE = env.integer("COMFYUI_QUEUE_BATCH_SIZE", default=10)
EXECUTOR_CONFIG_PATH = env.text("EXECUTOR_CONFIG_PATH")

# Coze as a provider. With address and token, abilities of this kind need no executor.
COZE_BASE_URL = env.text("COZE_BASE_URL").rstrip("/")
COZE_API_TOKEN = env.text("COZE_API_TOKEN")
COZE_DEFAULT_TIMEOUT = env.integer("COZE_DEFAULT_TIMEOUT", default=180, minimum=5)
COZE_FLAVOUR = env.text("COZE_FLAVOUR", default="auto")
COZE_FILES = env.text("COZE_FILES", default="url")
COZE_BOT_ID = env.text("COZE_BOT_ID")
PROVIDER_ENDPOINTS: dict[str, Any] = {}
if COZE_BASE_URL and COZE_API_TOKEN:
    PROVIDER_ENDPOINTS["coze"] = {
        "base_url": COZE_BASE_URL,
        "secrets": {"token": COZE_API_TOKEN},
        "options": {"timeout_s": COZE_DEFAULT_TIMEOUT, "flavour": COZE_FLAVOUR, "files": COZE_FILES},
    }

# The Coze plugin (seconds unless the name says otherwise).
COZE_TRUSTED_IPS = env.items("COZE_TRUSTED_IPS")
COZE_SERVER_URL = env.text("COZE_SERVER_URL").rstrip("/")
COZE_DOCUMENT_ORIGINS = env.items("COZE_DOCUMENT_ORIGINS")
COZE_WAIT_S = env.number("COZE_WAIT_S", default=40)
COZE_POLL_WAIT_S = env.number("COZE_POLL_WAIT_S", default=6)
COZE_TOOL_RATE_PER_MINUTE = env.integer("COZE_TOOL_RATE_PER_MINUTE", default=300, minimum=0)
COZE_POLL_RATE_PER_MINUTE = env.integer("COZE_POLL_RATE_PER_MINUTE", default=3000, minimum=0)
COZE_SHOW_NODE_ADDRESSES = env.boolean("COZE_SHOW_NODE_ADDRESSES", default=False)
COZE_REFUSAL_RETENTION_DAYS = env.integer("COZE_REFUSAL_RETENTION_DAYS", default=30, minimum=1)

# Events, streams and callbacks.
WEBHOOK_SIGNING_KEYS = env.items("WEBHOOK_SIGNING_KEYS") or [SECRET_KEY, *SECRET_KEY_FALLBACKS]
EVENT_RETENTION_DAYS = env.integer("EVENT_RETENTION_DAYS", default=90, minimum=1)
STREAM_MAX_PER_USER = env.integer("STREAM_MAX_PER_USER", default=20, minimum=1)
STREAM_HEARTBEAT_S = env.number("STREAM_HEARTBEAT_S", default=25)
STREAM_ANSWER_S = env.number("STREAM_ANSWER_S", default=20)
STREAM_CHECK_S = env.number("STREAM_CHECK_S", default=60)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django-q": {"level": "WARNING"},  # three lines a job otherwise
        "oss2": {"level": "WARNING"},  # below that it writes down what it signs
    },
}
