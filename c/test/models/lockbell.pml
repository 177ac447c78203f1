/*
 * lockbell.pml - those who wait for the lock of src/lock.c in an event loop: by a bell, which unlock rings.
 *
 * N processes lock once each. Each arms its bell, and looks at the word: takes the lock if it is free, else sets the bit,
 * in exactly the word that it saw, and waits for the bell. Up to DEATHS of those who wait die, also when they have been
 * rung already. (Deaths inside are those of lock.pml.) Each load, store, compare-and-swap and system call is one step;
 * between any two, everybody else may run. In src/lock.c those who wait also look from time to time; here they do not.
 *
 * Checked: when nobody can do anything any more, all that live have had the lock.
 *
 * Defects, each of which must be found: -DRING_ONE rings one bell; -DLOOK_FIRST arms behind the look; -DNO_BIT waits
 * without having set the bit; -DANY_WORD sets it in whatever word is there. Sequentially consistent: memory orders are
 * argued in src/lock.c, not here.
 */
#ifndef N
#define N 3
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

/* the word; 0 = nobody */
byte owner = 0;
bit waiters = 0;

bool armed[N + 1];
bool byte_in[N + 1];
bool dead[N + 1];
bool served[N + 1];
byte deaths = 0;

proctype Locker(byte me)
{
    byte o = 0, i = 0;
    bit w = 0;

look:
#ifndef LOOK_FIRST
    armed[me] = true;
#endif
    atomic { o = owner; w = waiters };
    if
    :: o == 0 ->
        atomic {
            if
            :: owner == o && waiters == w -> owner = me; o = 0; w = 0; goto inside
            :: else -> o = 0; w = 0; goto look
            fi
        }
    :: else -> skip
    fi;
    atomic {
        if
#ifdef NO_BIT
        :: true -> o = 0; w = 0
#else
#ifdef ANY_WORD
        :: true -> waiters = 1; o = 0; w = 0
#else
        :: owner == o && waiters == w -> waiters = 1; o = 0; w = 0
        :: else -> o = 0; w = 0; goto look
#endif
#endif
        fi
    };
#ifdef LOOK_FIRST
    armed[me] = true;
#endif
    if
    :: atomic { deaths < DEATHS -> deaths++; dead[me] = true; goto out } /* its entry is found by who rings */
    :: atomic { byte_in[me] -> byte_in[me] = false }
    fi;
    if
    :: atomic { deaths < DEATHS -> deaths++; dead[me] = true; goto out }
    :: skip
    fi;
    goto look;

inside:
    served[me] = true;
    atomic { w = waiters; owner = 0; waiters = 0 };
    if
    :: w == 0 -> goto out
    :: else -> i = 1
    fi;
    do
    :: i <= N ->
        if
        :: armed[i] && dead[i] -> armed[i] = false
        :: armed[i] && !dead[i] ->
            byte_in[i] = true;
            armed[i] = false;
#ifdef RING_ONE
            break
#endif
        :: else -> skip
        fi;
        i++
    :: else -> break
    od;
out:
    skip
}

proctype Observer()
{
    byte i = 1;

    timeout;
    do
    :: i <= N -> assert(served[i] || dead[i]); i++
    :: else -> break
    od
}

init
{
    byte i = 1;
    atomic {
        do
        :: i <= N -> run Locker(i); i++
        :: else -> break
        od;
        run Observer()
    }
}
