// SPDX-License-Identifier: Apache-2.0
// The modes of bench-touchbus that take events out again; each is a job_mode's run.
#pragma once

#include "tests/bench/job.h"

int touchbus_subscribe(struct job *job);
int touchbus_many(struct job *job);
int touchbus_replay(struct job *job);
int touchbus_look_up(struct job *job);
