# SPDX-License-Identifier: MIT
import os, sys
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
for part in ("script/lib", "tests/e2e", "tests/support", "tests/fault"):
    sys.path.insert(0, os.path.join(ROOT, part))
