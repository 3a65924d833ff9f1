/* Rolling a sliding window on: SlidingWindow.view, .decide and .place, Slot.roll, Engine.look, .charge
 * and .giveBack. README.md maps each label to the Swift code.
 *
 * One slot, three threads, cost 1. A window is two instants long, so that a charge at its second
 * instant weighs the window before at one half. A thread's `now` is any value at all, chosen anew
 * for every operation: readings may be out of order by any amount.
 *
 * Words: 16 × expiry + 8 if frozen + count for windows, expiry in instants; 0 … 7 in `previous` is the
 * floor, of a slot whose owner has not rolled yet; 255 claimed.
 *
 * REFUNDS: a charge may be given back at any later moment.
 * Reuser takes the slot for another bucket, of windows one instant long, once it is dead.
 * BREAK_*: one mutation each, which some run must catch. */

#ifndef P0                /* the threads: Charger(operations), Reuser() */
#define P0 Charger(2)
#define P1 Charger(2)
#define P2 Charger(2)
#endif
#ifndef LIMIT
#define LIMIT 2
#endif
#ifndef LATEST
#define LATEST 5          /* readings are 0 ... LATEST, at most 7 */
#endif

#define W 2
#define FROZEN 8
#define WORD(expiry, count) (16 * (expiry) + (count))
#define tick(w) ((w) / 16)
#define count(w) ((w) % 8)
#define isFrozen(w) ((w) % 16 >= FROZEN)
#define freeze(w) ((w) - (w) % 16 + FROZEN + count(w))
#define same(p, w) ((p) / 8 == (w) / 8)       /* StateWord.isSameWindow */
#define max(a, b) ((a) > (b) -> (a) : (b))

byte current = WORD(2 * W, 0);      /* a bucket in its window 0 */
byte previous = 0;
bool taken;                         /* the slot's tag: another bucket's */

/* Ghosts: the truth. Units admitted in each window less those given back, by expiry / W. */
byte used[8];
byte latest;                        /* the latest expiry that was charged */
bool over;                          /* `current` is another bucket's word, or claimed for it */
bool overPrevious;                  /* so is `previous` */
byte ended;

inline forget() {
  w = 0; p = 0; now0 = 0; was = 0; before = 0; elapsed = 0; expiry = 0; next = 0; rolls = 0
}

proctype Charger(byte operations) {
  byte now, w, p, now0, was, before, elapsed, expiry, next, charged;
  bool rolls, refunds;

  do
  :: operations > 0 ->
    atomic { operations--; select(now : 0 .. LATEST) }

look:                     /* find, then the pair of words as one snapshot */
    atomic { forget(); if :: taken -> goto finished :: else -> w = current fi }
    atomic {
      if
      :: taken || w == 255 -> goto finished /* the second look at the tag */
      :: else
      fi
    }
    p = previous;
#ifndef BREAK_SNAPSHOT
    atomic { if :: current != w -> goto look :: else fi }
#endif
    if
    :: refunds -> goto place
    :: else
    fi;
    atomic {              /* view(current:previous:window:now:) */
      now0 = now - now % W;               /* start */
      if
      :: tick(w) == now0 + 2 * W && !isFrozen(w) ->
        was = count(w); before = (same(p, w) -> count(p) : 0);
        elapsed = now % W; expiry = tick(w)
      :: else ->
        if
        :: tick(w) <= now0 ->             /* out of view */
          elapsed = now % W; expiry = now0 + 2 * W
        :: tick(w) == now0 + W ->         /* the window before */
          before = count(w); elapsed = now % W; expiry = now0 + 2 * W; rolls = 1
        :: tick(w) > now0 + W && isFrozen(w) ->
          before = count(w); expiry = tick(w) + W; rolls = 1
        :: else ->                        /* begun by a later reading */
          assert(tick(w) >= now0 + 2 * W);
          was = count(w); before = (same(p, w) -> count(p) : 0); expiry = tick(w)
        fi
      fi;
      now0 = 0;
      next = WORD(expiry, was + 1);
      if                                  /* decide: deny writes nothing */
      :: was + 1 > LIMIT || before * (W - elapsed) > (LIMIT - was - 1) * W -> goto finished
      :: else
      fi
    }
    if
    :: rolls -> goto roll
    :: else -> goto swing
    fi;

roll:                     /* Slot.roll(from:to:) */
#ifndef BREAK_NO_FREEZE
    atomic {
      if
      :: isFrozen(w)
      :: else ->
        if
        :: current == w -> assert(!over); w = freeze(w); current = w
        :: else -> goto look
        fi
      fi
    }
    p = previous;
#ifndef BREAK_SNAPSHOT
    atomic { if :: current != w -> goto look :: else fi }
#endif
#endif
publish:
#if defined(BREAK_NO_PUBLISH)
    skip;
#elif defined(BREAK_STORE)
    previous = WORD(tick(next), count(w));          /* a store, not an exchange */
#else
    atomic {
      if
      :: p == WORD(tick(next), count(w))
      :: else ->
        if
        :: previous == p -> previous = WORD(tick(next), count(w))
        :: else -> goto look
        fi
      fi
    }
#endif

swing:                    /* the exchange of `current` */
    atomic {
      if
      :: current == w ->
        assert(!over);
        current = next;
        assert(tick(next) >= latest);     /* time does not go back for a bucket */
        latest = tick(next);
        /* Exactly what was counted, given back or not, is published. */
        assert(!rolls || count(previous) == used[tick(next) / W - 1]);
        if
        :: refunds -> goto look           /* it only finished the roll */
        :: else
        fi;
        used[expiry / W]++;
        /* Never above the limit, measured against the truth. */
        assert(used[expiry / W] <= LIMIT);
        assert(used[expiry / W - 1] * (W - elapsed) + used[expiry / W] * W <= LIMIT * W);
        charged = expiry / W
      :: else -> goto look
      fi
    }
#ifdef REFUNDS
    if                    /* perhaps much later; the receipt holds the window of the decision */
    :: refunds = 1; goto look
    :: skip
    fi;
#endif
    goto finished;

place:                    /* place(of:current:previous:) and giveBack */
    if
#ifdef BREAK_REFUND
    :: true ->                            /* whatever window it is by now, frozen or not */
#else
    :: isFrozen(w) ->                     /* to the window after the one that is frozen */
#ifdef BREAK_FOLLOWING
      atomic { rolls = 1; next = WORD(charged * W + W, 0) } /* after that of the receipt */
#else
      atomic { rolls = 1; next = WORD(tick(w) + W, 0) }
#endif
      goto roll
    :: tick(w) == charged * W && !isFrozen(w) ->
#endif
      atomic {
        if
        :: current == w ->
          assert(!over);
          current = w - (count(w) > 0 -> 1 : 0);
          used[charged]--
        :: else -> goto look
        fi
      }
#ifndef BREAK_REFUND
    :: tick(w) == charged * W + W && same(p, w) ->
      atomic {
        if
        :: previous == p ->
          assert(!overPrevious);
          previous = p - (count(p) > 0 -> 1 : 0);
          used[charged]--
        :: else -> goto look
        fi
      }
    :: else                               /* out of view */
#endif
    fi;

finished:
    atomic { forget(); refunds = 0; now = 0; charged = 0 }
  :: break
  od;
  ended++
}

/* Takes the slot for a bucket of its own, charges it, and rolls it on once. */
proctype Reuser() {
  byte now, w;
  select(now : 0 .. LATEST);
  w = current;
  if
  :: tick(w) < now ->
    atomic {
      if :: current == w -> current = 255; over = 1 :: else -> goto finished fi
    }
    atomic { previous = now; overPrevious = 1 }     /* the floor */
    taken = 1;
    current = WORD(now + 2, 1);
    atomic { assert(current == WORD(now + 2, 1)); current = WORD(now + 2, 1) + FROZEN }
    atomic { assert(previous == now); previous = WORD(now + 3, 1) }
    atomic { assert(current == WORD(now + 2, 1) + FROZEN); current = WORD(now + 3, 1) }
    (ended >= 2);
    assert(current == WORD(now + 3, 1) && previous == WORD(now + 3, 1))
  :: else
  fi;
finished:
  ended++
}

init {
  atomic { run P0; run P1; run P2 }
  atomic {
    ended == 3;
    /* What is counted is the truth, whatever was given back. */
    if
    :: !over ->
      assert(count(current) == used[tick(current) / W]);
      assert(!same(previous, current) || count(previous) == used[tick(current) / W - 1])
    :: else
    fi
  }
}
