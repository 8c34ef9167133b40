//! Emits to the clients of a Socket.IO cluster from a shell or cron. See `--help`.

mod args;
mod exit;
mod lines;
mod run;
mod what;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::Args;
use crate::exit::{Failure, code};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors. Nobody may be listening: the code tells all the same.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { code::USAGE } else { 0 });
        }
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("RUST_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error")),
        )
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(run::run(args));
            // A read of the terminal may still block a thread.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::new(code::UNAVAILABLE, error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "socketio-emit: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
