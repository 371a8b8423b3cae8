// SPDX-License-Identifier: Apache-2.0
// sched_setattr(2) has no wrapper in glibc 2.36; the struct is the kernel's first version of it.
#include "schemas/base/scheduling.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_NS = 100000, PATIENT_NICE = 5 };

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static void ask(uint64_t slice_ns, int32_t nicer) {
    struct attributes attributes = {.size = sizeof(attributes),
                                    .policy = SCHED_OTHER,
                                    .nice = getpriority(PRIO_PROCESS, 0) + nicer,
                                    .runtime = slice_ns};
    // A refusal changes nothing but speed.
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void scheduling_prompt(void) {
    ask(SLICE_NS, 0);
}

void scheduling_patient(void) {
    ask(0, PATIENT_NICE);
}
