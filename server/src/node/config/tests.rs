use std::ffi::OsString;
use std::time::Duration;

use super::settings::KEYS;
use super::*;

fn read_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Settings, String> {
    let program = [OsString::from("socketio-server")];
    let arguments = program
        .into_iter()
        .chain(arguments.iter().map(OsString::from));
    let environment = environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    match read(arguments.collect(), environment) {
        Ok(Request::Run(settings)) => Ok(*settings),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A file that is removed with the value.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("socketio-config-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).expect("temporary file");
        Self(path)
    }

    fn flag(&self) -> String {
        format!("--config={}", self.0.display())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = TempFile::new(
        "precedence",
        "port = 1\nhost = \"file\"\npath = \"/file\"\nping_interval = 1000\n",
    );
    let config = file.flag();
    let environment = [
        ("SOCKETIO_PORT", "2"),
        ("SOCKETIO_HOST", "environment"),
        ("PORT", "9"),
    ];
    let settings = read_with(&[&config, "--port", "3"], &environment).expect("good");
    assert_eq!(settings.port, 3);
    assert_eq!(settings.host, "environment");
    assert_eq!(settings.path, "/file");
    assert_eq!(settings.ping_interval, Duration::from_secs(1));
    assert_eq!(settings.ping_timeout, Duration::from_secs(20));

    let path = file.0.display().to_string();
    let settings = read_with(&[], &[("SOCKETIO_CONFIG", &path)]).expect("good");
    assert_eq!(settings.port, 1);
}

#[test]
fn nothing_at_all_is_the_defaults() {
    assert_eq!(read_with(&[], &[]), Ok(Settings::default()));
}

#[test]
fn every_setting_can_be_printed_and_read_back() {
    let file = TempFile::new("defaults", &to_toml(&Settings::default()));
    assert_eq!(read_with(&[&file.flag()], &[]), Ok(Settings::default()));

    let flags = [
        "--port=0",
        "--allow-eio3",
        "--add-trailing-slash=false",
        "--transports=websocket",
        "--ping-interval=1500",
        "--max-http-buffer-size=2MiB",
        "--parser=msgpack",
        "--cors-origin=https://a.example",
        "--cors-origin=https://b.example,https://c.example",
        "--cookie=io",
        "--internal-address=[::1]:9100",
        "--unix-socket=/run/a \"strange\" \\ name",
        "--worker-threads=3",
        "--otlp-endpoint=https://collector:4317",
        "--otlp-headers=x-key=a%2Cb",
        "--trace-sample-ratio=0.125",
        "--log=warn,hyper=debug",
    ];
    let settings = read_with(&flags, &[]).expect("good");
    assert_eq!(settings.cors_origin.len(), 3);
    assert_eq!(settings.max_http_buffer_size.0, 2 << 20);
    let file = TempFile::new("changed", &to_toml(&settings));
    assert_eq!(read_with(&[&file.flag()], &[]), Ok(settings));
}

#[test]
fn every_setting_has_its_variable_and_flag() {
    for key in KEYS {
        let Some(default) = (key.get)(&Settings::default()) else {
            continue;
        };
        let text = match default {
            toml::Value::String(text) => text,
            toml::Value::Array(items) => {
                let items: Vec<_> = items.iter().filter_map(|item| item.as_str()).collect();
                items.join(",")
            }
            other => other.to_string(),
        };
        let set = read_with(&[], &[(&key.variable(), &text)]);
        assert_eq!(set, Ok(Settings::default()), "{}", key.name);
        let set = read_with(&[&format!("--{}={text}", key.flag())], &[]);
        assert_eq!(set, Ok(Settings::default()), "{}", key.name);
    }
}

#[test]
fn unknown_names_are_errors_that_name_the_nearest() {
    let file = TempFile::new("unknown", "ping_intervall = 5\n");
    for (arguments, environment, expected) in [
        (
            vec![file.flag()],
            vec![],
            "key ping_intervall is unknown; did you mean ping_interval?",
        ),
        (
            vec![],
            vec![("SOCKETIO_PING_TIMOUT", "5")],
            "environment variable SOCKETIO_PING_TIMOUT is unknown; did you mean SOCKETIO_PING_TIMEOUT?",
        ),
        (
            vec!["--prot=5".to_owned()],
            vec![],
            "unknown flag --prot; did you mean --port?",
        ),
        (
            vec!["extra".to_owned()],
            vec![],
            "unexpected argument extra",
        ),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let error = read_with(&arguments, &environment).expect_err(expected);
        assert!(error.ends_with(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn bad_values_say_where_they_are() {
    let file = TempFile::new("bad", "port = 70000\n");
    let syntax = TempFile::new("syntax", "port = 1\nhost =\n");
    let missing = "--config=/nonexistent/socketio.toml".to_owned();
    for (flag, expected) in [
        (file.flag(), "port: expected a number"),
        (syntax.flag(), "line 2: "),
        (missing, "/nonexistent/socketio.toml: "),
        ("--port=x".to_owned(), "flag --port: expected a number"),
        ("--port".to_owned(), "a value is required"),
        (
            "--ping-interval=0".to_owned(),
            "ping_interval: must be longer than 0",
        ),
        (
            "--ping-interval=soon".to_owned(),
            "flag --ping-interval: expected a duration",
        ),
        ("--path=chat".to_owned(), "path: must start with /"),
        ("--transports=".to_owned(), "transports: must name"),
        (
            "--transports=carrier-pigeon".to_owned(),
            "expected one of polling, websocket",
        ),
        ("--tls-cert=/nonexistent".to_owned(), "given together"),
        (
            "--drain-window=1h".to_owned(),
            "drain_grace: must not be shorter",
        ),
        (
            "--max-outbox-bytes=1".to_owned(),
            "max_outbox_bytes: must not be smaller",
        ),
        (
            "--worker-threads=0".to_owned(),
            "worker_threads: must be greater",
        ),
        ("--log=a=b=c".to_owned(), "log: not a filter"),
        (
            "--trace-sample-ratio=1.5".to_owned(),
            "flag --trace-sample-ratio: expected a number from 0 to 1",
        ),
        (
            "--otlp-protocol=udp".to_owned(),
            "expected one of http/protobuf, grpc",
        ),
    ] {
        let error = read_with(&[&flag], &[]).expect_err(&flag);
        assert!(error.contains(expected), "{flag}: {error}");
        assert!(!error.contains('\n'), "{flag}: {error}");
    }
    let error = read_with(&[], &[("SOCKETIO_ALLOW_EIO3", "maybe")]).expect_err("bad");
    assert!(
        error.starts_with("environment variable SOCKETIO_ALLOW_EIO3: "),
        "{error}"
    );
}

#[cfg(feature = "otlp")]
#[test]
fn variables_of_opentelemetry_stand_between_file_and_ours() {
    let file = TempFile::new("otlp", "otlp_endpoint = \"http://file\"\ntrace_batch = 7\n");
    let standard = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    let settings = read_with(&[&file.flag()], &standard).expect("good");
    assert_eq!(settings.otlp_endpoint.as_deref(), Some("http://standard"));
    assert_eq!(settings.otlp_protocol, OtlpProtocol::Grpc);
    assert_eq!(settings.otlp_headers, ["a=1", "b=2"]);
    assert_eq!(settings.otlp_timeout, Duration::from_millis(1500));
    assert_eq!(settings.trace_sample_ratio.0, 0.25);
    assert_eq!(settings.trace_batch, 7);

    let mut both = standard.to_vec();
    both.push(("SOCKETIO_OTLP_ENDPOINT", "http://ours"));
    let settings = read_with(&["--otlp-protocol=http/protobuf"], &both).expect("good");
    assert_eq!(settings.otlp_endpoint.as_deref(), Some("http://ours"));
    assert_eq!(settings.otlp_protocol, OtlpProtocol::HttpProtobuf);

    let off = [standard[0], ("OTEL_SDK_DISABLED", "true")];
    let settings = read_with(&[&file.flag()], &off).expect("good");
    assert_eq!(settings.otlp_endpoint, None);
}

#[cfg(feature = "otlp")]
#[test]
fn a_bad_variable_of_opentelemetry_is_an_error_where_it_is_used() {
    let json = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")];
    let on = "--otlp-endpoint=http://h";
    let error = read_with(&[on], &json).expect_err("not spoken");
    assert_eq!(
        error,
        "environment variable OTEL_EXPORTER_OTLP_PROTOCOL: expected one of http/protobuf, grpc"
    );
    assert!(read_with(&[on, "--otlp-protocol=grpc"], &json).is_ok());
    let sampler = [("OTEL_TRACES_SAMPLER", "jaeger_remote")];
    let error = read_with(&[on], &sampler).expect_err("not known");
    assert!(
        error.starts_with("environment variable OTEL_TRACES_SAMPLER: "),
        "{error}"
    );
    // Where nothing is sent they are meant for others.
    for other in [json[0], sampler[0], ("OTEL_BSP_SCHEDULE_DELAY", "soon")] {
        assert!(read_with(&[], &[other]).is_ok(), "{other:?}");
        let off = [
            other,
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"),
            ("OTEL_SDK_DISABLED", "true"),
        ];
        assert!(read_with(&[], &off).is_ok(), "{other:?}");
    }
}

#[test]
fn links_to_a_kubernetes_service_are_not_settings() {
    let environment = [
        ("SOCKETIO_PORT", "tcp://10.0.0.1:3000"),
        ("SOCKETIO_SERVICE_HOST", "10.0.0.1"),
        ("SOCKETIO_SERVICE_PORT_HTTP", "3000"),
        ("SOCKETIO_PORT_3000_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(read_with(&[], &environment), Ok(Settings::default()));
}

#[test]
fn help_shows_all_flags_with_their_defaults() {
    let help = read_with(&["--help"], &[]).expect_err("help");
    for key in KEYS {
        assert!(help.contains(&format!("--{}", key.flag())), "{}", key.name);
    }
    for default in [
        "[default: 127.0.0.1]",
        "[default: 25s]",
        "[default: polling,websocket]",
    ] {
        assert!(help.contains(default), "{default}");
    }
}
