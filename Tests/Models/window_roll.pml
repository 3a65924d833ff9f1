/* Rolling a sliding window on: SlidingWindow.view, .decide and .place, BucketTable.publish,
 * Engine.look, .charge and .giveBack. README.md maps each label to the Swift code.
 *
 * One slot, three threads, cost 1. A window is two instants long, so that a charge at its second
 * instant weighs the window before at one half. A thread's `now` is any value at all, chosen anew
 * for every operation: readings may be out of order by any amount.
 *
 * Words: 16 × expiry + count for windows, expiry in instants; 0 … 15 in `previous` is the floor, of
 * a slot whose owner has not rolled yet; 255 claimed.
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
#define WORD(expiry, count) (16 * (expiry) + (count))
#define tick(w) ((w) / 16)
#define count(w) ((w) % 16)
#define isWindow(w) ((w) >= 16)
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
  w = 0; p = 0; now0 = 0; was = 0; before = 0; elapsed = 0; expiry = 0; rolls = 0
}

proctype Charger(byte operations) {
  byte now, w, p, now0, was, before, elapsed, expiry, charged;
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
      :: tick(w) == now0 + 2 * W && !(isWindow(p) && tick(p) > tick(w)) ->
        was = count(w); before = (tick(p) == tick(w) -> count(p) : 0);
        elapsed = now % W; expiry = tick(w)
      :: else ->
        if
        :: tick(w) <= now0 ->             /* out of view */
          elapsed = now % W; expiry = now0 + 2 * W
        :: tick(w) == now0 + W ->         /* the window before */
          before = count(w); elapsed = now % W; expiry = now0 + 2 * W; rolls = 1
        :: tick(w) > now0 + W && isWindow(p) && tick(p) > tick(w) ->
          before = count(w); expiry = tick(p); rolls = 1
        :: else ->                        /* begun by a later reading */
          assert(tick(w) > now0 + W && tick(w) >= now0 + 2 * W);
          was = count(w); before = (tick(p) == tick(w) -> count(p) : 0);
          elapsed = (tick(w) == now0 + 2 * W -> now % W : 0); expiry = tick(w)
        fi
      fi;
      now0 = 0;
      if                                  /* decide: deny writes nothing */
      :: was + 1 > LIMIT || before * (W - elapsed) > (LIMIT - was - 1) * W -> goto finished
      :: else
      fi
    }
    if
    :: rolls -> goto publish
    :: else -> goto swing
    fi;

publish:
#if defined(BREAK_NO_PUBLISH)
    skip;
#elif defined(BREAK_STORE)
    previous = WORD(expiry, count(w));    /* a store, not an exchange: not upward only */
#elif defined(BREAK_DOWNWARD)
    atomic {                              /* trusts whatever was published before */
      if
      :: isWindow(p) && tick(p) >= expiry
      :: else ->
        if :: previous == p -> previous = WORD(expiry, count(w)) :: else -> goto look fi
      fi
    }
#else
    atomic {
      if
      :: isWindow(p) && tick(p) == expiry && count(p) >= count(w)
      :: isWindow(p) && tick(p) > expiry -> goto look
      :: else ->
        if :: previous == p -> previous = WORD(expiry, count(w)) :: else -> goto look fi
      fi
    }
#endif

swing:                    /* Engine.charge: the exchange of `current` */
    atomic {
      if
      :: current == w ->
        assert(!over);
        current = WORD(expiry, was + 1);
        assert(expiry >= latest);         /* time does not go back for a bucket */
        latest = expiry;
        used[expiry / W]++;
        /* Never above the limit, measured against the truth. */
        assert(used[expiry / W] <= LIMIT);
        assert(used[expiry / W - 1] * (W - elapsed) + used[expiry / W] * W <= LIMIT * W);
        charged = expiry / W
      :: else -> goto look
      fi
    }
#ifdef REFUNDS
    if                    /* perhaps much later; the receipt holds the reading of the decision */
    :: refunds = 1; goto look
    :: skip
    fi;
#endif
    goto finished;

place:                    /* place(of:current:previous:window:) and giveBack */
    atomic { now0 = now - now % W }
    if
#ifdef BREAK_REFUND
    :: true ->                            /* whatever window it is by now */
#else
    :: tick(w) == now0 + 2 * W ->
#endif
      atomic {
        if
        :: current == w ->
          assert(!over);
          current = WORD(tick(w), (count(w) > 0 -> count(w) - 1 : 0));
          used[charged]--
        :: else -> goto look
        fi
      }
#ifndef BREAK_REFUND
    :: tick(w) == now0 + 3 * W && tick(p) == now0 + 3 * W ->
      atomic {
        if
        :: previous == p ->
          assert(!overPrevious);
          previous = WORD(tick(p), (count(p) > 0 -> count(p) - 1 : 0));
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
    atomic { w = previous; assert(w == now); previous = WORD(now + 3, 1) }
    atomic { assert(current == WORD(now + 2, 1)); current = WORD(now + 3, 1) }
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
    /* What is counted is never less than the truth; without refunds it is the truth. */
    if
    :: !over ->
      assert(count(current) >= used[tick(current) / W]);
#ifndef REFUNDS
      assert(count(current) == used[tick(current) / W]);
      assert(tick(previous) != tick(current)
        || count(previous) == used[tick(current) / W - 1])
#endif
    :: else
    fi
  }
}
