//! A listing as an iterator.

use super::client::Client;
use crate::error::Error;
use crate::request::Paged;
use crate::walk::Walk;

/// All items of a listing, fetched page by page; see [`Client::items`].
#[derive(Debug)]
pub struct Items<P: Paged> {
    client: Client,
    walk: Walk<P>,
}

impl<P: Paged> Items<P> {
    pub(super) fn new(client: Client, listing: P) -> Self {
        Self { client, walk: Walk::new(listing) }
    }
}

impl<P: Paged> Iterator for Items<P> {
    type Item = Result<P::Item, Error>;

    /// The next item; `None` after the last, and after an error.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.walk.next_item() {
                return Some(Ok(item));
            }
            let (listing, cursor) = self.walk.next_page()?;
            match self.client.call(&listing.page_at(cursor.as_deref())) {
                Ok(page) => self.walk.turn(page),
                Err(error) => {
                    self.walk.end();
                    return Some(Err(error));
                }
            }
        }
    }
}
