//! Commands: what each does to the store, and how its answer becomes reply lines.
//!
//! A command passes through here twice. Under the store's lock it is looked up or carried out and leaves an
//! [`Answer`]: quick, without a value being copied. Later, outside of every lock, the answers of a whole round are
//! rendered ([`Rendering`]), and only there are values loaded. A new command is an arm in [`read`](mod@read) or
//! [`write`](mod@write), and a new kind of answer only where none of the present ones fits.

mod answer;
mod change;
mod entry;
mod execute;
mod failure;
pub(crate) mod hello;
pub(crate) mod manage;
mod manner;
mod need;
mod read;
mod render;
pub(crate) mod stats;
mod survey;
mod sweep;
mod transaction;
mod write;

pub(crate) use answer::Answer;
pub(crate) use change::{ATTEMPTS_MAX, Ahead, ahead, is_change, light};
pub(crate) use entry::{entry_id, type_of};
pub(crate) use execute::{Check, Failure, check, check_again, execute, is_long, lists};
pub(crate) use failure::{SHUTDOWN, denial, refusal};
pub(crate) use manner::Manner;
pub(crate) use need::{namespace_of, need_of};
pub(crate) use read::{Reader, Scope, misrouted, namespaces, read};
pub(crate) use render::{OUTPUT_BYTES, Rendering, Sources, VALUES_PAGE_BYTES, refuse};
pub(crate) use survey::{Survey, survey};
pub(crate) use sweep::{Unswept, sweep};
pub(crate) use write::write;
