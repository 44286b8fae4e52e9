# `just` runs these; `./just` does too, and brings `just` itself where it is missing.

# list what can be done here
default:
    @{{ just_executable() }} --justfile '{{ justfile() }}' --list

# bring what is missing: ffmpeg, and libtorch for the CPU
setup:
    scripts/setup

# bring libtorch with all that NVIDIA's GPUs want
setup-cuda:
    scripts/setup cuda

# set up, build, and join two real clips
demo: setup
    cargo build --release
    ${CARGO_TARGET_DIR:-target}/release/wanctl join \
        tests/fixtures/clips/bunny_a.mp4 tests/fixtures/clips/bunny_b.mp4 --gap 24 --overwrite
    @echo "The film is $PWD/bunny_a_join_bunny_b.mp4"

# set up and run all tests, also the slow ones
test: setup
    cargo test --workspace -- --quiet --include-ignored

# what every commit passes: format, lints, and the tests that are not marked as slow
check: setup
    cargo fmt --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo clippy --workspace --all-targets --no-default-features -- -D warnings
    cargo test --workspace -- --quiet

# make the clips that the demo and the tests join
clips:
    tests/fixtures/clips/make_clips

# make the README's pictures
pictures: setup
    cargo build --release
    scripts/pictures

# measure beside plain ffmpeg (docs/performance.md): just bench [start|guide|rife|join|long]
bench *what: setup
    cargo build --release
    scripts/bench.py {{ what }}

# the engine under a CUDA that computes nothing, where there is no GPU: by hand, after changes to src/engine or the memory estimate
check-cuda *what:
    cargo build --release --bins --examples
    scripts/check_cuda.py {{ what }}

# pack one folder for a machine with a GPU, and print the command to run there: frames, seconds and memory (docs/gpu.md)
gpu-figures *what: setup
    cargo build --release --bins --examples
    scripts/gpu_figures.py pack {{ what }}

# fill held-out gaps of real clips six ways (docs/seams.md): just bench-seams [--half held-out] [--width 320]
bench-seams *what: setup
    cargo build --release
    scripts/bench_seams.py {{ what }}
