// SPDX-License-Identifier: Apache-2.0
// Memory that ends: the nth allocation from now on fails, alone or with all that follow. Every
// allocation of the process counts, also that of libraries, except under a sanitizer, whose own
// allocator stays: there the calls of our own objects are replaced at link time.
#pragma once

#include <stdbool.h>

void alloc_arm(unsigned long nth, bool for_good); // nth from 1
bool alloc_disarm(void);                          // whether one has failed since
void alloc_pause(bool pause);                     // what the test itself allocates in between
