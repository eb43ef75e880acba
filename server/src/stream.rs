//! How bytes come and go: as they are, or by TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::terms::Terms;
use crate::tls::Spoken;

/// First byte of a TLS connection: the type of a record that holds a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// See the module.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Gets so far that it can be spoken. `None` where that is not to be: whoever connected has left by then, or been told,
    /// with `tls_alone`, that TLS is spoken here.
    pub(crate) async fn open(
        tcp: TcpStream,
        terms: &Terms,
        spoken: Spoken,
        tls_alone: &[u8],
    ) -> Option<Stream> {
        let Some(tls) = &terms.tls else { return Some(Stream::Plain(tcp)) };
        let peer = tcp.peer_addr().ok()?;
        let handshake = async {
            let mut first = [0];
            if tcp.peek(&mut first).await? == 0 {
                return Ok(None);
            }
            if first != [TLS_HANDSHAKE] {
                terms.strangers.warn(format_args!("{peer} speaks plain text, and this port TLS alone"));
                // It fits into the socket's buffer, or the client is beyond help.
                _ = tcp.try_write(tls_alone);
                return Ok(None);
            }
            tls.acceptor(spoken).accept(tcp).await.map(|stream| Some(Stream::Tls(Box::new(stream))))
        };
        match timeout(terms.line_timeout, handshake).await {
            Ok(Ok(stream)) => return stream,
            Ok(Err(error)) => {
                terms.strangers.warn(format_args!("the TLS handshake with {peer} failed: {error}"));
            }
            Err(_) => {
                let after = terms.line_timeout;
                terms
                    .strangers
                    .warn(format_args!("{peer} did not finish its TLS handshake within {after:?}"));
            }
        }
        None
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Waits until there is something to read, or the end; perhaps in vain. Holds no buffer meanwhile.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.readable().await,
            Stream::Tls(tls) => at_end(tls.fill_buf().await.map(|_| ())),
        }
    }

    /// Appends what comes next to `input`, up to `most` bytes. Returns 0 at the end.
    pub(crate) async fn read(&mut self, input: &mut BytesMut, most: usize) -> io::Result<usize> {
        match self {
            Stream::Plain(tcp) => {
                input.reserve(most);
                tcp.read_buf(input).await
            }
            Stream::Tls(tls) => {
                let decrypted = match tls.fill_buf().await {
                    Ok(decrypted) => &decrypted[..decrypted.len().min(most)],
                    Err(error) => return at_end(Err(error)).map(|()| 0),
                };
                input.extend_from_slice(decrypted);
                let read = decrypted.len();
                tls.consume(read);
                Ok(read)
            }
        }
    }

    /// Writes some of `bytes`. Returns how many were taken.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(context, bytes),
        }
    }

    /// Writes out what was taken and is kept back.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    /// Tells the client that nothing follows.
    pub(crate) async fn shut_down(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.shutdown().await,
            Stream::Tls(tls) => tls.shutdown().await,
        }
    }

    /// Reads on without looking at what comes.
    pub(crate) async fn drain(&mut self, scratch: &mut BytesMut) -> io::Result<()> {
        let tcp = match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_mut().0,
        };
        while tcp.read_buf(scratch).await? > 0 {
            scratch.clear();
        }
        Ok(())
    }
}

/// A client that leaves without TLS's goodbye has left all the same. Whoever may have cut the connection has not cut a line
/// short by it: no line counts without its end.
fn at_end(read: io::Result<()>) -> io::Result<()> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other,
    }
}
