//! The variables that the specification of OpenTelemetry defines for every program.

/// A value that a standard variable gives to an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The option, such as `otlp_endpoint`: the name that the stock node has for it.
    pub option: &'static str,
    /// Its value as text, as the option takes it.
    pub text: String,
    /// Where it comes from.
    pub variable: &'static str,
}

/// Variables whose values are what our options take, the first of each line before the others.
const PLAIN: [(&str, &[&str]); 9] = [
    (
        "otlp_protocol",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ],
    ),
    (
        "otlp_headers",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ],
    ),
    (
        "otlp_ca",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ],
    ),
    (
        "otlp_compression",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ],
    ),
    // Milliseconds, which a number without a unit is here too.
    (
        "otlp_timeout",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        ],
    ),
    ("trace_resource", &["OTEL_RESOURCE_ATTRIBUTES"]),
    ("trace_queue", &["OTEL_BSP_MAX_QUEUE_SIZE"]),
    ("trace_batch", &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]),
    ("trace_delay", &["OTEL_BSP_SCHEDULE_DELAY"]),
];
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTERS: &str = "OTEL_TRACES_EXPORTER";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// What the standard variables say, read with `get`, such as `|name| std::env::var(name).ok()`.
///
/// An endpoint switches exporting on; `OTEL_SDK_DISABLED=true` and an `OTEL_TRACES_EXPORTER` without
/// `otlp` give an empty one, which switches it off. A variable that is empty counts as absent. Values
/// are passed on unchecked; of `OTEL_TRACES_SAMPLER` those are known that a ratio can express, and
/// any other is passed on as the ratio, which it is not.
///
/// ```
/// use socketio_otlp::standard_variables;
///
/// let given = standard_variables(|name| match name {
///     "OTEL_EXPORTER_OTLP_ENDPOINT" => Some("http://collector:4317".to_owned()),
///     _ => None,
/// });
/// assert_eq!((given[0].option, &*given[0].text), ("otlp_endpoint", "http://collector:4317"));
/// ```
#[must_use]
pub fn standard_variables(get: impl Fn(&str) -> Option<String>) -> Vec<Given> {
    let get = |name| get(name).filter(|text: &String| !text.trim().is_empty());
    let mut given = Vec::new();
    let mut give = |option, text, variable| {
        given.push(Given {
            option,
            text,
            variable,
        });
    };
    if get(DISABLED).is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
        give("otlp_endpoint", String::new(), DISABLED);
    } else if get(EXPORTERS).is_some_and(|list| list.split(',').all(|one| one.trim() != "otlp")) {
        give("otlp_endpoint", String::new(), EXPORTERS);
    } else if let Some(text) = get(TRACES_ENDPOINT) {
        give("otlp_endpoint", text, TRACES_ENDPOINT);
    } else if let Some(text) = get(ENDPOINT) {
        give("otlp_endpoint", of_traces(text), ENDPOINT);
    }
    for (option, variables) in PLAIN {
        let found = variables.iter().find_map(|&name| Some((get(name)?, name)));
        if let Some((text, variable)) = found {
            give(option, text, variable);
        }
    }
    if let Some(text) = get(SERVICE_NAME) {
        give("trace_service_name", text, SERVICE_NAME);
    }
    if let Some(sampler) = get(SAMPLER) {
        let (parent_based, kind) = match sampler.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, sampler.as_str()),
        };
        let ratio = match kind {
            "always_on" => "1".to_owned(),
            "always_off" => "0".to_owned(),
            "traceidratio" => get(SAMPLER_ARGUMENT).unwrap_or_else(|| "1".to_owned()),
            _ => sampler.clone(),
        };
        give("trace_sample_ratio", ratio, SAMPLER);
        give("trace_parent_based", parent_based.to_string(), SAMPLER);
    }
    given
}

/// The endpoint of all signals is a base: traces have their path below it.
fn of_traces(base: String) -> String {
    let authority = base.split_once("://").map_or("", |(_, rest)| rest);
    match authority.split_once('/') {
        Some((_, path)) if !path.is_empty() => {
            format!("{}/v1/traces", base.trim_end_matches('/'))
        }
        // Without a path the option adds it, where the protocol has one.
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> Vec<(&'static str, String, &'static str)> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, text)| (*text).to_owned())
        };
        let given = standard_variables(get).into_iter();
        given
            .map(|one| (one.option, one.text, one.variable))
            .collect()
    }

    fn endpoint(variables: &[(&str, &str)]) -> Option<String> {
        let mut given = given(variables).into_iter();
        let found = given.find(|(option, ..)| *option == "otlp_endpoint");
        found.map(|(_, text, _)| text)
    }

    #[test]
    fn no_variable_gives_nothing() {
        assert_eq!(given(&[]), []);
        assert_eq!(
            given(&[(ENDPOINT, ""), (SERVICE_NAME, " "), (SAMPLER, "")]),
            []
        );
    }

    #[test]
    fn the_endpoint_of_all_signals_is_a_base() {
        let base = |text| endpoint(&[(ENDPOINT, text)]).expect("an endpoint");
        assert_eq!(base("http://h:4318"), "http://h:4318");
        assert_eq!(base("http://h:4318/"), "http://h:4318/");
        assert_eq!(base("https://h/a/b/"), "https://h/a/b/v1/traces");
        let both = [(ENDPOINT, "http://a"), (TRACES_ENDPOINT, "http://b/x")];
        assert_eq!(endpoint(&both).as_deref(), Some("http://b/x"));
    }

    #[test]
    fn it_can_be_switched_off() {
        for off in [
            (DISABLED, "true"),
            (DISABLED, "TRUE"),
            (EXPORTERS, "none"),
            (EXPORTERS, "console, zipkin"),
        ] {
            let endpoint = endpoint(&[(ENDPOINT, "http://h"), off]);
            assert_eq!(endpoint.as_deref(), Some(""), "{off:?}");
        }
        for on in [(DISABLED, "false"), (EXPORTERS, "console, otlp")] {
            let endpoint = endpoint(&[(ENDPOINT, "http://h"), on]);
            assert_eq!(endpoint.as_deref(), Some("http://h"), "{on:?}");
        }
    }

    #[test]
    fn variables_of_traces_win() {
        let found = given(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            (SERVICE_NAME, "chat"),
        ]);
        let expected = [
            (
                "otlp_protocol",
                "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            ),
            ("otlp_timeout", "1500", "OTEL_EXPORTER_OTLP_TIMEOUT"),
            ("trace_service_name", "chat", SERVICE_NAME),
        ];
        let expected = expected.map(|(option, text, variable)| (option, text.to_owned(), variable));
        assert_eq!(found, expected);
    }

    #[test]
    fn samplers_are_a_ratio_and_whether_the_parent_decides() {
        let sampler = |name, argument| {
            let found = given(&[(SAMPLER, name), (SAMPLER_ARGUMENT, argument)]);
            let [ratio, parent] = &found[..] else {
                panic!("{found:?}");
            };
            (ratio.1.clone(), parent.1.clone())
        };
        let expected = |ratio: &str, parent: &str| (ratio.to_owned(), parent.to_owned());
        assert_eq!(sampler("always_on", "0.5"), expected("1", "false"));
        assert_eq!(sampler("parentbased_always_off", ""), expected("0", "true"));
        assert_eq!(sampler("traceidratio", "0.25"), expected("0.25", "false"));
        assert_eq!(
            sampler("parentbased_traceidratio", ""),
            expected("1", "true")
        );
        assert_eq!(sampler("jaeger_remote", "x").0, "jaeger_remote");
    }
}
