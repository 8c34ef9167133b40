//! The exporter of `opentelemetry-otlp`, with our connections and headers.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use tonic::Status;
use tonic::transport::Endpoint;

use crate::config::{Compression, OtlpConfig, Protocol};
use crate::connect::Connector;

/// Connects when there is something to send. Must be called within a runtime.
pub(crate) fn exporter(
    config: &OtlpConfig,
    uri: Uri,
    headers: HeaderMap,
    connector: Connector,
) -> Result<SpanExporter, ExporterBuildError> {
    let compression = match config.compression {
        Compression::Gzip => Some(opentelemetry_otlp::Compression::Gzip),
        Compression::None => None,
    };
    // What passes is tried again, until the timeout of the batch is over.
    let policy = RetryPolicy::recommended();
    match config.protocol {
        Protocol::Grpc => {
            let channel = Endpoint::from(uri)
                .timeout(config.timeout)
                .connect_timeout(config.timeout)
                .connect_with_connector_lazy(connector);
            // After those that the exporter reads from the environment.
            let with_headers = move |mut request: tonic::Request<()>| {
                let mut all = std::mem::take(request.metadata_mut()).into_headers();
                add(&mut all, &headers);
                *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(all);
                Ok::<_, Status>(request)
            };
            let mut builder = SpanExporter::builder()
                .with_tonic()
                .with_channel(channel)
                .with_interceptor(with_headers)
                .with_timeout(config.timeout)
                .with_retry_policy(policy);
            if let Some(compression) = compression {
                builder = builder.with_compression(compression);
            }
            builder.build()
        }
        Protocol::HttpProtobuf => {
            let client = Client {
                inner: HyperClient::new(connector, config.timeout, None),
                headers,
            };
            let mut builder = SpanExporter::builder()
                .with_http()
                .with_http_client(client)
                .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
                .with_endpoint(uri.to_string())
                .with_timeout(config.timeout)
                .with_retry_policy(policy);
            if let Some(compression) = compression {
                builder = builder.with_compression(compression);
            }
            builder.build()
        }
    }
}

/// Ours take the place of those with the same name.
fn add(to: &mut HeaderMap, ours: &HeaderMap) {
    for name in ours.keys() {
        to.remove(name);
    }
    for (name, value) in ours {
        to.append(name, value.clone());
    }
}

/// An HTTP client that adds our headers after those that the exporter reads from the environment.
#[derive(Debug)]
struct Client {
    inner: HyperClient<Connector>,
    headers: HeaderMap,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        add(request.headers_mut(), &self.headers);
        self.inner.send_bytes(request).await
    }
}
