/*
 * lock.pml - the lock of src/lock.c: one word { died, heir, waiters, owner }, changed by compare-and-swap only.
 *
 * N processes lock once each, or give up waiting at some moment. Up to FAULTS times one of them dies or is stopped for
 * good, at any step; one forcer takes the lock away once, at any moment. Each load, query, compare-and-swap and futex
 * call is one step; between any two, everybody else may run.
 *
 * A grant is an offer (owner and heir are the same) until the heir accepts it. Others may take an offer back at any
 * time: how long it stands is no part of what is right. A process that is stopped for a while is one that runs later.
 *
 * Checked:
 *   - no two processes that are not dead are inside, unless one was forced out  (assertion in `enter`)
 *   - whoever comes in after a death or a force inside is told                  (assertion in `enter`)
 *   - nobody sleeps for ever beside a lock that can be had                      (no invalid end state)
 *
 * A bounded sleep is a wake-up that comes by itself once looking again would help: the word is free, an offer, names
 * the sleeper, or names somebody who is dead. (An earlier one changes nothing: the sleeper would go to sleep again.)
 * Beside an owner that is stopped for good it times out.
 *
 * Defects, each of which must be found: -DPLAIN_STORE takes over from a dead owner by a store; -DPLAIN_TAKE_BACK takes
 * an offer back by a store; -DUNACCEPTED lets an heir in that has only seen its offer; -DUNBOUNDED sleeps until it is
 * woken; -DUNTOLD takes over without setting died; -DFORGETFUL takes an offer back, or lets it go, without what it says
 * of a death; -DFORCE_UNTOLD forces without setting died; -DOFFER_STANDS takes no offer back from a living heir.
 * Sequentially consistent: memory orders are argued in src/lock.c, not here.
 */
#ifndef N
#define N 3
#endif
#ifndef FAULTS
#define FAULTS 2
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
bool stopped[ALL];

/* what an observer knows */
bool inside[ALL];
bool forced[ALL];
bool broken = false; /* the data may be half-written */
byte faults = 0;

#define SAME (owner == o && heir == h && waiters == w && died == d)
#define LOAD o = owner; h = heir; w = waiters; d = died
#define STORE(no, nh, nw, nd) owner = no; heir = nh; waiters = nw; died = nd
#define IS_OFFER (o != 0 && o == h)
/* What is not needed any more is forgotten, so that states which differ in nothing else are one. */
#define FORGET o = 0; h = 0; w = 0; d = 0; other = 0
#ifdef PLAIN_STORE
#define SAME_DEAD true
#else
#define SAME_DEAD SAME
#endif
#ifdef PLAIN_TAKE_BACK
#define SAME_OFFER true
#else
#define SAME_OFFER SAME
#endif
#ifdef FORGETFUL
#define KEPT 0
#else
#define KEPT d
#endif

/* Dies, or is stopped for good: it stays alive for the kernel, and inside if it was. */
inline fail()
{
    if
    :: d_step {
        faults++;
        alive[me] = false;
        asleep[me] = false;
        broken = broken || (inside[me] && !forced[me]);
        inside[me] = false;
        slept = 0;
        FORGET
       }
    :: d_step {
        faults++;
        stopped[me] = true;
        asleep[me] = false;
        slept = 0;
        FORGET
       }
    fi;
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
    inside[me] = true;
    slept = 0;
    FORGET
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

look:
    if
    :: faults < FAULTS -> fail()
    :: atomic {
        LOAD;
#ifdef UNACCEPTED
        if
        :: o == me -> enter(d); goto critical
        :: else -> skip
        fi;
#endif
        other = (h == me -> 0 : h)
       }
    fi;
    if
    :: o == me -> goto accept
    :: o == 0 ->
        if
        :: faults < FAULTS -> fail()
        :: atomic {
                if
            :: SAME -> STORE(me, other, (slept || w), d); enter(d); goto critical
            :: else -> FORGET; goto look
            fi
           }
        fi
    :: o != me && IS_OFFER ->
        if
#ifdef OFFER_STANDS
        :: !alive[o] -> goto take_back
#else
        :: goto take_back
#endif
        :: goto busy
        fi
    :: else -> skip
    fi;
    if
    :: alive[o] -> goto busy
    :: !alive[o] -> skip /* the kernel's answer; time passes */
    fi;
    if
    :: faults < FAULTS -> fail()
    :: atomic {
        if
#ifdef UNTOLD
        :: SAME_DEAD -> STORE(me, other, 1, d); enter(d); goto critical
#else
        :: SAME_DEAD -> STORE(me, other, 1, 1); enter(1); goto critical
#endif
        :: else -> FORGET; goto look
        fi
       }
    fi;

accept:
    if
    :: faults < FAULTS -> fail()
    :: atomic {
        if
        :: SAME -> STORE(me, 0, w, d); enter(d); goto critical
        :: else -> FORGET; goto look
        fi
       }
    fi;

take_back:
    if
    :: faults < FAULTS -> fail()
    :: atomic {
        if
        :: SAME_OFFER -> STORE(me, 0, 1, KEPT); enter(KEPT); goto critical
        :: else -> FORGET; goto look
        fi
       }
    fi;

busy:
    /* Will sleep; and perhaps wants to be heir: free, or named after a dead one. */
    other = h;
    if
    :: h != 0 && !IS_OFFER && !alive[h] -> other = 0
    :: else -> skip
    fi;
    if
    :: other == 0 -> other = me
    :: true -> skip
    fi;
    if
    :: faults < FAULTS -> fail()
    :: atomic { FORGET; goto withdraw } /* time is up, or the wait is cancelled */
    :: atomic {
        if
        :: SAME -> STORE(o, other, 1, d)
        :: else -> FORGET; goto look
        fi
       }
    fi;
    /* The futex compares the owner's half once more. */
    if
    :: faults < FAULTS -> fail()
    :: atomic {
        if
        :: owner == o && waiters -> asleep[me] = true; FORGET
        :: else -> FORGET; goto look
        fi
       }
    fi;
    if
    :: !asleep[me] -> skip
    :: asleep[me] && owner != 0 && owner != heir && stopped[owner] -> asleep[me] = false; goto withdraw
#ifndef UNBOUNDED
    :: asleep[me] && (owner == 0 || owner == me || !alive[owner]) -> asleep[me] = false
#ifndef OFFER_STANDS
    :: asleep[me] && owner != 0 && owner == heir -> asleep[me] = false
#endif
#endif
    :: faults < FAULTS -> fail()
    fi;
    slept = 1;
    goto look; /* a death here is a woken waiter's: its wake-up is lost */

withdraw: /* steps back, or frees an offer as it is: one compare-and-swap that depends on the word only */
    if
    :: faults < FAULTS -> fail()
    :: atomic {
        LOAD;
        if
        :: h != me -> slept = 0; FORGET; goto out
        :: h == me && o != me -> STORE(o, 0, w, d); slept = 0; FORGET; goto out
        :: h == me && o == me -> STORE(0, 0, 0, KEPT); slept = 0; d = 0; o = 0; h = 0; other = 0
        fi
       }
    fi;
    if
    :: faults < FAULTS -> fail()
    :: w -> atomic { wake(false); FORGET }
    :: !w -> skip
    fi;
    goto out;

critical:
    if
    :: faults < FAULTS -> fail()
    :: skip
    fi;

unlock:
    atomic { LOAD };
    if
    :: o != me -> d_step { inside[me] = false; forced[me] = false; FORGET }; goto out /* lock lost */
    :: else -> other = 0
    fi;
    if
    :: h != 0 && alive[h] -> other = h
    :: else -> skip
    fi;
    if
    :: faults < FAULTS -> fail()
    :: atomic {
        if
        :: SAME ->
            inside[me] = false;
            broken = false;
            STORE(other, other, (other != 0), 0);
            o = 0; h = 0; d = 0
        :: else -> FORGET; goto unlock
        fi
       }
    fi;
    if
    :: faults < FAULTS -> fail()
    :: w -> atomic { wake(other != 0); FORGET }
    :: !w -> atomic { FORGET }
    fi;
out:
    skip
}

proctype Forcer()
{
    byte o, h, other = 0;
    bit w, d;

again:
    atomic { LOAD };
    if
    :: o == 0 -> goto out
    :: else -> other = 0
    fi;
    if
    :: h != 0 && !IS_OFFER && alive[h] -> other = h
    :: else -> skip
    fi;
    atomic {
        if
        :: SAME && IS_OFFER -> STORE(0, 0, 0, KEPT) /* nobody is inside */
        :: SAME && !IS_OFFER ->
            broken = broken || inside[o];
            forced[o] = inside[o];
#ifdef FORCE_UNTOLD
            STORE(other, other, (other != 0), 0)
#else
            STORE(other, other, (other != 0), 1)
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
