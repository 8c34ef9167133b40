//! Defaults, file, environment and flags, each laid over the one before.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::ArgAction;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::ConfigError;
use super::settings::{KEYS, Key, Settings};
use crate::node::traces;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Run a node.
    Run(Box<Settings>),
    /// Say whether the configuration is good.
    CheckConfig(Box<Settings>),
    /// Show the effective configuration.
    PrintConfig(Box<Settings>),
    /// Show this text (help or version).
    Print(String),
}

/// Reads all sources; `arguments` include the program's name.
pub(crate) fn read(
    arguments: Vec<OsString>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Request, ConfigError> {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                return Ok(Request::Print(error.render().to_string()));
            }
            _ => return Err(ConfigError::Usage(one_line(&error))),
        },
    };
    let environment: Vec<_> = environment.collect();
    let standard = traces::standard_settings(&environment);
    let environment = read_environment(environment.into_iter())?;

    let mut settings = Settings::default();
    let file = matches.get_one::<PathBuf>("config").cloned();
    let from_environment = || environment.iter().find(|(name, _)| name == CONFIG_VARIABLE);
    let file = file.or_else(|| from_environment().map(|(_, path)| PathBuf::from(path)));
    if let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) {
        read_file(&mut settings, &file)?;
    }
    let mut unusable = None;
    for given in standard {
        let Some(key) = KEYS.iter().find(|key| key.name == given.key) else {
            continue;
        };
        let own = key.variable();
        // What is not used need not be good: it may be meant for other programs.
        if environment.iter().any(|(name, _)| *name == own) || matches.contains_id(key.name) {
            continue;
        }
        if let Err(problem) = (key.set_text)(&mut settings, &given.text) {
            let variable = format!("environment variable {}", given.variable);
            unusable.get_or_insert_with(|| ConfigError::value(variable, problem));
        }
    }
    for key in KEYS {
        let variable = key.variable();
        let Some((_, text)) = environment.iter().find(|(name, _)| *name == variable) else {
            continue;
        };
        let set = (key.set_text)(&mut settings, text);
        set.map_err(|problem| {
            ConfigError::value(format!("environment variable {variable}"), problem)
        })?;
    }
    for key in KEYS {
        let Some(texts) = matches.get_many::<String>(key.name) else {
            continue;
        };
        // Only lists can be given more than once.
        let text = texts.map(String::as_str).collect::<Vec<_>>().join(",");
        let set = (key.set_text)(&mut settings, &text);
        set.map_err(|problem| ConfigError::value(format!("flag --{}", key.flag()), problem))?;
    }
    // On many machines they stand for other programs: without a collector they are nothing to this one.
    if let Some(error) = unusable.filter(|_| settings.otlp_endpoint.is_some()) {
        return Err(error);
    }
    super::validate(&settings)?;

    let settings = Box::new(settings);
    Ok(if matches.get_flag("print-config") {
        Request::PrintConfig(settings)
    } else if matches.get_flag("check-config") {
        Request::CheckConfig(settings)
    } else {
        Request::Run(settings)
    })
}

const PREFIX: &str = "SOCKETIO_";
const CONFIG_VARIABLE: &str = "SOCKETIO_CONFIG";

fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).help(help);
        arg.action(ArgAction::SetTrue)
    };
    let defaults = Settings::default();
    Command::new("socketio-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A Socket.IO node")
        .after_help(
            "Every option can also be set in the environment (--ping-interval as \
             SOCKETIO_PING_INTERVAL) and in the file (ping_interval = \"25s\"); flags win over the \
             environment, which wins over the file. --print-config shows all of them as a file.",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .short('c')
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Read settings from this TOML file (or from the one in SOCKETIO_CONFIG)"),
        )
        .arg(switch("check-config", "Check the configuration and exit"))
        .arg(switch(
            "print-config",
            "Print the effective configuration as TOML and exit",
        ))
        .args(KEYS.iter().map(|key| argument(key, &defaults)))
}

fn argument(key: &'static Key, defaults: &Settings) -> Arg {
    let default = match (key.get)(defaults) {
        None => "none".to_owned(),
        Some(toml::Value::String(text)) => text,
        Some(toml::Value::Array(items)) if items.is_empty() => "none".to_owned(),
        Some(toml::Value::Array(items)) => {
            let items = items.iter().filter_map(toml::Value::as_str);
            items.collect::<Vec<_>>().join(",")
        }
        Some(other) => other.to_string(),
    };
    let help: Vec<&str> = key.help.iter().map(|line| line.trim()).collect();
    // The default is told in the text and not to clap, so that an absent flag stays absent.
    let argument = Arg::new(key.name)
        .long(key.flag())
        .value_name(key.placeholder)
        .help(format!("{} [default: {default}]", help.join(" ")))
        .help_heading(key.section)
        .action(match key.is_list {
            true => ArgAction::Append,
            false => ArgAction::Set,
        })
        .allow_hyphen_values(!key.is_switch);
    match key.is_switch {
        true => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        false => argument,
    }
}

/// The variables with our prefix; a misspelt one would otherwise be ignored in silence.
fn read_environment(
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let mut found = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let value = value.into_string().map_err(|_| {
            ConfigError::value(format!("environment variable {name}"), "not valid UTF-8")
        })?;
        if is_service_link(name, &value) {
            continue;
        }
        if name != CONFIG_VARIABLE && !KEYS.iter().any(|key| key.variable() == name) {
            let known = KEYS.iter().map(Key::variable);
            return Err(ConfigError::UnknownKey {
                place: "environment variable".to_owned(),
                nearest: nearest(name, known.chain([CONFIG_VARIABLE.to_owned()])),
                key: name.to_owned(),
            });
        }
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

/// Kubernetes puts the address of each service into the environment; for a service that is called
/// `socketio` those variables begin like ours: `SOCKETIO_PORT=tcp://10.0.0.1:3000`,
/// `SOCKETIO_SERVICE_HOST`, `SOCKETIO_PORT_3000_TCP_ADDR`.
fn is_service_link(name: &str, value: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    let numbered = rest.strip_prefix("PORT_").unwrap_or("");
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || numbered.starts_with(|c: char| c.is_ascii_digit())
        || rest == "PORT" && value.contains("://")
}

fn read_file(settings: &mut Settings, path: &Path) -> Result<(), ConfigError> {
    let problem = |problem: String| ConfigError::File {
        path: path.to_owned(),
        problem,
    };
    let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map(|span| text[..span.start].lines().count().max(1));
        let line = line.map_or_else(String::new, |line| format!("line {line}: "));
        problem(format!("{line}{}", error.message().replace('\n', " ")))
    })?;
    for (name, value) in &table {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            return Err(ConfigError::UnknownKey {
                place: format!("{}: key", path.display()),
                nearest: nearest(name, KEYS.iter().map(|key| key.name.to_owned())),
                key: name.clone(),
            });
        };
        let set = (key.set_toml)(settings, value);
        set.map_err(|problem| ConfigError::value(format!("{}: {name}", path.display()), problem))?;
    }
    Ok(())
}

/// The known name that a person most likely meant.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    let distance =
        |known: &String| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    // The table is never empty.
    known.min_by_key(distance).unwrap_or_default()
}

/// clap explains at length; an operator's log wants one line.
fn one_line(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(flag) = context(ContextKind::InvalidArg)
    {
        if !flag.starts_with('-') {
            return format!("unexpected argument {flag}");
        }
        let own = [
            "--config",
            "--check-config",
            "--print-config",
            "--help",
            "--version",
        ];
        let known = KEYS.iter().map(|key| format!("--{}", key.flag()));
        let nearest = nearest(flag, known.chain(own.map(str::to_owned)));
        return format!("unknown flag {flag}; did you mean {nearest}?");
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}
