# make demo    serve the demo at http://localhost:8080/
# make test    run all tests; ARGS="-k cookies" runs some, ARGS="-n0 --pdb" in one process
# make quick   run those that are in memory
# make lint    ruff and mypy
# make floors  the tests that run in memory, with the lowest versions of setup.py
# make fuzz    those that try what comes by chance, FUZZ times as long as usual
# make conformance  the cases of the Autobahn test suite, against our sockets
# make simulate  histories that come by chance: HISTORIES= or SECONDS=, JOBS=, SEED=
# make mistakes  see whether the simulator finds those that are planted: ONLY=, JOBS=
#                with LONG=1, both without the short way of messages
# make docs    the documentation as a site, into build/docs
# make npm     the package for npm, into build/npm, and its tests
# make dist    what is released, into dist, and whether it works as users install it;
#              TESTS="tests/package" runs fewer of its tests
# make bench   measure beside others, with packages of its own: ARGS=--quick, ARGS=--markdown
#              ARGS=growth, how cost grows
# make clean   remove what these made
#
# Each sets up what it needs in .venv, once.  PYTHON=python3.13 chooses one.

PYTHON ?= python3
ARGS ?=
# How many processes run tests.  With more than there are processors, servers do
# not always answer within the time that tests give them.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
IN_MEMORY := not (browser or e2e or packaging or postgresql or redis or webapps)

.PHONY: demo test quick lint fuzz conformance simulate mistakes docs npm dist bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.has-demo
	$(BIN)/twistd --nodaemon --pidfile= sessionsock $(ARGS)

test: $(VENV)/.has-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

quick: $(VENV)/.has-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore tests/real \
	  --hypothesis-profile quick -m "$(IN_MEMORY)" $(ARGS)

lint: $(VENV)/.has-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# By mark or by name.
FUZZ ?= 50
fuzz: $(VENV)/.has-test
	FUZZ=$(FUZZ) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -k fuzz $(ARGS)

# Its cases alone are used: the rest of it is for Python 2.
SUITE := build/conformance
conformance: $(VENV)/.has-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --upgrade --target $(SUITE) autobahntestsuite==25.10.1
	$(BIN)/python -m tests.real.conformance $(SUITE)/autobahntestsuite $(CASES)

HISTORIES ?= 1000
JOBS ?= 2
simulate: $(VENV)/.has-test
	$(BIN)/python -m simulation --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) \
	  $(if $(LONG),--long) $(if $(SECONDS),--seconds $(SECONDS),--histories $(HISTORIES))

mistakes: $(VENV)/.has-test
	$(BIN)/python -m simulation.mistakes --jobs $(JOBS) --only "$(ONLY)" \
	  $(if $(LONG),--long)

# Warnings are errors.  Its last line looks for links that lead nowhere, and for what
# would be loaded from elsewhere.
SITE := build/docs
docs: $(VENV)/.has-docs
	rm -rf $(SITE)
	$(BIN)/python -m sphinx -W --keep-going -n -E -q -b html -d build/doctrees -c docs . $(SITE)
	PYTHONPATH=docs/site $(BIN)/pydoctor --html-output $(SITE)/api
	$(BIN)/python .ci/site.py $(SITE)

# Its version is the one of setup.py.
npm: $(VENV)/.made
	@node --version > /dev/null || { echo 'Its tests need Node.js'; exit 1; }
	$(BIN)/python .ci/npm.py build/npm
	node --test npm/tests/*.test.mjs

# The wheel is built of the source distribution, whose tests are run: all that are in
# memory, unless TESTS names some.
TESTS ?= tests
dist: $(VENV)/.has-dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python .ci/dist.py dist build/dist $(TESTS)

# The others have their packages to themselves.
PEERS := build/peers
bench: $(VENV)/.has-test $(PEERS)/.has-python $(PEERS)/.has-node
	$(BIN)/python -m benchmarks.compare $(ARGS)

$(PEERS)/.has-python: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv --clear $(PEERS)/venv
	$(PEERS)/venv/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(PEERS)/.has-node: benchmarks/peers/package.json benchmarks/peers/package-lock.json
	@npm --version > /dev/null || { echo 'The others need Node.js with npm'; exit 1; }
	mkdir -p $(PEERS)
	cp $^ $(PEERS)
	cd $(PEERS) && npm ci --silent
	@touch $@

clean:
	rm -rf $(VENV) $(FLOORS) build dist *.egg-info twisted/plugins/dropin.cache
	rm -rf tests.* _trial_temp* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or later is needed: make PYTHON=python3.13'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo 'This Python makes no virtual environments: install python3-venv'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.has-demo: EXTRA := [redis]
$(VENV)/.has-test: EXTRA := [test]
$(VENV)/.has-dev: EXTRA := [dev]
$(VENV)/.has-docs: EXTRA := [docs]

$(VENV)/.has-%: setup.py pyproject.toml $(VENV)/.made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.$(EXTRA)'
	@touch $@

.PHONY: floors
FLOORS := .venv-floors

floors: $(FLOORS)/.made
	$(FLOORS)/bin/python -m pytest -n 2 --dist worksteal --hypothesis-profile quick \
	  -m "$(IN_MEMORY)" $(ARGS)

$(FLOORS)/.made: setup.py .ci/floors.py $(VENV)/.has-test
	$(PYTHON) -m venv --clear $(FLOORS)
	$(BIN)/python .ci/floors.py > $(FLOORS)/constraints.txt
	$(FLOORS)/bin/python -m pip install --quiet --disable-pip-version-check \
	  -c $(FLOORS)/constraints.txt -e '.[test,postgresql]'
	@touch $@
