//! A listing as an async stream.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::client::Client;
use crate::error::Error;
use crate::reply::Page;
use crate::request::Paged;
use crate::walk::Walk;

type Fetching<'a, T> = Pin<Box<dyn Future<Output = Result<Page<T>, Error>> + Send + 'a>>;

/// All items of a listing, fetched page by page; see [`Client::items`]. A [`Stream`], and good without that trait too. It
/// ends after the last item, and after an error.
pub struct Items<'a, P: Paged> {
    client: Client,
    walk: Walk<P>,
    fetching: Option<Fetching<'a, P::Item>>,
}

impl<'a, P: Paged + 'a> Items<'a, P> {
    pub(crate) fn new(client: Client, listing: P) -> Self {
        Self { client, walk: Walk::new(listing), fetching: None }
    }

    /// The next item; `None` after the last, and after an error. This may be dropped before it is done, and loses no item.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn next(&mut self) -> Result<Option<P::Item>, Error> {
        poll_fn(|context| self.poll_item(context)).await.transpose()
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<P::Item, Error>>> {
        loop {
            if let Some(item) = self.walk.next_item() {
                return Poll::Ready(Some(Ok(item)));
            }
            let fetching = match &mut self.fetching {
                Some(fetching) => fetching,
                None => {
                    let Some((listing, cursor)) = self.walk.next_page() else { return Poll::Ready(None) };
                    let client = self.client.clone();
                    self.fetching.insert(Box::pin(async move {
                        client.call(&listing.page_at(cursor.as_deref())).await
                    }))
                }
            };
            let page = ready!(fetching.as_mut().poll(context));
            self.fetching = None;
            match page {
                Ok(page) => self.walk.turn(page),
                Err(error) => {
                    self.walk.end();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<'a, P: Paged + 'a> Stream for Items<'a, P> {
    type Item = Result<P::Item, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_item(context)
    }
}

impl<P: Paged> fmt::Debug for Items<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Items").field("walk", &self.walk).finish_non_exhaustive()
    }
}
