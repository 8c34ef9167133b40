//! `socketio-loadtest`: see `socketio-loadtest --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    socketio_loadtest::cli::main()
}
