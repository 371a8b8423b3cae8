// SPDX-License-Identifier: Apache-2.0
// The one rule by which of two writers the value stands, within a leaf and between the leaves of a
// merged customer, so that the order of arrival never decides: higher revision (0 where there are
// none), then higher source rank, later event time (clamped to its receipt + 5 minutes), greater
// event id, greater bytes. A last-writer-wins register in the sense of Shapiro et al., "A
// comprehensive study of Convergent and Commutative Replicated Data Types" (2011), 3.2.1.
#pragma once

#include <stdbool.h>

#include "view.pb-c.h"

// Whether `one` stands against `other`. False where they are equal.
bool register_beats(const View__Attribute *one, const View__Attribute *other);
