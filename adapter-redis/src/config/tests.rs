use redis::ConnectionAddr;
use socketio_core::cluster::wire::python::{PythonConfig, PythonMode};

use super::{Address, ConfigError, Mode, Place, RedisConfig};

fn place(url: &str) -> Place {
    Address::new(&RedisConfig::new(url)).expect(url).place
}

#[test]
fn a_single_server() {
    let Place::Single(info) = place("redis://user:p%40ss@host:7000/3?protocol=2") else {
        panic!("not a single server");
    };
    assert_eq!(info.addr().to_string(), "host:7000");
    assert_eq!(info.redis_settings().username(), Some("user"));
    assert_eq!(info.redis_settings().password(), Some("p@ss"));
    assert_eq!(info.redis_settings().db(), 3);
    let Place::Single(info) = place("redis+unix:///run/redis.sock?db=1") else {
        panic!("not a single server");
    };
    assert!(matches!(info.addr(), ConnectionAddr::Unix(_)));
    let Place::Single(info) = place("valkeys://host") else {
        panic!("not a single server");
    };
    assert!(matches!(info.addr(), ConnectionAddr::TcpTls { .. }));
}

#[test]
fn options_give_what_the_url_does_not() {
    let mut config = RedisConfig::new("redis://host");
    config.username = Some("user".to_owned());
    config.password = Some("secret".to_owned());
    let Ok(Address {
        place: Place::Single(info),
        ..
    }) = Address::new(&config)
    else {
        panic!("not a single server");
    };
    assert_eq!(info.redis_settings().username(), Some("user"));
    assert_eq!(info.redis_settings().password(), Some("secret"));
}

#[test]
fn sentinels_have_credentials_of_their_own() {
    let mut config = RedisConfig::new("redis+sentinel://user:pw@h1:1,h2/2/my-service");
    config.sentinel_password = Some("other".to_owned());
    let Ok(Address {
        place:
            Place::Sentinel {
                sentinels,
                service,
                master,
            },
        ..
    }) = Address::new(&config)
    else {
        panic!("not Sentinels");
    };
    let hosts: Vec<String> = sentinels.iter().map(|s| s.addr().to_string()).collect();
    assert_eq!(hosts, ["h1:1", "h2:26379"]);
    assert_eq!(sentinels[0].redis_settings().password(), Some("other"));
    assert_eq!(sentinels[0].redis_settings().username(), None);
    assert_eq!(service, "my-service");
    assert_eq!(master.redis_settings().username(), Some("user"));
    assert_eq!(master.redis_settings().db(), 2);
}

#[test]
fn a_cluster_has_several_hosts() {
    let Place::Cluster(nodes) = place("rediss-cluster://:pw@h1:1,h2:2") else {
        panic!("not a cluster");
    };
    let hosts: Vec<String> = nodes.iter().map(|s| s.addr().to_string()).collect();
    assert_eq!(hosts, ["h1:1", "h2:2"]);
    assert_eq!(nodes[1].redis_settings().password(), Some("pw"));
    assert!(matches!(nodes[1].addr(), ConnectionAddr::TcpTls { .. }));
}

#[test]
fn mistakes_are_named_without_the_password() {
    let urls = [
        "host:6379",
        "http://u:secret@host",
        "redis+sentinel://u:secret@host/0",
        "redis-cluster://u:secret@host/1",
        "redis://u:secret@host/x",
        "redis-cluster://",
    ];
    for url in urls {
        let error = RedisConfig::new(url).validate().expect_err(url);
        assert!(matches!(error, ConfigError::Url { .. }), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        let shown = format!("{:?}", RedisConfig::new(url));
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[test]
fn the_older_protocol_has_no_sharded_modes() {
    let mut config = RedisConfig::new("redis://host?protocol=2");
    config.validate().expect("pub/sub works with it");
    config.mode = Mode::ShardedStatic;
    let error = config.validate();
    assert!(matches!(error, Err(ConfigError::ShardedNeedsResp3)));
}

#[test]
fn certificates_must_be_there() {
    let mut config = RedisConfig::new("rediss://host");
    config.tls_authority = Some("/does/not/exist".into());
    let error = config.validate();
    assert!(matches!(error, Err(ConfigError::File { .. })));
    config.tls_authority = None;
    config.tls_key = Some("/does/not/exist".into());
    assert!(matches!(config.validate(), Err(ConfigError::TlsPair)));
}

#[test]
fn channels_of_python_are_not_the_own_ones() {
    let mut config = RedisConfig::new("redis://host");
    config.python = Some(PythonConfig::member());
    config.validate().expect("`socketio` is no channel of ours");
    for channel in ["", "socket.io#/#", "socket.io-cluster#"] {
        config.python = Some(PythonConfig::listen().channels(["socketio", channel]));
        let error = config.validate();
        assert!(matches!(error, Err(ConfigError::PythonChannel { .. })));
    }
}

#[test]
fn a_file_may_configure_everything() {
    let text = r#"{"url": "redis://host", "mode": "sharded-dynamic", "heartbeat-interval": 0.5,
        "python": {"mode": "member", "channels": ["socketio", "flask-socketio"]}}"#;
    let config: RedisConfig = serde_json::from_str(text).expect("it is understood");
    assert_eq!(config.mode, Mode::ShardedDynamic);
    assert_eq!(config.heartbeat_interval.as_millis(), 500);
    let python = config.python.expect("it is spoken");
    assert_eq!(python.mode, PythonMode::Member);
    assert_eq!(python.channels, ["socketio", "flask-socketio"]);
    assert!(serde_json::from_str::<RedisConfig>(r#"{"heartbeat-interval": -1}"#).is_err());
    assert!(serde_json::from_str::<RedisConfig>(r#"{"modus": "pubsub"}"#).is_err());
}

#[test]
fn every_field_and_its_default_are_documented() {
    // A field more does not compile.
    socketio_testkit::documented!(
        "The Redis adapter",
        RedisConfig::default() => RedisConfig {
            url, mode, prefix, python, username, password, sentinel_username, sentinel_password, tls_authority, tls_certificate, tls_key, heartbeat_interval, heartbeat_timeout, connect_timeout, backoff_min, backoff_max, regroup, close_timeout, count_interval, max_message_size, max_queued_bytes, max_queued_messages, max_received_bytes, max_received_messages
        }
    );
}
