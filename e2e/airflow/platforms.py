"""Airflow itself and Tradewind, each started on loopback with the same DAG files and asked through the same REST API.

Airflow is the release of `AIRFLOW`, from PyPI, with the LocalExecutor on a PostgreSQL of its own.
"""

import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
AIRFLOW = "3.3.2"
PACKAGES = [f"apache-airflow=={AIRFLOW}", "psycopg2-binary", "asyncpg", "apache-airflow-providers-common-sql"]
# The longest that a server may take to start, and how long no new DAG may come; in seconds.
STARTUP, SETTLED = 180, 45


class Api:
    """One REST API of Airflow's, version 2."""

    def __init__(self, base):
        self.base, self.token = base, None

    def sign_in(self, **who):
        self.token = self.ask("POST", "/auth/token", who)["access_token"]

    def ask(self, method, path, body=None):
        """The answer as JSON; an error of the server raises `urllib.error.HTTPError`."""
        url = self.base + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def all(self, path, name):
        """A whole list, page by page."""
        found, join = [], "&" if "?" in path else "?"
        while True:
            page = self.ask("GET", f"/api/v2{path}{join}limit=100&offset={len(found)}")
            found += page[name]
            if len(found) >= page["total_entries"] or not page[name]:
                return found


def until(what, asked, patience):
    """Waits until `asked` says yes, and gives what it said."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            said = asked()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            said = None
        if said:
            return said
        time.sleep(0.5)
    raise TimeoutError(f"{what}: not within {patience} s")


class Processes:
    """Programs that are ended together, each with everything that it started."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def start(self, name, command, environment):
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.running.append(process)

    def stop(self):
        for number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
            for process in self.running:
                try:
                    os.killpg(process.pid, number)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + patience
            for process in self.running:
                try:
                    process.wait(max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def installed(folder):
    """The Python of an environment with all of Airflow in it."""
    python = folder / "bin/python"
    if not python.exists():
        print(f"installing Airflow {AIRFLOW}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


class Airflow:
    """Airflow's own scheduler, DAG processor, triggerer and API."""

    name = "Airflow"

    def __init__(self, work, python, dags, plugins, places=4, schedules=False):
        self.folder = work / "airflow"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.processes = Processes(self.folder)
        self.python = python
        port, database = free_port(), free_port()
        self.api = Api(f"http://127.0.0.1:{port}")
        self.start_postgres(database)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@127.0.0.1:{database}/postgres",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": str(places),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(40),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(20),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedules),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        self.start()

    def start_postgres(self, port):
        bins = [*pathlib.Path("/usr/lib/postgresql").glob("*/bin"), *pathlib.Path("/usr/pgsql").glob("*/bin")]
        bin_folder = bins[-1] if bins else pathlib.Path(shutil.which("initdb")).parent
        data, log = self.folder / "postgres", self.folder / "postgres.log"
        self.pg_ctl = [*self.unprivileged(data), bin_folder / "pg_ctl", "-D", data]
        as_user = self.unprivileged(data)
        make = [*as_user, bin_folder / "initdb", "-D", data, "-U", "airflow", "--auth=trust", "--no-sync"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        options = f"-p {port} -h 127.0.0.1 -k ''"
        start = [*self.pg_ctl, "-o", options, "-l", data / "log", "--wait", "start"]
        subprocess.run(start, check=True, stdout=subprocess.DEVNULL)

    @staticmethod
    def unprivileged(folder):
        """PostgreSQL refuses to run as root: what runs it as somebody else then."""
        if os.geteuid() != 0:
            return []
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, "nobody")
        for parent in (folder.parent, *folder.parent.parents):
            parent.chmod(parent.stat().st_mode | 0o011)
        return ["setpriv", "--reuid=nobody", "--clear-groups", "--"]

    def start(self):
        airflow = str(self.python.parent / "airflow")
        subprocess.run([airflow, "db", "migrate"], env=self.environment, check=True, capture_output=True)
        for part in ("api-server", "scheduler", "dag-processor", "triggerer"):
            self.processes.start(part, [airflow, part], self.environment)
        until("Airflow's API", lambda: self.api.ask("GET", "/api/v2/version"), STARTUP)
        self.api.sign_in(username="admin", password="admin")

    def stop(self):
        self.processes.stop()
        subprocess.run([*self.pg_ctl, "--mode=fast", "stop"], stdout=subprocess.DEVNULL)


class Tradewind:
    """Everything in one process, with the Python environment of this folder."""

    name = "Tradewind"

    def __init__(self, work, python, dags, plugins, places=4):
        folder = work / "tradewind"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "python/airflow").mkdir(parents=True)
        self.processes = Processes(folder)
        for part in python.parent.parent.iterdir():
            if part.name != "airflow":
                (folder / "python" / part.name).symlink_to(part)
        (folder / "python/airflow/plugins").symlink_to(plugins)
        port, password = free_port(), secrets.token_hex(16)
        environment = {**os.environ, "TRADEWIND_HOME": str(folder), "TRADEWIND_ADMIN_PASSWORD": password}
        binary = os.environ.get("TRADEWIND_BINARY", ROOT / "target/debug/tradewind")
        command = [binary, "standalone", "--port", str(port), "--parallelism", str(places), "--dags", dags]
        self.processes.start("tradewind", command, environment)
        self.api = Api(f"http://127.0.0.1:{port}")
        until("Tradewind", lambda: self.api.ask("GET", "/api/v2/version"), STARTUP)
        self.api.sign_in(username="admin", password=password)

    def stop(self):
        self.processes.stop()


def known_dags(platform, expected=frozenset()):
    """The DAGs that the platform has read. Without `expected` those that are there when no other has come for a while."""
    names, since = set(), time.monotonic()

    def read():
        nonlocal names, since
        found = {dag["dag_id"] for dag in platform.api.all("/dags", "dags")}
        if found != names:
            names, since = found, time.monotonic()
        return names >= expected if expected else names and time.monotonic() - since > SETTLED

    try:
        until(f"the DAG files in {platform.name}", read, STARTUP)
    except TimeoutError:
        print(f"{platform.name} does not know {', '.join(sorted(expected - names))}", flush=True)
    for error in platform.api.all("/importErrors", "import_errors"):
        last_line = error["stack_trace"].strip().splitlines()[-1]
        print(f"{platform.name}: {error['filename']}: {last_line}", flush=True)
    return names
