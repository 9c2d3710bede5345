# Everything sets itself up: a Python >= 3.10 and make are enough. Run `make` for the list.
#
#   make test PYTHON=python3.13    another interpreter, in a venv of its own (.venvs/3.13)

PYTHON ?= python3
# Most tests wait for processes; each file stays with one worker.
WORKERS ?= -n 4 --dist loadfile
MINUTES ?= 10
ifeq ($(PYTHON),python3)
VENV ?= .venv
else
VENV ?= .venvs/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo missing)
endif

python := $(VENV)/bin/python
pip := $(python) -m pip --quiet --quiet --disable-pip-version-check install

.PHONY: help demo test native-check native-check-here lint format bench bench-here bench-readme bench-stacks bench-stacks-here bench-arming bench-arming-here soak soak-all test-all
.PHONY: bench-job bench-job-here bench-tripped bench-tripped-here oracle oracle-here oracle-faults cpython-suites signals conditions conditions-here frameworks frameworks-here wheel clean

help:
	@echo 'make demo       start a small server, trace two of its requests, leave nothing behind'
	@echo 'make test       the tests (ARGS=... goes to pytest)'
	@echo 'make test-all   the tests on every CPython 3.10-3.14 found here'
	@echo 'make cpython-suites  CPython'"'"'s own tests with every test method traced, on every CPython found here'
	@echo 'make signals    exceptions of 4000 signal handlers pass a traced loop, on every CPython found here'
	@echo 'make native-check  the C of the native core under sanitizers, on every CPython found here (ARGS=... goes to pytest)'
	@echo 'make lint       ruff and mypy (make format repairs what can be repaired)'
	@echo 'make oracle     compare random programs with a reference recorder (PROGRAMS=20000) on every CPython found here'
	@echo 'make conditions  random conditions on random values, on every CPython found here'
	@echo 'make bench      what tracing costs, beside other tracers, on every CPython found here'
	@echo 'make bench-readme   writes what that found into the README'
	@echo 'make bench-stacks   what a look with stacks takes after a minute on a lock, on every CPython found here'
	@echo 'make bench-job   what a block of tracepatch.job() costs while nobody waits for jobs'
	@echo 'make bench-tripped   a hot loop under an expensive condition: throttled, ended, and as fast as before'
	@echo 'make bench-arming   what arming takes and holds up in an application of 20 000 functions, on every CPython found here'
	@echo 'make frameworks  http: and job: targets on the oldest and newest of all web frameworks, on all servers and task queues, on every CPython found here'
	@echo 'make soak       a busy process, armed and disarmed at random, every node checked (MINUTES=10; make soak-all)'
	@echo 'make wheel      dist/*.whl'
	@echo 'make clean      remove the virtual environments and everything built'

demo: $(VENV)/.demo
	@$(python) -m tracepatch_ctl demo

test: $(VENV)/.test
	@$(python) -m pytest $(WORKERS) $(ARGS)

native-check:
	@PROGRAMS=300 bash .ci/every native-check-here

native-check-here: $(VENV)/.test
	@bash .ci/native-check '$(python)' 'build/native-check/$(notdir $(VENV))' $(ARGS)

signals:
	@TRACEPATCH_SIGNALS=2000 bash .ci/every signals-here

signals-here: $(VENV)/.test
	@$(python) -m pytest tests/test_interference_signals.py -q $(ARGS)

cpython-suites:
	@bash .ci/every cpython-suites-here

cpython-suites-here: $(VENV)/.test
	@bash .ci/cpython-tests '$(python)' || true
	@$(python) tests/interference $(ARGS)

lint: $(VENV)/.lint
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy

format: $(VENV)/.lint
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

test-all:
	@bash .ci/every test

# PROGRAMS of each, from SEED on; a difference is printed with its seed: make oracle-here PROGRAMS=1 SEED=... ARGS=--shrink
PROGRAMS ?= 20000
SEED ?= 0

oracle:
	@bash .ci/every oracle-here

oracle-here: $(VENV)/.test
	@cd tests && $(abspath $(python)) -m oracle --programs $(PROGRAMS) --seed $(SEED) $(ARGS)

oracle-faults:
	@$(MAKE) --no-print-directory oracle-here ARGS=--faults

# Random texts and values; what is printed is the slowest of each: make conditions-here TEXTS=1000 SEED=...
TEXTS ?= 1000000
VALUES ?= 100000

conditions:
	@bash .ci/every conditions-here

conditions-here: $(VENV)/.test
	@PYTHONPATH=tests $(python) -m condition_fuzz --texts $(TEXTS) --values $(VALUES) --seed $(SEED)

bench:
	@rm -f .venvs/*/bench.json
	@bash .ci/every bench-here
	@$(PYTHON) -m benchmarks.summary .venvs/*/bench.json

bench-here: $(VENV)/.bench
	@$(python) -m benchmarks --save $(VENV)/bench.json $(ARGS)

bench-readme:
	@$(PYTHON) -m benchmarks.summary --readme README.md .venvs/*/bench.json

bench-stacks:
	@bash .ci/every bench-stacks-here

bench-stacks-here: $(VENV)/.demo
	@$(python) -m benchmarks.stacks $(ARGS)

bench-job:
	@bash .ci/every bench-job-here

bench-job-here: $(VENV)/.demo
	@$(python) -m benchmarks.job

bench-tripped:
	@bash .ci/every bench-tripped-here

bench-tripped-here: $(VENV)/.demo
	@$(python) -m benchmarks.tripped

bench-arming:
	@bash .ci/every bench-arming-here

bench-arming-here: $(VENV)/.demo
	@$(python) -m benchmarks.arming $(ARGS)

frameworks:
	@bash .ci/every frameworks-here

frameworks-here: $(VENV)/.frameworks
	@TRACEPATCH_FRAMEWORKS=all $(python) -m pytest tests/test_http_targets.py tests/test_http_oldest.py \
		tests/test_http_servers.py tests/test_gateway.py tests/test_jobs.py -q $(ARGS)

soak: $(VENV)/.test
	@PYTHONPATH=tests $(python) -m soak --minutes $(MINUTES)

soak-all:
	@bash .ci/every soak

wheel: $(VENV)/.demo
	@$(python) -m pip --quiet --disable-pip-version-check wheel --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:
	rm -f agent/tracepatch/cores/*.so
	rm -rf .venv .venvs dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .tracepatch_cache

# A stamp per set of packages: the second run installs nothing. A missing or newer interpreter renews them.

$(python):
	@sh .ci/venv '$(PYTHON)' '$(VENV)'

$(VENV)/.demo: $(python) pyproject.toml
	@echo 'installing into $(VENV) ...'
	@$(pip) --upgrade 'pip>=25.1'
	@$(pip) -e '.[demo,ctl]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	@$(pip) --group test
	@touch $@

$(VENV)/.frameworks: $(VENV)/.test
	@$(pip) --group frameworks
	@touch $@

$(VENV)/.lint: $(VENV)/.demo
	@$(pip) --group lint
	@touch $@

$(VENV)/.bench: $(VENV)/.demo
	@$(pip) --group bench
	@touch $@
