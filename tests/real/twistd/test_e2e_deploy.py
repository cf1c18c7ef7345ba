"""
What is in C{examples/deploy}: nginx, HAProxy, Prometheus, systemd and the image are
set up with the files that lie there, but for addresses.
"""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import quote

import pytest
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import deferLater
from twisted.scripts._twistd_unix import ServerOptions

from tests.support.certificates import Certificates
from tests.support.nginx import installedProxy, nginxWith
from tests.support.redisprocess import freePort
from tests.support.redisserver import RedisServer
from tests.support.servers import SECRET, Twistd, inReactor, program, reactor, twistd
from tests.support.visitors import Refused, Trusting, Visitor
from txsessionsock.metrics import figures


DEPLOY = Path(__file__).parents[3] / "examples" / "deploy"

TWISTD = str(Path(sysconfig.get_path("scripts")) / "twistd")

SERVED = ("--protocol=app.Counter", "--class=app.Page", "--per-message")

_PATIENCE = 300
"""
How often to look, a tenth of a second apart, before something should have happened.
"""


def deployed(name: str, **changes: str) -> str:
    """
    @param changes: What is another here.  Each has to be there.

    @return: A file.
    """
    text = (DEPLOY / name).read_text("utf-8")
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def serving(*options: str) -> AsyncIterator[Twistd]:
    """
    Run the application of the example, with a port for figures.
    """
    given = {"PYTHONPATH": str(DEPLOY), "SESSIONSOCK_SECRET": SECRET}
    metrics = f"--metrics=tcp:{freePort()}:interface=127.0.0.1"
    async with twistd(
        *SERVED, metrics, "--trust-proxy", *options, environment=given
    ) as server:
        await server.until(lambda: len(server.ports) == 2)
        yield server


@asynccontextmanager
async def nginx(directory: Path, server: Twistd) -> AsyncIterator[Visitor]:
    """
    Run nginx.

    @return: Who visits it.
    """
    made, port = Certificates.make(directory), freePort()
    changes = {
        "sockets:8080": f"127.0.0.1:{server.port}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "/run/secrets/certificate": str(made.certificate),
        "/run/secrets/key": str(made.key),
    }
    async with nginxWith(directory, deployed("nginx.conf", **changes)):
        yield Visitor(port, trusting=Trusting(made))


@asynccontextmanager
async def haproxy(directory: Path, server: Twistd) -> AsyncIterator[Visitor]:
    """
    The same with HAProxy.
    """
    made, port = Certificates.make(directory), freePort()
    both = directory / "both.pem"
    both.write_text(made.certificate.read_text() + made.key.read_text())
    changes = {
        "127.0.0.1:8080": f"127.0.0.1:{server.port}",
        "check port 9100": f"check port {server.ports[-1]} inter 50",
        "bind :443": f"bind 127.0.0.1:{port}",
        "/etc/haproxy/shop.pem": str(both),
    }
    file = directory / "haproxy.cfg"
    file.write_text(deployed("haproxy.cfg", **changes))
    async with program(
        installedProxy("haproxy"), "-db", "-f", str(file), listen=0
    ) as proxy:
        visitor = Visitor(port, trusting=Trusting(made))
        await answers(visitor, "/sessionsock.js", 200)
        assert proxy.status is None, proxy.errors
        yield visitor


async def answers(visitor: Visitor, path: str, code: int) -> None:
    """
    Wait until a page is answered with a code.
    """
    for _ in range(_PATIENCE):
        try:
            if (await visitor.get(path)).code == code:
                return
        except ConnectionRefusedError:
            pass
        await deferLater(reactor, 0.1)
    raise AssertionError(f"waited in vain for {code}")


@pytest.mark.parametrize("behind", [nginx, haproxy])
@inReactor
async def test_proxies(behind: Any, tmp_path: Path) -> None:
    """
    Behind each proxy, page and socket have one session, the cookie is C{Secure},
    other origins are refused, and what a client says of itself counts for nothing.
    """
    async with serving() as server, behind(tmp_path, server) as visitor:
        await visitor.get("/")
        assert "Secure" in visitor.setCookies[0].split("; ")
        socket = await visitor.connect(origin=visitor.site)
        assert await socket.ask("count") == {"count": 1}
        forged = {"X_Forwarded_Host": "a.example", "X_Forwarded_Proto": "http"}
        for origin, headers in (
            ("https://127.0.0.1", {}),
            ("http://a.example", forged),
            ("https://a.example", forged),
        ):
            with pytest.raises(Refused, match="403"):
                await visitor.connect(origin=origin, **headers)
        # The figures are not for the public.
        assert b"sessionsock_" not in (await visitor.get("/metrics")).body
        server.signal("TERM")
        assert await socket.closes() == (1001, "server going away")


@pytest.mark.redis
@inReactor
async def test_unready(tmp_path: Path) -> None:
    """
    HAProxy sends nobody to a server whose store is away, and leaves the sockets alone
    that are there.
    """
    with RedisServer() as redis:
        async with (
            serving(f"--store={redis.url}") as server,
            haproxy(tmp_path, server) as visitor,
        ):
            await visitor.get("/")
            socket = await visitor.connect(origin=visitor.site)
            redis.kill()
            # HAProxy's own answer, where the server would still have the script.
            await answers(visitor, "/sessionsock.js", 503)
            assert socket.closed is None
            redis.start()
            await answers(visitor, "/sessionsock.js", 200)


@inReactor
async def test_prometheus(tmp_path: Path) -> None:
    """
    Prometheus takes its settings and the alerts, and scrapes the figures.
    """
    prometheus = installedProxy("prometheus")
    async with serving() as server:
        port = freePort()
        watched = f"127.0.0.1:{server.ports[-1]}"
        changes = {
            "sockets:9100": watched,
            "scrape_interval: 5s": "scrape_interval: 1s",
        }
        (tmp_path / "alerts.yml").write_text(deployed("alerts.yml"))
        file = tmp_path / "prometheus.yml"
        file.write_text(deployed("prometheus.yml", **changes))
        checked = [installedProxy("promtool"), "check", "config", str(file)]
        subprocess.run(checked, check=True, capture_output=True)
        visitor = Visitor(server.port)
        await visitor.get("/")
        socket = await visitor.connect()
        await socket.ask("count")
        async with program(
            prometheus,
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            listen=0,
        ) as running:
            watcher = Visitor(port)
            await answers(watcher, "/-/ready", 200)
            assert running.status is None, running.errors
            for _ in range(_PATIENCE):
                query = "/api/v1/query?query=sessionsock_messages_total"
                result = (await watcher.get(query)).value["data"]["result"]
                if result:
                    break
                await deferLater(reactor, 0.1)
            assert result[0]["value"][1] == "1"
            assert result[0]["metric"]["instance"] == watched
            # By this the alerts know it.
            assert result[0]["metric"]["job"] == "sessionsock"
            rules = (await watcher.get("/api/v1/rules")).value["data"]["groups"]
            assert len(rules[0]["rules"]) == 5
            # Every question of the dashboard is one that it understands.
            for expression in expressions():
                answer = await watcher.get(f"/api/v1/query?query={quote(expression)}")
                assert answer.value["status"] == "success", expression


def expressions() -> list[str]:
    """
    What the dashboard asks for.
    """
    found = json.loads(deployed("grafana/dashboards/sessionsock.json"))
    return [t["expr"] for panel in found["panels"] for t in panel["targets"]]


def test_figures() -> None:
    """
    The dashboard and the alerts name figures that there are, and the dashboard leaves
    none out.
    """
    known = {f"sessionsock_{name}" for name in figures.GAUGES}
    known |= {f"sessionsock_{name}_total" for name in figures.COUNTS}
    for name in figures.TIMES:
        known |= {f"sessionsock_{name}_bucket", f"sessionsock_{name}_sum"}
    shown = set(re.findall(r"sessionsock_\w+", " ".join(expressions())))
    asked = set(re.findall(r"sessionsock_\w+", deployed("alerts.yml")))
    assert shown | asked <= known
    left = known - shown
    assert all(name.endswith(("_sum", "_bucket")) for name in left), left


def test_image() -> None:
    """
    What the image runs can be run like that, and ends before it is killed.
    """
    (line,) = re.findall(r"^CMD (.*)$", deployed("Dockerfile"), re.MULTILINE)
    command = ServerOptions()
    command.parseOptions(json.loads(line)[1:])
    assert (command["nodaemon"], command["pidfile"]) == (1, "")
    (killed,) = re.findall(r"stop_grace_period: (\d+)s", deployed("compose.yaml"))
    assert command.subOptions["drain"] < int(killed)
    assert command.subOptions["workers"] == 2


@pytest.mark.skipif(which("systemd-analyze") is None, reason="no systemd here")
def test_units(tmp_path: Path) -> None:
    """
    systemd takes the units.
    """
    changes = {"/srv/app/venv/bin/twistd": TWISTD}
    text = deployed("sessionsock.service", **changes)
    (tmp_path / "sessionsock.service").write_text(text)
    (tmp_path / "sessionsock.socket").write_text(deployed("sessionsock.socket"))
    units = [str(tmp_path / f"sessionsock.{kind}") for kind in ("service", "socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(which("systemd-socket-activate") is None, reason="no systemd here")
@inReactor
async def test_socket(tmp_path: Path) -> None:
    """
    What the unit runs serves at the socket that systemd listens at.
    """
    port, secret = freePort(), tmp_path / "session"
    secret.write_text(SECRET)
    text = deployed(
        "sessionsock.service",
        **{
            "/srv/app/venv/bin/twistd": TWISTD,
            "%d/session": str(secret),
            "tcp:9100": f"tcp:{freePort()}",
        },
    )
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    # A socket has the name of its unit.
    activate = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}"]
    activate += ["--fdname=sessionsock.socket"]
    kept = ["-E", f"PYTHONPATH={DEPLOY}"]
    async with program(
        str(which(activate[0])), *activate[1:], *kept, *line.split(), listen=0
    ) as server:
        visitor = Visitor(port)
        await answers(visitor, "/", 200)
        socket = await visitor.connect(origin=visitor.site)
        assert await socket.ask("count") == {"count": 1}
        server.signal("TERM")
        assert await socket.closes() == (1001, "server going away")
