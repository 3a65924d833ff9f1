/* A slot that the conversion of all buckets leaves free without noting how far ahead its words lay
 * (docs/decisions/0016), over two changes of the rules: Runtime.put, Engine.convert, .adopt, .charge,
 * Slot.isFree and the claim. README.md maps each label to the Swift code.
 *
 * One slot; each worker wants it for a bucket of its own. The rules make a long wait a short one, so
 * that words turn dead early. The two changes give words the same parity again: a thread that stalled
 * since before the first with a word in hand could exchange it when it comes again.
 *
 * Words: 1 + 16 × parity + TAT; 0 empty, 255 claimed.
 *
 * BREAK_*: one mutation each, which some run must catch. */

#define WORD(parity, tat) (1 + 16 * (parity) + (tat))
#define parity(w) (((w) - 1) / 16)
#define tat(w) (((w) - 1) % 16)
#define max(a, b) ((a) > (b) -> (a) : (b))
#define CHANGE(g) (3 * (g))     /* the instant at which the rules of generation g came */
/* Conversion.tokenBucket, of whatever wait to at most one instant; with KEEPS a word that is dead at the change, which
 * lies ahead of the clock, keeps its TAT. */
#ifdef KEEPS
#define AHEAD 3
#define converted(w) \
  WORD(1 - parity(w), (tat(w) > CHANGE(generation) -> CHANGE(generation) + 1 : tat(w)))
#else
#define AHEAD 0
#define converted(w) \
  WORD(1 - parity(w), CHANGE(generation) + (tat(w) > CHANGE(generation) -> 1 : 0))
#endif
#define isFree(w, now) (((w) == 0 -> floor <= now : (w) < 255 && tat(w) < now) && tallest < now)

byte current = WORD(0, 9), tallest, floor;
byte owner = 1;                 /* whose bucket it is; 0 nobody's */
byte generation;                /* RulesInForce.generation */
byte offered;                   /* the generation of the set that a turn begins with */
byte turn;                      /* counts what turns can have begun before */
byte held[3];                   /* how many use the set of a generation */
byte begun[4];                  /* how many turns that began then are under way */
byte ended;

proctype Worker(byte id, turns) {
  byte set, rules, since, now, w, next;
  do
  :: turns == 0 -> break
  :: else ->
    atomic {
      turns--; set = offered; rules = generation; since = turn; held[set]++; begun[since]++;
      /* Who has a set that is not in force yet decides by the former rules.
       * A reading from before the change for the former rules, for others from AHEAD before it. */
      if
      :: rules == 0 -> select(now : 0 .. 3)
      :: rules == 1 -> select(now : 3 - AHEAD .. 6)
      :: else -> select(now : 6 - AHEAD .. 8)
      fi
    }
  look:
    atomic {
      w = current;
      if
      :: owner == id && w != 0 && w < 255
      :: else -> goto absent
      fi
    }
    if
    :: parity(w) == rules % 2 || rules < generation -> next = WORD(parity(w), max(tat(w), now) + 1)
    :: else -> next = converted(w); atomic { tallest = max(tallest, tat(w)) }
    fi;
    if :: tat(next) > 14 -> goto over :: else fi;
    atomic {
      if
      :: current != w -> goto look
      :: else ->
        assert(owner == id);    /* no exchange lands on another's bucket */
        current = next;
        if :: parity(next) != parity(w) -> goto look :: else -> goto over fi
      fi
    }
  absent:
    atomic { w = current; if :: isFree(w, now) :: else -> goto over fi }
    atomic { if :: current == w -> current = 255; owner = 0 :: else -> goto over fi }
    /* What made it free was read before the claim. */
    if
    :: !(tallest < now && (w != 0 || floor <= now)) ->
      floor = max(tallest + 1, floor);
      current = 0;
      goto over
    :: else
    fi;
    atomic { tallest = 0; floor = now; owner = id; current = WORD(rules % 2, now + 1) }
  over:
    atomic { held[set]--; begun[since]--; w = 0; next = 0; now = 0 }
  od;
  ended++
}

inline convert() {
  do
  :: true ->
    atomic {
      w = current;
      if :: w == 0 || w == 255 || parity(w) == generation % 2 -> break :: else fi
    }
    if
    :: true -> atomic { if :: current == w -> current = converted(w) :: else fi }
    :: owner == 1 ->            /* its limit is gone */
      atomic { if :: current == w -> current = 255; owner = 0 :: else -> w = 0 fi }
      if :: w != 0 -> floor = CHANGE(generation); current = 0 :: else fi
    fi
  od
}

proctype Reloader() {
  byte w;
  offered = 1;
  (held[0] == 0);
  generation = 1; turn = 1;
#ifndef BREAK_TURN
  (begun[0] == 0);              /* no decision by the former rules is under way */
#endif
  convert();
  turn = 2; offered = 2;
#ifndef BREAK_OFFER
  (held[1] == 0);               /* whoever decides under the new set knows both changes */
#endif
  generation = 2; turn = 3;
  (begun[1] + begun[2] == 0);
  convert();
  ended++
}

init { atomic { run Worker(1, 2); run Worker(2, 2); run Reloader() } }
