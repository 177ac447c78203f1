#!/bin/sh
# Verifies lock.pml, and then that each of its defects is found: a model that cannot fail shows nothing.
# Argument: a directory to work in. CC is the compiler.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

# verify NAME EXPECTED FLAGS...: EXPECTED is "right" or the words of the error that must be found
verify() {
    name=$1
    expected=$2
    shift 2
    mkdir -p "$name"
    (
        cd "$name"
        rm -f ./*.trail pan*
        spin "$@" -a "$here/lock.pml" > spin.txt
        "${CC:-cc}" -O2 -w -DSAFETY -DVECTORSZ=2048 -o pan pan.c
        ./pan -m1000000 > out.txt
    )
    states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' "$name/out.txt")
    error=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' "$name/out.txt")
    if grep -q 'Search not completed\|max search depth too small' "$name/out.txt" && [ "$expected" = right ]; then
        echo "not ok $name: the search was not completed"
        exit 1
    elif [ "$expected" = right ] && [ -z "$error" ] && grep -q 'errors: 0' "$name/out.txt"; then
        echo "ok $name: no error in $states states"
    elif [ "$expected" != right ] && [ "${error#*"$expected"}" != "$error" ]; then
        echo "ok $name: found, as it must be: $error"
    else
        echo "not ok $name: expected $expected, got ${error:-no error} ($states states)"
        exit 1
    fi
}

verify lock right -DFAULTS=2
verify plain_store 'assertion violated' -DFAULTS=2 -DPLAIN_STORE
verify plain_take_back 'assertion violated' -DFAULTS=1 -DPLAIN_TAKE_BACK
verify unaccepted 'assertion violated' -DFAULTS=1 -DUNACCEPTED
verify unbounded_sleep 'invalid end state' -DFAULTS=1 -DUNBOUNDED
verify offer_stands 'invalid end state' -DFAULTS=1 -DOFFER_STANDS
verify untold_takeover 'assertion violated' -DFAULTS=2 -DUNTOLD
verify untold_force 'assertion violated' -DFAULTS=2 -DFORCE_UNTOLD
verify forgetful 'assertion violated' -DFAULTS=1 -DFORGETFUL
