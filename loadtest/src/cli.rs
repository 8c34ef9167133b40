//! The program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum as _};
use tokio::task::LocalSet;

use crate::exit::{Code, Failure};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::report;
use crate::run::{WORKER_FLAG, run, serve};
use crate::settings::{Scenario, Settings};

/// Drives load against Socket.IO servers, and audits what comes back
#[derive(Debug, Parser)]
#[command(
    name = "socketio-loadtest",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 passed; 99 a threshold is broken; 64 wrong flags, scenario or threshold; \
    65 a result file that cannot be read; 69 target or broker not reachable; 70 internal; 71 too few file \
    descriptors; 73 a file cannot be written; 76 no Socket.IO server, or it refuses; 130 interrupted"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = r#"Examples:
  How fast are 1000 acknowledgements a second?
    socketio-loadtest run echo --target http://127.0.0.1:3000 --clients 100 --rate 1000
  How many broadcasts can 2000 clients take?
    socketio-loadtest run fanout --target http://127.0.0.1:3000 --clients 2000 --phase '60s rate=10..500' --html report.html
  Somebody else's chat, where socket.on("chat message", (text) => io.emit("chat message", text)):
    socketio-loadtest run fanout --target http://127.0.0.1:3000 --rate 20 --join-event ''         --publish-event 'chat message' --publish-args '["{stamp} {data}"]' --publish-ack false
  In CI:
    socketio-loadtest run mix.toml --quiet --threshold 'lost==0' --threshold 'delivery.p99<50ms' --json result.json

Servers may pass on what they get in any form: a message is known by its {stamp}, wherever it stands. In arguments,
{room}, {event}, {stamp}, {data} and {client} are filled in; a scenario file holds the flags by their names.

Thresholds are about connect, upgrade, first, ack, delivery or lag with .p50, .p99.9, .max, .mean or .count; or about lost,
lost-unconfirmed, missed, duplicated, reordered, errors, disconnected, connections, clients, churned, slow-closed; sent,
delivered, acked, also with .rate; the servers' cpu-per-delivery, cores, rss, rss-per-client; our own-cores, own-wait."#;

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario
    Run(Box<Run>),
    /// Shows a result (--json) again, or makes a page of it
    Report {
        /// The result
        result: PathBuf,
        /// Write the page with charts to this file, instead of the table
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Shows two results (--json) side by side
    Compare {
        /// The result to compare with
        before: PathBuf,
        /// The other one
        after: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Run {
    /// idle, echo, fanout, emit, churn, storm, slow or mix; or a scenario file (its name ends with .toml)
    ///
    /// idle: connect and hold. echo: send events that the server acknowledges. fanout: be in rooms; some
    /// publish, all members receive. emit: the same, published by socketio-emitter through the broker.
    /// churn: fanout, while some leave and join, or disconnect and come back. storm: fanout, while all come
    /// back at once from time to time. slow: fanout, while a share stops reading. mix: echo and fanout over
    /// polling, WebSocket and upgrades.
    scenario: String,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::system(format!("no runtime: {error}"))),
    };
    if std::env::args()
        .nth(1)
        .is_some_and(|flag| flag == WORKER_FLAG)
    {
        LocalSet::new().block_on(&runtime, serve());
        // A read of the standard input may be under way.
        runtime.shutdown_background();
        return ExitCode::SUCCESS;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = !error.use_stderr();
            // Help is long on purpose; an error is one line.
            let shown = if asked {
                error.print()
            } else {
                write_usage(&error)
            };
            let _ = shown;
            return if asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Code::Usage as u8)
            };
        }
    };
    let result = match cli.command {
        Command::Run(options) => LocalSet::new().block_on(&runtime, perform(*options)),
        Command::Report { result, html } => again(&result, html),
        Command::Compare { before, after } => compare(&before, &after),
    };
    // A blocking read of a worker's would hold the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code as u8),
        Err(failure) => fail(&failure),
    }
}

fn write_usage(error: &clap::Error) -> std::io::Result<()> {
    let text = error.render().to_string();
    if matches!(
        error.kind(),
        clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        return write!(std::io::stderr(), "{text}");
    }
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines = lines
        .by_ref()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let line: Vec<&str> = lines.collect();
    // What is missing is listed below a colon.
    let line = line.join("; ").replace(":; ", ": ");
    writeln!(
        std::io::stderr(),
        "{}",
        line.strip_prefix("error: ").unwrap_or(&line)
    )
}

fn fail(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{failure}");
    ExitCode::from(failure.code as u8)
}

async fn perform(options: Run) -> Result<Code, Failure> {
    let mut settings = settings(options)?;
    let prefix = settings.room_prefix.take();
    // Chosen here and not by each process.
    let prefix =
        prefix.unwrap_or_else(|| format!("load-{:08x}-", getrandom::u32().unwrap_or_default()));
    settings.room_prefix = Some(prefix);
    let plan = Plan::new(&settings).map_err(Failure::usage)?;
    let thresholds = plan.thresholds.len();
    let outputs = report::Outputs::check(&settings)?;
    let ended = run(&settings, plan).await?;
    // A table that nobody reads must not cost the files, nor the other way round.
    let written = outputs.write(&ended.outcome);
    print(&report::table(&ended.outcome))?;
    written?;
    debug_assert_eq!(thresholds, ended.outcome.thresholds.len());
    Ok(match (ended.interrupted, ended.outcome.passes()) {
        (true, _) => Code::Interrupted,
        (false, true) => Code::Pass,
        (false, false) => Code::Breach,
    })
}

fn settings(options: Run) -> Result<Settings, Failure> {
    let path = Path::new(&options.scenario);
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        let file = Settings::read(path).map_err(Failure::usage)?;
        return Ok(options.settings.over(&file));
    }
    let scenario = Scenario::from_str(&options.scenario, false).map_err(|_| {
        let known: Vec<String> = Scenario::value_variants()
            .iter()
            .filter_map(|scenario| Some(scenario.to_possible_value()?.get_name().to_owned()))
            .collect();
        let text = &options.scenario;
        Failure::usage(format!(
            "`{text}` is no scenario; there are {}, or a file that ends with .toml",
            known.join(", ")
        ))
    })?;
    Ok(Settings {
        scenario: Some(scenario),
        ..options.settings
    })
}

/// Shows a result again.
fn again(result: &Path, html: Option<PathBuf>) -> Result<Code, Failure> {
    let outcome = read(result)?;
    if html.is_some() {
        let outputs = report::Outputs::check(&Settings {
            html,
            ..Settings::default()
        })?;
        outputs.write(&outcome)?;
        return Ok(Code::Pass);
    }
    print(&report::table(&outcome))?;
    Ok(Code::Pass)
}

fn print(text: &str) -> Result<(), Failure> {
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| Failure::new(Code::CannotCreate, format!("standard output: {error}")))
}

fn compare(before: &Path, after: &Path) -> Result<Code, Failure> {
    let (before_outcome, after_outcome) = (read(before)?, read(after)?);
    print(&report::comparison(&before_outcome, &after_outcome))?;
    Ok(Code::Pass)
}

fn read(file: &Path) -> Result<Outcome, Failure> {
    let error = |cause: String| Failure::new(Code::Data, format!("{}: {cause}", file.display()));
    let text = std::fs::read(file).map_err(|cause| error(cause.to_string()))?;
    let json: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|cause| error(format!("no result of this program: {cause}")))?;
    match json.get("format").and_then(serde_json::Value::as_u64) {
        None => {
            return Err(error(
                "no result of this program: it has no format".to_owned(),
            ));
        }
        Some(format) if format != u64::from(crate::outcome::FORMAT) => {
            let text = format!("format {format} is not known to this version");
            return Err(error(text));
        }
        Some(_) => {}
    }
    let outcome: Outcome = serde_json::from_value(json)
        .map_err(|cause| error(format!("a damaged result: {cause}")))?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
