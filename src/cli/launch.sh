#!/bin/sh
# qshm: finds a runtime that can load the native library, and becomes it. A `#!/usr/bin/env node` would fail where only
# Bun or Deno is installed. The runtimes are tried in the order of how fast they start; QSHM_RUNTIME chooses one.

case $0 in
  */*) script=$0 ;;
  *) script=./$0 ;;
esac
while [ -L "$script" ]; do
  target=$(readlink "$script")
  case $target in
    /*) script=$target ;;
    *) script=${script%/*}/$target ;;
  esac
done
here=${script%/*}
main=$here/main.js
[ -e "$main" ] || main=$here/main.ts # in a checkout

# Variables of ours that somebody left in the environment are nobody's.
unset QSHM_ARGUMENT_1 QSHM_SIGNALS_IGNORED QSHM_DESCRIPTORS QSHM_OPEN_FILES

# The runtimes change signals, descriptors and limits before any of our code runs; COMMAND is to find them as they were.
note_start() {
  while read -r field value; do
    case $field in
      SigIgn:)
        QSHM_SIGNALS_IGNORED=$value
        break
        ;;
    esac
  done </proc/self/status
  for descriptor in /proc/self/fd/*; do
    descriptor=${descriptor##*/}
    [ -r "/proc/self/fdinfo/$descriptor" ] || continue # the one that listed them
    while read -r field value; do
      case $field in
        flags:)
          [ $((value & 02000000)) -ne 0 ] || # close-on-exec, such as the shell's own
            QSHM_DESCRIPTORS="${QSHM_DESCRIPTORS:+$QSHM_DESCRIPTORS }$descriptor:$value"
          break
          ;;
      esac
    done <"/proc/self/fdinfo/$descriptor"
  done
  QSHM_OPEN_FILES=$(ulimit -Sn)
  export QSHM_SIGNALS_IGNORED QSHM_DESCRIPTORS QSHM_OPEN_FILES
}
case ${1-} in run | send | top | watch) [ ! -r /proc/self/status ] || note_start ;; esac

# Nothing in the working directory (.env, bunfig.toml, tsconfig.json, deno.json) may change what runs.
try_bun() {
  command -v bun >/dev/null || return 0
  exec bun --config=/dev/null --env-file=/dev/null --tsconfig-override=/dev/null "$main" "$@"
}

# Deno refuses to start in a directory that was deleted, and with an argument that is not UTF-8: whatever is not plain
# goes through the environment.
try_deno() {
  command -v deno >/dev/null || return 0
  case $(readlink /proc/self/cwd) in *' (deleted)') return 0 ;; esac
  if (
    LC_ALL=C
    for argument; do case $argument in *[!\ -~]*) exit 0 ;; esac done
    exit 1
  ); then
    number=0
    for argument; do
      number=$((number + 1))
      export "QSHM_ARGUMENT_$number=$argument"
    done
    unset "QSHM_ARGUMENT_$((number + 1))"
    set --
  fi
  exec deno run --quiet --no-prompt --no-config --no-lock --allow-all "$main" "$@"
}

# node:ffi is there since 26.1, and needs no flag since 26.9.
try_node() {
  version=$(node --version 2>/dev/null) || return 0
  version=${version#v}
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  if [ "$major" -gt 26 ] || { [ "$major" -eq 26 ] && [ "$minor" -ge 9 ]; }; then
    exec node "$main" "$@"
  elif [ "$major" -eq 26 ] && [ "$minor" -ge 1 ]; then
    exec node --experimental-ffi "$main" "$@"
  fi
}

case ${QSHM_RUNTIME-} in
  '')
    try_bun "$@"
    try_deno "$@"
    try_node "$@"
    echo 'qshm: needs Bun, Deno 2 or Node 26.9 or newer, and found none in PATH that can run here' >&2
    ;;
  bun | deno | node)
    "try_$QSHM_RUNTIME" "$@"
    echo "qshm: QSHM_RUNTIME asks for $QSHM_RUNTIME, and PATH has none that can run here (Node: 26.9 or newer)" >&2
    ;;
  *) echo "qshm: QSHM_RUNTIME must be bun, deno or node: got $QSHM_RUNTIME" >&2 ;;
esac
exit 70
