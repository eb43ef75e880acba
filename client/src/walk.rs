//! Walking over all pages of a listing, without the I/O.

use std::vec;

use crate::reply::Page;
use crate::request::Paged;

#[derive(Debug)]
pub(crate) struct Walk<P: Paged> {
    listing: P,
    items: vec::IntoIter<P::Item>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    First,
    Next(String),
    Last,
}

impl<P: Paged> Walk<P> {
    pub(crate) fn new(listing: P) -> Self {
        Self { listing, items: Vec::new().into_iter(), place: Place::First }
    }

    /// The next item of the present page.
    pub(crate) fn next_item(&mut self) -> Option<P::Item> {
        self.items.next()
    }

    /// The listing, and the cursor of its next page, if there is one; see [`Paged::page_at`].
    pub(crate) fn next_page(&self) -> Option<(P, Option<String>)> {
        match &self.place {
            Place::First => Some((self.listing, None)),
            Place::Next(cursor) => Some((self.listing, Some(cursor.clone()))),
            Place::Last => None,
        }
    }

    /// Goes on to the page that came.
    pub(crate) fn turn(&mut self, page: Page<P::Item>) {
        self.items = page.items.into_iter();
        self.place = page.next.map_or(Place::Last, Place::Next);
    }

    /// Ends the walk, since a page could not be had.
    pub(crate) fn end(&mut self) {
        self.place = Place::Last;
    }
}
