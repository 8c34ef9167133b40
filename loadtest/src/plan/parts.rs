//! Single settings, from text to what is used.

use socketio_core::packet::RESERVED_EVENTS;

use super::{Broker, Events, Message, PlanError, Transport, Trust};
use crate::phases::{MAX_RATE, Phase, Timetable};
use crate::settings::{Scenario, Settings};
use crate::target::Target;
use crate::template::Template;
use crate::units::Span;

pub(super) fn wrong(text: impl Into<String>) -> PlanError {
    PlanError(text.into())
}

pub(super) fn plain(error: impl std::fmt::Display) -> PlanError {
    PlanError(error.to_string())
}

pub(super) fn at_least_one(name: &str, value: Option<u32>, default: u32) -> Result<u32, PlanError> {
    match value.unwrap_or(default) {
        0 => Err(wrong(format!("--{name} must be at least 1"))),
        value => Ok(value),
    }
}

pub(super) fn positive(name: &str, value: Option<f64>) -> Result<Option<f64>, PlanError> {
    match value {
        // Beyond that nothing happens, or a clock that counts microseconds overflows.
        Some(value) if !(1e-6..=1e9).contains(&value) => Err(wrong(format!(
            "--{name} must be a number greater than 0, from 1e-6 to 1e9"
        ))),
        value => Ok(value),
    }
}

pub(super) fn timetable(
    settings: &Settings,
    warmup: Span,
    clients: u32,
) -> Result<Timetable, PlanError> {
    let phases = settings.phase.iter().map(|text| Phase::parse(text));
    let mut phases = phases.collect::<Result<Vec<_>, _>>().map_err(plain)?;
    let rate = positive("rate", settings.rate)?;
    if rate.is_some_and(|rate| rate > MAX_RATE) {
        return Err(wrong(format!("--rate must be at most {MAX_RATE}")));
    }
    let rate = rate.map(|rate| (rate, rate));
    if phases.is_empty() {
        let duration = settings.duration.unwrap_or(Span::seconds(10));
        if duration.0.is_zero() {
            return Err(wrong("--duration must be more than 0"));
        }
        phases.push(Phase {
            duration,
            rate: None,
            clients: None,
        });
    } else if settings.duration.is_some() {
        return Err(wrong("phases say how long they take: leave out --duration"));
    }
    for phase in &mut phases {
        phase.rate = phase.rate.or(rate);
    }
    let rates = phases.iter().filter(|phase| phase.rate.is_some()).count();
    if rates > 0 && rates < phases.len() {
        return Err(wrong(
            "either all phases have a rate or none; --rate is for those without",
        ));
    }
    if !warmup.0.is_zero() {
        let rate = phases.first().and_then(|phase| phase.rate);
        let warm = Phase {
            duration: warmup,
            rate: rate.map(|(from, _)| (from, from)),
            clients: None,
        };
        phases.insert(0, warm);
    }
    Ok(Timetable::new(phases, clients))
}

pub(super) fn namespace(settings: &Settings) -> Result<String, PlanError> {
    let name = settings.namespace.as_deref().unwrap_or("/");
    if name.contains(',') {
        return Err(wrong("a namespace has no comma"));
    }
    Ok(if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("/{name}")
    })
}

pub(super) fn auth(settings: &Settings) -> Result<Option<String>, PlanError> {
    let Some(text) = &settings.auth else {
        return Ok(None);
    };
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(_)) => Ok(Some(text.clone())),
        _ => Err(wrong(format!("--auth `{text}` is no JSON object"))),
    }
}

pub(super) fn trust(settings: &Settings) -> Result<Trust, PlanError> {
    match (&settings.ca, settings.insecure.unwrap_or(false)) {
        (Some(_), true) => Err(wrong(
            "--insecure trusts everybody: leave out --ca, or --insecure",
        )),
        (Some(file), false) => Ok(Trust::File(file.clone())),
        (None, true) => Ok(Trust::Everybody),
        (None, false) => Ok(Trust::System),
    }
}

/// Pages with metrics; `/metrics` where a URL names no path.
pub(super) fn metrics(settings: &Settings) -> Result<Vec<(String, Target)>, PlanError> {
    let page = |url: &String| {
        let mut target = Target::parse(url)?;
        if target.path == "/socket.io/" {
            "/metrics".clone_into(&mut target.path);
        }
        // Its query may be a token, and the name is shown.
        let name = url.split('?').next().unwrap_or_default();
        Ok((name.to_owned(), target))
    };
    let pages = settings.metrics.iter().map(page);
    pages
        .collect::<Result<_, crate::target::TargetError>>()
        .map_err(|error| wrong(format!("--metrics {error}")))
}

pub(super) fn header(text: &str) -> Result<(String, String), PlanError> {
    let bad = || wrong(format!("`{text}` is no header; write `Name: value`"));
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::try_from(name).map_err(|_| bad())?;
    http::HeaderValue::try_from(value).map_err(|_| bad())?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn transports(
    settings: &Settings,
    scenario: Scenario,
) -> Result<Vec<(Transport, u32)>, PlanError> {
    let default = match scenario {
        Scenario::Mix => "websocket=2,upgrade=1,polling=1",
        _ => "websocket=1",
    };
    let text = settings.transports.as_deref().unwrap_or(default);
    let bad = || {
        wrong(format!(
            "`{text}` are no shares; write websocket=70,upgrade=20,polling=10"
        ))
    };
    let mut shares = Vec::new();
    for part in text.split(',') {
        let (name, weight) = part
            .trim()
            .split_once('=')
            .unwrap_or_else(|| (part.trim(), "1"));
        let transport = match name {
            "polling" => Transport::Polling,
            "upgrade" => Transport::Upgrade,
            "websocket" => Transport::WebSocket,
            _ => return Err(bad()),
        };
        let weight = weight.parse().ok().filter(|weight| *weight <= 1_000_000);
        shares.push((transport, weight.ok_or_else(bad)?));
    }
    if shares.iter().all(|(_, weight)| *weight == 0) {
        return Err(bad());
    }
    Ok(shares)
}

pub(super) fn broker(settings: &Settings, scenario: Scenario) -> Result<Option<Broker>, PlanError> {
    if scenario != Scenario::Emit {
        return match &settings.broker {
            Some(_) => Err(wrong("--broker is for the scenario emit")),
            None => Ok(None),
        };
    }
    let url = settings.broker.clone();
    let mode = settings.broker_mode.as_deref().map(str::parse).transpose();
    Ok(Some(Broker {
        url: url.ok_or_else(|| wrong("the scenario emit needs a --broker"))?,
        mode: mode.map_err(plain)?,
        prefix: settings.broker_prefix.clone(),
    }))
}

pub(super) fn events(settings: &Settings) -> Result<Events, PlanError> {
    let binary = settings.binary.unwrap_or(false);
    let template = |text: &str| {
        let template = Template::parse(text).map_err(plain)?;
        if binary && template.has_inside("{data}") {
            return Err(wrong(format!(
                "`{text}`: with --binary, {{data}} must be a string of its own"
            )));
        }
        Ok(template)
    };
    let message =
        |event: &Option<String>, default: &str, args: &Option<String>, default_args: &str| {
            let event = event.as_deref().unwrap_or(default);
            if RESERVED_EVENTS.contains(&event) {
                return Err(wrong(format!("`{event}` is a reserved name, no event")));
            }
            let args = template(args.as_deref().unwrap_or(default_args))?;
            Ok(Message {
                event: event.to_owned(),
                args,
            })
        };
    let join = r#"["{room}"]"#;
    let events = Events {
        echo: message(
            &settings.echo_event,
            "echo",
            &settings.echo_args,
            r#"["{stamp}","{data}"]"#,
        )?,
        join: match settings.join_event.as_deref() {
            Some("") => None,
            _ => Some(message(
                &settings.join_event,
                "join",
                &settings.join_args,
                join,
            )?),
        },
        leave: message(&settings.leave_event, "leave", &settings.join_args, join)?,
        publish: message(
            &settings.publish_event,
            "publish",
            &settings.publish_args,
            r#"["{room}","{event}","{stamp}","{data}"]"#,
        )?,
        emit: template(
            settings
                .emit_args
                .as_deref()
                .unwrap_or(r#"["{stamp}","{data}"]"#),
        )?,
        join_ack: settings.join_ack.unwrap_or(true),
        publish_ack: settings.publish_ack.unwrap_or(true),
        publisher_receives: settings.publisher_receives.unwrap_or(true),
        name: settings.event.clone().unwrap_or_else(|| "load".to_owned()),
        room_prefix: settings
            .room_prefix
            .clone()
            .unwrap_or_else(|| "load-".to_owned()),
    };
    for (name, args) in [("publish", &events.publish.args), ("emit", &events.emit)] {
        if !args.has("{stamp}") {
            return Err(wrong(format!(
                "--{name}-args must hold {{stamp}}, or nothing can be audited"
            )));
        }
    }
    Ok(events)
}
