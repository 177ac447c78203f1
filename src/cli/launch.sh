#!/bin/sh
# qshm: finds a runtime that can load the native library, and becomes it. A `#!/usr/bin/env node` would fail where only
# Bun or Deno is installed. The runtimes are tried in the order of how fast they start; QSHM_RUNTIME chooses one.

script=$0
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

# The runtimes change what is ignored before any of our code runs; COMMAND is to find it as it was (nohup).
if [ "${1-}" = run ] && [ -r /proc/self/status ]; then
  while read -r field value; do
    case $field in
      SigIgn:)
        QSHM_SIGNALS_IGNORED=$value
        export QSHM_SIGNALS_IGNORED
        break
        ;;
    esac
  done </proc/self/status
fi

# Nothing in the working directory (.env, bunfig.toml, deno.json) may change what runs.
try_bun() {
  command -v bun >/dev/null || return 0
  exec bun --config=/dev/null --env-file=/dev/null "$main" "$@"
}

# Deno refuses to start with an argument that is not UTF-8: whatever is not plain goes through the environment.
try_deno() {
  command -v deno >/dev/null || return 0
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
    echo 'qshm: needs Bun, Deno 2 or Node 26.9 or newer, and found none of them in PATH' >&2
    ;;
  bun | deno | node)
    "try_$QSHM_RUNTIME" "$@"
    echo "qshm: QSHM_RUNTIME asks for $QSHM_RUNTIME, and PATH has none that will do (Node: 26.9 or newer)" >&2
    ;;
  *) echo "qshm: QSHM_RUNTIME must be bun, deno or node: got $QSHM_RUNTIME" >&2 ;;
esac
exit 70
