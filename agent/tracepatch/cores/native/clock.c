/* The clock: that of `time.perf_counter_ns`, read in half the time where the processor counts evenly.

   Between two readings of the interpreter's clock, at most 2^22 ticks (1 to 2 ms) apart, time is counted in ticks of the
   processor, whose length is measured over at least 10 ms and measured again all the time. So it is never further from that
   clock than what a pair of readings is apart (some 20 ns). Only where the processor says that it counts evenly in all
   states, and the kernel takes its own time from the same counter. With the GIL held. */

#include "compat.h"

#if defined(__linux__) && defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <stdio.h>
#include <x86intrin.h>

#define WINDOW (1ULL << 22)
#define SHORTEST_NS 10000000
#define LONGEST_NS 10000000000

static struct {
    int usable;
    uint64_t ticks;      /* the last pair of readings */
    int64_t ns;
    uint64_t base_ticks; /* an earlier one, from which the length of a tick is measured */
    int64_t base_ns;
    uint64_t length;     /* of a tick, in 2^-32 ns; 0: not measured so far */
    int64_t last;
} counter;

static void
read_both(uint64_t *ticks, int64_t *ns)
{
    uint64_t shortest = UINT64_MAX;
    for (int times = 0; times < 3; times++) {
        uint64_t before = __rdtsc();
        int64_t now = interpreter_clock_ns();
        uint64_t took = __rdtsc() - before;
        if (took < shortest) {
            shortest = took;
            *ticks = before + took / 2;
            *ns = now;
        }
    }
}

void
clock_init(void)
{
    unsigned int a, b, c, d;
    char name[16] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "r");
    if (file != NULL) {
        if (fgets(name, sizeof name, file) == NULL) {
            name[0] = 0;
        }
        fclose(file);
    }
    if (strncmp(name, "tsc", 3) != 0 || !__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & (1u << 8))) {
        return;
    }
    read_both(&counter.base_ticks, &counter.base_ns);
    counter.usable = 1;
}

static int64_t
read_again(void)
{
    uint64_t ticks = 0;
    int64_t ns = 0;
    read_both(&ticks, &ns);
    if (ticks <= counter.base_ticks) { /* the machine was moved */
        counter.base_ticks = ticks;
        counter.base_ns = ns;
        counter.length = 0;
        return ns;
    }
    if (ns - counter.base_ns >= SHORTEST_NS) {
        counter.length =
            (uint64_t)(((unsigned __int128)(uint64_t)(ns - counter.base_ns) << 32) / (ticks - counter.base_ticks));
        counter.ticks = ticks;
        counter.ns = ns;
        if (ns - counter.base_ns > LONGEST_NS) {
            counter.base_ticks = ticks;
            counter.base_ns = ns;
        }
    }
    return ns;
}

int64_t
clock_ns(void)
{
    if (!counter.usable) {
        return interpreter_clock_ns();
    }
    uint64_t since = __rdtsc() - counter.ticks;
    int64_t now;
    if (counter.length != 0 && since < WINDOW) {
        now = counter.ns + (int64_t)((since * counter.length) >> 32);
    } else {
        now = read_again();
    }
    if (now < counter.last) {
        return counter.last;
    }
    counter.last = now;
    return now;
}

#else

void
clock_init(void)
{
}

int64_t
clock_ns(void)
{
    return interpreter_clock_ns();
}

#endif
