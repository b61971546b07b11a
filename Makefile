# Everything a developer or an operator starts here. `make run` and `make test` need Python 3.11+ and make, nothing else.
#
#   make run        the gateway on the quickstart configuration      make test    everything, against the real server
#   make check      format, lint, types, architecture, unit          make help    this list
#
# PYTHON=/path/to/python3.13 make install    picks the interpreter of a new .venv; one that is there stays: make clean

PYTHON ?= $(shell for python in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
UV ?= uv

VENV := .venv
# What pins other versions than ours and is only ever started as a program.
MOCK := .venv-mock
# What looks at the locks from outside.
AUDIT := .venv-audit
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
# Images set it to stay small. Here everything is run many times, and a start that compiles takes 0.4 s of CPU more.
unexport PYTHONDONTWRITEBYTECODE
# Nothing reaches the environment that the lock file does not name by hash, and nothing is compiled on this machine.
LOCKED := install --require-hashes --only-binary :all: --requirement

.DEFAULT_GOAL := help
.PHONY: help install install-test run test check test-long golden fuzz lock vendor clean audit sbom \
	perf perf-quick perf-full perf-compare perf-readme perf-peers perf-profile perf-k6 perf-locust perf-simulation perf-fleet \
	perf-lock soak

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

install: $(VENV)/installed
install-test: $(VENV)/installed-test

$(VENV)/installed: requirements/runtime.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed: install it, or name it with PYTHON=...' >&2; exit 1; }
	@test -x $(VENV)/bin/python && $(VENV)/bin/python -c '' || "$(PYTHON)" -m venv --clear $(VENV)
	$(PIP) $(LOCKED) requirements/runtime.lock
	$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed $(patsubst %,requirements/%.lock,test tools frameworks mock)
	$(PIP) $(LOCKED) requirements/test.lock
	@# Wheels for fewer platforms (see pyproject.toml): where one is missing, the tests that need it are skipped.
	$(PIP) $(LOCKED) requirements/tools.lock || echo 'make: some test tools cannot be installed here; see the skips' >&2
	$(PIP) $(LOCKED) requirements/frameworks.lock || echo 'make: no frameworks can be installed here; see the skips' >&2
	{ "$(PYTHON)" -m venv --clear $(MOCK) && $(subst $(VENV),$(MOCK),$(PIP)) $(LOCKED) requirements/mock.lock; } || \
		echo 'make: mock-ai-api cannot be installed here; see the skips' >&2
	@touch $@

$(AUDIT)/installed: requirements/audit.lock
	"$(PYTHON)" -m venv --clear $(AUDIT)
	$(subst $(VENV),$(AUDIT),$(PIP)) $(LOCKED) requirements/audit.lock
	@touch $@

run: install
	@$(VENV)/bin/python deploy/examples/quickstart/run.py --end-with-parent

# Both share the cores, file by file; the second runs whatever the first says. Whoever needs the machine alone is long.
# Tests wait for other processes a third of the time and more, so there is one process more than cores are counted on.
# They get the files in the order of tests/conftest.py, the longest first.
SHARED := --numprocesses 3 --dist loadfile --no-loadscope-reorder
test: install-test
	@failed=0; \
	$(VENV)/bin/python -m pytest $(SHARED) \
		tests/test_architecture.py tests/unit tests/golden tests/fuzz tests/conformance || failed=$$?; \
	$(VENV)/bin/python -m pytest $(SHARED) tests/e2e tests/browser || failed=$$?; \
	exit $$failed

test-long: install-test
	$(VENV)/bin/python -m pytest --long

golden: install-test
	$(VENV)/bin/python -m pytest tests/golden --golden-rewrite

# 20 minutes of CPU time for each target; tests/fuzz/README.md has the arguments.
fuzz: install-test
	$(PIP) $(LOCKED) requirements/fuzz.lock
	$(VENV)/bin/python -m tests.fuzz $(ARGS)

check: install-test
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m mypy
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile tests/test_architecture.py tests/unit

# Asks the index's database of known weaknesses, so it needs the network; what could not be looked up is a failure too.
audit: $(AUDIT)/installed
	@failed=0; for lock in requirements/*.lock perf/requirements/*.lock; do \
		echo "$$lock"; \
		$(AUDIT)/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes --requirement "$$lock" || failed=1; \
	done; \
	test $$failed = 0 || { echo 'make audit: a package above has a known weakness, or the database could not be asked' >&2; exit 1; }

# What a release consists of, from the lock, in CycloneDX; needs no network and always gives the same bytes.
sbom: $(AUDIT)/installed
	$(AUDIT)/bin/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible \
		--spec-version 1.6 --output-format JSON --validate --output-file gateway.cdx.json requirements/runtime.lock

perf-quick: install-test
	$(VENV)/bin/python -m perf quick

perf: install-test
	$(VENV)/bin/python -m perf standard

# Stopped, it goes on where it was when it is started again.
perf-full: install-test
	$(VENV)/bin/python -m perf full --resume

# make perf-compare A B: two kept runs, each by a part of its name. The names are no targets to be made.
ifeq ($(firstword $(MAKECMDGOALS)),perf-compare)
COMPARED := $(wordlist 2,3,$(MAKECMDGOALS))
.PHONY: $(COMPARED)
$(COMPARED):
	@:
endif
perf-compare: install-test
	$(VENV)/bin/python -m perf.compare $(COMPARED)

perf-readme: install-test
	$(VENV)/bin/python -m perf.readme

# The tools and peers of the suite get environments of their own under .perf/; perf/README.md has the variables.
perf-peers: install-test
	$(VENV)/bin/python -m perf.peers $(ARGS)

perf-profile: install-test
	$(VENV)/bin/python -m perf.profile_worker $(ARGS)

perf-simulation: install-test
	$(VENV)/bin/python -m perf.simulation $(ARGS)

perf-fleet: install-test
	$(VENV)/bin/python -m perf.fleet $(ARGS)

# Beside other work: it takes a tenth of a core. ARGS="--minutes 3" for a first look.
soak: install-test
	$(VENV)/bin/python -m perf.soak $(ARGS)

perf-k6: install-test
	$(VENV)/bin/python -m perf.k6 $(ARGS)

perf-locust: install-test
	$(VENV)/bin/python -m perf.environments locust >/dev/null
	.perf/locust/bin/locust --locustfile perf/locustfile.py --web-host 127.0.0.1 $(ARGS)

# The newest versions that pyproject.toml allows, for Python 3.11 and later on every platform, wheels only.
# `uv` is needed here and nowhere else.
COMPILE := $(UV) pip compile --quiet --upgrade --no-config --universal --python-version 3.11 --generate-hashes --no-build \
	--custom-compile-command 'make lock'
lock:
	$(COMPILE) pyproject.toml --extra aws --extra azure --extra google --extra jwt --extra redis --group build --output-file requirements/runtime.lock
	$(COMPILE) pyproject.toml --extra aws --extra azure --extra google --extra jwt --extra redis --group build --group test --constraint requirements/runtime.lock --output-file requirements/test.lock
	$(COMPILE) --group tools --constraint requirements/test.lock --output-file requirements/tools.lock
	$(COMPILE) --group frameworks --constraint requirements/test.lock --output-file requirements/frameworks.lock
	$(COMPILE) --group mock --output-file requirements/mock.lock
	$(COMPILE) --group fuzz --output-file requirements/fuzz.lock
	$(COMPILE) --group audit --output-file requirements/audit.lock

PERF_COMPILE = $(subst make lock,make perf-lock,$(COMPILE))
perf-lock:
	for list in perf/requirements/*.in; do $(PERF_COMPILE) "$$list" --output-file "$${list%.in}.lock" || exit; done
	cd perf/requirements/portkey && rm -f package-lock.json && npm install --package-lock-only --ignore-scripts

# What the dashboard brings of others, as its authors have built it. `npm` is needed here and nowhere else.
VENDOR := gateway/control/pages/static/vendor
UPLOT := 1.6.32
vendor:
	folder=$$(mktemp -d) && cd "$$folder" && npm pack --silent uplot@$(UPLOT) && tar -xzf uplot-$(UPLOT).tgz && \
		cp package/LICENSE package/dist/uPlot.min.css "$(CURDIR)/$(VENDOR)/uplot/" && \
		cp package/dist/uPlot.iife.min.js "$(CURDIR)/$(VENDOR)/uplot/uPlot.min.js" && rm -r "$$folder"
	cd $(VENDOR)/uplot && sha256sum --check SHA256SUMS

clean:
	rm -rf $(VENV) $(MOCK) $(AUDIT) gateway.cdx.json build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
