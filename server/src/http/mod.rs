//! HTTP: the second way in, beside the line protocol, to the same commands.
//!
//! A handler reads a request, builds the [`Command`](larder_protocol::Command) that it means, has it
//! [carried out](crate::command::execute) where its [`Caller`] acts, and renders the answer; so an interface of its own is one
//! file with a `router()`, in which each handler is [described](openapi), and nothing of the store. Each is merged in [`routes`](fn@routes). What a request may be is checked on the way:
//! its bytes ([`strict`]), its head ([`guard`]), its caller ([`caller`]), its path, query and body. What is wrong with it is a
//! [`Problem`].
//!
//! A value is never parsed into a tree: [`compact`](larder_protocol::json::compact) checks its text, the store keeps it, and its
//! bytes are copied into the answer.

mod activity;
mod answer;
mod body;
mod caller;
mod condition;
mod connection;
mod description;
mod envelope;
mod front;
mod guard;
mod health;
mod hooklistener;
mod kestra;
mod keys;
mod native;
mod openapi;
mod outlet;
mod page;
mod path;
mod pieces;
mod problem;
mod query;
mod rocketstack;
mod strict;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use larder_protocol::Code;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_http::compression::Compression;
use tower_http::compression::predicate::{And, NotForContentType, Predicate, SizeAbove};
use tower_http::cors::CorsLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::metrics::Interface;
use crate::seldom::Seldom;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::tls::Spoken;
pub(crate) use caller::{Caller, Held};
pub(crate) use guard::Guard;
use problem::Problem;

/// Answers of fewer bytes are not compressed.
const COMPRESSED_BYTES_MIN: u64 = 1024;
/// What a client is told that speaks plain text where TLS is spoken.
const TLS_ALONE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 42\r\n\r\nthis port speaks TLS alone; use https://\r\n";
/// How long it takes at most to turn a connection away.
const TURN_AWAY_TIME: Duration = Duration::from_secs(1);

/// What handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) shared: Arc<Shared>,
    /// Cancelled when the server stops: answers that go on for ever end then.
    pub(crate) shutdown: CancellationToken,
    guard: Guard,
    request_ids: front::RequestIds,
    /// Requests that could not be answered.
    failures: Seldom,
    /// The interface, described.
    description: Bytes,
}

/// The interface, ready for connections.
#[derive(Clone)]
pub(crate) struct Http {
    app: Arc<App>,
    answers: Answers,
}

/// All routes. What every answer passes is around all of them at once: around each it would be copied for each request.
type Answers = Compression<Router, And<SizeAbove, NotForContentType>>;

impl Http {
    pub(crate) fn new(shared: Arc<Shared>, guard: Guard, shutdown: CancellationToken) -> Http {
        let (routes, description) = routes().split_for_parts();
        let app = Arc::new(App {
            shared,
            shutdown,
            guard,
            request_ids: front::RequestIds::new(),
            failures: Seldom::default(),
            description: openapi::text(description),
        });
        Http { answers: answers(routes, &app), app }
    }

    /// Serves a connection until it is over, or the server stops.
    pub(crate) async fn serve(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let terms = &self.app.shared.terms;
        let opened = tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            opened = Stream::open(stream, terms, Spoken::Http, TLS_ALONE) => opened,
        };
        match opened {
            None => Ok(()),
            Some(Stream::Plain(tcp)) => connection::serve(tcp, peer, self.answers, self.app, shutdown).await,
            Some(Stream::Tls(tls)) => connection::serve(tls, peer, self.answers, self.app, shutdown).await,
        }
    }
}

/// Tells a client that there is no room for it, whatever it is about to ask.
pub(crate) async fn turn_away(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let terms = &shared.terms;
    let text = format!("all {} connections are taken; try again later", terms.connections_max);
    let body = Problem::of(Code::TooManyConn, text).body();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), &body].concat();
    match Stream::open(stream, terms, Spoken::Http, TLS_ALONE).await {
        None => Ok(()),
        Some(Stream::Plain(mut tcp)) => tell(&mut tcp, &answer).await,
        Some(Stream::Tls(mut tls)) => tell(&mut tls, &answer).await,
    }
}

async fn tell(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &[u8]) -> io::Result<()> {
    let told = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        // What the client has under way is read, or the close would take the answer from it.
        tokio::io::copy(stream, &mut tokio::io::sink()).await.map(|_| ())
    };
    timeout(TURN_AWAY_TIME, told).await.unwrap_or(Ok(()))
}

/// All routes, each with its description.
fn routes() -> OpenApiRouter<Arc<App>> {
    openapi::base()
        .routes(routes!(health::lives))
        .routes(routes!(health::ready))
        .routes(routes!(health::tell))
        .routes(routes!(openapi::serve))
        .routes(routes!(page::lead))
        .routes(routes!(page::show))
        .routes(routes!(page::part))
        .merge(native::router())
        .merge(hooklistener::router())
        .merge(rocketstack::router())
        .merge(kestra::router())
}

/// The routes, and what is around them.
fn answers(routes: Router<Arc<App>>, app: &Arc<App>) -> Answers {
    let mut routes = routes.fallback(no_route).method_not_allowed_fallback(no_method);
    if let Some(cors) = cors(&app.guard) {
        routes = routes.layer(cors);
    }
    if front::is_watched() {
        routes = routes.layer(from_fn(front::watched));
    }
    let compressible = SizeAbove::new(COMPRESSED_BYTES_MIN).and(NotForContentType::SSE);
    Compression::new(routes.with_state(Arc::clone(app))).compress_when(compressible)
}

/// What pages of other origins are told that they may do, if there are any that may.
fn cors(guard: &Guard) -> Option<CorsLayer> {
    const EXPOSED: [&str; 10] = [
        "etag",
        "larder-expires-at",
        "larder-type",
        "ratelimit-limit",
        "ratelimit-policy",
        "ratelimit-remaining",
        "ratelimit-reset",
        "retry-after",
        "www-authenticate",
        "x-request-id",
    ];
    if guard.origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(guard.origins.clone())
        .allow_methods([Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static));
    Some(layer)
}

async fn no_route(uri: Uri) -> Response {
    let problem = Problem::new(StatusCode::NOT_FOUND, "ROUTE", "there is nothing at this path");
    refused(Interface::of_route(uri.path()), problem)
}

/// What is refused before it gets to its interface, in the shape of that.
fn refused(interface: Interface, problem: Problem) -> Response {
    let response = problem.into_response();
    if interface == Interface::Kestra { kestra::in_own_shape(response) } else { response }
}

async fn no_method() -> impl IntoResponse {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD",
        "this path does not take this method; see the Allow header",
    )
}
