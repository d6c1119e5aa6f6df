# Every target sets itself up. PYTHON names the interpreter that makes .venv (3.11 or newer).
PYTHON ?= python3
RUN = .venv/bin/python
# two threads can be slower than one on small machines; worker processes do the parallel work
export OMP_NUM_THREADS ?= 1

.PHONY: verify test bench notebooks catalogue clean

verify:  ## verify the catalogue at the quick budget, certify a network on real data, write the report
	@$(PYTHON) tools/bootstrap.py torch
	@$(RUN) -m nonvacuous.main_job

test:  ## everything that must hold
	@$(PYTHON) tools/bootstrap.py torch dev notebooks ntk dask
	@$(RUN) -m pytest -n auto --maxprocesses 8 --dist loadfile

bench:  ## the figures of benchmarks/RESULTS.md
	@$(PYTHON) tools/bootstrap.py torch dev notebooks ntk dask
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(RUN) $$script || exit 1; done

notebooks:  ## execute the course at full size and save its outputs
	@$(PYTHON) tools/bootstrap.py torch dev notebooks ntk dask
	@$(RUN) tools/notebooks.py

catalogue:  ## refresh the data that ships with the package, after a verification
	@$(PYTHON) tools/bootstrap.py torch
	@$(RUN) -m nonvacuous.cli.main verify --out nonvacuous-runs
	@$(RUN) -m nonvacuous.shipping nonvacuous-runs
	@$(RUN) tools/readme.py nonvacuous-runs

clean:  ## what the other targets made, except .venv
	rm -rf nonvacuous-runs build .pytest_cache .mypy_cache .ruff_cache .hypothesis
