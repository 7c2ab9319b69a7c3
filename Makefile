# Everything a developer or a newcomer runs. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup tools hosts demo demo-hosts demo-down collection galaxy sanity check lint unit molecule containers selinux test
.PHONY: faults bench bench-farm bench-scale releases

SUITE ?= bookworm
HOSTS ?= 1
# Whether the hosts are behind a balancer.
CLUSTER ?=
# With which OMERO.web is tried.
PYTHONS ?= $(PYTHON)
SCENARIO ?= default
# Those of a distribution that moves, which may break at any time, are a part of make faults alone.
MOVING := $(notdir $(patsubst %/molecule.yml,%,$(shell grep --files-with-matches 'moving: true' molecule/*/molecule.yml)))
SCENARIOS := $(filter-out $(MOVING),$(sort $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))))

# Those of Ansible 9 before newer ones; the first one there is makes the virtualenv.
PYTHON ?= $(firstword $(foreach version,3.11 3.12 3.10 3.13 3.14,$(shell command -v python$(version))) python3)
# Not the virtualenv's own, when make calls itself.
export PYTHON
VENV := $(CURDIR)/.venv
PIP_INSTALL := $(VENV)/bin/pip install --quiet --disable-pip-version-check
# They need no more than a Python, so that hosts can be made while the virtualenv is.
TESTHOSTS := $(PYTHON) molecule/resources/testhosts.py
REPORTS := .molecule/reports
# Of its own, for what it needs need not agree with what the tests need.
DOCS := .molecule/docs
export PATH := $(VENV)/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Of its many modules a run imports few: these are compiled then.
setup: $(VENV)/ansible ## Make the virtualenv .venv with Ansible, from which the playbooks run

$(VENV)/ansible: requirements.txt
	tests/install-tools.sh controller
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --no-compile --requirement requirements.txt
	touch $@

# What tests need beyond that.
tools: $(VENV)/tests

$(VENV)/tests: $(VENV)/ansible requirements-dev.txt requirements-omero.txt tests/install-tools.sh
	tests/install-tools.sh hosts browser
	$(PIP_INSTALL) --requirement requirements-dev.txt
	$(PIP_INSTALL) --no-deps --requirement requirements-omero.txt
	touch $@

hosts:
	tests/install-tools.sh controller hosts

demo-hosts: hosts
	$(PYTHON) tests/demo.py up $(HOSTS) $(SUITE) $(if $(CLUSTER),cluster)

demo: hosts ## Run a real OMERO.web on throwaway hosts (SUITE=bookworm|bullseye|trixie HOSTS=n CLUSTER=1)
	$(MAKE) --no-print-directory --jobs=2 setup demo-hosts
	ansible-playbook --inventory inventory/demo playbooks/site.yml molecule/resources/omero-server.yml
	@echo; $(PYTHON) tests/demo.py show; \
	echo "Change inventory/demo/group_vars/omero_web.yml, then: .venv/bin/ansible-playbook playbooks/site.yml"; \
	echo "Remove it all with: make demo-down"

demo-down: ## Remove the hosts of make demo, every trace of them
	$(TESTHOSTS) down demo
	rm -f inventory/demo/hosts.yml

check: tools ## Test what needs no host, in a minute: style, syntax, tables, unit tests, documentation
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint unit docs

lint: tools ## Check style, syntax and tables
	ruff check .
	yamllint --strict .
	ansible-lint --offline --strict
	ansible-doc --type module --module-path library omero_archive omero_config omero_config_info omero_web_balancer omero_web_benchmark omero_web_build omero_web_change omero_web_former_info omero_web_info omero_web_outdated > /dev/null
	ansible-doc --type role --roles-path roles omero-web > /dev/null
	tests/tables.py
	antsibull-changelog lint
	zizmor --offline --quiet --no-progress .github
	check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	check-jsonschema --quiet --builtin-schema vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))

releases: tools ## Try which releases run with which Pythons, for docs/releases.md (PYTHONS="python3.9 python3.11")
	tests/releases.py --write $(PYTHONS)

unit: tools ## Test the Python code
	pytest --numprocesses=auto --dist=loadfile --durations=10 --junit-xml=$(REPORTS)/unit.xml

molecule: tools ## Test one scenario on real hosts (SCENARIO=default)
	tests/run.py --show all $(SCENARIO)

containers: tools ## Test one of the scenarios in containers, where there is podman (SCENARIO=alma9|centos7|rocky8|rocky9|ubuntu2204|ubuntu2404)
	$(PIP_INSTALL) molecule-plugins==26.10.12
	MOLECULE_GLOB='molecule/containers/*/molecule.yml' molecule --base-config .config/molecule/config.yml \
		--base-config .config/molecule/containers.yml test --scenario-name $(SCENARIO)

selinux: setup ## List what SELinux denies on an emulated machine that enforces it (half an hour)
	tests/install-tools.sh hosts machine
	$(PYTHON) tests/selinux.py

test: check ## Test everything, as continuous integration does
	tests/run.py --also $(REPORTS)/unit.xml $(SCENARIOS)

faults: export OMERO_WEB_FAULTS := all
faults: tools ## Test what test leaves out as well: every fault, and what takes long; goes on where it was stopped
	tests/run.py --show tests $(SCENARIOS) $(MOVING)

collection: setup ## Make a collection of Ansible, for playbooks elsewhere
	$(VENV)/bin/python collection/make.py .molecule/collection
	ansible-galaxy collection build --force .molecule/collection

galaxy: setup ## Commit that collection, as the last commit makes it, to the branch galaxy, for sites that take it from git
	$(VENV)/bin/python collection/branch.py

sanity: setup ## Ask ansible-test sanity of that collection, with the oldest and the newest Ansible (minutes)
	$(VENV)/bin/python tests/sanity.py

.PHONY: docs
docs: $(DOCS)/made ## Build the documentation as a site, into .molecule/site
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --site-dir .molecule/site

$(DOCS)/made: requirements-docs.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet --disable-pip-version-check --requirement requirements-docs.txt
	touch $@

bench: tools ## Measure on hosts of its own, each figure beside what it is to be compared with
	mkdir -p .molecule
	$(TESTHOSTS) up bench bench-1=$(SUITE) bench-images=$(SUITE)@omero_server > .molecule/bench.json
	ansible-playbook --inventory .molecule/bench.json playbooks/site.yml
	ansible-playbook --inventory .molecule/bench.json tests/bench/workers.yml
	ansible-playbook --inventory .molecule/bench.json tests/bench/bench.yml
	$(TESTHOSTS) down bench

bench-farm: tools ## Measure farms of 1, 2, 4 and 8 hosts behind a balancer: install, upgrade, look, requests (an hour)
	tests/bench/farm.py $(SUITE)

bench-scale: tools ## Measure what a run with nothing to change costs the controller, for up to 200 hosts
	mkdir -p .molecule
	$(TESTHOSTS) up bench-scale scale-1=$(SUITE) > .molecule/bench-scale.json
	ansible-playbook --inventory .molecule/bench-scale.json playbooks/site.yml
	tests/bench/scale.py .molecule/bench-scale.json
	$(TESTHOSTS) down bench-scale
