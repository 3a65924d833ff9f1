/* Taking, charging, giving back, freeing and reusing slots: BucketTable.find, +Insert, +Sweep, and
 * Engine.charge and .giveBack, for token buckets. README.md maps each label to the Swift code.
 *
 * Two slots, three threads, up to three identities. T = 1. A thread's `now` is any value at all,
 * chosen anew for every operation: readings may be out of order by any amount, and a thread may
 * stall anywhere.
 *
 * Words: 0 empty; 1 + TAT live; 32 + nonce pending; 64 + nonce claimed.
 *
 * OUTSIDE: slot 0 is the (only) home of every identity and slot 1 lies outside it, to be looked at
 * only where the home is marked. Otherwise both slots are lanes of the homes.
 *
 * REFUNDS: an operation may give back two units of any earlier decision, also of a bucket long dead.
 *
 * SPENT: begins with a bucket of identity 1 whose burst is spent.
 *
 * BREAK_*: one mutation each, which some run must catch. SHOW_STALE: see README. */

#ifndef P0                /* the threads: Charger(identity, operations), Sweeper(slots) */
#define P0 Charger(1, 1)
#define P1 Charger(1, 1)
#define P2 Charger(2, 1)
#endif
#ifndef BURST
#define BURST 1
#endif
#ifndef LATEST
#define LATEST 2          /* readings are 0 ... LATEST */
#endif

#define LIVE(tat) (1 + (tat))
#define TAT(w) ((w) - 1)
#define isLive(w) ((w) > 0 && (w) < 32)
#define isPending(w) ((w) >= 32 && (w) < 64)
#ifdef BREAK_DEAD
#define isDead(w, now) ((w) == 0 || (isLive(w) && TAT(w) <= (now)))
#else
#define isDead(w, now) ((w) == 0 || (isLive(w) && TAT(w) < (now)))
#endif
#define max(a, b) ((a) > (b) -> (a) : (b))
/* Slot.isFree, from a state word read before. */
#define isFree(s, w, now) ((w) == 0 -> floor[s] <= (now) : isDead(w, now) && isPast(s, now))
#ifdef BREAK_TALL
#define isPast(s, now) true
#else
#define isPast(s, now) (tall[s] == 0 || tall[s] < (now))
#endif

byte tag[2];              /* 0: none */
byte current[2];
byte floor[2];            /* `previous` of a slot: the instant before which its past lies */
byte owner[2];
byte tall[2];             /* Owner.tallest: the tallest word that was lowered, 0 for none */
bool mark;                /* of the home bucket, for OUTSIDE */
byte nonce[2];            /* claims; per slot, which is what makes a slot's words differ */

/* Ghosts: what is true, whatever the words say. */
byte whose[2];            /* whose live word this is */
byte state[4];            /* the one live word of an identity, 0 for none */
byte admitted[4];         /* units admitted since the bucket was last taken */
byte first[4];            /* the reading that it was taken at */
byte last[4];             /* the latest reading that admitted */
short counted[4];         /* buckets counted for each identity, from before they are announced */
byte ended;
#ifdef SHOW_STALE
byte everTAT[4];          /* as state, but never forgotten */
#endif

/* A unit is admitted at `now`: the ghost account of GCRA in clock readings. */
inline admit(i, at) {
  admitted[i]++;
  last[i] = max(last[i], at);
  assert(admitted[i] <= BURST + last[i] - first[i]);
#ifdef SHOW_STALE
  assert(max(everTAT[i], at) + 1 - at <= BURST);
  everTAT[i] = max(everTAT[i], at) + 1
#endif
}

/* An identity's live word leaves the table: only when dead, and only the true one. */
inline depart(s, word) {
  assert(whose[s] != 0 && state[whose[s]] == word);
  state[whose[s]] = 0;
  counted[owner[s]]--;    /* countDeparture: `owner` is stable between claims */
  whose[s] = 0
}

/* Locals that no longer matter: fewer states, nothing else. */
inline forget() {
  s = 0; r = 0; w = 0; next = 0; fl = 0; n = 0; p = 0; free0 = 0; free1 = 0;
  charges = 0; mine = 0; marked = 0
}

proctype Charger(byte id; byte operations) {
  byte now, s, r, w, next, fl, n, p;
  byte free0, free1;      /* 255: not free; else the word seen */
  bool charges, mine, marked, refunds;

  do
  :: operations > 0 ->
    atomic {
      operations--; select(now : 0 .. LATEST);
#ifdef REFUNDS            /* of two units, of any earlier decision: also of a bucket long dead */
      if :: refunds = 1 :: skip fi
#endif
    }

look:                     /* BucketTable.find, Engine.look */
    forget()
find:
    do
    :: s < 2 ->
#ifdef OUTSIDE
      if
      :: s == 1 -> atomic { marked = mark; if :: !marked -> goto absent :: else fi }
      :: else
      fi;
#endif
      atomic { if :: tag[s] != id -> s++; goto find :: else fi }
      atomic { w = current[s]; if :: !isLive(w) -> w = 0; s++; goto find :: else fi }
#ifndef BREAK_TAG_AGAIN
      atomic { if :: tag[s] != id -> w = 0; s++; goto find :: else fi }
#endif
      goto found
    :: else -> goto absent
    od;

found:
    if
    :: refunds -> goto refund
    :: !refunds && max(TAT(w), now) + 1 - now > BURST -> goto finished    /* deny: no write */
    :: else
    fi;
    atomic {              /* Engine.charge: the exchange */
      next = LIVE(max(TAT(w), now) + 1);
      if
      :: current[s] == w ->
        current[s] = next;
        assert(whose[s] == id);             /* never another owner's bucket */
        assert(state[id] == w);
        state[id] = next;
        admit(id, now)
      :: else -> goto look
      fi
    }
    goto finished;

absent:
    if
    :: refunds -> goto finished             /* giveBack: no slot, full already */
    :: else
    fi;
    /* place(for:at:) and survey: state word, then tag */
    atomic { forget(); free0 = 255; free1 = 255 }
survey:
    do
    :: s < 2 ->
#ifdef OUTSIDE
      if
      :: s == 1 ->
        atomic { marked = mark; if :: !marked && free0 != 255 -> goto choose :: else fi }
        if
        :: !marked -> mark = 1              /* home full: marked before looking outside */
        :: else
        fi
      :: else
      fi;
#endif
      w = current[s];
      atomic {
        if
        :: tag[s] == id && isLive(w) -> goto look           /* exists */
#ifdef BREAK_HELP
        :: tag[s] == id && isPending(w) -> goto look        /* waits for whoever announced it */
#else
        :: tag[s] == id && isPending(w) -> p = w; goto help
#endif
        :: else
        fi;
        if
        :: isFree(s, w, now) -> if :: s == 0 -> free0 = w :: else -> free1 = w fi
        :: else
        fi;
        w = 0; s++
      }
    :: else -> break
    od;
choose:
    atomic {
      if
      :: free0 != 255 -> s = 0; w = free0
#ifdef OUTSIDE
      :: free0 == 255 && free1 != 255 -> s = 1; w = free1
#else
      :: free1 != 255 -> s = 1; w = free1
#endif
      :: free0 == 255 && free1 == 255 -> goto finished      /* noRoom: the wider bucket */
      fi
    }
    atomic {              /* claim, countDeparture, floor */
      if
      :: current[s] == w ->
#ifdef BREAK_NONCE
        n = 1;
#else
        nonce[s]++; n = nonce[s]; assert(n < 32);
#endif
        current[s] = 64 + n;
        if
        :: w != 0 && isPast(s, now) -> depart(s, w); fl = now
        :: w != 0 && !isPast(s, now) -> depart(s, w); fl = tall[s] + 1
        :: w == 0 -> fl = max(now, floor[s])
        fi;
        free0 = 0; free1 = 0; w = 0;
        if
        :: fl > now -> goto abandon         /* not free after all */
        :: else
        fi;
        counted[id]++;    /* reserve, which came before the claim */
        owner[s] = id; floor[s] = fl; tall[s] = 0   /* announce; nobody can tell these apart */
      :: else -> goto absent
      fi
    }
    goto announced;

abandon:                  /* Slot.abandon */
    floor[s] = fl;
    tag[s] = 0;
    current[s] = 0;
    goto absent;

announced:
#ifdef BREAK_TAG_AFTER
    current[s] = 32 + n;
    tag[s] = id;
#else
    tag[s] = id;
    current[s] = 32 + n;
#endif
    atomic {
      p = 32 + n; mine = 1;
      charges = 1;
      next = LIVE(now + 1);
      goto promote
    }

help:
    atomic { free0 = 0; free1 = 0; w = 0; next = LIVE(floor[s]) }

promote:                  /* promote: look at every other candidate */
#ifdef OUTSIDE
#ifdef BREAK_MARK
    marked = 0;
#else
    marked = mark;
#endif
    if
    :: s == 0 && !marked -> goto settle
    :: else
    fi;
#endif
#ifndef BREAK_LOOK
    r = 1 - s;
clear:
    atomic { if :: tag[r] != id -> goto settle :: else fi }
    atomic {
      w = current[r];
      if
      :: isLive(w) -> goto giveUp
      :: !isLive(w) && !isPending(w) -> w = 0; goto settle
      :: isPending(w) && r < s -> goto giveUp
      :: else
      fi
    }
#ifdef BREAK_RIVAL
    atomic { w = 0; goto settle }           /* leaves a rival in a higher place pending */
#endif
    atomic {
      if
      :: current[r] == w -> current[r] = 0; counted[owner[r]]--; w = 0; goto settle
      :: else -> goto clear
      fi
    }
giveUp:                   /* end: whoever does it counts the bucket out */
#ifdef BREAK_OWNER
    atomic { if :: current[s] == p -> current[s] = 0 :: else -> goto look fi }
    counted[owner[s]]--;    /* whose it may be no more */
    goto look;
#else
    atomic {
      if
      :: current[s] == p -> current[s] = 0; counted[owner[s]]--
      :: else
      fi;
      goto look
    }
#endif
#endif
settle:
    atomic {
      if
      :: current[s] == p ->
        current[s] = next;
        assert(tag[s] == id && owner[s] == id);
        assert(state[id] == 0);             /* never a second live slot */
        whose[s] = id; state[id] = next;
        admitted[id] = 0; first[id] = fl; last[id] = 0;
        if :: !mine -> first[id] = TAT(next) :: else fi;
        if :: charges -> admit(id, now) :: else fi
      :: else -> goto look
      fi
    }
    if
    :: charges
    :: else -> goto look
    fi;

    goto finished;

refund:
    if
    :: TAT(w) <= now -> goto finished       /* full already */
    :: else
    fi;
    atomic { /* floor: read after `current`, whose exchange confirms that it is this bucket's */
      next = (TAT(w) > now + 2 -> TAT(w) - 2 : now);
#ifndef BREAK_REFUND
      next = max(next, floor[s]);
#endif
      if :: next >= TAT(w) -> goto finished :: else fi;
      next = LIVE(next)
    }
    tall[s] = max(tall[s], TAT(w));         /* Slot.noteLowering, whoever owns the slot by now */
    atomic {
      if
      :: current[s] == w ->
        current[s] = next;
        assert(whose[s] == id && state[id] == w);
        state[id] = next;
        admitted[id] = (admitted[id] > 2 -> admitted[id] - 2 : 0)
      :: else -> goto look
      fi
    }

finished:
    atomic { forget(); refunds = 0; now = 0 }
  :: break
  od;
  ended++
}

/* Frees dead slots: BucketTable.sweep. */
proctype Sweeper(byte slots) {
  byte now, s, w, fl;
  do
  :: slots > 0 ->
    atomic { slots--; select(now : 0 .. LATEST); select(s : 0 .. 1) }
    atomic { w = current[s]; if :: w == 0 -> goto next :: else fi }
    atomic { if :: !isFree(s, w, now) -> goto next :: else fi }
    atomic {
      if
      :: current[s] == w ->
        nonce[s]++; current[s] = 64 + nonce[s]; depart(s, w);
        fl = (isPast(s, now) -> now : tall[s] + 1)
      :: else -> goto next
      fi
    }
#ifndef BREAK_FLOOR
    floor[s] = fl;
#endif
    tag[s] = 0;
    current[s] = 0;
next:
    atomic { now = 0; s = 0; w = 0; fl = 0 }
  :: break
  od;
  ended++
}

init {
  atomic {
#ifdef SPENT
    tag[0] = 1; current[0] = LIVE(BURST); owner[0] = 1; whose[0] = 1; state[1] = LIVE(BURST);
    counted[1] = 1; admitted[1] = BURST;
#else
    if                    /* an empty table, or one whose slots belonged to others */
    :: skip
    :: tag[0] = 2; current[0] = LIVE(1); owner[0] = 2; whose[0] = 2; state[2] = LIVE(1);
      counted[2] = 1
    :: tag[0] = 1; current[0] = LIVE(1); owner[0] = 1; whose[0] = 1; state[1] = LIVE(1);
      counted[1] = 1;
      tag[1] = 3; current[1] = LIVE(1); owner[1] = 3; whose[1] = 3; state[3] = LIVE(1);
      counted[3] = 1
    fi;
#endif
    run P0; run P1; run P2
  }
  /* Threads end, and then the counts are true and no slot is left half filled. */
  atomic {
    ended == 3;
    assert(counted[1] == (state[1] != 0 -> 1 : 0));
    assert(counted[2] == (state[2] != 0 -> 1 : 0));
    assert(counted[3] == (state[3] != 0 -> 1 : 0));
    assert(current[0] < 32 && current[1] < 32)
  }
}
