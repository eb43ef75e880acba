//! What `larder verify` and `larder salvage` find, one line each while they work, and a bar for whoever watches.

use indicatif::ProgressBar;
use larder_engine::{Damage, EntryName, Event, LostEntry};

use super::failure::Failure;
use super::object::Object;
use super::output::{Output, Style, say};
use super::progress;

/// Tells of findings as they come.
pub(super) struct Findings {
    out: Output,
    bar: Option<ProgressBar>,
    /// Why standard output took no more.
    failure: Option<Failure>,
}

impl Findings {
    pub(super) fn new(out: Output) -> Self {
        Self { out, bar: progress::bar(Some(0)), failure: None }
    }

    pub(super) fn tell(&mut self, event: Event<'_>) {
        match event {
            Event::Progress { done, total } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(total);
                    bar.set_position(done);
                }
            }
            Event::Damage(damage) => self.line(&damage.to_string(), || damage_object(damage)),
            Event::Lost(lost) => self.line(&lost.to_string(), || lost_object(lost)),
        }
    }

    /// Ends with a sentence for people, and an object for programs.
    pub(super) fn finish(mut self, sentence: &str, summary: Object) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.out.style() == Style::Json {
            self.line("", || summary);
        }
        match self.failure {
            Some(failure) => return Err(failure),
            None => self.out.flush()?,
        }
        say(&sentence);
        Ok(())
    }

    fn line(&mut self, text: &str, object: impl FnOnce() -> Object) {
        let Self { out, bar, failure } = self;
        if failure.is_some() {
            return;
        }
        let write = || {
            match out.style() {
                Style::Json => out.object(object())?,
                Style::Plain | Style::Terminal => out.line(text)?,
            }
            // It can take long until the next one.
            out.flush()
        };
        let written = match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
        *failure = written.err();
    }
}

fn damage_object(damage: &Damage) -> Object {
    let object = Object::new()
        .text("event", "damage")
        .text("file", &damage.file)
        .number("offset", damage.offset)
        .number_or_null("length", damage.length)
        .text("what", damage.what);
    let object = match &damage.record {
        Some(record) => name(object, record),
        None => object,
    };
    match &damage.versions {
        Some(versions) => {
            let object = object.number("missing_from", versions.first);
            object.number_or_null("missing_to", versions.last)
        }
        None => object,
    }
}

fn lost_object(lost: &LostEntry) -> Object {
    name(Object::new().text("event", "lost"), &lost.entry).number_or_null("kept_version", lost.kept)
}

fn name(object: Object, entry: &EntryName) -> Object {
    object
        .number("tenant", entry.tenant.into())
        .text("namespace", &entry.namespace)
        .text("key", &entry.key)
        .number("version", entry.version)
}

/// A number and what it counts.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
