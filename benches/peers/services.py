"""PostgreSQL as tests/services.sh started it: an empty database for each contender."""

import contextlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from processes import Failed, run


class PostgreSQL:
    def __init__(self):
        directory, url = os.environ.get("SNORRI_TEST_SERVICES_DIR"), os.environ.get("SNORRI_TEST_DATABASE_URL")
        if not directory or not url:
            raise SystemExit("peers: run this within the test services: tests/services.sh run python3 benches/peers/run.py")
        parts = urlsplit(url)
        self.url, self.host, self.port, self.user = url, parts.hostname, parts.port, parts.username
        self.process = int(Path(directory, "database.pid").read_text())

    def url_of(self, database):
        return urlsplit(self.url)._replace(path=f"/{database}").geturl()

    @contextlib.contextmanager
    def databases(self, names, log):
        """Empty ones, which are dropped again."""
        try:
            for name in names:
                self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", log)
                self.execute(f"CREATE DATABASE {name}", log)
            # So that no contender pays for the writes of the one before.
            self.execute("CHECKPOINT", log)
            yield
        finally:
            for name in names:
                with contextlib.suppress(Failed):
                    self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", log)

    def execute(self, statement, log):
        run(["psql", self.url, "--quiet", "--set=ON_ERROR_STOP=1", f"--command={statement}"], log)
