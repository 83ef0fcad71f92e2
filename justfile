# The common commands. `just` without arguments lists them.

_default:
    @just --list

# Run all tests that do not need Python.
test:
    cargo test

# Check the format and lints as CI does.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Run the main job on a batch of real size; `just quickstart 1000` for a larger one.
quickstart megabytes="256":
    cargo run --release --example quickstart -- {{ megabytes }}

# Compare with the limits of the machine and with peers; `just ratios --quick` for a first look.
ratios *arguments:
    cargo bench --bench ratios -- {{ arguments }}

# Compare with the Python packages.
against-python *arguments:
    cargo bench --no-run --bench against_python
    "$(bash .ci/reference)" benches/against_python.py {{ arguments }}

# Test against the Python reference, installed into .cache on first use (some GB, with torch).
interop:
    GEN5_REFERENCE_PYTHON="$(bash .ci/reference)" cargo test --test interop

# Test the page of `report` in Chromium.
browser:
    cargo test --test browser

# Test system errors and killed processes; needs strace, and root or user namespaces.
faults:
    cargo test --test faults -- --nocapture

# Test files over 4 GiB and their memory use; takes 12 GB of disk and a minute or two.
large:
    cargo test --release --test large

# Fuzz a target of fuzz/ for some seconds; needs nightly Rust, a C++ compiler and cargo-fuzz.
fuzz target seconds="60":
    bash .ci/fuzz run {{ seconds }} {{ target }}

# Measure the line coverage of the library.
coverage *arguments:
    bash .ci/coverage {{ arguments }}

# Run the library's tests under AddressSanitizer, and those of `unsafe` code under valgrind.
sanitize:
    bash .ci/sanitize

# Run the library's tests on 32-bit x86.
thirty-two-bit:
    bash .ci/32-bit

# Every bit of the reference's files, the largest tables, thousands of kills, the sanitizers, 32-bit
# x86, coverage, and ten minutes of fuzzing for each target.
# Run the checks that take too long for every change.
deep seconds="600":
    cargo test --release --test it -- --ignored the_share_of_the_bits
    cargo test --release --test cost -- --ignored
    cargo test --test faults -- --ignored --nocapture
    bash .ci/sanitize
    bash .ci/32-bit
    bash .ci/coverage
    bash .ci/fuzz run {{ seconds }}

# Run every check that must pass before a change lands.
ci:
    bash .ci/run
