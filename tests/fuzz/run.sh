#!/bin/sh
# Fuzzes the header reader for so many seconds (600) with a stable compiler: one job, little memory,
# seeds from tests/data/gguf. Ends with libFuzzer's own exit code. The limit of one input is time on
# the wall, which on a busy machine is many times that of the processor.
set -eu
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module \
  -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
  -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
  -Zsanitizer=address"
# Not below tests/, whose files are all looked at by a test of the house rules.
export CARGO_TARGET_DIR="$PWD/../../target/fuzz"
target=$(rustc -vV | sed -n 's/^host: //p')
cargo build --locked --release --target "$target"
mkdir -p "$CARGO_TARGET_DIR/corpus"
exec nice -n 19 "$CARGO_TARGET_DIR/$target/release/gguf" "$CARGO_TARGET_DIR/corpus" \
  ../data/gguf/good ../data/gguf/bad ../data/gguf/split \
  -max_total_time="${1:-600}" -max_len=65536 -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=60 \
  -artifact_prefix="$CARGO_TARGET_DIR/" -print_final_stats=1
