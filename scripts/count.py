#!/usr/bin/env python3
"""Prints `PASSED FAILED` as the test runners in a log counted them: cargo, nextest, node, pytest."""
import re
import sys

text = re.sub(r"\x1b\[[0-9;]*m", "", open(sys.argv[1], errors="replace").read())
passed = failed = 0
for found in re.finditer(r"^test result: .*? (\d+) passed; (\d+) failed", text, re.M):
    passed, failed = passed + int(found[1]), failed + int(found[2])
for found in re.finditer(r"^ *Summary \[.*?\] +\d+(?:/\d+)? tests? run: (\d+) passed(?: \([^)]*\))?(?:, (\d+) failed)?", text, re.M):
    passed, failed = passed + int(found[1]), failed + int(found[2] or 0)
for word, count in re.findall(r"^(?:#|ℹ) (pass|fail) (\d+)$", text, re.M):
    passed, failed = passed + int(count) * (word == "pass"), failed + int(count) * (word == "fail")
for line in re.findall(r"^=*\s*((?:\d+ \w+, )*\d+ \w+) in [\d.]+s", text, re.M):
    counts = dict((word, int(count)) for count, word in re.findall(r"(\d+) (\w+)", line))
    passed += counts.get("passed", 0)
    failed += counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
print(passed, failed)
