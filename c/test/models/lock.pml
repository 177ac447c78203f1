/*
 * lock.pml - the lock of src/lock.c: one word { died, heir, waiters, owner }, changed by compare-and-swap only.
 *
 * N processes lock once each. Up to KILLS of them die, each at any step; one forcer takes the lock away once, at any
 * moment. Each load, query, compare-and-swap and futex call is one step; between any two, everybody else may run.
 *
 * Checked:
 *   - no two living processes are inside, unless one was forced out          (assertion in `enter`)
 *   - whoever comes in after a death or a force inside is told               (assertion in `enter`)
 *   - nobody sleeps for ever beside a lock that can be had                   (no invalid end state)
 *
 * A bounded sleep is a wake-up that comes by itself once looking again would help: the word is free, names the sleeper,
 * or names somebody who is dead. (An earlier one changes nothing: the sleeper would go to sleep again.)
 *
 * Defects, each of which must be found: -DPLAIN_STORE takes over from a dead owner by a store; -DUNBOUNDED sleeps until
 * it is woken; -DUNTOLD takes over without setting died; -DFORCE_UNTOLD forces without it.
 * Sequentially consistent: memory orders are argued in src/lock.c, not here.
 */
#ifndef N
#define N 3
#endif
#ifndef KILLS
#define KILLS 2
#endif
#define ALL (N + 1)

/* the word; 0 = nobody */
byte owner = 0;
byte heir = 0;
bit waiters = 0;
bit died = 0;

/* the kernel: whose byte is held, and who sleeps on the word */
bool alive[ALL];
bool asleep[ALL];

/* what an observer knows */
bool inside[ALL];
bool forced[ALL];
bool broken = false; /* the data may be half-written */
byte kills = 0;

#define SAME (owner == o && heir == h && waiters == w && died == d)
#define LOAD o = owner; h = heir; w = waiters; d = died
#define STORE(no, nh, nw, nd) owner = no; heir = nh; waiters = nw; died = nd

inline die()
{
    d_step {
        kills++;
        alive[me] = false;
        asleep[me] = false;
        broken = broken || (inside[me] && !forced[me]);
        inside[me] = false
    }
    goto out
}

inline enter(told)
{
    assert(!inside[1] || forced[1] || me == 1);
    assert(!inside[2] || forced[2] || me == 2);
#if N > 2
    assert(!inside[3] || forced[3] || me == 3);
#endif
    assert(!broken || told);
    inside[me] = true
}

/* all: wakes everybody; else one sleeper, any. */
inline wake(everybody)
{
    if
    :: everybody -> d_step { asleep[1] = false; asleep[2] = false; asleep[N] = false }
    :: else ->
        if
        :: asleep[1] -> asleep[1] = false
        :: asleep[2] -> asleep[2] = false
        :: asleep[N] -> asleep[N] = false
        :: !asleep[1] && !asleep[2] && !asleep[N] -> skip
        fi
    fi
}

proctype Locker(byte me)
{
    byte o, h, other;
    bit w, d;
    bit slept = 0;
    bool ok;

look:
    if
    :: kills < KILLS -> die()
    :: atomic {
        LOAD;
        if
        :: o == me -> enter(d); goto critical /* granted as heir */
        :: else -> other = (h == me -> 0 : h)
        fi
       }
    fi;
    if
    :: o == 0 ->
        if
        :: kills < KILLS -> die()
        :: atomic {
            ok = SAME;
            if
            :: ok -> STORE(me, other, (slept || w), d); enter(d); goto critical
            :: else -> goto look
            fi
           }
        fi
    :: else -> skip
    fi;
    if
    :: alive[o] -> goto busy
    :: !alive[o] -> skip /* the kernel's answer; time passes */
    fi;
    if
    :: kills < KILLS -> die()
    :: atomic {
#ifdef PLAIN_STORE
        ok = true;
#else
        ok = SAME;
#endif
        if
#ifdef UNTOLD
        :: ok -> STORE(me, other, 1, d); enter(d); goto critical
#else
        :: ok -> STORE(me, other, 1, 1); enter(1); goto critical
#endif
        :: else -> goto look
        fi
       }
    fi;

busy:
    /* Will sleep; and perhaps wants to be heir: free, or named after a dead one. */
    other = h;
    if
    :: h != 0 && !alive[h] -> other = 0
    :: else -> skip
    fi;
    if
    :: other == 0 -> other = me
    :: true -> skip
    fi;
    if
    :: kills < KILLS -> die()
    :: atomic {
        ok = SAME;
        if
        :: ok -> STORE(o, other, 1, d)
        :: else -> goto look
        fi
       }
    fi;
    /* The futex compares the owner's half once more. */
    if
    :: kills < KILLS -> die()
    :: atomic {
        if
        :: owner == o && waiters -> asleep[me] = true
        :: else -> goto look
        fi
       }
    fi;
    if
    :: !asleep[me] -> skip
#ifndef UNBOUNDED
    :: asleep[me] && (owner == 0 || owner == me || !alive[owner]) -> asleep[me] = false
#endif
    :: kills < KILLS -> die()
    fi;
    slept = 1;
    goto look; /* a death here is a woken waiter's: its wake-up is lost */

critical:
    if
    :: kills < KILLS -> die()
    :: skip
    fi;

unlock:
    atomic { LOAD };
    if
    :: o != me -> d_step { inside[me] = false; forced[me] = false }; goto out /* lock lost */
    :: else -> other = 0
    fi;
    if
    :: h != 0 && alive[h] -> other = h
    :: else -> skip
    fi;
    if
    :: kills < KILLS -> die()
    :: atomic {
        ok = SAME;
        if
        :: ok ->
            inside[me] = false;
            broken = false;
            STORE(other, 0, (other != 0), 0)
        :: else -> goto unlock
        fi
       }
    fi;
    if
    :: kills < KILLS -> die()
    :: w -> atomic { wake(other != 0) }
    :: !w -> skip
    fi;
out:
    skip
}

proctype Forcer()
{
    byte o, h, other = 0;
    bit w, d;
    bool ok;

again:
    atomic { LOAD };
    if
    :: o == 0 -> goto out
    :: else -> other = 0
    fi;
    if
    :: h != 0 && alive[h] -> other = h
    :: else -> skip
    fi;
    atomic {
        ok = SAME;
        if
        :: ok ->
            broken = broken || inside[o];
            forced[o] = inside[o];
#ifdef FORCE_UNTOLD
            STORE(other, 0, (other != 0), 0)
#else
            STORE(other, 0, (other != 0), 1)
#endif
        :: else -> goto again
        fi
    }
    atomic { wake(true) }
out:
    skip
}

init
{
    atomic {
        alive[1] = true;
        alive[2] = true;
        alive[N] = true;
        run Locker(1);
        run Locker(2);
#if N > 2
        run Locker(3);
#endif
        run Forcer()
    }
}
