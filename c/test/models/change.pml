/*
 * change.pml - the word of src/change.c: a version and a bit that says that somebody may wait for the next one.
 *
 * SLEEPERS processes sleep on the word itself; one more, unless -DNO_BELL, waits by a bell (bell.pml has its details).
 * PUBLISHERS processes publish once each, and may die, or be stopped for good, at any step. Each load, compare-and-swap
 * and system call is one step; between any two, everybody else may run. There is no bounded sleep here: what it makes
 * good is left out.
 *
 * Checked: when nobody can do anything any more, all have seen the newest version; unless
 *   - the one that made that version died before it was done, or
 *   - one died between taking the bit down from the very version that it had made, and looking once more: that is what
 *     the bounded sleep is for.
 *
 * Defects, each of which must be found: -DSEPARATE_FLAG keeps the bit in a word of its own, which publishers exchange;
 * -DCLEAR_IN_BUMP takes the bit down with the addition; -DCLEAR_ANY takes it down from whatever word is there;
 * -DNO_SECOND_LOOK does not look once more; -DNEVER_LOOK waits by the bell without having looked at the version;
 * -DWAKE_ONE wakes one sleeper. Sequentially consistent: memory orders are argued in src/change.c, not here.
 */
#ifndef SLEEPERS
#define SLEEPERS 1
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 3
#endif
#define BELL SLEEPERS /* the number of the one that waits by a bell */
#ifdef NO_BELL
#define WAITERS SLEEPERS
#else
#define WAITERS (SLEEPERS + 1)
#endif

/* the word */
byte version = 0;
bit waiting = 0;

bool asleep[SLEEPERS + 1];
byte seen[SLEEPERS + 1];
bit armed = 0;
bool byte_in = false;

byte unfinished = 0; /* the publisher of the newest version, until it is done */
bool excused = false;

/* What is not needed any more is forgotten, so that states which differ in nothing else are one. */
#define FORGET n = 0; w = 0; mine = 0

#define MAY_FAIL                       \
    if                                 \
    :: atomic { FORGET; goto out }     \
    :: skip                            \
    fi

/* Adds to `n` how many were woken. */
inline wake_sleepers()
{
    d_step {
        i = 0;
        do
        :: i < SLEEPERS ->
            if
            :: asleep[i] ->
                asleep[i] = false;
                n++;
#ifdef WAKE_ONE
                break
#endif
            :: else -> skip
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

inline ring()
{
    if
    :: armed -> atomic { byte_in = true; armed = 0; n++ }
    :: else -> skip
    fi
}

proctype Publisher(byte me)
{
    byte i = 0, n = 0, mine = 0;
    bit w = 0;

    atomic {
        version++;
        mine = version;
#ifndef SEPARATE_FLAG
        w = waiting;
#endif
#ifdef CLEAR_IN_BUMP
        waiting = 0;
#endif
        unfinished = me
    };
    MAY_FAIL;
#ifdef SEPARATE_FLAG
    atomic { w = waiting; waiting = 0 };
    MAY_FAIL;
#endif
    if
    :: w == 0 -> goto done
    :: else -> skip
    fi;
    wake_sleepers();
    MAY_FAIL;
    ring();
    MAY_FAIL;
#if !defined(SEPARATE_FLAG) && !defined(CLEAR_IN_BUMP)
    if
    :: n > 0 -> goto done
    :: else -> skip
    fi;
    atomic {
        if
#ifdef CLEAR_ANY
        :: waiting -> waiting = 0
#else
        :: version == mine && waiting -> waiting = 0
#endif
        :: else -> goto done
        fi;
        if
        :: version == mine -> w = 1
        :: else -> w = 0
        fi
    };
    if
    :: atomic { excused = excused || w; FORGET; goto out }
    :: atomic { FORGET }
    fi;
#ifndef NO_SECOND_LOOK
    wake_sleepers();
    ring();
#endif
#endif
done:
    atomic {
        FORGET;
        if
        :: unfinished == me -> unfinished = 0
        :: else -> skip
        fi
    };
out:
    skip
}

#ifdef SEPARATE_FLAG
#define ANNOUNCE waiting = 1
#else
#define ANNOUNCE skip
#endif

proctype Sleeper(byte me)
{
    byte v = 0;
    bit w = 0;

look:
    ANNOUNCE;
    atomic { v = version; w = waiting };
    if
    :: v != seen[me] -> atomic { seen[me] = v; v = 0; w = 0 }; goto look
    :: else -> skip
    fi;
#ifndef SEPARATE_FLAG
    atomic {
        if
        :: w == 1 -> skip
        :: w == 0 && version == v && waiting == 0 -> waiting = 1
        :: else -> v = 0; w = 0; goto look
        fi
    };
#endif
    /* The kernel compares once more: with a flag of its own, the version only. */
    atomic {
        if
#ifdef SEPARATE_FLAG
        :: version == v -> asleep[me] = true
#else
        :: version == v && waiting -> asleep[me] = true
#endif
        :: else -> skip
        fi;
        v = 0; w = 0
    };
end_asleep:
    !asleep[me] -> goto look
}

proctype Listener()
{
    byte v = 0;
    bit w = 0;

look:
    armed = 1;
    ANNOUNCE;
again:
#ifdef NEVER_LOOK
    atomic { v = seen[BELL]; w = 0 };
    waiting = 1;
    goto sleep;
#endif
    atomic { v = version; w = waiting };
    if
    :: v != seen[BELL] -> atomic { seen[BELL] = v; v = 0; w = 0 }; goto look
    :: else -> skip
    fi;
#ifndef SEPARATE_FLAG
    atomic {
        if
        :: w == 1 -> skip
        :: w == 0 && version == v && waiting == 0 -> waiting = 1
        :: else -> v = 0; w = 0; goto again
        fi
    };
#endif
#ifdef NEVER_LOOK
sleep:
#endif
    atomic { v = 0; w = 0 };
end_asleep:
    byte_in -> byte_in = false;
#ifdef NEVER_LOOK
    seen[BELL] = version;
#endif
    goto look
}

proctype Observer()
{
    byte i = 0;

    timeout;
    do
    :: i < WAITERS -> assert(seen[i] == version || unfinished != 0 || excused); i++
    :: else -> break
    od
}

init
{
    byte i = 0;
    atomic {
        do
        :: i < SLEEPERS -> run Sleeper(i); i++
        :: else -> break
        od;
#ifndef NO_BELL
        run Listener();
#endif
        i = 1;
        do
        :: i <= PUBLISHERS -> run Publisher(i); i++
        :: else -> break
        od;
        run Observer()
    }
}
