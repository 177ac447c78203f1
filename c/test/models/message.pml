/*
 * message.pml - one entry of the table of src/message.c: the word { sender, state }, the nonce that names the file, and
 * `closing`.
 *
 * Two messages are sent by the same entry, if it is free when it is wanted: by two senders, or, with -DAGAIN, by one
 * after the other. A sender may give up at any moment, or never does. Two holders follow each other; each may die at
 * any step, refuse messages and go on to live, or release the guard. Each load, compare-and-swap and store is one step;
 * between any two, everybody else may run. A holder answers what it took when it likes, and takes others before. The
 * holders' deaths are all that fails here: what senders that die leave behind is freed by those who find it, which is
 * tested, not modelled.
 *
 * Checked:
 *   - a message is handled at most once, and never after its sender was told that it was not   (assertion in Holder)
 *   - the file of a message that is taken, and not given up, is there                          (assertion in Holder)
 *   - told "withdrawn", "refused" or "leaving": not handled; told "answered": handled, and the reply is there and its
 *     own; told "lost": there was no answer                                                    (assertions in `tell`)
 *   - no sender waits for ever, whoever died or refused                                        (no invalid end state)
 *
 * Defects, each of which must be found: -DPLAIN_STORE gives up by a store; -DLOOK_FIRST looks at `closing` only before
 * the message is there; -DNO_SECOND_LOOK takes a message for lost that a dead holder has answered; -DREUSED frees the
 * entry of a message that a holder has; -DKEPT_TAKEN lets the next holder keep what the former one took; -DREPLY_LATE
 * says so before the reply is there; -DUNLINK_BY_ENTRY removes the file that the entry names when it is not the
 * sender's any more. Sequentially consistent: memory orders are argued in src/message.c, not here.
 */
#define ALL 3

mtype = { FREE, CLAIMED, NEW, TAKEN, ANSWERED, REFUSED, LOST, ABANDONED };
mtype = { UNHANDLED, REPLIED, UNKNOWN }; /* what a sender was told */

/* the word; sender 0 = nobody */
mtype state = FREE;
byte sender = 0;
byte nonce = 0;

/* the control block, and the kernel */
bit closing = 0;
byte holder = 0;
bool alive[3];
bool gone[3]; /* byte P is free again */

/* the file that the entry names, and whose reply is in it; 0 = none */
bool file = false;
byte reply = 0;
bool answered = false;

/* what an observer knows of each message */
bool handled[ALL]; /* or must not be any more */
bool ended[ALL];   /* for its sender */

#define HELD (holder != 0 && alive[holder])
#define LOAD s = state; o = sender
#define SAME (state == s && sender == o)
#define STEP_TO(next, otherwise)      \
    atomic {                          \
        if                            \
        :: SAME -> state = next       \
        :: else -> goto otherwise     \
        fi                            \
    }
#define SET_FREE state = FREE; sender = 0
#define DIES                          \
    if                                \
    :: goto dead                      \
    :: skip                           \
    fi

inline tell(what)
{
    d_step {
        assert(what != UNHANDLED || !handled[m]);
        assert(what != REPLIED || (handled[m] && reply == m));
        assert(what != UNKNOWN || nonce != m || !answered);
        handled[m] = handled[m] || what == UNHANDLED;
        ended[m] = true
    }
}

/* Ends what a sender has of a message. */
inline let_go(is_ours, what)
{
    tell(what);
#ifdef UNLINK_BY_ENTRY
    file = false;
#else
    file = (nonce == m -> false : file);
#endif
    if
    :: is_ours -> atomic { SET_FREE }
    :: else
    fi
}

/* Sends message m; with -DAGAIN one more. */
proctype Sender(byte id; byte m)
{
    mtype s = FREE;
    byte o = 0;
    bool patient;
    bool gives_up = false;
    if
    :: patient = true
    :: patient = false
    fi;
begin:
    if
    :: !HELD || closing -> tell(UNHANDLED); goto sent
    :: else
    fi;
    atomic {
        if
        :: state == FREE -> state = CLAIMED; sender = id
        :: else -> goto sent /* full */
        fi
    }
    atomic { nonce = m; reply = 0; answered = false }
    file = true;
#ifdef LOOK_FIRST
    if
    :: closing -> let_go(true, UNHANDLED); goto sent
    :: else
    fi;
    state = NEW;
#else
    state = NEW;
    if
    :: closing ->
        atomic {
            if
            :: state == NEW && sender == id -> state = CLAIMED
            :: else -> goto look
            fi
        }
        let_go(true, UNHANDLED);
        goto sent
    :: else
    fi;
#endif
look:
    atomic { LOAD }
    if
    :: (s == NEW || s == TAKEN) && !gives_up && HELD -> /* waits */
        if
        :: atomic { !SAME || !HELD -> goto look }
        :: atomic { !patient -> gives_up = true; goto look }
        fi
    :: s == NEW && (gives_up || !HELD) ->
#ifdef PLAIN_STORE
        state = CLAIMED;
#else
        STEP_TO(CLAIMED, look);
#endif
        let_go(true, UNHANDLED)
    :: s == TAKEN && gives_up ->
#ifdef REUSED
        atomic {
            if
            :: SAME -> SET_FREE
            :: else -> goto look
            fi
        }
#else
        STEP_TO(ABANDONED, look);
#endif
        let_go(false, UNKNOWN)
    :: s == TAKEN && !gives_up && !HELD ->
#ifdef NO_SECOND_LOOK
        state = LOST;
#else
        STEP_TO(LOST, look);
#endif
        let_go(true, UNKNOWN)
    :: s == ANSWERED -> let_go(true, REPLIED)
    :: s == REFUSED -> let_go(true, UNHANDLED)
    :: s == LOST -> let_go(true, UNKNOWN)
    fi;
sent:
    atomic { s = FREE; o = 0; gives_up = false }
#ifdef AGAIN
    if
    :: atomic { m == 1 -> m = 2; goto begin }
    :: else
    fi
#endif
}

/* Turns the entry, if it is found in this state, and nobody else is faster. */
inline turn(from, to)
{
    atomic { LOAD }
    atomic {
        if
        :: s == from && SAME -> state = to
        :: else
        fi;
        if
        :: state == FREE -> sender = 0
        :: else
        fi
    }
    DIES
}

/* Elected when nobody else holds the guard; ends when it is dead, has released the guard, or refuses and has nothing
 * more to answer: then it lives on. */
proctype Holder(byte id)
{
    mtype s = FREE;
    byte o = 0;
    byte n = 0;
    byte got[2];
    bool refuses = false;
end:
    (id == 1 || gone[1]);
    alive[id] = true;
#ifndef KEPT_TAKEN
    turn(TAKEN, LOST);
#endif
    turn(ABANDONED, FREE);
    closing = 0;
    holder = id;
    do
    :: !refuses && state == NEW && (got[0] == 0 || got[1] == 0) -> /* takes it */
        atomic { LOAD }
        DIES;
        if
        :: atomic { s == NEW && SAME -> state = TAKEN }
            DIES;
            n = nonce;
            d_step {
                assert(file || state == ABANDONED || ended[n]);
                assert(!handled[n]);
                handled[n] = true
            }
            d_step {
                if
                :: got[0] == 0 -> got[0] = n
                :: else -> got[1] = n
                fi;
                n = 0
            }
        :: else
        fi;
        DIES
    :: got[0] != 0 || got[1] != 0 -> /* answers one of them; there is one entry, so that it is found there */
        atomic {
            if
            :: got[0] != 0 -> n = got[0]; got[0] = 0
            :: got[1] != 0 -> n = got[1]; got[1] = 0
            fi
        }
        atomic { LOAD }
        if
        :: s == TAKEN ->
#ifndef REPLY_LATE
            reply = n;
            DIES;
#endif
            atomic {
                if
                :: SAME -> state = ANSWERED; answered = true
                :: else
                fi
            }
            DIES;
#ifdef REPLY_LATE
            reply = n
#endif
        :: else
        fi;
        turn(ABANDONED, FREE);
        n = 0
    :: !refuses ->
        refuses = true;
        closing = 1;
        DIES;
        turn(NEW, REFUSED)
    :: refuses && got[0] == 0 && got[1] == 0 -> goto out
    :: holder = 0; /* releases the guard */
        DIES;
        closing = 1;
        DIES;
        turn(NEW, REFUSED);
        turn(TAKEN, LOST);
        turn(ABANDONED, FREE);
        goto dead
    :: goto dead
    od;
dead:
    atomic { alive[id] = false; gone[id] = true }
out:
    atomic { s = FREE; o = 0; n = 0; got[0] = 0; got[1] = 0 }
}

init
{
    atomic {
        run Holder(1);
        run Holder(2);
        run Sender(1, 1);
#ifndef AGAIN
        run Sender(2, 2)
#endif
    }
}
