# Each environment is made when it is first needed, and again when what it installs changes.
PYTHON ?= python3
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What `make zoo` trains on and chooses weights by.
ZOO_DATA ?= ../shared/data/train
ZOO_VALIDATION ?= ../shared/data/validation
ZOO := $(shell sed 's/\#.*//' weights/queue.txt)

# What the package is built from, but for Python.
NATIVE := hatch_build.py $(wildcard native/*.cpp native/*.h)

.PHONY: demo test test-lab test-no-torch fuzz sanitize check format docs zoo clean
.NOTPARALLEL: zoo

demo: .venv-demo/ready            ## upscale a photo; needs no torch
	.venv-demo/bin/python demo/demo.py

test: check test-lab test-no-torch ## everything that CI runs

test-lab: .venv/ready
	.venv/bin/python -m pytest

test-no-torch: .venv-core/ready   ## the suite where torch is not installed
	.venv-core/bin/python -m pytest

fuzz: .venv/ready                 ## damaged picture files, for some ten minutes
	LEANSR_FUZZ_EXAMPLES=2000 .venv/bin/python -m pytest -q tests/test_codecs_fuzz.py

sanitize:                         ## the native engine against plain loops, under the sanitizers
	$(MAKE) -C native sanitize

check: .venv/ready
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/cog --check -I docs README.md docs/*.md

format: .venv/ready
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

docs: .venv/ready                 ## write the table of costs, the reproductions and the generated parts again
	.venv/bin/python -m leansr.lab.measure.costs
	.venv/bin/python docs/reproductions.py
	.venv/bin/cog -r -I docs README.md docs/*.md

zoo: $(ZOO:%=zoo/%)               ## go on with weights/queue.txt; runs that are over end at once

zoo/%: .venv/ready
	nice -n 19 .venv/bin/python -m leansr train $* \
		--data $(ZOO_DATA) --validation $(ZOO_VALIDATION) --run runs/$*

clean:
	rm -rf .venv .venv-core .venv-demo

.venv-demo/ready: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python $(PIP_INSTALL) --editable .
	touch $@

.venv-core/ready: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv .venv-core
	.venv-core/bin/python $(PIP_INSTALL) --editable '.[test]'
	touch $@

.venv/ready: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP_INSTALL) --editable '.[train,formats,plot,perceptual,vela,test,check]'
	touch $@
