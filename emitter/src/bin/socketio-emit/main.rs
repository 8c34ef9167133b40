//! Emits to the clients of a Socket.IO cluster from a shell or cron. See `--help`.

mod args;
mod exit;
mod lines;
mod run;
#[cfg(feature = "otlp")]
mod traces;
mod what;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;
#[cfg(feature = "otlp")]
use tracing_subscriber::{Layer, layer::SubscriberExt, util::SubscriberInitExt};

use crate::args::Args;
use crate::exit::{Failure, code};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() => return tell(&wrong_usage(&error)),
        Err(help) => {
            // Nobody may be listening.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => {
            let done = run(args, &runtime);
            // A read of the terminal may still block a thread.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(Failure::new(code::UNAVAILABLE, error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure),
    }
}

#[cfg(feature = "otlp")]
fn run(args: Args, runtime: &Runtime) -> Result<(), Failure> {
    let tracing = args.traces.start(runtime.handle())?;
    let layer = tracing.as_ref().map(|tracing| tracing.export.layer());
    tracing_subscriber::registry()
        .with(layer)
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_filter(filter()),
        )
        .init();
    runtime.block_on(async {
        let done = run::run(args).await;
        if let Some(tracing) = tracing
            && let Some(lost) = tracing.finish().await
        {
            let _ = writeln!(std::io::stderr(), "socketio-emit: {lost}");
        }
        done
    })
}

#[cfg(not(feature = "otlp"))]
fn run(args: Args, runtime: &Runtime) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(filter())
        .init();
    runtime.block_on(run::run(args))
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env("RUST_LOG").unwrap_or_else(|_| EnvFilter::new("error"))
}

/// In one line: what is wrong, without the usage behind it.
fn wrong_usage(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let problem = text.split("\n\n").next().unwrap_or_default();
    let problem = Vec::from_iter(problem.split_whitespace()).join(" ");
    let problem = problem.strip_prefix("error: ").unwrap_or(&problem);
    Failure::new(code::USAGE, format!("{problem} (see --help)"))
}

fn tell(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "socketio-emit: {failure}");
    ExitCode::from(failure.code)
}
