"""Settings of a test run, in place before Django reads any: a data folder of its own for every process."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="podi-test-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

os.environ["PODI_DATA_DIR"] = str(_folder)
os.environ["DEBUG"] = "1"
os.environ["PODI_ENV_FILE"] = str(_folder / "no-env-file")  # the .env of a developer is not part of a test
os.environ["REDIS_PREFIX"] = f"podi-test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}"
os.environ["SERVICE_API_TOKEN"] = "invented-service-token-for-tests-only"
os.environ["FETCH_ALLOWED_NETWORKS"] = "127.0.0.0/8"
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = ""
