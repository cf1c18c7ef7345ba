"""
A real nginx before servers of a test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import which

import pytest

from tests.support.servers import program


__all__ = ["installedProxy", "nginxWith"]

_NGINX = """
daemon off;
master_process off;
pid {0}/nginx.pid;
error_log stderr notice;
events {{}}
http {{
    access_log off;
    client_body_temp_path {0}/body;
    proxy_temp_path {0}/proxy;
    fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi;
    scgi_temp_path {0}/scgi;
    {1}
}}
"""


def installedProxy(name: str) -> str:
    """
    Find a program.  Skips the test if there is none.
    """
    # It is where root alone looks.
    found = which(name) or which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"no {name}: install it")
    return found


@asynccontextmanager
async def nginxWith(directory: Path, settings: str) -> AsyncIterator[None]:
    """
    Run nginx, until the end of the block.

    @param directory: Of its own.

    @param settings: What it serves.
    """
    file = directory / "nginx.conf"
    file.write_text(_NGINX.format(directory, settings))
    command = (installedProxy("nginx"), "-p", str(directory), "-c", str(file))
    async with program(*command, listen=0) as proxy:
        # By then, it listens.
        await proxy.until(lambda: "event method" in proxy.errors or proxy.status)
        assert proxy.status is None, proxy.errors
        yield
