#!/bin/sh
# Verifies each model, and then that each of its defects is found: a model that cannot fail shows nothing.
# Argument: a directory to work in. CC is the compiler.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
cd "$1"

# verify MODEL NAME EXPECTED FLAGS...: EXPECTED is "right" or the words of the error that must be found
verify() {
    model=$1
    name=$2
    expected=$3
    shift 3
    mkdir -p "$name"
    (
        cd "$name"
        rm -f ./*.trail pan*
        spin "$@" -a "$here/$model.pml" > spin.txt
        # A defect is found soon: there the compiler would take longer than the search.
        [ "$expected" = right ] && optimise=-O2 || optimise=-O0
        "${CC:-cc}" "$optimise" -w -DSAFETY -DVECTORSZ=2048 -o pan pan.c
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

verify lock lock right -DFAULTS=2
verify lock plain_store 'assertion violated' -DFAULTS=2 -DPLAIN_STORE
verify lock plain_take_back 'assertion violated' -DFAULTS=1 -DPLAIN_TAKE_BACK
verify lock unaccepted 'assertion violated' -DFAULTS=1 -DUNACCEPTED
verify lock unbounded_sleep 'invalid end state' -DFAULTS=1 -DUNBOUNDED
verify lock offer_stands 'invalid end state' -DFAULTS=1 -DOFFER_STANDS
verify lock untold_takeover 'assertion violated' -DFAULTS=2 -DUNTOLD
verify lock untold_force 'assertion violated' -DFAULTS=2 -DFORCE_UNTOLD
verify lock forgetful 'assertion violated' -DFAULTS=1 -DFORGETFUL

verify bell bell right
verify bell exchange_then_ring 'assertion violated' -DEXCHANGE
verify bell plain_disarm 'assertion violated' -DPLAIN_DISARM
verify bell look_then_arm 'assertion violated' -DLOOK_FIRST
verify bell armed_once 'assertion violated' -DUNARMED

verify change change right -DPUBLISHERS=2
verify change change_asleep right -DNO_BELL
verify change change_by_bell right -DSLEEPERS=0
verify change separate_flag 'assertion violated' -DSEPARATE_FLAG
verify change clear_in_bump 'assertion violated' -DCLEAR_IN_BUMP
verify change clear_any_word 'assertion violated' -DSLEEPERS=0 -DCLEAR_ANY
verify change no_second_look 'assertion violated' -DNO_SECOND_LOOK
verify change never_look 'assertion violated' -DNEVER_LOOK
verify change wake_one 'assertion violated' -DWAKE_ONE -DNO_BELL -DSLEEPERS=2 -DPUBLISHERS=2

verify lockbell lockbell right
verify lockbell ring_one 'assertion violated' -DRING_ONE
verify lockbell lock_look_then_arm 'assertion violated' -DLOOK_FIRST
verify lockbell no_bit 'assertion violated' -DNO_BIT
verify lockbell any_word 'assertion violated' -DANY_WORD

verify message message right
verify message message_again right -DAGAIN
verify message message_plain_store 'assertion violated' -DPLAIN_STORE
verify message message_look_first 'invalid end state' -DLOOK_FIRST
verify message message_no_second_look 'assertion violated' -DNO_SECOND_LOOK
verify message message_reused 'assertion violated' -DREUSED
verify message message_kept_taken 'invalid end state' -DKEPT_TAKEN
verify message message_reply_late 'assertion violated' -DREPLY_LATE
verify message message_unlink_by_entry 'assertion violated' -DUNLINK_BY_ENTRY
