use std::io::Write;

use super::*;

fn error(config: AmqpConfig) -> ConfigError {
    match Settings::new(config) {
        Ok(_) => panic!("the configuration should be refused"),
        Err(error) => error,
    }
}

#[test]
fn a_file_sets_everything() {
    let text = r#"{
        "url": "amqp://u:p@h:1/v%2fw", "exchange": "e", "exchange-type": "topic", "prefetch": 7,
        "confirm-window": 3, "confirm-window-bytes": 4, "queue-messages": 5, "queue-bytes": 6,
        "broker-queue-messages": 8, "broker-queue-bytes": 9, "max-message-bytes": 10,
        "probe-interval": 0.5, "probe-timeout": 1, "heartbeat": 2, "connect-timeout": 3.25,
        "min-backoff": 0.01, "max-backoff": 1.5, "close-timeout": 4,
        "reliable": { "instance": "n1", "expiry": 60 },
        "python": { "mode": "member", "channels": ["a", "b"] }
    }"#;
    let config: AmqpConfig = serde_json::from_str(text).expect("valid");
    assert_eq!(config.exchange_type, ExchangeType::Topic);
    assert_eq!(config.probe_interval, Duration::from_millis(500));
    assert_eq!(config.connect_timeout, Duration::from_millis(3250));
    let reliable = Reliable::new("n1").expiry(Duration::from_secs(60));
    assert_eq!(config.reliable, Some(reliable));
    assert_eq!(
        config.python,
        Some(PythonConfig::member().channels(["a", "b"]))
    );
    let settings = Settings::new(config).expect("usable");
    assert_eq!(settings.uri.vhost, "v/w");
    assert_eq!(settings.uri.authority.userinfo.password, "p");
    assert_eq!(settings.uri.query.heartbeat, Some(2));
    assert_eq!(settings.broker(), "h:1");
}

#[test]
fn unknown_options_and_negative_times_are_refused() {
    for text in [
        r#"{"prefecth": 1}"#,
        r#"{"probe-interval": -1}"#,
        r#"{"probe-interval": 1e300}"#,
        r#"{"reliable": {}}"#,
    ] {
        assert!(serde_json::from_str::<AmqpConfig>(text).is_err(), "{text}");
    }
}

#[test]
fn what_cannot_work_is_named() {
    let new = || AmqpConfig::new("amqp://h");
    let limit = |config, option| match error(config) {
        ConfigError::Limit(found) => assert_eq!(found, option),
        other => panic!("{option}: {other}"),
    };
    limit(new().prefetch(0_u16), "prefetch");
    limit(new().confirm_window(0_usize), "confirm-window");
    limit(new().queue_bytes(0_usize), "queue-bytes");
    limit(new().probe_interval(Duration::ZERO), "probe-interval");
    limit(new().max_backoff(Duration::MAX), "max-backoff");
    limit(new().heartbeat(Duration::from_millis(900)), "heartbeat");
    limit(new().heartbeat(Duration::from_secs(65_536)), "heartbeat");
    let expiry = Reliable::new("n").expiry(Duration::from_secs(1 << 32));
    limit(new().reliable(expiry), "reliable.expiry");

    for name in ["", "amq.fanout", &"x".repeat(201)] {
        let found = error(new().exchange(name));
        assert!(matches!(found, ConfigError::Name("exchange")), "{found}");
    }
    for channel in ["", "socketio-cluster", &"x".repeat(256)] {
        let python = PythonConfig::listen().channels([channel]);
        let found = error(new().python(python));
        assert!(
            matches!(found, ConfigError::Name("python.channels")),
            "{found}"
        );
    }
    let found = error(new().reliable(Reliable::new("")));
    assert!(matches!(found, ConfigError::Name("reliable.instance")));
    for url in [
        "",
        "h:1",
        "http://h",
        "amqp://h:99999",
        "amqp://h?heartbeat=x",
    ] {
        let found = error(AmqpConfig::new(url));
        assert!(matches!(found, ConfigError::Url(_)), "{url}: {found}");
    }
}

#[test]
fn certificates_are_read_at_once() {
    let secure = || AmqpConfig::new("amqps://h");
    let missing = error(secure().ca(PathBuf::from("/nowhere/ca.pem")));
    assert!(matches!(missing, ConfigError::File { .. }), "{missing}");
    let folder = socketio_testkit::Folder::new();
    let path = folder.path().join("empty.pem");
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(b"no certificate").expect("written");
    let empty = error(secure().ca(path.clone()));
    assert!(matches!(empty, ConfigError::Tls(_)), "{empty}");
    let certificates = socketio_testkit::Certificates::new();
    let trusting = || secure().ca(certificates.authority.clone());
    let half = error(trusting().certificate(certificates.certificate.clone()));
    assert!(matches!(half, ConfigError::Tls(_)), "{half}");
    let wrong = trusting().certificate(certificates.certificate.clone());
    let wrong = error(wrong.key(path));
    assert!(matches!(wrong, ConfigError::Tls(_)), "{wrong}");
    let right = trusting().certificate(certificates.certificate.clone());
    let settings = Settings::new(right.key(certificates.key.clone()));
    assert!(settings.expect("usable").tls.is_some());
}

#[test]
fn a_password_is_not_shown() {
    let shown = format!("{:?}", AmqpConfig::new("amqp://user:secret@h/v"));
    assert!(shown.contains("amqp://user:***@h/v"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    let broken = format!("{:?}", AmqpConfig::new("secret"));
    assert!(!broken.contains("secret"), "{broken}");
}

#[test]
fn every_field_and_its_default_are_documented() {
    // A field more does not compile.
    socketio_testkit::documented!(
        "The RabbitMQ adapter",
        AmqpConfig::default() => AmqpConfig {
            url, exchange, exchange_type, ca, certificate, key, prefetch, confirm_window, confirm_window_bytes, queue_messages, queue_bytes, broker_queue_messages, broker_queue_bytes, max_message_bytes, probe_interval, probe_timeout, heartbeat, connect_timeout, min_backoff, max_backoff, close_timeout, reliable, python
        }
    );
}
