// Threads that help with one call at a time.  They look for work for some microseconds and then sleep, so that they are at hand
// from one product to the next and take no core from others in between.

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "kernel.h"

#define LOOKS 4000 // some 50 microseconds

static pthread_mutex_t calling = PTHREAD_MUTEX_INITIALIZER, sleeping = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static int wanted = 1, started = 1;

// The call under way.  `open`: whether it may be joined; who has joined is counted in `inside` and waited for.
static share work;
static void *job;
static int64_t count, grain;
static atomic_llong next, calls;
static atomic_int open, inside;

static void take_part(void) {
    for (int64_t from; (from = atomic_fetch_add(&next, grain)) < count;)
        work(job, from, from + grain < count ? from + grain : count);
}

static void *helper(void *seen_first) {
    long long seen = (long long)(intptr_t)seen_first;
    for (;;) {
        for (int look = 0; look < LOOKS && atomic_load(&calls) == seen; look++) _mm_pause();
        if (atomic_load(&calls) == seen) {
            pthread_mutex_lock(&sleeping);
            while (atomic_load(&calls) == seen) pthread_cond_wait(&news, &sleeping);
            pthread_mutex_unlock(&sleeping);
        }
        seen = atomic_load(&calls);
        atomic_fetch_add(&inside, 1);
        if (atomic_load(&open)) take_part();
        atomic_fetch_sub(&inside, 1);
    }
    return 0;
}

static void start(void) {
    pthread_t thread;
    while (started < wanted && !pthread_create(&thread, 0, helper, (void *)(intptr_t)atomic_load(&calls))) {
        pthread_detach(thread);
        started++;
    }
}

void use_threads(int64_t number) { wanted = (int)number; }

void spread(share doing, void *with, int64_t items, int64_t at_a_time) {
    if (wanted < 2 || items <= at_a_time || pthread_mutex_trylock(&calling)) {
        doing(with, 0, items);
        return;
    }
    start();
    work = doing, job = with, count = items, grain = at_a_time;
    atomic_store(&next, 0);
    atomic_store(&open, 1);
    pthread_mutex_lock(&sleeping);
    atomic_fetch_add(&calls, 1);
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&sleeping);
    take_part();
    atomic_store(&open, 0);
    for (int look = 0; atomic_load(&inside); look++)
        look % 1000 == 999 ? (void)sched_yield() : _mm_pause();
    pthread_mutex_unlock(&calling);
}
