# The few commands that matter. `just` alone lists them.

_default:
    @just --list

# Everything that needs no Python.
test:
    cargo test

# Format and lints, as CI asks for them.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# The main job on a batch of real size; `just quickstart 1000` for a larger one.
quickstart megabytes="256":
    cargo run --release --example quickstart -- {{ megabytes }}

# Ours against the limits of the machine and against peers, in turn; `just ratios --quick` for a first look.
ratios *arguments:
    cargo bench --bench ratios -- {{ arguments }}

# The same against the Python packages.
against-python *arguments:
    cargo bench --no-run --bench against_python
    "$(bash .ci/reference)" benches/against_python.py {{ arguments }}

# Against the live Python reference, which is installed into .cache on first use (some GB, since it brings torch).
interop:
    GEN5_REFERENCE_PYTHON="$(bash .ci/reference)" cargo test --test interop

# The page of `report` in Chromium.
browser:
    cargo test --test browser

# What is left when the system fails, or the process is killed: takes strace, and root or user namespaces.
faults:
    cargo test --test faults -- --nocapture

# Files over 4 GiB and the memory that they take: 12 GB of disk, a minute or two.
large:
    cargo test --release --test large

# Looks for inputs that break a target of fuzz/, for so many seconds. Needs nightly, a C++ compiler and cargo-fuzz.
fuzz target seconds="60":
    bash .ci/fuzz run {{ seconds }} {{ target }}

# Which lines of the library its tests run.
coverage *arguments:
    bash .ci/coverage {{ arguments }}

# The library's tests under AddressSanitizer, and under valgrind what has `unsafe`.
sanitize:
    bash .ci/sanitize

# The library's tests on 32-bit x86.
thirty-two-bit:
    bash .ci/32-bit

# What takes too long for every change: every bit of the reference's files, the largest tables, thousands of kills, the
# sanitizers, 32 bits, the lines that tests run, and ten minutes of fuzzing for each target.
deep seconds="600":
    cargo test --release --test it -- --ignored the_share_of_the_bits
    cargo test --release --test cost -- --ignored
    cargo test --test faults -- --ignored --nocapture
    bash .ci/sanitize
    bash .ci/32-bit
    bash .ci/coverage
    bash .ci/fuzz run {{ seconds }}

# All that has to pass before a change lands.
ci:
    bash .ci/run
