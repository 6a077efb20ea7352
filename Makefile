# `make` alone explains what there is.

# How `make run` is built: optimised, but quick to compile. `make run PROFILE=release` for the full measure.
PROFILE ?= quick
HOST ?= 127.0.0.1
PORT ?= 8080
DAGS ?= examples
# The options of `make bench`; `target/release/bench --help` lists them.
BENCH ?= --check

COMPOSE = $(shell if docker compose version >/dev/null 2>&1; then echo docker compose; else echo docker-compose; fi)
NEXTEST = $(shell cargo nextest --version >/dev/null 2>&1 && echo yes)

SOAK = cargo test --locked --release --package domain --test it -- soak:: --nocapture

.DEFAULT_GOAL := help
.PHONY: help run test check fmt soak bench bench-airflow e2e airflow-diff up down

help: ## What there is
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## The whole platform with the examples on http://127.0.0.1:8080 (PORT, HOST, DAGS change that)
	@scripts/require rust compiler postgres psql python
	cargo build --locked --profile $(PROFILE) --package cli
	@exec target/$(PROFILE)/tradewind standalone --host $(HOST) --port $(PORT) --dags $(DAGS)

test: check-style ## Every test, with real PostgreSQL, Redis and Chromium
	@scripts/require postgres psql python redis browser
	$(if $(NEXTEST),cargo nextest run --locked --workspace,cargo test --locked --workspace --no-fail-fast)
	$(if $(NEXTEST),cargo test --locked --workspace --doc)

check: check-style ## The fast part: style, lints, and the tests that need no server
	cargo test --locked --package domain

.PHONY: check-style
check-style:
	@scripts/require rust compiler lints
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

fmt: ## Lay out the source text
	@scripts/require rust lints
	cargo fmt --all

e2e: ## The tests of the whole, in a real browser
	@scripts/require rust compiler postgres psql python redis browser
	cargo build --locked --package cli
	cargo test --locked --package e2e

airflow-diff: ## The same DAG files in Airflow and here, compared (DIFF='--only tutorial*' selects)
	@scripts/require rust compiler postgres python
	cargo build --locked --package cli
	@python3 e2e/airflow/diff.py both --examples $(DIFF)
	@python3 e2e/airflow/diff.py both --schedules $(DIFF)

soak: ## A million simulated worlds (SOAK_SEEDS=N for another number); the tests try 10,000
	@scripts/require rust compiler
	SOAK_SEEDS=$${SOAK_SEEDS:-1000000} $(SOAK)

bench: ## Speed against the bare machine, as ratios from one run (BENCH='--only a,b' selects)
	@scripts/require rust compiler postgres psql python redis
	cargo build --locked --release --package cli --package bench
	@# A goal that is missed ends it only when everything has been measured.
	@missed=0; target/release/bench $(BENCH) || missed=1; $(if $(filter --check,$(BENCH)),\
	SOAK_SEEDS=5000 $(SOAK) | grep 'worlds in'; $(MAKE) --no-print-directory bench-airflow || missed=1;) exit $$missed

bench-airflow: ## Speed beside Airflow itself with the same DAG files (AIRFLOW_BENCH=--short for a first look); part of make bench
	@scripts/require rust compiler postgres python
	cargo build --locked --release --package cli
	@TRADEWIND_BINARY=target/release/tradewind python3 e2e/airflow/bench.py $(AIRFLOW_BENCH)

up: ## The platform in containers, on http://127.0.0.1:8080
	@scripts/require docker
	@scripts/compose-env
	$(COMPOSE) up --build --detach
	@echo 'http://127.0.0.1:8080, user admin; the password is TRADEWIND_ADMIN_PASSWORD in the file .env'

down: ## Stop the containers; what they stored stays
	$(COMPOSE) down
