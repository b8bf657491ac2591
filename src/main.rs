//! The `metad` binary: parse, set up logs, dispatch.
//!
//! Not here: anything else. Must always hold: every decision about exit codes is made in `cli`.

fn main() -> std::process::ExitCode {
    metad::cli::main()
}
