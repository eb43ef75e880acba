//! Answers that may be large: rendered a piece at a time, as fast as the client takes them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame};

use crate::command::OUTPUT_BYTES;

/// A body whose next bytes `fill` appends; it says whether they were the last. What fits into one piece has a known length.
pub(crate) fn body(mut fill: impl FnMut(&mut Vec<u8>) -> bool + Send + Unpin + 'static) -> Body {
    let mut first = Vec::new();
    if fill(&mut first) {
        return Body::from(first);
    }
    Body::new(Pieces { fill, first: Some(first), ended: false })
}

/// A body of items between a beginning and an end. `item` appends the item of that number and returns true, or appends what
/// comes after the last one; between items stands a comma.
pub(crate) fn items(
    head: &'static str,
    mut item: impl FnMut(usize, &mut Vec<u8>) -> bool + Send + Unpin + 'static,
) -> Body {
    let mut next = 0;
    body(move |out| {
        if next == 0 {
            out.extend_from_slice(head.as_bytes());
        }
        while out.len() < OUTPUT_BYTES {
            let start = out.len();
            if next > 0 {
                out.push(b',');
            }
            let separated = out.len();
            if !item(next, out) {
                // What was appended is no item.
                out.drain(start..separated);
                return true;
            }
            next += 1;
        }
        false
    })
}

/// See the module.
#[derive(Debug)]
struct Pieces<F> {
    fill: F,
    first: Option<Vec<u8>>,
    ended: bool,
}

impl<F: FnMut(&mut Vec<u8>) -> bool + Unpin> HttpBody for Pieces<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = self.first.take().unwrap_or_else(|| {
            let mut piece = Vec::new();
            self.ended = (self.fill)(&mut piece);
            piece
        });
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn items_are_separated_over_all_pieces() {
        for count in [0, 1, 2, 100] {
            let large = "x".repeat(OUTPUT_BYTES / 10);
            let text = format!("\"{large}\"");
            let item = text.clone();
            let body = items("[", move |index, out| {
                out.extend_from_slice(if index < count { item.as_bytes() } else { b"]" });
                index < count
            });
            let collected = body.collect().await.unwrap().to_bytes();
            assert_eq!(collected, format!("[{}]", vec![text; count].join(",")));
        }
    }
}
