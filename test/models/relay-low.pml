/* Reading a shard of the outbox from a low mark (rules W2, R1, R2, R4, R6, R7, T3).
   One shard, two keys; writers of one key are serialised by the aggregate lock. Two relays run at the same
   time without any lease (the strongest zombie); relay 1 may stop for ever anywhere, relay 0 starts with low = 1 at any time.
   Property 1 (append): first occurrences in the log per key come in commit order.
   Property 2 (Monitor): when nothing can move any more, every committed event is in the log and settled.
   Property 3 (LOWINV): no row commits below a low mark, so the order alarm never fires.
   PARK: a refused row becomes a dead letter and parks its key (R9, R11); pages show which keys are parked, both relays move
   followers behind, a redriver sends the dead letters from the front of the key and un-parks it with the last.
   Flags choose the rule; a mutant is one flag. See README.md. */
#ifndef NP
#define NP 4                /* positions, 3 to 5 */
#endif
#ifndef NR
#define NR 2                /* relays */
#endif
#ifndef PAGE
#define PAGE 2              /* rows a page */
#endif
#ifndef LOOK
#define LOOK 5              /* low may pass: 0 whatever memory does not hold, 1 no committed row unless acked by us,
                               2 no row, committed or not, unless acked by us, 3 no row at all, 4 no row unless read by us,
                               5 no row at all in a dirty look nor in a committed look after it (the rule) */
#endif
#ifndef LAG
#define LAG 1               /* what is over for the numbers low passes: 0 nothing, 1 draw -> insert (A1), 2 draw -> commit (A2) */
#endif
#ifndef REREAD
#define REREAD 2            /* prefetch: 0 alone, 1 [low, start) read again afterwards, 2 both in one statement */
#endif
#define NONE 0              /* a position in a relay's memory */
#define HELD 1
#define FLIGHT 2
#define ACKED 3
#define FREE 0              /* a row */
#define DRAWN 1
#define INSERTED 2
#define COMMITTED 3
#define GONE 4
#define DELETING 5          /* UNDO: a settle not yet committed: dirty looks miss it, snapshots see it */
#define DEAD 6              /* PARK: among the dead letters */
#define VISIBLE(p) (st[p]==COMMITTED || st[p]==DELETING)
#define SZ (NP+1)
#define M(r,p) m[(r)*SZ+(p)]
#define BIT(p) (1<<(p))
byte st[SZ]; bit key[SZ]; byte sq[SZ];              /* the table: position, key, number within the key by commit order */
byte nxt = 1, maxvis = 0, cnt[2], log[2];           /* log: highest first occurrence per key */
bool klock[2];
byte low[NR], front[NR], pg[NR], pgs[NR], tgt[NR], m[NR*SZ];
bool pgon[NR], samp[NR], dead[NR], wait[NR*2];
#ifdef UNDO
byte sd[NR];
#endif
#ifdef PARK                 /* a row set aside, in a relay's memory: parked in the page that showed it; place among the dead letters */
bool parked[2]; byte pgp[NR], aside[NR], place[SZ], parks, dead2[2];
#ifdef PARKCACHED           /* mutant: which keys are parked is read beside the page, not in it */
bool known[NR*2];
#define SHOWN(r,i) known[(r)*2+key[i]]
#else
#define SHOWN(r,i) parked[key[i]]
#endif
#define ASIDE(r,p) (aside[r] & BIT(p))
#define NOPAGE(r) pgp[r] = 0; pg[r] = 0; pgs[r] = 0; pgon[r] = false
#else
#define ASIDE(r,p) false
#endif
#ifdef REUSE
bit inc, gen[SZ], conn[NR], mg[NR*SZ], mk[NR*SZ]; byte ms[NR*SZ];
#define SAME (myinc == inc)
#define ATONCE(r) deliver(r)            /* the page carries the old rows; held in memory they are the same */
#define CONN(r) (conn[r] == inc)
#define KEY(r,p) mk[(r)*SZ+(p)]
#define SEQ(r,p) ms[(r)*SZ+(p)]
#define TAKE(r,p) M(r,p) = HELD; mg[(r)*SZ+(p)] = gen[p]; ms[(r)*SZ+(p)] = sq[p]; mk[(r)*SZ+(p)] = key[p]
#define FORGET(r,p) M(r,p) = NONE; mg[(r)*SZ+(p)] = 0; ms[(r)*SZ+(p)] = 0; mk[(r)*SZ+(p)] = 0
#ifdef SETTLEPOS
#define MINE(r,p) true
#else
#define MINE(r,p) (gen[p] == mg[(r)*SZ+(p)])
#endif
#else
#define SAME true
#define ATONCE(r) skip
#define CONN(r) true
#define KEY(r,p) key[p]
#define SEQ(r,p) sq[p]
#define TAKE(r,p) M(r,p) = HELD
#define FORGET(r,p) M(r,p) = NONE
#define MINE(r,p) true
#endif

inline append(k, s) { assert(s <= log[k] + 1); if :: s == log[k] + 1 -> log[k] = s :: else fi }

/* ------------------------------------------------------------ W2: transactions of a key, one after another */
inline ended(k) { klock[k] = false; i = 0; do :: i < NR -> wait[i*2+k] = 0; i++ :: else -> break od; i = 0; p = 0 }
proctype Writer(bit k) {
  byte p = 0, i = 0;
#ifdef REUSE
  bit myinc;
#endif
end:
  do
#ifdef LATELOCK
  :: atomic { nxt <= NP -> p = nxt; nxt++; st[p] = DRAWN; key[p] = k };
#else
  :: atomic { nxt <= NP && !klock[k] -> klock[k] = true;        /* aggregate lock: the transaction is open */
#ifdef REUSE
       myinc = inc
#endif
       };
     if
     :: atomic { !SAME -> goto end }
     :: atomic { SAME && nxt > NP -> ended(k); goto end }
     :: atomic { SAME && nxt <= NP -> p = nxt; nxt++; st[p] = DRAWN; key[p] = k
#ifdef REUSE
          ; gen[p] = inc
#endif
          }
     fi;
#endif
     if
     :: atomic { !SAME -> p = 0; goto end }
     :: atomic { SAME -> st[p] = GONE; ended(k); goto end }      /* rolled back, or the number went to another shard */
     :: atomic { SAME -> st[p] = INSERTED; if :: p > maxvis -> maxvis = p :: else fi }
     fi;
#ifdef LATELOCK
     atomic { !klock[k] -> klock[k] = true };
#endif
     if
     :: atomic { !SAME -> p = 0 }
     :: atomic { SAME -> st[p] = GONE; ended(k) }
     :: atomic { SAME -> st[p] = COMMITTED; cnt[k]++; sq[p] = cnt[k];
#ifdef LOWINV
          i = 0; do :: i < NR -> assert(dead[i] || p >= low[i]); i++ :: else -> break od;
#endif
          ended(k) }
     fi
  od }
#ifdef REUSE
proctype Restart() { byte i;     /* T3: open transactions roll back, the counter falls back to the highest row left (MySQL 5.7) */
  atomic { inc = 1; i = 1; nxt = 1; klock[0] = false; klock[1] = false; maxvis = 0;
    do :: i <= NP -> if :: st[i] == COMMITTED -> nxt = i + 1; maxvis = i :: else -> st[i] = FREE; sq[i] = 0; key[i] = 0; gen[i] = 0 fi; i++
       :: else -> break od; i = 0 } }
#endif

/* ------------------------------------------------------------ what a read would bring */
#define C(q,f) (VISIBLE(q) && (q)>=(f))
#define NEW(r,p,f,before) (C(p,f) && M(r,p)==NONE && !ASIDE(r,p) && (before)<PAGE)
#define OLDER(r,p) (st[p]==COMMITTED && (p)<START(r) && M(r,p)==NONE && !ASIDE(r,p))
#ifdef TWO                               /* mutant: a second request of the key before the first is acknowledged */
#define BLOCKS(r,q,p) (KEY(r,q)==KEY(r,p) && M(r,q)==HELD && (q)<(p))
#else
#define BLOCKS(r,q,p) (KEY(r,q)==KEY(r,p) && (M(r,q)==FLIGHT || (M(r,q)==HELD && (q)<(p))))
#endif
#if NP==3
#define NEWS(r,f) (NEW(r,1,f,0)||NEW(r,2,f,C(1,f))||NEW(r,3,f,C(1,f)+C(2,f)))
#define BLOCKED(r,p) (BLOCKS(r,1,p)||BLOCKS(r,2,p)||BLOCKS(r,3,p))
#elif NP==4
#define NEWS(r,f) (NEW(r,1,f,0)||NEW(r,2,f,C(1,f))||NEW(r,3,f,C(1,f)+C(2,f))||NEW(r,4,f,C(1,f)+C(2,f)+C(3,f)))
#define BLOCKED(r,p) (BLOCKS(r,1,p)||BLOCKS(r,2,p)||BLOCKS(r,3,p)||BLOCKS(r,4,p))
#else
#define NEWS(r,f) (NEW(r,1,f,0)||NEW(r,2,f,C(1,f))||NEW(r,3,f,C(1,f)+C(2,f))||NEW(r,4,f,C(1,f)+C(2,f)+C(3,f))||NEW(r,5,f,C(1,f)+C(2,f)+C(3,f)+C(4,f)))
#define BLOCKED(r,p) (BLOCKS(r,1,p)||BLOCKS(r,2,p)||BLOCKS(r,3,p)||BLOCKS(r,4,p)||BLOCKS(r,5,p))
#endif
#if defined(HINT) || defined(BOUND)
#define START(r) (front[r]+1)
#else
#define START(r) low[r]
#endif
/* committed rows >= from, at most PAGE, in one snapshot; stretch: also the unknown rows of [low, from) in the same snapshot */
inline snapshot(r, from, stretch) {
  pg[r] = 0; i = 1; n = 0; c = from;
  do
  :: i <= NP -> if
     :: VISIBLE(i) && i >= c && n < PAGE -> pg[r] = pg[r] | BIT(i); n++; front[r] = i
     :: VISIBLE(i) && stretch && i >= low[r] && i < c && M(r,i) == NONE -> pg[r] = pg[r] | BIT(i)
     :: else fi; i++
  :: else -> break od;
#ifdef PARK
  pgp[r] = 0; i = 1; do :: i <= NP -> if :: (pg[r] & BIT(i)) && SHOWN(r,i) -> pgp[r] = pgp[r] | BIT(i) :: else fi; i++ :: else -> break od;
#endif
  i = 0; n = 0; c = 0; pgon[r] = true }
inline deliver(r) {                                   /* the answer arrives: any time after the snapshot */
  i = 1;
#ifdef PARK
  do
  :: i <= NP -> if
     :: (pg[r] & BIT(i)) && (pgp[r] & BIT(i)) && M(r,i) != ACKED -> aside[r] = aside[r] | BIT(i)
     :: (pg[r] & BIT(i)) && !(pgp[r] & BIT(i)) -> aside[r] = aside[r] & ~BIT(i)
     :: else fi; i++
  :: else -> break od;
  pg[r] = pg[r] & ~pgp[r]; pgp[r] = 0; i = 1;
#endif
  do
  :: i <= NP -> if
     :: (pg[r] & BIT(i)) && M(r,i) == NONE -> TAKE(r,i)
#if REREAD==1
     :: pgs[r] && VISIBLE(i) && i >= low[r] && i < pgs[r] && M(r,i) == NONE -> TAKE(r,i)
#endif
     :: else fi; i++
  :: else -> break od; i = 0; pg[r] = 0; pgs[r] = 0; pgon[r] = false }

/* ------------------------------------------------------------ R2: what low may pass */
#define DIRTY(p) (st[p]==INSERTED || st[p]==COMMITTED)
#if LOOK==0
#define RESOLVED(r,p) (M(r,p)==ACKED || M(r,p)==NONE)
#elif LOOK==1
#define RESOLVED(r,p) (M(r,p)==ACKED || !VISIBLE(p))
#elif LOOK==2
#define RESOLVED(r,p) (M(r,p)==ACKED || !DIRTY(p))
#elif LOOK==4
#define RESOLVED(r,p) (M(r,p)!=NONE || !DIRTY(p))
#else
#define RESOLVED(r,p) (!DIRTY(p))
#endif
#ifdef TRX                               /* alternative b: every transaction open at the sample has ended */
#define AGED(r,p) (samp[r] && (p) <= tgt[r] && !wait[(r)*2] && !wait[(r)*2+1])
#elif LAG==0
#define AGED(r,p) ((p) <= maxvis)
#elif LAG==1
#define AGED(r,p) ((p) <= maxvis && st[p] != DRAWN)
#else
#define AGED(r,p) ((p) <= maxvis && st[p] != DRAWN && st[p] != INSERTED)
#endif

#if LAG==0
#define BELOW(p) (st[p] != INSERTED)
#else
#define BELOW(p) (st[p] != INSERTED && st[p] != DRAWN)
#endif

/* R4, R6, R7 for one position; sweep and wake-ups too */
#ifdef NOSWEEP
#define SWEEP(r,p)
#elif defined(LOWINV)
#define SWEEP(r,p) :: atomic { CONN(r) && !pgon[r] && OLDER(r,p) -> assert(false); TAKE(r,p) }
#else
#define SWEEP(r,p) :: atomic { CONN(r) && !pgon[r] && OLDER(r,p) -> TAKE(r,p) }
#endif
#ifdef RANGE
#define SETTLE(r,p) :: atomic { M(r,p) == ACKED && st[p] != INSERTED -> i = p; \
    do :: i < NP && (st[i] == COMMITTED || st[i] == GONE) -> if :: M(r,i) == ACKED -> break :: else -> i++ fi :: else -> break od; \
    c = p; do :: c < NP && M(r,c) != ACKED -> c++ :: c < NP && M(r,c) == ACKED && c == p -> c++ :: else -> break od; \
    if :: M(r,c) == ACKED -> i = p; do :: i <= c -> if :: st[i] == COMMITTED -> st[i] = GONE :: else fi; FORGET(r,i); i++ :: else -> break od \
       :: else -> if :: st[p] == COMMITTED -> st[p] = GONE :: else fi; FORGET(r,p) fi; i = 0; c = 0 }
#elif defined(UNDO)                       /* a settle that may roll back; sd: the row it holds */
#define SETTLE(r,p) :: atomic { M(r,p) == ACKED && st[p] == COMMITTED && sd[r] == 0 -> st[p] = DELETING; sd[r] = p } \
  :: atomic { M(r,p) == ACKED && st[p] == GONE -> FORGET(r,p) } \
  :: atomic { sd[r] == p -> sd[r] = 0; if :: st[p] = GONE :: st[p] = COMMITTED fi }
#else
#define SETTLE(r,p) :: atomic { M(r,p) == ACKED && st[p] != DELETING -> if :: st[p] == COMMITTED && MINE(r,p) -> st[p] = GONE; if :: true :: goto end fi :: else fi; FORGET(r,p) }
#endif
#ifdef WAKERAISE
#define WAKE(r,p) :: atomic { st[p] == COMMITTED && p > low[r] -> low[r] = p }
#elif defined(WAKELOWER)
#define WAKE(r,p) :: atomic { st[p] == COMMITTED && p <= front[r] && M(r,p) == NONE -> front[r] = p - 1 }
#else
#define WAKE(r,p)
#endif
#if defined(DROPONE)                     /* what failed is forgotten and read again: this row only */
#define LOST(r,p) FORGET(r,p)
#elif defined(DROPKEY)                   /* ... every held row of its key, and any page on its way */
#define LOST(r,p) i = 1; do :: i <= NP -> if :: M(r,i) == HELD && KEY(r,i) == KEY(r,p) -> FORGET(r,i) :: else fi; i++ :: else -> break od; \
  i = 0; FORGET(r,p); pg[r] = 0; pgs[r] = 0; pgon[r] = false
#elif defined(DROPKEEPPAGE)              /* ... but a page on its way is still used */
#define LOST(r,p) i = 1; do :: i <= NP -> if :: M(r,i) == HELD && KEY(r,i) == KEY(r,p) -> FORGET(r,i) :: else fi; i++ :: else -> break od; \
  i = 0; FORGET(r,p)
#else
#define LOST(r,p) M(r,p) = HELD
#endif
#ifdef BATCH                             /* one request: up to BATCH held rows of a key, the first and any that follow it; the log takes all of them or none */
#ifdef BATCHREVERSED                     /* mutant: the log takes them from the last to the first */
#define WRITE(r,p) i = NP; do :: i >= p -> if :: M(r,i) == FLIGHT && KEY(r,i) == KEY(r,p) -> append(KEY(r,i), SEQ(r,i)) :: else fi; i-- :: else -> break od; i = 0
#else
#define WRITE(r,p) i = p; do :: i <= NP -> if :: M(r,i) == FLIGHT && KEY(r,i) == KEY(r,p) -> append(KEY(r,i), SEQ(r,i)) :: else fi; i++ :: else -> break od; i = 0
#endif
#define MARK(r,p,how) i = p; do :: i <= NP -> if :: M(r,i) == FLIGHT && KEY(r,i) == KEY(r,p) -> M(r,i) = how :: else fi; i++ :: else -> break od; i = 0
#ifdef BATCHPARTLY                       /* mutant: of a request with an unknown answer only the first row is sent again, the rest counts as acknowledged */
#define UNKNOWN(r,p) M(r,p) = HELD; MARK(r,p,ACKED)
#else
#define UNKNOWN(r,p) MARK(r,p,HELD)
#endif
#ifdef BATCHGAP                          /* mutant: a request takes any held rows of the key behind the first, not the next ones */
#define FOLLOWS(r,i) skip
#else
#define FOLLOWS(r,i) i = NP
#endif
#define INFLIGHT(r,q,p) ((q) < (p) && M(r,q) == FLIGHT && KEY(r,q) == KEY(r,p))
#define FIRST(r,p) (!INFLIGHT(r,1,p) && !INFLIGHT(r,2,p) && !INFLIGHT(r,3,p))
#define EACH(r,p) \
  :: atomic { M(r,p) == HELD && !BLOCKED(r,p) -> M(r,p) = FLIGHT; n = 1; i = p + 1; \
       do :: i <= NP && n < BATCH -> if :: M(r,i) == HELD && KEY(r,i) == KEY(r,p) -> if :: M(r,i) = FLIGHT; n++ :: FOLLOWS(r,i) fi :: else fi; i++ :: else -> break od; \
       i = 0; n = 0 } \
  :: atomic { M(r,p) == FLIGHT && FIRST(r,p) -> WRITE(r,p); if :: MARK(r,p,ACKED) :: UNKNOWN(r,p) fi } \
  :: atomic { M(r,p) == FLIGHT && FIRST(r,p) -> UNKNOWN(r,p); LOST(r,p) } \
  SETTLE(r,p) SWEEP(r,p) WAKE(r,p)
#else
#ifdef PARK
#ifndef PARKS
#define PARKS 1
#endif
#define TODEAD(p) if :: st[p] == COMMITTED -> dead2[key[p]]++; place[p] = dead2[key[p]]; st[p] = DEAD :: else fi
#ifdef PARKROWONLY                       /* mutant: the refused row is forgotten, its followers in memory are not */
#define FORGETKEY(r,p) FORGET(r,p); NOPAGE(r)
#elif defined(PARKKEEPPAGE)              /* mutant: a page that was asked for before is used after it */
#define FORGETKEY(r,p) i = 1; do :: i <= NP -> if :: M(r,i) == HELD && key[i] == key[p] -> FORGET(r,i) :: else fi; i++ :: else -> break od; i = 0; FORGET(r,p)
#else
#define FORGETKEY(r,p) i = 1; do :: i <= NP -> if :: M(r,i) == HELD && key[i] == key[p] -> FORGET(r,i) :: else fi; i++ :: else -> break od; i = 0; FORGET(r,p); NOPAGE(r)
#endif
#define LOWASIDE(r,q,p) ((q) < (p) && ASIDE(r,q) && key[q] == key[p])
#ifdef MOVENOCHECK                       /* mutant: followers are moved whether or not their key is still parked */
#define STILL(p) true
#else
#define STILL(p) parked[key[p]]
#endif
#define PARKING(r,p) \
  :: atomic { M(r,p) == FLIGHT && parks < PARKS -> parks++; if :: st[p] == COMMITTED -> parked[key[p]] = true :: else fi; TODEAD(p); FORGETKEY(r,p) } \
  :: atomic { ASIDE(r,p) && !LOWASIDE(r,1,p) && !LOWASIDE(r,2,p) && !LOWASIDE(r,3,p) -> aside[r] = aside[r] & ~BIT(p); \
       if :: STILL(p) -> TODEAD(p) :: else fi }
#else
#define PARKING(r,p)
#endif
#define EACH(r,p) \
  PARKING(r,p) \
  :: atomic { M(r,p) == HELD && !BLOCKED(r,p) -> M(r,p) = FLIGHT } \
  :: atomic { M(r,p) == FLIGHT -> append(KEY(r,p), SEQ(r,p)); if :: M(r,p) = ACKED :: M(r,p) = HELD fi } \
  :: atomic { M(r,p) == FLIGHT -> LOST(r,p) } \
  SETTLE(r,p) SWEEP(r,p) WAKE(r,p)
#endif

proctype Relay(byte r) {
  byte i = 0, n = 0, c = 0;
end:
  do
#ifdef HINT                              /* mutant: start where the last page ended */
  :: atomic { !pgon[r] && NEWS(r, front[r] + 1) -> snapshot(r, front[r] + 1, false) }
#elif defined(BOUND)                     /* alternative c: a cursor that stops below the lowest uncommitted row of an earlier dirty look */
  :: atomic { !pgon[r] && !samp[r] && front[r] < maxvis -> i = front[r] + 1;
       do :: i <= maxvis && BELOW(i) -> i++ :: else -> break od;
       if :: i > front[r] + 1 -> tgt[r] = i; samp[r] = true :: else fi; i = 0 }
  :: atomic { !pgon[r] && samp[r] -> i = front[r] + 1; n = 0; pg[r] = 0;
       do :: i < tgt[r] && n < PAGE -> if :: st[i] == COMMITTED -> pg[r] = pg[r] | BIT(i); n++ :: else fi; front[r] = i; i++ :: else -> break od;
       i = 0; n = 0; samp[r] = false; tgt[r] = 0; pgon[r] = true }
#else
  :: atomic { CONN(r) && !pgon[r] && NEWS(r, low[r]) -> snapshot(r, low[r], false); ATONCE(r) }
#ifndef NOPREFETCH
  :: atomic { CONN(r) && !pgon[r] && front[r] >= low[r] && NEWS(r, front[r] + 1) -> pgs[r] = front[r] + 1; snapshot(r, front[r] + 1, REREAD == 2); ATONCE(r) }
#endif
#if LOOK==5
  :: atomic { tgt[r] == 0 && low[r] <= NP && AGED(r, low[r]) && !DIRTY(low[r]) && CONN(r) -> tgt[r] = low[r] }    /* R2: dirty look */
  :: atomic { tgt[r] != 0 && CONN(r) -> if :: !VISIBLE(tgt[r]) -> low[r]++ :: else fi; tgt[r] = 0 }               /* R2: committed look */
#elif !defined(NOLOW)
  :: atomic { low[r] <= NP && AGED(r, low[r]) && RESOLVED(r, low[r]) && CONN(r) -> low[r]++ }   /* R2: one step of the look */
#endif
#ifdef TRX
  :: atomic { !samp[r] && maxvis >= low[r] -> samp[r] = true; tgt[r] = maxvis; wait[r*2] = klock[0]; wait[r*2+1] = klock[1] }
  :: atomic { samp[r] && low[r] > tgt[r] -> samp[r] = false; tgt[r] = 0 }
#endif
#endif
  :: atomic { pgon[r] -> deliver(r) }
#ifdef PARKCACHED
  :: atomic { known[r*2] != parked[0] || known[r*2+1] != parked[1] -> known[r*2] = parked[0]; known[r*2+1] = parked[1] }
#endif
  EACH(r,1) EACH(r,2) EACH(r,3)
#if NP >= 4
  EACH(r,4)
#endif
#if NP >= 5
  EACH(r,5)
#endif
#ifdef REUSE
  :: atomic { conn[r] != inc -> conn[r] = inc
#ifndef KEEPLOW                          /* R7: the server restarted: drop low and every remembered position */
       ; low[r] = 1; tgt[r] = 0; front[r] = 0; pg[r] = 0; pgs[r] = 0; pgon[r] = false; i = 1;
       do :: i <= NP -> FORGET(r,i); i++ :: else -> break od; i = 0
#endif
       }
#endif
  :: atomic { r == 1 -> dead[r] = true; break }
  od;
  atomic {
#ifdef UNDO
    if :: sd[r] -> st[sd[r]] = COMMITTED :: else fi; sd[r] = 0;
#endif
#ifdef PARK
    pgp[r] = 0; aside[r] = 0;
#endif
    low[r] = 0; front[r] = 0; pg[r] = 0; pgs[r] = 0; tgt[r] = 0; pgon[r] = false; samp[r] = false; wait[r*2] = 0; wait[r*2+1] = 0; i = 1;
    do :: i <= NP -> FORGET(r,i); i++ :: else -> break od; i = 0 } }

#ifdef HIDE                              /* somebody's park of an unsent row: its uncommitted DELETE rolls back */
proctype Hider() {
#define HIDES(p) :: atomic { st[p] == COMMITTED -> st[p] = DELETING }; st[p] = COMMITTED
end:
  if HIDES(1) HIDES(2) HIDES(3) fi }
#endif
#ifdef PARK                              /* the dead letters of a key, from its front; it may die after sending, and another begins again */
proctype Redriver(bit k) { byte p, i;
end:
  do
  :: atomic { parked[k] -> p = 0; i = 1;
       do :: i <= NP -> if
#ifdef REDRIVEANY                        /* mutant: not from the front */
            :: st[i] == DEAD && key[i] == k -> p = i
#else
            :: st[i] == DEAD && key[i] == k && (p == 0 || place[i] < place[p]) -> p = i
#endif
            :: else fi; i++ :: else -> break od; i = 0 };
     if :: p != 0 -> atomic { append(k, sq[p]) } :: else fi;
     if
     :: atomic { if :: p != 0 && st[p] == DEAD -> st[p] = GONE :: else fi; p = 0; i = 1;
#ifndef UNPARKANY                        /* mutant: un-parked though a dead letter is left */
          do :: i <= NP -> if :: st[i] == DEAD && key[i] == k -> p = i :: else fi; i++ :: else -> break od;
#endif
          if :: p == 0 -> parked[k] = false :: else fi; p = 0; i = 0 }
     :: p = 0
     fi
  od }
#endif
proctype Monitor() { byte i;
  timeout; i = 1; assert(log[0] == cnt[0] && log[1] == cnt[1]);
  do :: i <= NP -> assert(st[i] != COMMITTED && st[i] != DEAD); i++ :: else -> break od }
init { byte i = 0; atomic { do :: i < NR -> low[i] = 1; i++ :: else -> break od; i = 0;
    do :: i < NR -> run Relay(i); i++ :: else -> break od;
    run Writer(0);
#ifdef LATELOCK
    run Writer(0);
#else
    run Writer(1);
#endif
#ifdef REUSE
    run Restart();
#endif
#ifdef HIDE
    run Hider();
#endif
#ifdef PARK
    run Redriver(0); run Redriver(1);
#endif
    run Monitor() } }
