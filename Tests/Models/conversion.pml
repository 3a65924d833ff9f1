/* Rules that change while threads decide: Engine.look, .charge, .lookAcrossRules, .adopt, .putInForce
 * and .convert, of a token bucket. README.md maps each label to the Swift code.
 *
 * One slot. The former rule returns a unit per instant and holds BURST; the one that follows returns
 * a unit per INTERVAL2 instants and holds BURST2. Threads charge one unit at a time, each at any reading of
 * the clock that is not later than the change for those that decide by the former rule, and not
 * earlier than EARLIEST for others: the change lies ahead of the clock. The bucket may die and be taken by another.
 *
 * Words: 16 × parity + TAT; 0 empty, 255 claimed for another bucket.
 *
 * BREAK_*: one mutation each, which some run must catch. */

#ifndef P0
#define P0 Charger(2)
#define P1 Charger(2)
#endif
#ifndef BURST
#define BURST 2
#endif
#ifndef BURST2
#define BURST2 2
#endif
#ifndef INTERVAL2
#define INTERVAL2 2
#endif
#ifndef CHANGE
#define CHANGE 1          /* the instant at which the rules change */
#endif
#ifndef EARLIEST
#define EARLIEST CHANGE   /* the first reading by the rule that follows */
#endif
#ifndef LATEST
#define LATEST 3
#endif

#define WORD(parity, tat) (16 * ((parity) + 1) + (tat))
#define parity(w) ((w) / 16 - 1)
#define tat(w) ((w) % 16)
#define max(a, b) ((a) > (b) -> (a) : (b))
#define min(a, b) ((a) < (b) -> (a) : (b))
/* What a unit costs, in instants. */
#define interval(isNew) ((isNew) -> INTERVAL2 : 1)
/* Conversion.tokenBucket: units stay units, at most as many as the bucket now holds. As of `now`. */
#define convertedAt(w, now) WORD(1, now + INTERVAL2 * min(max(tat(w), now) - now, BURST2))
/* One that is full then, and whose units come back as before, says the same. */
#define converted(w) \
  ((INTERVAL2 == 1 && tat(w) <= CHANGE) -> WORD(1, tat(w)) : convertedAt(w, CHANGE))

byte current = WORD(0, 0);
byte tallest;             /* Owner.tallest: no word that was lowered lies after it */
bool inForce;             /* PolicySet.inForce */
bool over;                /* the slot is another bucket's */
bool swept;               /* Engine.convert has seen the slot */

/* Ghosts. What was admitted and what time has paid of it, by the rules of each moment. */
byte owed;                /* TAT of the truth, in instants of the rule in force */
bool truthIsNew;
byte ended;

/* The truth at the change: the same conversion, of what was truly admitted. */
inline turn() {
  if
  :: !truthIsNew -> owed = tat(converted(WORD(0, owed))); truthIsNew = 1
  :: else
  fi
}

proctype Charger(byte operations) {
  byte now, w, next;
  bool byNew;

  do
  :: operations > 0 ->
    atomic {              /* a decision begins: rule(for:ofRow:) */
      operations--;
      byNew = inForce;
      if
      :: byNew -> select(now : EARLIEST .. LATEST)
      :: else -> select(now : 0 .. CHANGE)
      fi
    }
look:
    atomic { next = 0; if :: over -> goto finished :: else -> w = current fi }
#ifdef BREAK_PARITY
    goto decide;                                    /* words do not say by which rules */
#endif
    if
    :: parity(w) == byNew -> goto decide
#ifdef BREAK_FORMER
    :: !byNew && parity(w) == 1 -> goto decide      /* goes on by the former rule all the same */
#else
    :: !byNew && parity(w) == 1 -> byNew = 1; goto decide  /* isFormer: go on by the newer */
#endif
    :: byNew && parity(w) == 0 -> goto adopt
    fi;

adopt:
    atomic { tallest = max(tallest, tat(w)) }       /* noteLowering */
    atomic {
      if
#ifdef BREAK_NOW
      /* As of this thread's reading, not of the change. */
      :: current == w && !over ->
        current = convertedAt(w, now); turn()
#else
      :: current == w && !over -> current = converted(w); turn()
#endif
      :: else
      fi;
      assert(over || truthIsNew == (parity(current) == 1));
      goto look
    }

decide:
    atomic {
      if
      :: !byNew && max(tat(w), now) - now + 1 <= BURST ->
        next = WORD(0, max(tat(w), now) + 1)
      :: byNew && max(tat(w), now) - now + INTERVAL2 <= INTERVAL2 * BURST2 ->
        next = WORD(1, max(tat(w), now) + INTERVAL2)
      :: else -> goto finished                      /* deny writes nothing */
      fi
    }
    atomic {
      if
      :: current == w ->
        assert(!over);
        /* Words never go back to former rules, nor after the pass that converts them. */
        assert(parity(next) >= parity(w) && (!swept || parity(next) == 1));
        current = next;
        /* Admitted as the truth allows: nothing was lost or counted twice. */
        owed = max(owed, now) + interval(byNew);
        assert(owed - now <= (byNew -> INTERVAL2 * BURST2 : BURST));
        assert(truthIsNew == byNew && owed == tat(current))
      :: else -> goto look
      fi
    }
finished:
    atomic {
      now = 0; w = 0; next = 0; byNew = 0
    }
  :: break
  od;
  ended++
}

/* The thread that reloads: all others hold the new set already. */
proctype Reloader() {
  byte w;
  inForce = 1;            /* putInForce */
again:                    /* convert */
  atomic {
    w = current;
    if
    :: over || parity(w) == 1 -> swept = 1; goto finished
    :: else
    fi
  }
  atomic { tallest = max(tallest, tat(w)) }
  atomic {
    if
    :: current == w && !over -> current = converted(w); turn()
    :: else
    fi;
    goto again
  }
finished:
  atomic { w = 0; ended++ }
}

/* Takes the slot for another bucket, of the new rules, once it is dead; charges it. */
proctype Reuser() {
  byte now, w;
  select(now : EARLIEST .. LATEST + 3);
  w = current;
  if
  :: tat(w) < now && tallest < now ->
    atomic {
      if
      :: current == w && tallest < now -> current = 255; over = 1
      :: else -> goto finished
      fi
    }
    current = WORD(inForce, now + interval(inForce));
    (ended >= 2);
    assert(current == WORD(parity(current), now + interval(parity(current))))
  :: else
  fi;
finished:
  ended++
}

#ifndef P2
#define P2 Reuser()
#endif

init {
  atomic { run P0; run P1; run P2; run Reloader() }
  atomic {
    ended == 4;
    assert(over || (parity(current) == 1 && swept))
  }
}
