#!/bin/sh
# `npm test`: installs what is missing, then runs every check in turn. A stage that fails does not stop the later ones.
# Faults and runtimes wait more than they work: they run beside the other stages, and are shown after them.
# Closes with what failed, once more, and one line `N passed, N failed` over everything; exits 0 only if nothing failed.
# Usage: sh test/run.sh [STAGE...]   stages: types lint unit dataplane interop runtimes faults (default: all)
set -u
root=$(cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
cd -- "$root" || exit 1
begin=$(date +%s)
sh lab/setup.sh test || { echo '0 passed, 1 failed'; exit 1; }

# The tools' `env node` finds the pinned Node there.
PATH=$root/node_modules/.bin:$PATH
# vtysh would add each of the tests' questions to the history of the person at this machine.
VTYSH_HISTFILE=/dev/null
# Hundreds of processes run the sources: what Node makes of these is kept, as the launcher does.
NODE_COMPILE_CACHE=$root/node_modules/.cache/ocicat
export PATH VTYSH_HISTFILE NODE_COMPILE_CACHE
scratch=$(mktemp -d) || exit 1
child=  # the tests that run in front
beside= # what runs the stages in $lane
lane=
end() {
  # On SIGTERM the tests take down what they put up.
  for process in $child $beside; do kill "$process" 2>/dev/null && wait "$process"; done
  rm -rf "$scratch"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

passed=0
failed=0
failures=

title() { printf '\n=== %s\n' "$*"; }

record() { # NAME EXIT-STATUS PASSED FAILED
  passed=$((passed + $3))
  failed=$((failed + $4))
  if [ "$2" -ne 0 ] && [ "$4" -eq 0 ]; then failed=$((failed + 1)); fi
  if [ "$2" -ne 0 ] || [ "$4" -ne 0 ]; then failures="$failures $1"; fi
}

check() { # NAME TITLE COMMAND...: counts as one test
  name=$1
  title "$2"
  shift 2
  if "$@" >"$scratch/$name.failures" 2>&1; then status=0; else status=1; fi
  cat "$scratch/$name.failures"
  if [ "$status" -eq 0 ]; then record "$name" 0 1 0; else record "$name" 1 0 1; fi
}

launch() { # NAME MINUTES: starts the mocha tests in test/NAME
  OCICAT_TEST_COUNTS=$scratch/$1.counts OCICAT_TEST_FAILURES=$scratch/$1.failures timeout -k 10 "$2m" \
    mocha --reporter test/tools/reporter.mjs "test/$1/**/*.test.ts" </dev/null &
  child=$!
}

run_lane() { # the stages in $lane one after the other, in the background; what they print is kept
  [ -n "$lane" ] || return 0
  (
    trap - EXIT INT HUP
    trap 'kill "$child" 2>/dev/null && wait "$child"; exit 143' TERM
    for name in $lane; do
      launch "$name" 20 >"$scratch/$name.out" 2>&1
      wait "$child"
      echo $? >"$scratch/$name.status"
    done
  ) &
  beside=$!
}

tests() { # NAME MINUTES
  if [ -z "$(find "test/$1" -name '*.test.ts' 2>/dev/null | head -n 1)" ]; then
    title "$1: no test file in test/$1"
    return
  fi
  title "$1 tests"
  case " $lane " in
    *" $1 "*)
      [ -z "$beside" ] || wait "$beside"
      beside=
      cat "$scratch/$1.out"
      status=$(cat "$scratch/$1.status")
      ;;
    *)
      launch "$1" "$2"
      wait "$child"
      status=$?
      child=
      ;;
  esac
  [ "$status" -ne 124 ] || echo "the $1 tests did not end within $2 minutes" >&2
  # No counts: mocha ended before it could run the tests (a file that does not load, a crash).
  ran_passed=0 ran_failed=0
  if [ -s "$scratch/$1.counts" ]; then
    read -r ran_passed ran_failed <"$scratch/$1.counts"
  else
    ran_failed=1
    [ "$status" -ne 0 ] || status=1
  fi
  record "$1" "$status" "$ran_passed" "$ran_failed"
}

stage() {
  case $1 in
    types)
      check types 'type check' tsc --noEmit
      check core-types 'type check of the core' tsc -p src/core/assembly
      ;;
    lint) check lint 'format and lint' biome check . ;;
    unit) tests unit 10 ;;
    dataplane | interop) tests "$1" 15 ;;
    faults | runtimes) tests "$1" 20 ;;
    *) echo "test/run.sh: no stage named $1 (types lint unit dataplane interop runtimes faults)" >&2; record "$1" 2 0 1 ;;
  esac
}

[ "$#" -gt 0 ] || set -- types lint unit dataplane interop runtimes faults
front=
for name in "$@"; do
  case $name in faults | runtimes) lane="$lane $name" ;; *) front="$front $name" ;; esac
done
# With nothing beside which to run, they may as well be seen at once.
[ -n "$front" ] || { front=$lane; lane=; }
run_lane
for name in $front $lane; do stage "$name"; done

seconds=$(($(date +%s) - begin))
printf '\n'
# Whoever has only the end of a long output is to see what it was.
for name in $failures; do
  [ ! -s "$scratch/$name.failures" ] || { echo "=== failed in $name"; cat "$scratch/$name.failures"; }
done
[ -z "$failures" ] || printf 'failed:%s\n' "$failures"
printf 'took %d min %d s\n' $((seconds / 60)) $((seconds % 60))
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
