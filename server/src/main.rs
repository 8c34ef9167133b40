//! The stock node: configuration → server → signal → drain.

mod node;

use std::io::Write as _;
use std::process::ExitCode;

use node::config::{self, Request};
use node::logging;

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
    // A check says what it has to say on its own; only a node logs.
    if answer.is_none() {
        logging::start(&settings);
    }
    let parts = match node::prepare(&settings) {
        Ok(parts) => parts,
        Err(error) => return fail(&error, BAD_CONFIGURATION),
    };
    if let Some(text) = answer {
        return print(&text);
    }
    match node::run(&settings, parts) {
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
