//! One connection of HTTP, 1.1 or 2 as the client begins: served until it is over, idle for too long, or the server stops.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use larder_protocol::Code;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Counted, Progress};
use super::front::Passage;
use super::strict::Strict;
use super::{Answers, App, refused};
use crate::metrics::{Interface, MALFORMED, Metrics};
use crate::rooms::{Room, SMALL_BYTES};
use crate::shared::Shared;

/// Bytes of the head of a request, and of each buffer.
const HEAD_BYTES_MAX: u16 = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Requests at the same time over one connection of HTTP/2, each of which may have a piece of its answer wait to be sent.
const STREAMS_MAX: u32 = 32;
/// Bytes of bodies that may be under way over HTTP/2, of one of them and of all on a connection: the least that there is.
const WINDOW: u32 = 65_535;
/// Bytes of an answer that are handed on at once, and what may wait of one answer over HTTP/2 for its client to take it.
const PIECE_BYTES: usize = SMALL_BYTES;
/// Time between two looks whether the other end of a connection of HTTP/2 is still there, and for it to answer.
const PING_PAUSE: Duration = Duration::from_secs(30);
const PING_TIME: Duration = Duration::from_secs(15);

/// Serves a connection to its end.
pub(super) async fn serve<S>(
    stream: S,
    peer: SocketAddr,
    answers: Answers,
    app: Arc<App>,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Shared { terms, metrics, .. } = &*app.shared;
    let activity = Arc::new(Activity::default());
    let connection = Connection { peer, activity: Arc::clone(&activity) };
    let service = Requests { connection, answers: TowerToHyperService::new(answers), app: Arc::clone(&app) };
    let builder = builder();
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(Strict::new(stream, Arc::clone(&activity))), service));
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            served = connection.as_mut() => return served.map_err(|error| broken_off(error, metrics)),
            () = shutdown.cancelled(), if !ending => {}
            stuck = activity.ceased(terms) => {
                if ending || stuck {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                activity.note();
            }
        }
        ending = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// Counts what was no request, which no handler has seen: the library has told the client, and closes.
#[cold]
fn broken_off(error: Box<dyn Error + Send + Sync>, metrics: &Metrics) -> io::Error {
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse_too_large() => metrics.rejected(Interface::Http, Code::TooLong, 1),
        Some(error) if error.is_parse() => metrics.ended_with(Interface::Http, MALFORMED),
        _ => {}
    }
    io::Error::other(error)
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Who has nothing more to say still wants its answers.
        .half_close(true)
        // That would be a timer for each request: the activity is looked at instead.
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX.into());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX.into())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(PIECE_BYTES)
        .keep_alive_interval(PING_PAUSE)
        .keep_alive_timeout(PING_TIME);
    builder
}

/// The requests of one connection, on their way to the routes.
struct Requests {
    connection: Connection,
    answers: TowerToHyperService<Answers>,
    app: Arc<App>,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Sending>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        let handling = self.connection.activity.handling();
        let (passage, admitted) = Passage::enter(&self.app, &mut request);
        // The head of an answer is what it would be with its body, compression included.
        let head_alone = *request.method() == Method::HEAD;
        if head_alone {
            *request.method_mut() = Method::GET;
        }
        let answer = admitted.map(|()| self.answers.call(request));
        Box::pin(async move {
            let mut response = match answer {
                Ok(answer) => answer.await?.map(Body::new),
                Err(problem) => refused(passage.interface, problem),
            };
            passage.leave(&mut response);
            if head_alone {
                response = without_body(response);
            }
            let sending = handling.activity().sending();
            Ok(response.map(|body| Sending::new(body, sending, Vec::new()).followed()))
        })
    }
}

/// The head of an answer, with the length that its body has.
fn without_body(mut response: Response<Body>) -> Response<Body> {
    if let (Some(bytes), None) = (response.body().size_hint().exact(), response.headers().get(CONTENT_LENGTH))
    {
        response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
    response.map(|_| Body::empty())
}

/// The connection that a request comes over, in its extensions.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    peer: SocketAddr,
    activity: Arc<Activity>,
}

impl Connection {
    /// Whether the client is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.peer.ip().to_canonical().is_loopback()
    }

    /// Counts one that holds a place which others may wait for.
    pub(super) fn holding(&self) -> Counted {
        self.activity.holding()
    }

    /// Has an answer keep its places until it is sent.
    pub(super) fn hold(&self, response: Response<Body>, rooms: Vec<Room>) -> Response<Body> {
        if rooms.is_empty() {
            return response;
        }
        let counted = self.holding();
        response.map(|body| Body::new(Sending::new(body, counted, rooms)))
    }
}

/// The body of an answer on its way out, in small pieces.
///
/// The library takes the next piece once it has sent, or has room for, those before. So a large answer is let go of, with its
/// places, when it is all but sent, and what its client has not taken has a bound.
#[derive(Debug)]
struct Sending {
    body: Body,
    /// What is left of a frame that is longer than a piece.
    rest: Bytes,
    counted: Counted,
    /// Of one that is followed.
    progress: Option<Arc<Progress>>,
    _rooms: Vec<Room>,
}

impl Sending {
    fn new(body: Body, counted: Counted, rooms: Vec<Room>) -> Sending {
        Sending { body, rest: Bytes::new(), counted, progress: None, _rooms: rooms }
    }

    /// Has its progress looked at, if it is of more than a piece.
    fn followed(mut self) -> Sending {
        let is_large = self.body.size_hint().exact().is_none_or(|bytes| bytes > PIECE_BYTES as u64);
        self.progress = is_large.then(|| self.counted.activity().follow());
        self
    }

    /// A piece was asked for, and is there or not.
    fn note(&self, is_there: bool) {
        if let Some(progress) = &self.progress {
            progress.note(is_there);
        }
        if is_there {
            self.counted.activity().note();
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            self.counted.activity().forget(progress);
        }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = if self.rest.is_empty() {
            Pin::new(&mut self.body).poll_frame(context)
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))))
        };
        self.note(polled.is_ready());
        let frame = ready!(polled);
        let rest = &mut self.rest;
        let piece = |mut data: Bytes| {
            *rest = data.split_off(data.len().min(PIECE_BYTES));
            data
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_goes_out_in_small_pieces() {
        for length in [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 10 * PIECE_BYTES] {
            let activity = Arc::new(Activity::default());
            let counted = activity.sending();
            let whole: Vec<u8> = (0..251).cycle().take(length).collect();
            let mut sending = Sending::new(Body::from(whole.clone()), counted, Vec::new());
            let mut sent = Vec::new();
            while !sending.is_end_stream() {
                assert_eq!(sending.size_hint().exact(), Some((length - sent.len()) as u64));
                let piece = sending.frame().await.unwrap().unwrap().into_data().unwrap();
                assert!((1..=PIECE_BYTES).contains(&piece.len()));
                sent.extend_from_slice(&piece);
            }
            assert_eq!(sent, whole);
        }
    }
}
