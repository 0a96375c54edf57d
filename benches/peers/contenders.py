"""The peers: how each is installed, started, and given its load.

Each is built in a copy of its folder below `target`, from the packages that its folder pins.
"""

import contextlib
import json
import re
import shutil
import urllib.request
from pathlib import Path

from measure import measure
from processes import Failed, await_condition, await_port, free_ports, run, running

SOURCE = Path(__file__).parent
# The SDK of Restate would log each refusal with its stack.
QUIET = {"RESTATE_LOGGING": "ERROR"}


class Peer:
    """A peer: `key` names it on the command line, `title` in the report. A peer has, besides what is here:

    - `install`, which installs and builds it in its copy, and `version`, which reads its version from the pinned packages
    - `started`, a context with the command of the load, without its plan, and the processes whose CPU counts
    """

    needs = ()  # programs
    folder = ""
    counts_load = False

    def __init__(self, key, title):
        self.key, self.title = key, title

    def prepare(self, build):
        """Installs and builds the peer in a copy of its folder, below the folder `build`."""
        missing = [tool for tool in self.needs if not shutil.which(tool)]
        if missing:
            raise Failed(f"not installed: {', '.join(missing)}")
        build.mkdir(parents=True, exist_ok=True)
        shutil.copytree(SOURCE / self.folder, build / self.folder, dirs_exist_ok=True)
        shutil.copy(SOURCE / "load.mjs", build)
        self.directory = build / self.folder
        self.install(build / f"{self.folder}.log")

    def measure_each(self, settings, site):
        """Measures each setting on a server and a database that are empty at first."""
        log, load_log = (site.logs / f"{self.key}{part}.log" for part in ("", "-load"))
        for earlier in (log, load_log):
            earlier.unlink(missing_ok=True)
        with self.started(site, log) as (load, counted):
            for setting in settings:
                yield measure(self.key, setting, [*load, setting.plan()], counted, load_log, self.counts_load)


class NodePeer(Peer):
    needs = ("node", "npm")

    def install(self, log):
        # Nothing where the packages are those of the lock file already.
        installed = self.directory / "node_modules/.package-lock.json"
        lock = self.directory / "package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            run(["npm", "ci", "--no-audit", "--no-fund"], log, self.directory)

    def node(self, program, *arguments):
        """With the pinned Node, which its package has for Linux only; elsewhere with the one in the path."""
        pinned = self.directory / "node_modules/.bin/node"
        return [pinned if pinned.exists() else "node", self.directory / program, *arguments]

    def version(self):
        packages = json.loads((SOURCE / self.folder / "package.json").read_text())["dependencies"]
        return packages[self.package]


class Restate(NodePeer):
    """One server with its log and state on the disk, and a process each for the saga and the participants."""

    folder, package = "restate", "@restatedev/restate-server"

    def __init__(self, key, title, service):
        super().__init__(key, title)
        self.service = service

    @contextlib.contextmanager
    def started(self, site, log):
        ingress, admin, fabric, orders, participants = free_ports(5)
        server = [self.directory / "node_modules/.bin/restate-server", "--no-logo"]
        environment = {
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_ADVERTISED_HOST": "127.0.0.1",
            "RESTATE_BIND_PORT": str(fabric),
            "RESTATE_INGRESS__BIND_PORT": str(ingress),
            "RESTATE_ADMIN__BIND_PORT": str(admin),
            "RESTATE_BASE_DIR": str(site.directory / "restate"),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn",
        }
        with contextlib.ExitStack() as stack:
            roots = [
                start_service(stack, server, ingress, log, environment),
                start_service(stack, self.node("orders.js", "orders", orders), orders, log, QUIET),
                start_service(stack, self.node("orders.js", "participants", participants), participants, log, QUIET),
            ]
            api = f"http://127.0.0.1:{admin}"
            await_condition(roots[0], lambda: is_ok(f"{api}/health"), "its admin API does not answer", log)
            for port in (orders, participants):
                post(f"{api}/deployments", {"uri": f"http://127.0.0.1:{port}"})
            load = self.node("load.js", f"http://127.0.0.1:{ingress}", self.service)
            yield load, [root.pid for root in roots]


class Dbos(NodePeer):
    """A library: saga, steps and load are one process, next to PostgreSQL."""

    folder, package = "dbos", "@dbos-inc/dbos-sdk"
    counts_load = True

    @contextlib.contextmanager
    def started(self, site, log):
        with site.postgresql.databases(["dbos"], log):
            yield self.node("orders.js", site.postgresql.url_of("dbos")), [site.postgresql.process]


class Temporal(Peer):
    """All services of the server in one process, as its package starts them, and a worker process."""

    folder = "temporal"
    needs = ("go",)
    databases = {"temporal": "postgresql/v12/temporal", "temporal_visibility": "postgresql/v12/visibility"}
    ports = [
        *(
            f"{service}_{kind}_PORT"
            for service in ("FRONTEND", "MATCHING", "HISTORY", "WORKER")
            for kind in ("GRPC", "MEMBERSHIP")
        ),
        "FRONTEND_HTTP_PORT",
    ]

    def __init__(self, key, title, steps):
        super().__init__(key, title)
        self.steps = steps

    def install(self, log):
        run(["go", "build", "-trimpath", "-o", "bin/", ".", "tool"], log, self.directory)

    def version(self):
        modules = (SOURCE / self.folder / "go.mod").read_text()
        return re.search(r"go\.temporal\.io/server v(\S+)", modules)[1]

    @contextlib.contextmanager
    def started(self, site, log):
        postgresql = site.postgresql
        with postgresql.databases(self.databases, log), contextlib.ExitStack() as stack:
            for database, schema in self.databases.items():
                self.create_schema(postgresql, database, schema, log)
            ports = dict(zip(self.ports, free_ports(len(self.ports))))
            grpc = ports["FRONTEND_GRPC_PORT"]
            environment = {name: str(port) for name, port in ports.items()} | self.environment(site)
            server = start_service(stack, [self.program("server"), "start"], grpc, log, environment)
            address = f"127.0.0.1:{grpc}"
            ready = site.directory / "temporal-worker.log"
            worker = stack.enter_context(running([self.program("temporal"), "worker", address], ready))
            await_condition(worker, lambda: '"ready"' in ready.read_text(), "it has not begun to work", ready)
            load = [self.program("temporal"), "load", address, self.steps]
            yield load, [server.pid, worker.pid, postgresql.process]

    def environment(self, site):
        """The settings of its configuration file, which is a part of the server."""
        dynamic_config = site.directory / "dynamic.yaml"
        dynamic_config.write_text("{}\n")
        port = str(site.postgresql.port)
        return {
            "DB": "postgres12",
            "DB_PORT": port,
            "VISIBILITY_DB_PORT": port,
            "POSTGRES_SEEDS": site.postgresql.host,
            "POSTGRES_USER": site.postgresql.user,
            "POSTGRES_PWD": "unused",
            "NUM_HISTORY_SHARDS": "512",
            "TEMPORAL_BROADCAST_ADDRESS": "127.0.0.1",
            "DYNAMIC_CONFIG_FILE_PATH": str(dynamic_config),
            "LOG_LEVEL": "error",
        }

    def create_schema(self, postgresql, database, schema, log):
        tool = [self.program("sql"), "--plugin=postgres12", f"--endpoint={postgresql.host}", f"--port={postgresql.port}"]
        tool += [f"--user={postgresql.user}", "--password=unused", f"--database={database}"]
        run([*tool, "setup-schema", "--version=0.0"], log)
        run([*tool, "update-schema", f"--schema-name={schema}"], log)

    def program(self, name):
        return self.directory / "bin" / name


PEERS = [
    Restate("restate", "Restate, durable RPC", "orders"),
    Restate("restate-in-process", "Restate, steps in process", "ordersInProcess"),
    Dbos("dbos", "DBOS, steps in process"),
    Temporal("temporal", "Temporal, activities", "activities"),
    Temporal("temporal-local", "Temporal, local activities", "local-activities"),
]


def start_service(stack, command, port, log, environment):
    """Starts a process that ends with the stack, and waits until it listens on its port."""
    process = stack.enter_context(running(command, log, environment))
    await_port(process, port, log)
    return process


def is_ok(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as response:
        return response.status == 200
    return False


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except OSError as error:
        raise Failed(f"POST {url} failed: {error}") from error
