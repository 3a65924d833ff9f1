#!/usr/bin/env bash
# Checks the Promela models of the lock-free core, and that each of their mutations is caught.
#
#   run.sh [bounded|full]      bounded: at most 2 minutes on 2 cores; full: at most 15
#
# As many runs at once as there are processors, at most four; one line per run, as they end. Exits 1
# if a model fails, a mutation is not caught or a search does not end; 69 if a tool is missing. Every
# file made lies in a temporary directory.
set -euo pipefail

effort=${1:-bounded}
case $effort in
bounded | full) ;;
*) echo "usage: run.sh [bounded|full]" >&2; exit 64 ;;
esac
for tool in spin gcc; do
  command -v "$tool" >/dev/null || {
    echo "run.sh: '$tool' is missing; on Debian: apt install spin gcc" >&2
    exit 69
  }
done

models=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/limitd-models.XXXXXX")
# Each job is a process group: a signal ends its verifier too.
set -m
trap 'for job in $(jobs -pr); do kill -- "-$job"; done; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
processors=$(nproc)
most=$((processors < 4 ? processors : 4))
runs=0

# start COMMAND...: runs it beside others, in a directory of its own, $run.
start() {
  while [ "$(jobs -pr | wc -l)" -ge "$most" ]; do wait -n || true; done
  runs=$((runs + 1))
  run=$work/$runs
  mkdir "$run"
  ("$@" </dev/null) &
}

# build "GCC FLAGS" MODEL DEFINITION...: a verifier in $run. Definitions are NAME or NAME=VALUE.
build() {
  flags=$1 model=$2
  shift 2
  cd "$run"
  for definition in "$@"; do
    case $definition in
    *=*) echo "#define ${definition%%=*} ${definition#*=}" ;;
    *) echo "#define $definition" ;;
    esac
  done >model.pml
  cat "$models/$model.pml" >>model.pml
  spin -a model.pml >spin.log 2>&1 || {
    cat spin.log >&2
    exit 1
  }
  # shellcheck disable=SC2086
  gcc -w -O2 -DMEMLIM=3900 $flags -o pan pan.c
}

# verify "PAN FLAGS" SEARCH: runs it and reads what it says.
verify() {
  # shellcheck disable=SC2086
  ./pan -m500000 $1 >pan.log 2>&1 || true
  errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
  states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
  depth=$(sed -n 's/.*depth reached \([0-9]*\).*/\1/p' pan.log)
  seconds=$(sed -n 's/.*elapsed time \([0-9.]*\).*/\1/p' pan.log)
  broken=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' pan.log)
  complete=yes
  grep -qE 'max search depth too small|Search not completed|out of memory|MEMLIM' pan.log &&
    complete=no
  search=$2
}

line() {
  printf '%-4s %-12s %-44s %11s states  depth %-6s %6s s  %s: %s\n' \
    "$1" "$model" "$name" "${states:-?}" "${depth:-?}" "${seconds:-?}" "$search" "$2"
}

judge() {
  if [ "${errors:-1}" = 0 ] && [ "$complete" = yes ]; then
    line ok "no errors"
    touch passed
  else
    line FAIL "${broken:-the search did not end: $(tail -1 pan.log)}"
  fi
}

# holds NAME MODEL DEFINITION...: no assertion fails and no thread is stuck, in any reachable state.
holds() {
  name=$1
  shift
  build "-DSAFETY -DCOLLAPSE" "$@"
  verify "-w24 -n" exhaustive
  judge
}

# gets_on NAME MODEL DEFINITION...: there is no cycle, so that no threads keep each other from ending.
gets_on() {
  name=$1
  shift
  build "-DNP -DCOLLAPSE" "$@"
  verify "-l -w24 -n" "exhaustive, cycles"
  judge
}

# sampled NAME MODEL DEFINITION...: as holds, where states are too many to keep: those that three
# minutes reach.
sampled() {
  name=$1
  shift
  build "-DSAFETY -DBITSTATE" "$@"
  verify "-w33 -k3 -n -Q3" "bitstate, at most 3 min"
  complete=yes
  judge
}

# caught MUTATION "GCC FLAGS" "PAN FLAGS" MODEL DEFINITION...: the mutation is noticed.
caught() {
  name="must break: $1" mutation=$1 build_flags=$2 run_flags=$3
  shift 3
  build "$build_flags -DCOLLAPSE" "$@" "$mutation"
  verify "$run_flags -w22 -n" "until caught"
  if [ "${errors:-0}" != 0 ]; then
    line ok "caught: $broken"
    touch passed
  else
    line FAIL "NOT CAUGHT"
  fi
}

# breaks MUTATION MODEL DEFINITION...: an assertion fails.
breaks() {
  mutation=$1
  shift
  caught "$mutation" -DSAFETY "" "$@"
}

# stalls MUTATION MODEL DEFINITION...: threads can go round for ever.
stalls() {
  mutation=$1
  shift
  caught "$mutation" -DNP -l "$@"
}

two_and_sweep="P0=Charger(1,2) P1=Charger(2,1) P2=Sweeper(1)"
one_rolls="P0=Charger(2) P1=Charger(1) P2=Charger(1)"
ahead="INTERVAL2=1 EARLIEST=0 CHANGE=2 LATEST=2 P0=Charger(2) P1=Charger(1)"
one_each="P0=Charger(1) P1=Charger(1) P2=Charger(1)"

start holds "insert, charge, reuse; two of one identity" slot_reuse
start holds "insert, charge, reuse, sweep" slot_reuse $two_and_sweep
start holds "insert, charge, reuse outside the home" slot_reuse OUTSIDE
start holds "insert, charge, reuse, sweep, refund" slot_reuse $two_and_sweep REFUNDS
start holds "a lowered word; the slot reused" slot_reuse SPENT BURST=2 LATEST=3 REFUNDS \
  P0="Charger(1,1)" P1="Charger(1,1)" P2="Charger(2,1)"
start gets_on "everybody ends" slot_reuse $two_and_sweep
start holds "enter, count, free; two of one tenant" tenant_places
start holds "roll; four charges" window_roll $one_rolls
start holds "roll; units given back" window_roll $one_each REFUNDS LATEST=3
start holds "roll; the slot reused" window_roll P0="Charger(2)" P1="Charger(1)" P2="Reuser()" LATEST=7
start gets_on "everybody ends" window_roll $one_rolls LATEST=3
start holds "conversion; charges, a slower rule" conversion LATEST=2
start holds "conversion; charges, a smaller burst" conversion BURST=3 BURST2=1 LATEST=2
start holds "conversion; the same interval, ahead of the clock" conversion $ahead
start holds "conversion; the same interval, a smaller burst" conversion $ahead BURST=3 BURST2=1
start holds "the rules change twice; the slot reused" two_changes
start holds "the rules change twice, ahead of the clock" two_changes KEEPS

start breaks BREAK_LOOK slot_reuse
start breaks BREAK_RIVAL slot_reuse
start breaks BREAK_TAG_AGAIN slot_reuse
start breaks BREAK_TAG_AFTER slot_reuse
start breaks BREAK_NONCE slot_reuse
start breaks BREAK_OWNER slot_reuse
start breaks BREAK_DEAD slot_reuse
start breaks BREAK_FLOOR slot_reuse $two_and_sweep
start breaks BREAK_REFUND slot_reuse $two_and_sweep REFUNDS
start breaks BREAK_TALL slot_reuse SPENT BURST=2 LATEST=1 REFUNDS \
  P0="Charger(1,1)" P1="Charger(1,1)" P2="Charger(2,1)"
start breaks BREAK_MARK slot_reuse OUTSIDE
start breaks SHOW_STALE slot_reuse
start stalls BREAK_HELP slot_reuse
start breaks BREAK_NO_FREEZE window_roll $one_rolls
start breaks BREAK_LOOK tenant_places
start breaks BREAK_IDENTITY tenant_places
start breaks BREAK_CLOSE tenant_places
start breaks BREAK_AGAIN tenant_places
start breaks BREAK_NO_PUBLISH window_roll $one_rolls
start breaks BREAK_STORE window_roll $one_rolls
start breaks BREAK_SNAPSHOT window_roll P0="Charger(2)" P1="Charger(1)" P2="Reuser()" LATEST=7
start breaks BREAK_NOW conversion LATEST=2
start breaks BREAK_NOW conversion $ahead
start breaks BREAK_PARITY conversion LATEST=2
start breaks BREAK_FORMER conversion LATEST=2
start breaks BREAK_TURN two_changes
start breaks BREAK_OFFER two_changes
start breaks BREAK_TURN two_changes KEEPS
start breaks BREAK_OFFER two_changes KEEPS
start breaks BREAK_REFUND window_roll $one_each REFUNDS LATEST=3
start breaks BREAK_FOLLOWING window_roll $one_each REFUNDS LATEST=5

if [ "$effort" = full ]; then
  start holds "roll; units given back, three windows" window_roll $one_each REFUNDS
  start holds "roll; four charges, units given back" window_roll $one_rolls REFUNDS LATEST=3
  start holds "roll; refunds, the slot reused" window_roll P0="Charger(2)" P1="Charger(1)" \
    P2="Reuser()" LATEST=7 REFUNDS
  start sampled "roll; six charges" window_roll
  start sampled "insert, charge, reuse; burst 2, later clock" slot_reuse BURST=2 LATEST=3
  start sampled "outside the home; refunds" slot_reuse OUTSIDE REFUNDS
fi

wait
# A run that came to no verdict, such as where gcc failed, is none that passed.
failures=$((runs - $(find "$work" -name passed | wc -l)))
if [ "$failures" -gt 0 ]; then
  echo "run.sh: $failures of $runs runs failed" >&2
  exit 1
fi
echo "run.sh: every model holds and every mutation is caught"
