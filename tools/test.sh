#!/bin/sh
# tools/test.sh ARGUMENTS: `cargo test ARGUMENTS`, and at the end what was skipped, and why.
#
# Rust's test runner cannot skip: a test here that lacks its data prints `skipped: REASON` and
# passes, and the runner keeps to itself what a passing test prints. So it is asked for everything
# (--show-output), and of what passing tests print only those lines are kept.
#
# The exit status is cargo's.

# Tests run side by side, one a core; threads of libtorch's own would wait for each other, spinning.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

{
    cargo test "$@" -- --show-output
    echo "cargo test ended with $?"
} | awk '
    /^cargo test ended with [0-9]+$/ { status = $NF; next }
    /^successes:$/ { passing = 1 }
    /^(failures:|test result: .*)$/ { passing = 0 }
    passing && /^---- .* stdout ----$/ { fresh = 1 }
    passing && /^skipped: / { reasons[$0]++; skipped += fresh; fresh = 0 }
    /^test result: / { passed += $4; failed += $6; ignored += $8 }
    !passing { print; fflush() }
    END {
        for (reason in reasons)
            print reason (reasons[reason] > 1 ? " (" reasons[reason] " times)" : "")
        if (status && !failed) print "cargo test itself failed: see above"
        printf "tests: %d passed, %d failed, %d skipped\n", passed - skipped, failed,
            skipped + ignored
        exit status
    }'
