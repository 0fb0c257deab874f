# Adds up the cases of a ctest log: those of Criterion ("Synthesis: Tested: 3 | Passing: 3 | ..."), those of scripts that end with
# "N passed, N failed, N skipped", and every other test as one. Fails if any failed, or none passed. Several logs are added up; what was
# not even run comes from outside: -v broken=N counts as failed, -v skipped=N as skipped. The reason of each skip is printed first.

function number_after(word, parts) { return match($0, word ": +[0-9]+") ? substr($0, RSTART + length(word) + 1, RLENGTH - length(word) - 1) + 0 : 0 }

/^[0-9]+\/[0-9]+ Testing: / { counted = 0; p = f = s = 0 }
/Synthesis: Tested: / {
  counted = 1
  p += number_after("Passing")
  f += number_after("Failing") + number_after("Crashing")
}
/^\[SKIP\]/ { s++; print }
/^skipped / { print }
/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { counted = 1; p += $1; f += $3; s += $5 }
/^Test (Passed|Failed|Skipped|time =)|^Test timed out|^Unable to/ {
  if ($2 == "time") next
  good = /^Test Passed/
  if (!counted) { if (good) p = 1; else if (/Skipped/) s = 1; else f = 1 }
  else if (!good && f == 0 && !/Skipped/) f = 1
  passed += p; failed += f; skipped += s
  p = f = s = 0
  counted = 1
}
END {
  failed += broken
  printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
  exit failed > 0 || passed == 0
}
