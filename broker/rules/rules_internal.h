// SPDX-License-Identifier: Apache-2.0
// The rules that the tables of rules.c and due.c name, one file a concern.
#pragma once

#include "broker/rules/rules.h"
