//! A body that goes on for as long as something is put into it: one piece at a time, which its client takes or does not.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use axum::body::Bytes;
use hyper::body::{Body as HttpBody, Frame};

use super::activity::Counted;
use crate::rooms::Room;

/// The place of a piece among those that all connections share.
pub(super) type Place = (Room, Counted);

/// Where pieces are put. The body ends when this is dropped.
#[derive(Debug)]
pub(super) struct Outlet(Arc<Mutex<State>>);

/// The body.
#[derive(Debug)]
pub(super) struct Pieces {
    state: Arc<Mutex<State>>,
    /// That of the piece that is on its way.
    place: Option<Place>,
}

#[derive(Debug, Default)]
struct State {
    piece: Option<(Vec<u8>, Option<Place>)>,
    /// Nothing more will be put in.
    ended: bool,
    /// Nothing more will be taken out.
    left: bool,
    putter: Option<Waker>,
    taker: Option<Waker>,
}

/// Both ends.
pub(super) fn outlet() -> (Outlet, Pieces) {
    let state = Arc::new(Mutex::new(State::default()));
    (Outlet(Arc::clone(&state)), Pieces { state, place: None })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outlet {
    /// Puts out a piece, in place of one that is not taken yet.
    pub(super) fn put(&self, bytes: Vec<u8>, place: Option<Place>) {
        let mut state = lock(&self.0);
        state.piece = Some((bytes, place));
        wake(state.taker.take());
    }

    /// Waits until there is nothing that is not taken. False if it never will be: the client has left.
    pub(super) async fn taken(&self) -> bool {
        self.wait(|state| (state.left || state.piece.is_none()).then_some(!state.left)).await
    }

    /// Waits until the client has left.
    pub(super) async fn closed(&self) {
        self.wait(|state| state.left.then_some(())).await;
    }

    async fn wait<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut state = lock(&self.0);
            match look(&state) {
                Some(seen) => Poll::Ready(seen),
                None => {
                    state.putter = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.ended = true;
        wake(state.taker.take());
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // More is asked for: what went before is sent.
        self.place = None;
        let this = &mut *self;
        let mut state = lock(&this.state);
        match state.piece.take() {
            Some((bytes, place)) => {
                wake(state.putter.take());
                this.place = place;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(bytes)))))
            }
            None if state.ended => Poll::Ready(None),
            None => {
                state.taker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.left = true;
        wake(state.putter.take());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
