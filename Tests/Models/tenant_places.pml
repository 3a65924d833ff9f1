/* Entering tenants, counting their buckets and freeing their places: TenantDirectory+Enter.
 *
 * Two places, which both may stand in; threads that each take a bucket of a tenant, hold it and let
 * go, up to OPERATIONS times. README.md maps each label to the Swift code.
 *
 * Words: identity 0 free, 2 * id settled, 2 * id + 1 pending; count and closed are one word, so
 * each step that touches both is atomic.
 *
 * BREAK_*: one mutation each, which some run must catch. */

#ifndef T0                /* the threads: Thread(tenant, operations) */
#define T0 Thread(1, 1)
#define T1 Thread(1, 1)
#define T2 Thread(2, 1)
#endif
#define TURNS 3           /* of arrive; then it goes without */

#define SETTLED(id) (2 * (id))
#define PENDING(id) (2 * (id) + 1)

byte identity[2];
short count[2];
bool closed[2];
short guests;             /* places that guests have */
byte ended;

/* Ghost: buckets of each tenant that bear a place's number. */
byte held[8];             /* 4 * place + tenant */

proctype Thread(byte id; byte operations) {
  byte q, r, w, turns, free;
  bool own, ok;

  do
  :: operations > 0 ->
    atomic { operations--; turns = 0 }
arrive:
    atomic {
      q = 0; r = 0; w = 0; free = 2; own = 0; ok = 0;
      if :: turns == TURNS -> goto finished :: else -> turns++ fi
    }
    /* find: each place once */
    do
    :: q < 2 ->
      atomic {
        w = identity[q];
        if
        :: w == SETTLED(id) -> w = 0; goto counting
        :: w == PENDING(id) -> goto settle
        :: w == 0 && free == 2 -> free = q; q++
        :: else -> q++
        fi
      }
    :: else -> break
    od;
    atomic { if :: free == 2 -> goto finished :: else -> q = free; w = 0 fi }
    guests++;             /* takeGuestPlace */
    atomic {
      if
      :: identity[q] == 0 -> identity[q] = PENDING(id); own = 1; w = PENDING(id)
      :: else -> guests--; goto arrive
      fi
    }

counting:                 /* count(arrivalAt:) */
    atomic { count[q]++; ok = !closed[q] }
    atomic {
#ifndef BREAK_IDENTITY
      if :: identity[q] != SETTLED(id) && (!own || identity[q] != PENDING(id)) -> ok = 0
      :: else
      fi;
#endif
      if :: !ok -> goto undo :: else fi;
      if :: !own -> goto holding :: else fi
    }

settle:                   /* settle, of one's own place or another thread's */
    atomic {
      w = identity[q];
      if
      :: w == PENDING(id)
      :: w == SETTLED(id) && own -> goto holding
      :: w != SETTLED(id) && w != PENDING(id) && own -> goto undo
      :: w != PENDING(id) && !own -> goto arrive
      fi
    }
#ifndef BREAK_LOOK
    r = 1 - q;
clear:
    w = identity[r];
    atomic {
      if
      :: w == PENDING(id) && r > q ->
        if
        :: identity[r] == w -> identity[r] = 0; guests--; goto settled
        :: else -> goto clear
        fi
      :: w == SETTLED(id) || (w == PENDING(id) && r < q) -> goto giveUp
      :: else -> goto settled
      fi
    }
giveUp:
    atomic {
      if :: identity[q] == PENDING(id) -> identity[q] = 0; guests-- :: else fi;
      if :: own -> goto undo :: else -> goto arrive fi
    }
#endif
settled:
    atomic {
      if
      :: identity[q] == PENDING(id) -> identity[q] = SETTLED(id);
        assert(identity[1 - q] != SETTLED(id))    /* never two places */
      :: identity[q] != PENDING(id) && identity[q] != SETTLED(id) ->
        if :: own -> goto undo :: else -> goto arrive fi
      :: else
      fi;
      if :: !own -> goto arrive :: else fi
    }

holding:                  /* a slot bears the number */
    atomic { held[4 * q + id]++ ; assert(identity[q] == SETTLED(id)) }
    atomic { held[4 * q + id]--; assert(identity[q] == SETTLED(id)) }
    ok = 1;
    goto depart;

undo:
    ok = 0;
depart:
    atomic { count[q]--; if :: count[q] != 0 || closed[q] -> goto departed :: else fi }
#ifdef BREAK_CLOSE
    /* frees without closing */
    atomic { if :: identity[q] == SETTLED(id) -> identity[q] = 0; guests-- :: else fi; goto departed }
#endif
close:
    atomic {              /* close */
      if
      :: count[q] == 0 && !closed[q] -> closed[q] = 1
      :: else -> goto departed
      fi
    }
    w = identity[q];
    atomic {
      if
      :: w != 0 && w % 2 == 0 && identity[q] == w ->
        identity[q] = 0; guests--;
        assert(held[4 * q + 1] == 0 && held[4 * q + 2] == 0)
      :: else
      fi
    }
    atomic {              /* subtracts the bit: counts stay */
      closed[q] = 0;
      if :: count[q] != 0 -> goto departed :: else fi
    }
#ifndef BREAK_AGAIN
    atomic { if :: identity[q] != 0 && identity[q] % 2 == 0 -> goto close :: else fi }
#endif
departed:
    atomic {
      if
      :: own && !ok ->    /* counted in a closed place: end one's own entry, if it is still there */
        own = 0;
        if
        :: identity[q] == PENDING(id) -> identity[q] = 0; guests--
        :: identity[q] != PENDING(id) -> goto close
        fi
      :: else
      fi;
      if :: !ok -> goto arrive :: else fi
    }
finished:
    atomic { q = 0; r = 0; w = 0; turns = 0; free = 0; own = 0; ok = 0 }
  :: else -> break
  od;
  ended++
}

init {
  atomic {
    run T0;
    run T1;
    run T2
  }
  ended == 3;
  assert(count[0] == 0 && count[1] == 0 && !closed[0] && !closed[1]);
  /* No place is kept for nothing. */
  assert(identity[0] == 0 && identity[1] == 0 && guests == 0)
}
