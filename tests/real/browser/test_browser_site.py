"""
The site that C{make docs} makes of the documentation, in a real browser which finds
no other host than the site's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest
from selenium.webdriver import Chrome

from tests.support.browser import chromium, missing, overflow, until, width
from tests.support.documents import DOCUMENTS, ROOT


_MISSING = [name for name in ("furo", "myst_parser") if find_spec(name) is None]

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
    pytest.mark.skipif(bool(_MISSING), reason='no Sphinx: pip install -e ".[docs]"'),
]

_ELSEWHERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"

_LOADED = """return performance.getEntriesByType("resource")
    .map((each) => new URL(each.name).origin)
    .filter((origin) => origin !== location.origin)"""

_CUT = """return [...document.querySelectorAll("article *")].filter((each) => {
    const { right, width } = each.getBoundingClientRect();
    if (!width || right <= innerWidth + 1) return false;
    for (let around = each; (around = around.parentElement); )
      if (["auto", "scroll"].includes(getComputedStyle(around).overflowX)) return false;
    return true;
  }).map((each) => `${each.tagName}: ${each.textContent.slice(0, 60)}`)"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """
    The pages, served without the reference of the API, which takes half a minute to
    make.

    @return: The address.
    """
    base = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q"),
            *("-b", "html", "-d", base / "doctrees", "-c", "docs", ".", base / "site"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    handler = partial(_Quiet, directory=str(base / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def driver() -> Iterator[Chrome]:
    with chromium(_ELSEWHERE) as driver:
        yield driver


def address(page: Path) -> str:
    """
    @return: Where the site has a page, relative to the top.
    """
    return page.relative_to(ROOT).with_suffix(".html").as_posix()


def test_search(driver: Chrome, site: str) -> None:
    """
    A word is found, and the page that has it is opened, while the network has
    nothing else.
    """
    driver.get(f"{site}search.html?q=unconfirmed")
    found = "document.querySelector('#search-results a[href*=\"docs/browser\"]')"
    until(driver, found)
    assert driver.execute_script(_LOADED) == []
    driver.execute_script(f"{found}.click()")
    until(driver, "document.querySelector('h1')?.textContent.includes('sessionsock')")


def test_fits(driver: Chrome, site: str) -> None:
    """
    Each page fits a telephone and a screen.  What is too wide scrolls by itself, and
    nothing comes from elsewhere.
    """
    for pixels in 320, 1280:
        width(driver, pixels)
        for page in DOCUMENTS:
            driver.get(site + address(page))
            assert driver.execute_script(_CUT) == [], (pixels, page.name)
            assert not overflow(driver)[:1], (pixels, page.name)
            assert driver.execute_script(_LOADED) == [], page.name


def test_files(driver: Chrome, site: str) -> None:
    """
    What is linked to and is no page is shown: a program with its text, a folder with
    what is in it.
    """
    driver.get(f"{site}README.html")
    driver.execute_script("document.querySelector('a[href*=\"site.py\"]').click()")
    until(driver, "document.querySelector('h1')?.textContent === 'examples/site.py'")
    text = driver.execute_script("return document.querySelector('pre').textContent")
    assert text.strip() == (ROOT / "examples" / "site.py").read_text("utf-8").strip()
    driver.get(f"{site}examples/index.html")
    links = driver.execute_script(
        "const links = [...document.querySelectorAll('article li a')];"
        "return links.map((link) => link.textContent)"
    )
    assert {"site.py", "webapps/", "migrating/"} <= set(links)
    assert not {"node_modules/", "__pycache__/"} & set(links)
