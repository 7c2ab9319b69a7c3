# Everything a developer or a newcomer runs. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-down lint unit molecule containers test faults bench

SUITE ?= bookworm
HOSTS ?= 1
SCENARIO ?= default
SCENARIOS := $(sort $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml))))

# Ansible 9 runs on these; the first one there is makes the virtualenv.
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.10,$(shell command -v python$(version))) python3)
VENV := $(CURDIR)/.venv
TESTHOSTS := $(VENV)/bin/python molecule/resources/testhosts.py
export PATH := $(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/complete ## Install what this machine lacks, and the virtualenv .venv

$(VENV)/complete: requirements.txt requirements-dev.txt requirements-omero.txt tests/install-tools.sh
	tests/install-tools.sh
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements-omero.txt
	touch $@

demo: setup ## Run a real OMERO.web on throwaway hosts (SUITE=bookworm|bullseye|trixie HOSTS=n)
	$(TESTHOSTS) up demo $(foreach number,$(shell seq $(HOSTS)),demo-$(number)=$(SUITE)) > inventory/demo/hosts.yml
	ansible-playbook --inventory inventory/demo playbooks/site.yml
	@echo; echo "OMERO.web is at:"; \
	sed -n 's|.*"ansible_host": "\(.*\)".*|  http://\1/|p' inventory/demo/hosts.yml; \
	echo "Change inventory/demo/group_vars/omero_web.yml, then: .venv/bin/ansible-playbook playbooks/site.yml"; \
	echo "Remove it all with: make demo-down"

demo-down: setup ## Remove the hosts of make demo, every trace of them
	$(TESTHOSTS) down demo
	rm -f inventory/demo/hosts.yml

lint: setup ## Check style and syntax
	ruff check .
	yamllint --strict .
	ansible-lint --offline --strict
	ansible-doc --type module --module-path library omero_archive omero_config omero_config_info omero_web_change omero_web_info > /dev/null
	ansible-doc --type role --roles-path roles omero-web > /dev/null
	tests/tables.py

unit: setup ## Test the Python code
	pytest

molecule: setup ## Test one scenario on real hosts (SCENARIO=default)
	MOLECULE_EPHEMERAL_DIRECTORY=$(CURDIR)/.molecule/$(SCENARIO) molecule test --scenario-name $(SCENARIO)

containers: setup ## Test one of the scenarios in containers, where there is podman (SCENARIO=centos7|rocky9)
	pip install --quiet --disable-pip-version-check molecule-plugins==26.10.12
	MOLECULE_GLOB='molecule/containers/*/molecule.yml' molecule --base-config .config/molecule/config.yml \
		--base-config .config/molecule/containers.yml test --scenario-name $(SCENARIO)

# Two at a time: a scenario waits for its hosts about as long as it keeps a core busy.
test: lint ## Test everything, as continuous integration does
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(SCENARIOS:%=scenario-%)
	$(MAKE) --no-print-directory unit

scenario-%:
	$(MAKE) --no-print-directory molecule SCENARIO=$*

faults: export OMERO_WEB_FAULTS := all
faults: setup ## Test every fault, as test does with some, and an interruption after every change (an hour or two)
	$(MAKE) --no-print-directory molecule SCENARIO=faults

bench: setup ## Measure on a host of its own, each figure beside what it is to be compared with
	mkdir -p .molecule
	$(TESTHOSTS) up bench bench-1=$(SUITE) > .molecule/bench.json
	ansible-playbook --inventory .molecule/bench.json playbooks/site.yml
	ansible-playbook --inventory .molecule/bench.json tests/bench/bench.yml
	$(TESTHOSTS) down bench
