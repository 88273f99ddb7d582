/* SPDX-License-Identifier: MIT */
#ifndef TESTS_CONTRACT_INBOX_H
#define TESTS_CONTRACT_INBOX_H

#include "contract/contract.h"

void inbox_init(inbox *box);
void inbox_dispose(inbox *box);

#endif
