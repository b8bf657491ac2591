//! The `metad` binary: parse, set up logs, dispatch.
//!
//! Not here: anything else. Must always hold: every decision about exit codes is made in `cli`.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    metad::cli::main()
}
