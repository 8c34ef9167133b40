//! From settings to the options of the library.

use std::error::Error;
use std::path::{Path, PathBuf};

use socketio_core::engine::TransportKind;
use socketio_core::packet::ParserKind;
use socketio_server::{
    AllowedOrigins, ClientFiles, ClientFilesError, Cookie, Cors, CorsOrigin, HttpCompression,
    Limits, Options, SameSite, Tls, TlsError,
};
use thiserror::Error;

use super::config::{self, Settings};

/// A setting names a file that cannot be used, or does not fit the others.
#[derive(Debug, Error)]
pub(crate) enum PrepareError {
    #[error("the adapter's settings are at fault")]
    Adapter(#[source] Box<dyn Error + Send + Sync>),
    #[error("client_dir")]
    Client(#[source] ClientFilesError),
    #[cfg(not(all(feature = "redis", feature = "amqp")))]
    #[error("adapter: this one was not built in")]
    NotBuiltIn,
    #[cfg(not(feature = "otlp"))]
    #[error("otlp_endpoint: traces were not built in")]
    NoTraces,
    #[error("tls_cert, tls_key")]
    Tls(#[source] TlsError),
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Traces(socketio_otlp::OtlpError),
}

/// The options of the server; reads the client's files.
pub(crate) fn server(settings: &Settings) -> Result<Options, PrepareError> {
    let mut options = Options::default();
    options.path.clone_from(&settings.path);
    options.add_trailing_slash = settings.add_trailing_slash;
    options.transports = settings.transports.iter().map(transport).collect();
    options.allow_upgrades = settings.allow_upgrades;
    options.allow_eio3 = settings.allow_eio3;
    options.ping_interval = settings.ping_interval;
    options.ping_grace = settings.ping_grace;
    options.ping_timeout = settings.ping_timeout;
    options.upgrade_timeout = settings.upgrade_timeout;
    options.connect_timeout = settings.connect_timeout;
    options.max_http_buffer_size = settings.max_http_buffer_size.0;
    options.parser = match settings.parser {
        config::Parser::Json => ParserKind::Json,
        config::Parser::MessagePack => ParserKind::MessagePack,
    };
    options.http_compression = settings.http_compression.then(|| {
        let mut compression = HttpCompression::default();
        compression.threshold = settings.http_compression_threshold.0;
        compression
    });
    options.cleanup_empty_child_namespaces = settings.cleanup_empty_child_namespaces;
    options.cors = cors(settings);
    options.allowed_origins = allowed_origins(&settings.allowed_origins);
    options.cookie = cookie(settings);
    options.client_files = client_files(settings)?;
    options.private_id_rooms = settings.private_id_rooms;
    options.max_outbox_bytes = settings.max_outbox_bytes.0;
    options.max_attachments = settings.max_attachments;
    options.max_pending_handlers = settings.max_pending_handlers;
    options.max_pending_acks = settings.max_pending_acks;
    options.max_namespaces_per_client = settings.max_namespaces_per_client;
    options.body_read_timeout = settings.body_read_timeout;
    options
        .trace_payload_key
        .clone_from(&settings.trace_payload_key);
    Ok(options)
}

/// The limits of the listener.
pub(crate) fn limits(settings: &Settings) -> Limits {
    let mut limits = Limits::default();
    limits.max_connections = settings.max_connections;
    limits.max_header_bytes = settings.max_header_bytes.0;
    limits.header_read_timeout = settings.header_read_timeout;
    limits
}

/// Certificate and key, if they are configured.
pub(crate) fn tls(settings: &Settings) -> Result<Option<Tls>, PrepareError> {
    let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) else {
        return Ok(None);
    };
    let tls = Tls::from_pem_files(certificate, key);
    tls.map(Some).map_err(PrepareError::Tls)
}

fn transport(transport: &config::Transport) -> TransportKind {
    match transport {
        config::Transport::Polling => TransportKind::Polling,
        config::Transport::WebSocket => TransportKind::WebSocket,
    }
}

fn cors(settings: &Settings) -> Option<Cors> {
    let mut cors = Cors::default();
    cors.origin = match settings.cors_origin.as_slice() {
        [] => return None,
        // Browsers refuse the star for requests with credentials, so then the origin is mirrored.
        [any] if any == "*" && settings.cors_credentials => CorsOrigin::Mirror,
        [any] if any == "*" => CorsOrigin::Any,
        list => CorsOrigin::list(list.iter().map(String::as_str)),
    };
    cors.credentials = settings.cors_credentials;
    cors.methods.clone_from(&settings.cors_methods);
    let allowed = &settings.cors_allowed_headers;
    cors.allowed_headers = (!allowed.is_empty()).then(|| allowed.clone());
    cors.exposed_headers
        .clone_from(&settings.cors_exposed_headers);
    cors.max_age = settings.cors_max_age;
    Some(cors)
}

fn allowed_origins(origins: &[String]) -> AllowedOrigins {
    match origins {
        [] => AllowedOrigins::Any,
        [any] if any == "*" => AllowedOrigins::Any,
        [same] if same == "same-origin" => AllowedOrigins::SameOrigin,
        list => AllowedOrigins::list(list.iter().map(String::as_str)),
    }
}

fn cookie(settings: &Settings) -> Option<Cookie> {
    let mut cookie = Cookie::default();
    cookie.name.clone_from(settings.cookie.as_ref()?);
    cookie.path = Some(settings.cookie_path.clone());
    cookie.secure = settings.cookie_secure;
    cookie.same_site = Some(match settings.cookie_same_site {
        config::SameSite::Lax => SameSite::Lax,
        config::SameSite::None => SameSite::None,
        config::SameSite::Strict => SameSite::Strict,
    });
    Some(cookie)
}

/// The official client, from where the settings say or from where npm puts it.
fn client_files(settings: &Settings) -> Result<Option<ClientFiles>, PrepareError> {
    if !settings.serve_client {
        return Ok(None);
    }
    if let Some(dir) = &settings.client_dir {
        let files = ClientFiles::load(dir).map_err(PrepareError::Client)?;
        return Ok(Some(files));
    }
    let Some(dir) = std::env::current_dir()
        .ok()
        .and_then(|dir| installed_client(&dir))
    else {
        return Ok(None);
    };
    match ClientFiles::load(&dir) {
        Ok(files) => Ok(Some(files)),
        Err(error) => {
            // Nobody asked for this folder, so it is no reason not to start.
            tracing::warn!(%error, "the client that is installed here is not served");
            Ok(None)
        }
    }
}

/// The nearest `node_modules/socket.io-client/dist`, from `start` upwards as Node resolves modules.
fn installed_client(start: &Path) -> Option<PathBuf> {
    let mut candidates = start
        .ancestors()
        .map(|dir| dir.join("node_modules/socket.io-client/dist"));
    candidates.find(|dir| dir.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_client_is_found_from_below() {
        let root = std::env::temp_dir().join(format!("socketio-client-{}", std::process::id()));
        let dist = root.join("node_modules/socket.io-client/dist");
        let below = root.join("a/b");
        std::fs::create_dir_all(&dist).expect("directory");
        std::fs::create_dir_all(&below).expect("directory");
        assert_eq!(installed_client(&below), Some(dist));
        std::fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn a_star_with_credentials_mirrors_the_origin() {
        let mut settings = Settings::default();
        assert!(cors(&settings).is_none());
        settings.cors_origin = vec!["*".to_owned()];
        assert!(matches!(
            cors(&settings).expect("on").origin,
            CorsOrigin::Any
        ));
        settings.cors_credentials = true;
        let mirrored = cors(&settings).expect("on");
        assert!(matches!(mirrored.origin, CorsOrigin::Mirror) && mirrored.credentials);
        settings.cors_origin.push("https://a.example".to_owned());
        assert!(matches!(
            cors(&settings).expect("on").origin,
            CorsOrigin::List(_)
        ));
    }

    #[test]
    fn defaults_of_settings_and_library_agree() {
        let settings = Settings {
            serve_client: false,
            ..Settings::default()
        };
        let options = server(&settings).expect("good");
        assert_eq!(format!("{options:?}"), format!("{:?}", Options::default()));
        assert_eq!(
            format!("{:?}", limits(&settings)),
            format!("{:?}", Limits::default())
        );
    }
}
