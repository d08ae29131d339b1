# Two commands do everything: `make demo` and `make test`.  Both make and use .venv/ here; an existing environment with the
# dependencies is used as it is with VENV=/path/to/it.
SHELL := /bin/bash
VENV ?= .venv
UV := 0.13.9
# Python may keep what it compiles, whatever the environment says: the tests start some hundred processes.
RUN = PYTHONDONTWRITEBYTECODE= PYTHONPATH=$(CURDIR)/python $(VENV)/bin/python
WORKERS ?= 2
JUNIT ?= payloads.xml
MINUTES ?= 3
MEMORY_SLOPE ?= 400

.PHONY: help setup demo test slow faults soak long payloads lint format lock clean

help:
	@echo "make demo      simulate three LSSTCam exposures and reduce them; results under demo/"
	@echo "make test      run the tests"
	@echo "make slow      run the tests that take minutes: the benchmark's own, more shapes of pipelines"
	@echo "make faults    kill runs at every phase, three times each, and check that nothing is lost (some minutes)"
	@echo "make soak      a run of three minutes with faults and kills at random, and the balance of all that was sent"
	@echo "make long      run the tests that take long"
	@echo "make payloads  test the channels alone, with plain pipetask; results in $(JUNIT)"
	@echo "make lint      ruff, mypy and the layer contracts"
	@echo "make lock      pin the dependencies anew (needs uv)"
	@echo "make clean     remove .venv/ and demo/"

# An environment of ours is set up; another one is used as it is.
ifneq ($(filter .venv%,$(VENV)),)
setup: $(VENV)/.ready
else
setup:
	@$(RUN) -c "import lsst.ctrl.rapid.cli, lsst.ctrl.mpexec, pytest" || \
		{ echo "$(VENV) has not all dependencies: see pyproject.toml, or leave VENV out."; exit 2; }
endif

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "Making $(VENV): this takes about a minute the first time."
	@VENV="$(VENV)" UV="$(UV)" bash .ci/setup
	@touch $@

demo: setup
	@mkdir -p demo
	$(RUN) -m lsst.ctrl.rapid.cli run pipelines/summit.yaml --work-dir demo --simulate 3 --workers $(WORKERS) \
		--report demo/report.json
	@cp "$$(ls demo/published/*/quick_focal_plane_plot/*.png | sort | tail -1)" demo/focal-plane.png
	@echo "Picture: demo/focal-plane.png"
	@echo "Look at the numbers: $(VENV)/bin/rapid-exec report demo/report.json"

test: setup
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

# What shows once more, or of more, what `make test` shows.
slow: setup
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile -m slow $(PYTEST)

# The whole fault matrix, of which `make test` runs the short form: minutes of runs that are killed.
faults: setup
	$(RUN) -m pytest -n $(WORKERS) -m faults $(PYTEST)

# A run with kills and faults at random.  One of minutes sees little but workers that fill their memory for the first
# time: it is only asked that they do not grow without any bound.
soak: setup
	$(RUN) -m lsst.ctrl.rapid.cli soak --minutes $(MINUTES) --memory-slope $(MEMORY_SLOPE)

# What `make test` leaves out because it takes long, the fault matrix aside.
long: setup
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile -m soak -o timeout=3600 $(PYTEST)

# What a channel's author runs, and Jenkins: the unit tests of the channels, and every step of the pipelines in
# processes of plain pipetask.  The executor has no part in it.
payloads: setup
	$(RUN) -m pytest -n $(WORKERS) tests/channels $(PYTEST)
	PATH="$(abspath $(VENV))/bin:$$PATH" $(RUN) -m lsst.ctrl.rapid.cli test-channels pipelines/summit.yaml \
		--junit $(JUNIT) -j $(WORKERS)

lint: setup
	$(VENV)/bin/ruff check python tests
	$(VENV)/bin/ruff format --check python tests
	$(VENV)/bin/mypy
	PYTHONPATH=$(CURDIR)/python $(VENV)/bin/lint-imports

format: setup
	$(VENV)/bin/ruff check --fix python tests
	$(VENV)/bin/ruff format python tests

lock:
	uv pip compile pyproject.toml --extra test --extra postgres --extra bench --universal --python-version 3.12 --generate-hashes \
		--no-header --output-file requirements.lock

clean:
	rm -rf .venv .venv-* demo payloads.xml
