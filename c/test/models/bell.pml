/*
 * bell.pml - the bells of src/bell.c: a generation that the waiter arms, and one byte that a publisher writes.
 *
 * One waiter waits for each next change; PUBLISHERS processes change something once each, and may die, or be stopped for
 * good, at any step. Each load, store, compare-and-swap and system call is one step; between any two, everybody else may
 * run. There is no bounded sleep here: what it makes good is left out.
 *
 * Checked: when nobody can do anything any more, the waiter has seen the newest change; unless the one that made that
 * change died before its ring was done.
 *
 * Defects, each of which must be found: -DEXCHANGE takes the generation down, and writes then; -DPLAIN_DISARM takes it
 * down by a store; -DLOOK_FIRST looks at what it waits for, and arms then; -DUNARMED arms once, and not again.
 * Sequentially consistent: memory orders are argued in src/bell.c, not here.
 */
#ifndef PUBLISHERS
#define PUBLISHERS 3
#endif

byte changes = 0; /* what is waited for */
byte armed = 0;   /* the generation, or 0 */
bool byte_in = false;
byte seen = 0;
byte unfinished = 0; /* the publisher that changed last, until its ring is done */

#define MAY_FAIL    \
    if              \
    :: goto out     \
    :: skip         \
    fi

proctype Publisher(byte me)
{
    byte a = 0;

    atomic { changes++; unfinished = me };
    MAY_FAIL;
#ifdef EXCHANGE
    atomic { a = armed; armed = 0 };
#else
    a = armed;
#endif
    MAY_FAIL;
    if
    :: a == 0 -> goto done
    :: else -> skip
    fi;
    byte_in = true;
    MAY_FAIL;
#ifdef PLAIN_DISARM
    armed = 0;
#endif
#ifndef EXCHANGE
    atomic {
        if
        :: armed == a -> armed = 0
        :: else -> skip
        fi
    };
#endif
done:
    atomic {
        a = 0;
        if
        :: unfinished == me -> unfinished = 0
        :: else -> skip
        fi
    };
out:
    skip
}

proctype Waiter()
{
    byte generation = 0, now;

#ifdef UNARMED
    generation = 1;
    armed = generation;
#endif
look:
#if !defined(LOOK_FIRST) && !defined(UNARMED)
    atomic { generation++; armed = generation };
#endif
    atomic { now = changes };
    if
    :: now != seen -> atomic { seen = now; now = 0 }; goto look
    :: else -> atomic { now = 0 }
    fi;
#ifdef LOOK_FIRST
    atomic { generation++; armed = generation };
#endif
end_asleep:
    byte_in -> byte_in = false;
    goto look
}

proctype Observer()
{
    timeout -> assert(seen == changes || unfinished != 0)
}

init
{
    byte i = 1;
    atomic {
        run Waiter();
        do
        :: i <= PUBLISHERS -> run Publisher(i); i++
        :: else -> break
        od;
        run Observer()
    }
}
