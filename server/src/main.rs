//! The stock node: configuration → server → signal → drain.

mod node;

use std::io::Write as _;
use std::process::ExitCode;

use node::config::{self, Request};
use node::{logging, traces};
use socketio_core::ids::NodeId;

/// `EX_USAGE` of `sysexits.h`: the configuration is wrong, and starting again will not help.
const BAD_CONFIGURATION: u8 = 64;

fn main() -> ExitCode {
    let request = match config::read(std::env::args_os().collect(), std::env::vars_os()) {
        Ok(request) => request,
        Err(error) => return fail(&error, BAD_CONFIGURATION),
    };
    let (settings, answer) = match request {
        Request::Print(text) => return print(&text),
        Request::Run(settings) => (settings, None),
        Request::CheckConfig(settings) => {
            (settings, Some("the configuration is good\n".to_owned()))
        }
        Request::PrintConfig(settings) => {
            let text = config::to_toml(&settings);
            (settings, Some(text))
        }
    };
    let id = NodeId::generate();
    let traces = match traces::prepare(&settings, &id) {
        Ok(traces) => traces,
        Err(error) => return fail(&error, BAD_CONFIGURATION),
    };
    // A check says what it has to say on its own; only a node logs.
    if let Some(text) = answer {
        return match node::prepare(&settings, id) {
            Ok(_) => print(&text),
            Err(error) => fail(&error, BAD_CONFIGURATION),
        };
    }
    let runtime = match node::runtime(&settings) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, 1),
    };
    let export = match traces::start(traces, runtime.handle()) {
        Ok(export) => export,
        Err(error) => return fail(&error, BAD_CONFIGURATION),
    };
    logging::start(&settings, export.as_ref());
    let parts = match node::prepare(&settings, id) {
        Ok(parts) => parts,
        Err(error) => return fail(&error, BAD_CONFIGURATION),
    };
    match node::run(&settings, parts, export, runtime) {
        Ok(code) => code,
        Err(error) => fail(&error, 1),
    }
}

/// One line on standard error, whatever the cause's text looks like.
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let mut line = format!("socketio-server: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        line += &format!(": {cause}");
        source = cause.source();
    }
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "{}", line.replace('\n', " "));
    ExitCode::from(code)
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader such as `head` may have seen enough.
        Err(_) => ExitCode::FAILURE,
    }
}
